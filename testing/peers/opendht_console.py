#!/usr/bin/env python3
"""A node of the newest OpenDHT, driven by lines on stdin. Run it with .venv/bin/python.

    put WORD TEXT    a value under the key SHA1(WORD): "put ok" or "put failed"
    keep WORD TEXT   the same, permanent
    get WORD         "value TEXT" for each, then "get done"
    listen WORD      "added TEXT" and "expired TEXT" as they come

First line: "ready NODE_ID PORT". Ends with its input.
"""
import argparse
import sys
import threading

import opendht

lock = threading.Lock()


def say(*words: str) -> None:
    with lock:
        print(*words, flush=True)


def text(value: opendht.Value) -> str:
    return value.data.decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bootstrap", help="HOST:PORT of a node to join")
    options = parser.parse_args()
    node = opendht.DhtRunner()
    node.run(port=options.port)
    if options.bootstrap:
        host, port = options.bootstrap.rsplit(":", 1)
        node.bootstrap(host, port)
    say("ready", str(node.getNodeId()), str(node.getBound()).rsplit(":", 1)[-1])
    listens = []
    for line in sys.stdin:
        command, word, *rest = [*line.strip().split(" ", 2), "", ""]
        key = opendht.InfoHash.get(word)
        if command in ("put", "keep"):
            node.put(key, opendht.Value(rest[0].encode()), permanent=command == "keep",
                     done_cb=lambda ok, nodes: say("put ok" if ok else "put failed"))
        elif command == "get":
            def found(value):
                say("value", text(value))
                return True
            node.get(key, get_cb=found, done_cb=lambda ok, nodes: say("get done"))
        elif command == "listen":
            def heard(value, expired):
                say("expired" if expired else "added", text(value))
                return True
            listens.append(node.listen(key, heard))
            say("listening")
    node.shutdown()


if __name__ == "__main__":
    main()
