"""Rows of the matrix: files."""
from __future__ import annotations

import hashlib
import os
import pathlib
import time

from jamipeer import Peer, PeerError
from matrix import expect, row, until
from matrix_groups import Group

SIZES = (("empty.bin", 0), ("one.txt", 1), ("photo 😀.jpg", 5_000_000))


def sha3(path) -> str:
    digest = hashlib.sha3_512()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def original(peer, name: str, size: int) -> pathlib.Path:
    path = pathlib.Path(peer.directory) / name
    path.write_bytes(os.urandom(size))
    return path


def offered(peer, chat: str, message: str, timeout: float = 60) -> dict:
    event = peer.wait_for("messageReceived", lambda e: e["conversation"] == chat
                          and e["message"]["id"] == message, timeout, 0)
    return event["message"]


def fetch(peer, chat: str, sent: dict, timeout: float = 60) -> pathlib.Path:
    """The file that was offered, at a place of the user's choice."""
    got = offered(peer, chat, sent["id"])
    for key in ("fileId", "sha3sum", "totalSize", "displayName"):
        expect(got.get(key) == sent[key], f"{peer.name} is offered the {key} of the sender")
    to = pathlib.Path(peer.directory) / f"got {time.monotonic_ns()}"
    peer.accept_file(chat, sent["id"], got["fileId"], str(to), timeout=timeout)
    until(lambda: to.exists() and to.stat().st_size == int(sent["totalSize"]),
          f"{peer.name} has the file", 10)
    expect(sha3(to) == sent["sha3sum"], f"{peer.name} has what was sent")
    return to


@row("files", "a file of 0 B, 1 B and 5 MB each way, with SHA3-512 compared")
def file(world):
    pair = world.connected()
    for sender in pair.both:
        for name, size in SIZES:
            path = original(sender, name, size)
            sent = sender.send_file(pair.chat, str(path), name)
            expect(sent["sha3sum"] == sha3(path), f"{sender.name} tells the hash of {name}")
            expect(sent["totalSize"] == str(size), f"{sender.name} tells the size of {name}")
            fetch(pair.other(sender), pair.chat, sent)
    pair.settle()
    pair.verify()


@row("files", "the cable is pulled in the middle of a file: it goes on, and does not begin anew")
def file_resume(world):
    pair = world.connected()
    size = 24_000_000
    path = original(pair.a, "large.bin", size)
    pair.a.shape(rate="40mbit")
    sent = pair.a.send_file(pair.chat, str(path), "large.bin")
    to = pathlib.Path(pair.b.directory) / "large.bin"
    before = pair.b.stats()["rx_bytes"]

    def came() -> int:
        return pair.b.stats()["rx_bytes"] - before
    offered(pair.b, pair.chat, sent["id"])
    pair.b.accept_file(pair.chat, sent["id"], sent["fileId"], str(to), timeout=0)
    until(lambda: came() > size // 2, "half of it comes", 60)
    pair.b.link(False)
    time.sleep(8)
    expect(came() < size, "it was cut in the middle")
    pair.b.link(True)
    pair.a.shape()
    # Peers ask again for what they miss after each fetch.
    for attempt in range(6):
        pair.say(pair.a, f"still there {attempt}")
        try:
            pair.b.wait_message(f"still there {attempt}", pair.chat, timeout=20)
        except PeerError:
            continue
        try:
            if isinstance(pair.b, Peer):
                until(lambda: to.exists() and to.stat().st_size == size, "the rest comes", 20)
                expect(sha3(to) == sent["sha3sum"], "it is what was sent")
            else:
                fetch(pair.b, pair.chat, sent, timeout=20)
            break
        except PeerError:
            expect(attempt < 5, "the rest of the file comes")
    expect(came() < size * 1.5, f"{came()} bytes for a file of {size}: it began anew")
    pair.settle(120)
    pair.verify()


@row("files", "a third gets a file from a member that has it, while its sender is away")
def file_third(world):
    group = Group(world).make_all()
    group.warm()
    path = original(group.a, "report.pdf", 2_000_000)
    sent = group.a.send_file(group.chat, str(path), "report.pdf")
    fetch(group.b, group.chat, sent)
    offered(group.c, group.chat, sent["id"])
    group.pair.stop(group.a)
    fetch(group.c, group.chat, sent, timeout=90)
    group.verify(group.b, group.c)


# A black pixel.
PIXEL = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJ"
         "RU5ErkJggg==")


@row("files", "name and picture are seen by the contact, and so is a change of them")
def profile(world):
    pair = world.connected()
    for round_, (name, picture) in enumerate((("Ådel 🦁 שלום", PIXEL), ("Another name", ""))):
        for peer in pair.both:
            # One after the other: a daemon of 2023 whose own profile has changed throws away
            # those that just came, before its client can read them.
            peer.set_profile(f"{name} {peer.name}", picture)
            # A daemon of 2023 sends it after a fetch.
            pair.hear(pair.other(peer), f"look {round_} {peer.name}")
            wanted = {"name": f"{name} {peer.name}", "picture": picture}
            other = pair.other(peer)
            until(lambda: other.profile_of(pair.ids[peer]) == wanted,
                  f"{other.name} sees the profile of {peer.name}", 30)
    pair.settle()
