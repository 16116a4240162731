#!/usr/bin/env python3
"""Hostile packets against a live DHT node: 10,000 random ones and 10,000 mutated captures.

    hostile.py                                     against Debian's dhtnode, for comparison
    hostile.py --baraza "target/debug/baraza"      against `baraza dht`

The node must stay up and answer a ping after each thousand, and its memory must be flat:
after one round to warm up, a second round of the same size may add at most --grow KiB.
They come from 200 source addresses, so that limits for each address do not hide the parser.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import shlex
import shutil
import socket
import sys
import tempfile
import time

from jamipeer import DHT_PORT, DhtNode, ForeignDhtNode, PeerError, sandbox

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
FILES = ("dht-udp-2412-plain.json", "dht-udp-2412-identity.json", "dht-udp-head.json",
         "dht-raw-requests-2412.json", "head-dht-daemon.json")
OTHER_NETWORK = b"\xa1n\xcd\x05\x39"
NODE = ("127.0.0.1", DHT_PORT)
SOURCES = 200
RATE = 4000  # packets a second, so that the node's socket does not overflow


def captured() -> list[bytes]:
    """All datagrams in the vectors, as if sent in network 0 (a node drops others early)."""
    packets = []

    def network_0(data):
        return bytes([data[0] - 1]) + data[1:].replace(OTHER_NETWORK, b"", 1) \
            if OTHER_NETWORK in data else data

    def walk(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ("hex", "request_hex") and isinstance(inner, str):
                    packets.append(network_0(bytes.fromhex(inner)))
                else:
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
    for name in FILES:
        walk(json.loads((VECTORS / name).read_text()))
    return sorted(set(packets))


def mutate(dice: random.Random, packets: list[bytes]) -> bytes:
    """A captured packet with one to four of: bits flipped, cut, grown, spliced, lengths made
    huge, a part repeated."""
    data = bytearray(dice.choice(packets))
    for _ in range(dice.randint(1, 4)):
        if not data:
            break
        at = dice.randrange(len(data))
        kind = dice.randrange(6)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = dice.randbytes(dice.randint(1, 40))
        elif kind == 3:
            data[at:] = dice.choice(packets)[at:]
        elif kind == 4:  # msgpack: bin32, str32, array32, map32 of 4 GiB or a little less
            data[at:at + 5] = bytes([dice.choice(b"\xc6\xdb\xdd\xdf")]) + dice.choice(
                [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x10\x00\x00"])
        else:
            part = data[at:at + dice.randint(1, 60)]
            data[at:at] = part * dice.randint(1, 20)
    return bytes(data[:1400])


def ping() -> bytes:
    """A ping request from a node with a new id (docs/protocol/01-dht.md section 2.4)."""
    return (b"\x85\xa1a\x81\xa2id\xc4\x14" + random.randbytes(20) + b"\xa1q\xa4ping\xa1t\xce"
            + random.randbytes(4) + b"\xa1y\xa1q\xa1v\xa4RNG1")


def answers(timeout: float = 5) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.2.1", 0))
        probe.settimeout(0.5)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            probe.sendto(ping(), NODE)
            try:
                if b"\xa1y\xa1r" in probe.recv(2000):
                    return True
            except TimeoutError:
                continue
    return False


def resident_kib(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--baraza", help="the baraza program; without, Debian's dhtnode")
    parser.add_argument("--count", type=int, default=10_000, help="packets of each kind")
    parser.add_argument("--grow", type=int, default=2048, help="KiB that the second round may add")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    command = shlex.split(options.baraza or "")
    if command and os.sep in command[0]:
        command[0] = os.path.abspath(command[0])
    sandbox()
    dice, packets = random.Random(options.seed), captured()
    print(f"seed {options.seed}, {len(packets)} captured packets")
    root = pathlib.Path(tempfile.mkdtemp(prefix="jamihostile-"))
    node = ForeignDhtNode([*command, "dht"], root) if command else DhtNode(root)
    sockets = []
    for number in range(SOURCES):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.0.1.{number + 1}", 0))
        sockets.append(sender)
    memory, problem = [], ""
    try:
        if not answers():
            raise PeerError("no answer to a ping before anything was sent")
        for round_ in range(2):
            for kind in ("random", "mutated"):
                begun = time.monotonic()
                for i in range(options.count):
                    data = (dice.randbytes(dice.randint(0, 1400)) if kind == "random"
                            else mutate(dice, packets))
                    sockets[i % SOURCES].sendto(data, NODE)
                    if i % 100 == 99:
                        time.sleep(max(0, begun + i / RATE - time.monotonic()))
                    if i % 1000 == 999 and node.process.poll() is not None:
                        raise PeerError(f"the node ended with {node.process.returncode} after "
                                        f"{i + 1} {kind} packets")
                if not answers():
                    raise PeerError(f"no answer to a ping after {options.count} {kind} packets")
            memory.append(resident_kib(node.process.pid))
            print(f"round {round_ + 1}: {options.count} random, {options.count} mutated; up, "
                  f"answers, {memory[-1]} KiB")
        if memory[1] - memory[0] > options.grow:
            problem = f"the second round added {memory[1] - memory[0]} KiB, more than {options.grow}"
    except PeerError as error:
        problem = str(error)
    finally:
        node.close()
        for sender in sockets:
            sender.close()
    if problem:
        print(f"FAIL {problem}; log: {root}")
    else:
        shutil.rmtree(root)
    print("0 passed, 1 failed" if problem else "1 passed, 0 failed")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
