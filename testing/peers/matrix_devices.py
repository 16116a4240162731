"""Rows of the matrix: several devices of one account.

The first of the pair has two devices: the second one is of the kind of the other, and made
from the archive that the first exports.
"""
from __future__ import annotations

import collections

from jamipeer import Peer, PeerError
from matrix import absent, expect, row, until
from verify_repository import Bad, verify


class Devices:
    """`a` with its second device `a2`, and `b`, whom `a` knows."""

    def __init__(self, world, connect: bool = True):
        self.pair = world.fresh()
        if connect:
            self.pair.connect()
        self.chat = self.pair.chat
        self.a, self.b = self.pair.both
        self.id = self.pair.ids[self.a]
        archive = str(world.root / f"archive{world.serial}")
        expect(self.a.export_archive(archive), "the archive is exported")
        self.a2 = world.player(world.pair_name[1], f"second{world.serial}")
        self.pair.more.append(self.a2)
        made = self.a2.create_account("Asker", archive=archive)
        expect(made["jami_id"] == self.id, "the second device is one of the same account")
        self.second = made["device_id"]
        self.warmed = 0

    def bodies(self, peer, chat: str) -> collections.Counter:
        return collections.Counter(m["body"] for m in peer.history(chat)
                                   if m.get("type") == "text/plain")

    def all_have(self, said, *peers, chat: str = "", timeout: float = 60) -> None:
        """These devices have these texts, each once."""
        for peer in peers:
            def has(peer=peer):
                bodies = self.bodies(peer, chat or self.chat)
                return all(bodies[body] == 1 for body in said)
            until(has, f"{peer.name} has {said[0]!r} and all others, each once", timeout)

    def warm(self, *peers, chat: str = "") -> None:
        """Each is heard by all: daemons may drop the first notices after a clone."""
        for sender in peers:
            for attempt in range(6):
                self.warmed += 1
                body = f"warm up {sender.name} {self.warmed}"
                sender.send_message(chat or self.chat, body, wait=20)
                try:
                    self.all_have([body], *peers, chat=chat, timeout=10)
                    break
                except PeerError:
                    expect(attempt < 5, f"{sender.name} is heard by all")

    def ready(self, *peers, chat: str = "") -> None:
        for peer in peers:
            # A daemon lists it before it has cloned it, and has no history to show then.
            peer.wait_ready(chat or self.chat, timeout=90)

    def verify(self, *peers) -> None:
        for peer in peers:
            try:
                verify(peer.repository(self.chat))
            except Bad as bad:
                raise PeerError(f"{peer.name}'s repository: {bad}") from None


@row("devices", "a second device gets the history; each hears all; a contact added on one "
                "is on the other")
def two_devices(world):
    devices = Devices(world)
    a, a2, b = devices.a, devices.a2, devices.b
    before = [body for _, _, body in devices.pair.texts(a)]
    devices.ready(a2)
    devices.all_have(before, a2)
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    devices.warm(a, a2, b)
    said = []
    for i in range(5):
        for sender in (a, a2, b):
            said.append(f"devices {i} {sender.name}")
            sender.send_message(devices.chat, said[-1], wait=20)
    devices.all_have(said, a, a2, b)
    devices.verify(a, a2, b)
    known = devices.pair.ids[b]
    until(lambda: known in [c["id"] for c in a2.contacts()], "the second knows the contact", 30)
    stranger = "5" * 40
    a2.add_contact(stranger)
    until(lambda: stranger in [c["id"] for c in a.contacts()], "the first knows the new contact")
    a.remove_contact(stranger)

    def active(peer):
        return [c["id"] for c in peer.contacts()
                if c["id"] == stranger and c.get("removed", "0") == "0"]
    until(lambda: not active(a2), "the contact is gone on the second")


@row("devices", "a device that was revoked is served no more")
def revoke(world):
    devices = Devices(world)
    a, a2, b = devices.a, devices.a2, devices.b
    devices.ready(a2)
    devices.warm(a, a2)
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    expect(a.revoke_device(devices.second) == 0, "the second is revoked")
    until(lambda: devices.second not in a.devices(), "the first lists it no more", 30)
    if isinstance(a, Peer):
        # It tells nobody before (docs/protocol/02-account.md section 11.1).
        devices.pair.stop(a)
        devices.pair.start(a)
    devices.pair.stop(b)
    mark = a2.mark()
    a.send_message(devices.chat, "not for the revoked", wait=20)
    absent(a2, "messageReceived",
           lambda e: e["message"].get("body") == "not for the revoked", mark, 15)


@row("devices", "notes to oneself are on both devices")
def self_chat(world):
    devices = Devices(world, connect=False)
    a, a2 = devices.a, devices.a2
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    devices.chat = a.send_request(devices.id)
    expect(len(devices.chat) == 40, "there is a conversation with oneself")
    devices.ready(a, a2)
    devices.warm(a, a2)
    said = []
    for i in range(5):
        for sender in (a, a2):
            said.append(f"note {i} {sender.name}")
            sender.send_message(devices.chat, said[-1], wait=20)
    devices.all_have(said, a, a2)
    devices.verify(a, a2)
