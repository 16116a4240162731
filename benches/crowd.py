#!/usr/bin/env python3
"""The memory of a node with many long conversations: docs/benchmarks.md has the method.

    crowd.py --foreign target/release/jami-peer --fill target/release/examples/crowd_data
             [--conversations 100] [--messages 10000] [--keep DIRECTORY]
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing" / "peers"))
from jamipeer import DhtNode, ForeignPeer, PeerError, absolute, sandbox  # noqa: E402

AIM = 60  # MiB
SETTLE = 20  # seconds
INDEXING = 1800  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--foreign", required=True, help="command of Baraza's peer program")
    parser.add_argument("--fill", required=True, help="the program that writes conversations")
    parser.add_argument("--conversations", type=int, default=100)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--keep", help="where the conversations stay for the next run")
    options = parser.parse_args()
    words = absolute(options.foreign)
    fill = os.path.abspath(options.fill)
    sandbox()
    with tempfile.TemporaryDirectory(prefix="baraza-crowd-") as temporary:
        root = pathlib.Path(temporary)
        if options.keep:
            root = pathlib.Path(options.keep).absolute() / \
                f"{options.conversations}x{options.messages}"
            root.mkdir(parents=True, exist_ok=True)
        node = DhtNode(temporary)
        peer = None
        try:
            peer = ForeignPeer(words, "crowd", root)
            if not peer.accounts():
                prepare(peer, fill, options)
            return measure(peer, options)
        finally:
            if peer:
                peer.close()
            node.close()


def prepare(peer, fill: str, options) -> None:
    peer.create_account("Crowd")
    peer.stop()
    begun = time.monotonic()
    subprocess.run([fill, str(pathlib.Path(peer.directory) / "data"),
                    str(options.conversations), str(options.messages)], check=True)
    print(f"written in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    begun = time.monotonic()
    peer.start()
    for chat in peer.conversations():
        while peer.count_messages(chat) < options.messages:
            if time.monotonic() > begun + INDEXING:
                raise PeerError(f"conversation {chat} is not indexed after {INDEXING} s")
            time.sleep(0.5)
    print(f"indexed in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def measure(peer, options) -> int:
    peer.stop()
    begun = time.monotonic()
    peer.start()
    peer.wait_registered()
    started = time.monotonic() - begun
    time.sleep(SETTLE)
    idle = peer.stats()
    chats = peer.conversations()
    begun = time.monotonic()
    read = sum(len(peer.history(chat, 50)) for chat in chats)
    read += sum(len(peer.view(chat, 50)) for chat in chats)
    pages = time.monotonic() - begun
    after = peer.stats()
    time.sleep(SETTLE)
    later = peer.stats()
    if len(chats) != options.conversations or read != 100 * len(chats):
        print(f"{len(chats)} conversations, {read} messages read: not as it should be")
        return 1

    def mib(stats: dict, key: str = "rss_kib") -> str:
        return f"{stats[key] / 1024:.1f}"
    worst = max(stats["rss_kib"] for stats in (idle, after, later)) / 1024
    print(f"| {options.conversations} conversations of {options.messages} messages | | aim | |")
    print("|---|--:|---|---|")
    print(f"| start until announced | {started:.2f} s | | |")
    print(f"| resident memory {SETTLE} s after the start | {mib(idle)} MiB | | |")
    print(f"| after 50 messages of each were read, twice | {mib(after)} MiB | | |")
    print(f"| {SETTLE} s later | {mib(later)} MiB | | |")
    print(f"| the largest of these | {worst:.1f} MiB | ≤ {AIM} MiB | "
          f"{'yes' if worst <= AIM else '**no**'} |")
    print(f"| peak | {mib(later, 'peak_rss_kib')} MiB | | |")
    print(f"| a page of 50 | {1000 * pages / 2 / len(chats):.1f} ms | | |")
    print(f"| open files | {later['files']} | | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
