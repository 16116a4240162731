"""Devices that are linked while everybody is being killed (crash.py).

One new device after the other becomes one of somebody's account: with a code, a PIN or the
archive. In two of three cases the new device or the old one is killed in the middle of it. Then

* the new device starts, and has the account if it had said so, or none at all;
* if it has none, it is tried again, until it works.

A device that is linked writes a text of its own. In the end each has all contacts, all
conversations, and all messages that anybody was told of, each once; and its own text is with
all others."""
from __future__ import annotations

import collections
import random
import subprocess
import threading
import time

from jamipeer import ForeignPeer, PeerError, absolute

ALIVE = 2          # of the new devices, so many run at a time
RETRIES = 12       # after so many failures without a kill of our own something is wrong
PATIENCE = 40      # seconds for a step of a linking
KILL_WITHIN = 5.0  # seconds from the beginning of a linking
SETTLE = 180       # seconds until a device must have everything


class Device:
    """A device that was linked to a talker's account."""

    def __init__(self, peer: ForeignPeer, owner):
        self.peer, self.owner = peer, owner
        self.said: dict[str, str] = {}  # conversation -> the message it wrote there


class Linker:
    """Links devices, one after the other, on a thread of its own."""

    def __init__(self, world, lost: type[Exception]):
        self.world, self.Lost = world, lost
        self.dice = random.Random(f"{world.options.seed} linker")
        self.devices: list[Device] = []
        self.begun = self.killed = self.retried = 0
        self.failure: Exception | None = None
        self.peers: list[ForeignPeer] = []
        # What a thread has started dies with it, so that it stays until the end.
        self.done, self.end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        try:
            while not self.world.over.is_set() and self.begun < self.world.options.devices:
                self.link_one()
        except Exception as error:  # told by the main thread
            self.failure = error
        self.done.set()
        self.end.wait()

    # ------------------------------------------------------------ one device ----

    def link_one(self) -> None:
        self.begun += 1
        owner = self.dice.choice(self.world.talkers)
        name = f"{owner.name}-{self.begun}"
        peer = ForeignPeer(self.world.argv, name, self.world.root,
                           bootstrap=self.world.bootstrap)
        self.peers.append(peer)
        victim = self.dice.choice(["new", "old", ""])
        account, failures = self.attempt(peer, owner, victim), 0
        while not account:
            self.retried += 1
            failures += 1
            if failures > RETRIES:
                raise self.Lost(f"{name} cannot be linked, {RETRIES} times")
            account = self.attempt(peer, owner, "")
        peer.default_account = account
        if peer.identity()["jami_id"] != owner.id:
            raise self.Lost(f"{name} is a device of another account")
        device = Device(peer, owner)
        self.devices.append(device)
        self.speak(device)
        running = [d for d in self.devices if d.peer.process.poll() is None]
        for old in running[:-ALIVE]:
            old.peer.stop()

    def attempt(self, peer: ForeignPeer, owner, victim: str) -> str:
        """The account's local name on the new device; empty if it was not linked."""
        timer = None
        if victim:
            self.killed += 1
            doom = peer.kill if victim == "new" else lambda: self.world.doomed.append(owner)
            timer = threading.Timer(self.dice.uniform(0, KILL_WITHIN), doom)
            timer.start()
        way = self.dice.choice([self.by_code, self.by_code, self.by_pin, self.by_archive])
        said = ""
        try:
            said = way(peer, owner)
        except PeerError:
            pass  # somebody was killed
        if timer:
            timer.cancel()
            timer.join()
        if peer.process.poll() is not None:
            peer.start()
        accounts = peer.accounts()
        if said and said not in accounts:
            raise self.Lost(f"{peer.name} had the account, and has it no more")
        if len(accounts) > 1:
            raise self.Lost(f"{peer.name} has the account twice")
        return accounts[0] if accounts else ""

    def by_archive(self, peer: ForeignPeer, owner) -> str:
        path = str(self.world.root / f"{peer.name}.archive")
        owner.peer.export_archive(path)
        return peer.create_account(archive=path, wait=0)["account"]

    def by_pin(self, peer: ForeignPeer, owner) -> str:
        pin = owner.peer.link_pin()
        return peer.create_account(pin=pin, wait=0)["account"]

    def by_code(self, peer: ForeignPeer, owner) -> str:
        def ask(who, command, **arguments):
            return who._request(command, {"timeout": PATIENCE, "background": True, **arguments})

        def cancel() -> None:
            try:
                peer._request("cancel_link", {})
            except PeerError:
                pass  # it is over
        cancel()
        token = ask(peer, "link_here")["token"]

        def bring() -> None:
            try:
                done = ask(owner.peer, "link_device", token=token)
                if not done.get("error"):
                    return
            except PeerError:
                pass
            cancel()
        bringing = threading.Thread(target=bring, daemon=True)
        bringing.start()
        try:
            status = ask(peer, "link_here", state="AUTHENTICATING")
            if status["state"] == "AUTHENTICATING":
                peer._request("link_answer", {"password": ""})
            return ask(peer, "link_here", state="DONE").get("account", "")
        finally:
            bringing.join(2 * PATIENCE)

    def speak(self, device: Device) -> None:
        """Writes one text, as soon as there is a conversation to write to."""
        chat = self.dice.choice(self.world.chats[device.owner.name])
        deadline = time.monotonic() + PATIENCE
        while chat not in device.peer.conversations():
            if time.monotonic() > deadline or self.world.over.is_set():
                return
            time.sleep(0.2)
        try:
            device.said[chat] = device.peer.send_message(
                chat, f"of the new device {device.peer.name}", wait=30)
        except PeerError:
            pass  # it is being cloned

    # --------------------------------------------------------------- the end ----

    def settle(self, wanted: dict[str, set[str]]) -> None:
        """Each device has everything: `wanted` are the messages of each conversation."""
        for device in self.devices:
            peer = device.peer
            if peer.process.poll() is not None:
                peer.start()
            contacts = {t.id for t in self.world.talkers if t is not device.owner}
            chats = self.world.chats[device.owner.name]
            # Much may have been said since it was stopped.
            much = sum(len(wanted[chat]) for chat in chats)
            deadline = time.monotonic() + SETTLE + much / 20
            while lacks := self.lacks(peer, contacts, chats, wanted):
                if time.monotonic() > deadline:
                    raise self.Lost(f"{peer.name} still lacks {lacks}")
                time.sleep(0.5)
            for chat, message in device.said.items():
                self.everywhere(chat, message, peer.name)
                wanted[chat].add(message)
            for chat in chats:
                self.verify(peer, chat)
            peer.stop()

    def verify(self, peer, chat: str) -> None:
        """By ours: verify_repository.py takes minutes for so many."""
        done = subprocess.run([*absolute(self.world.options.baraza), "conversation", "verify",
                               peer.repository(chat)], capture_output=True, text=True)
        if done.returncode != 0:
            raise self.Lost(f"{peer.name}'s repository of {chat}: {done.stderr.strip()[-200:]}")

    def lacks(self, peer, contacts, chats, wanted) -> str:
        here = {c["id"] for c in peer.contacts() if c.get("confirmed") == "true"}
        if missing := contacts - here:
            return f"the contacts {missing}"
        listed = peer.conversations()
        for chat in chats:
            if chat not in listed:
                return f"the conversation {chat}"
            there = collections.Counter(m["id"] for m in peer.history(chat))
            if twice := [i for i, n in there.items() if n > 1]:
                raise self.Lost(f"{peer.name} lists {twice[0]} twice")
            if missing := wanted[chat] - set(there):
                return f"{len(missing)} messages of {chat}"
        return ""

    def everywhere(self, chat: str, message: str, name: str) -> None:
        members = [t for t in self.world.talkers if chat in self.world.chats[t.name]]
        deadline = time.monotonic() + SETTLE
        for talker in members:
            while message not in {m["id"] for m in talker.peer.history(chat)}:
                if time.monotonic() > deadline:
                    raise self.Lost(f"{talker.name} lacks what {name} wrote")
                time.sleep(0.5)
