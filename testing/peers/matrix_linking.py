"""Rows of the matrix: how an account gets to a new device, and its password.

`a` of the pair has the account, the new device is of the kind of `b`, which is its contact."""
from __future__ import annotations

import collections
import pathlib

from jamipeer import PeerError
from matrix import expect, row, together, until

PASSWORD = "of the askér 1"


def new_device(world, pair):
    """A player without an account, which ends with the pair."""
    device = world.player(world.pair_name[1], f"device{world.serial}-{len(pair.more)}")
    pair.more.append(device)
    return device


def is_device_of_a(pair, device) -> None:
    """It is another device of `a`, with its contact and their conversation; and what the
    contact says arrives at both, what either says at the contact."""
    identity = device.identity()
    expect(identity["jami_id"] == pair.ids[pair.a], "it is a device of the account")
    expect(identity["device_id"] != pair.a.identity()["device_id"], "with a key of its own")
    contact = [c for c in device.contacts() if c["id"] == pair.ids[pair.b]]
    expect(contact and contact[0].get("confirmed") == "true"
           and contact[0].get("conversationId") == pair.chat, "it has the contact")
    until(lambda: pair.chat in device.conversations(), "the conversation is listed", 60)

    def have(said, *peers) -> None:
        for peer in peers:
            def each_once():
                bodies = collections.Counter(m["body"] for m in peer.history(pair.chat)
                                             if m.get("type") == "text/plain")
                return all(bodies[body] == 1 for body in said)
            until(each_once, f"{peer.name} has {said}, each once", 90)
    have(["before the new device"], device)
    said = []
    for sender in (pair.b, device, pair.a):
        said.append(f"{sender.name} to all")
        pair.say(sender, said[-1]) if sender in pair.both else device.send_message(
            pair.chat, said[-1], wait=20)
        have(said, pair.b, sender)
    have(said, pair.a, pair.b, device)


@row("linking", "a PIN (with a password) makes a new device: contact, conversation, messages")
def link_pin(world):
    pair = world.fresh().connect()
    pair.hear(pair.b, "before the new device")
    expect(pair.a.change_password("", PASSWORD), "the password is set")
    try:
        pair.a.link_pin(password="another")
        raise AssertionError
    except PeerError:
        pass
    except AssertionError:
        raise PeerError("a PIN is given for a wrong password") from None
    pin = pair.a.link_pin(password=PASSWORD)
    expect(len(pin) == 8 and pin.isalnum(), f"a PIN: {pin!r}")
    device = new_device(world, pair)
    for wrong in ({"pin": pin, "password": "another"}, {"pin": "00000000", "password": PASSWORD}):
        try:
            device.create_account("Asker", **wrong, wait=60)
        except PeerError:
            until(lambda: device.accounts() == [], "nothing is left of the failed attempt", 30)
        else:
            raise PeerError(f"{device.name} was linked with {wrong}")
        device.default_account = ""
    device.create_account("Asker", pin=pin, password=PASSWORD, wait=90)
    is_device_of_a(pair, device)


@row("linking", "a token makes a new device, after a wrong password", pairs="BB",
     why="daemons of 2023 have no such way")
def link_code(world):
    pair = world.fresh().connect()
    pair.hear(pair.b, "before the new device")
    expect(pair.a.change_password("", PASSWORD), "the password is set")
    device = new_device(world, pair)

    def ask(peer, command, **arguments):  # what no daemon has
        return peer._request(command, arguments)
    token = ask(device, "link_here")["token"]
    wrong = token[:-6] + ("999999" if token[-6:] != "999999" else "999998")
    expect(ask(pair.b, "link_device", token=wrong)["error"] == "network",
           "a wrong code leads nowhere")
    results: dict = {}
    together(lambda: results.update(ask(pair.a, "link_device", token=token)),
             lambda: confirm_twice(ask, device, pair))
    expect(results["state"] == "DONE" and "error" not in results, f"it is linked: {results}")
    done = ask(device, "link_here", state="DONE")
    expect(done.get("account"), f"the new device has the account: {done}")
    device.default_account = done["account"]
    device.wait_registered()
    is_device_of_a(pair, device)


def confirm_twice(ask, device, pair) -> None:
    """With a wrong password, then with the right one."""
    shown = ask(device, "link_here", state="AUTHENTICATING")
    expect(shown["peer_id"] == pair.ids[pair.a] and shown["needs_password"],
           f"the new device shows whose account it is: {shown}")
    ask(device, "link_answer", password="another")
    until(lambda: ask(device, "link_here", state="AUTHENTICATING")["wrong_passwords"] == 1,
          "the wrong password is refused", 30)
    ask(device, "link_answer", password=PASSWORD)


@row("linking", "the password changes on one device; the other keeps the old one")
def password(world):
    pair = world.fresh().connect()
    pair.hear(pair.b, "before the new device")
    expect(pair.a.change_password("", "first"), "a password is set")
    device = new_device(world, pair)
    device.create_account("Asker", pin=pair.a.link_pin(password="first"), password="first",
                          wait=90)
    expect(not pair.a.change_password("wrong", "second"), "a wrong password is refused")
    expect(pair.a.change_password("first", "second"), "the password is changed")
    for peer, right, wrong in ((pair.a, "second", "first"), (device, "first", "second")):
        expect(peer.details()["Account.archiveHasPassword"] == "true",
               f"{peer.name} knows that there is a password")
        path = pathlib.Path(world.root) / f"{peer.name}.archive"
        try:
            opened = peer.export_archive(str(path), password=wrong)
        except PeerError:
            opened = False
        expect(not opened, f"{peer.name} does not open with {wrong!r}")
        expect(peer.export_archive(str(path), password=right),
               f"{peer.name} opens with {right!r}")
    expect(pair.a.change_password("second", ""), "the password is removed")
    until(lambda: pair.a.details()["Account.archiveHasPassword"] == "false",
          "there is no password any more", 10)
    is_device_of_a(pair, device)


@row("linking", "the account archive, without a password and with one, opens on the other; with a "
     "wrong one it does not")
def archive(world):
    world.fresh()
    for serial, secret in enumerate(("", PASSWORD)):
        owner, taker = (world.player(kind, f"archive{world.serial}-{serial}-{side}")
                        for side, kind in enumerate(world.pair_name))
        world.pair.more += [owner, taker]
        jami_id = owner.create_account("Owner", password=secret)["jami_id"]
        path = str(world.root / f"archive{world.serial}-{serial}.gz")
        expect(owner.export_archive(path, password=secret), "the archive is exported")
        if secret:
            try:
                taker.create_account(archive=path, password="wrong", wait=30)
            except PeerError:
                pass
            else:
                raise PeerError("a wrong password opens the archive")
        taken = taker.create_account(archive=path, password=secret)
        expect(taken["jami_id"] == jami_id, "it is the same account")
        expect(taken["device_id"] != owner.identity()["device_id"], "it is another device")
    world.pair.good = False
