#!/usr/bin/env python3
"""A node of the newest OpenDHT, until SIGTERM or SIGINT. Run it with .venv/bin/python."""
import argparse
import signal

import opendht


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4222)
    parser.add_argument("--bootstrap", help="HOST:PORT of a node to join")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    node = opendht.DhtRunner()
    node.run(port=options.port)
    if options.bootstrap:
        host, port = options.bootstrap.rsplit(":", 1)
        node.bootstrap(host, port)
    print(node.getNodeId(), flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    node.shutdown()


if __name__ == "__main__":
    main()
