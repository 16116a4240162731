#!/usr/bin/env python3
"""Kill -9 at random instants: data directories always open, nothing acknowledged is missing.

    crash.py --foreign target/debug/jami-peer --kills 1000 --seed 7

Three accounts, with conversations of two and a group, talk without a pause: texts, reactions,
edits, files. One after the other is killed at a random instant (kill -9: the program gets no chance
to write anything) and started again on the same directory. Each time

* it starts, and names its account;
* every message that it confirmed to have sent, or told to have received, is in its history,
  at once and once: before it has met anybody;
* every file that it has under its name is whole, and those that it confirmed to have sent are
  there.

Meanwhile new devices are linked to the accounts, some killed in the middle of it
(crash_linking.py).

At the end all have the same messages, all that were ever confirmed by anybody among them, each
once, with all files, and the repositories are in order. The seed decides what is done and when somebody is
killed; where in the program that hits depends on the machine.
"""
from __future__ import annotations

import argparse
import collections
import hashlib
import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

from crash_linking import Linker
from jamipeer import ForeignDhtNode, ForeignPeer, PeerError, absolute, sandbox
from verify_repository import Bad, verify

NAMES = ("ada", "bert", "cleo")
FULL_CHECK = 25  # every so many kills of a peer its whole history is read
RECENT = 200     # otherwise its newest confirmed messages are looked for ...
LOOK_BACK = 800  # ... among so many commits
SETTLE = 180     # seconds until all must have the same messages in the end


class Lost(Exception):
    """Something acknowledged is missing."""


class Talker:
    """One peer, and a thread that lets it do things while it is up."""

    def __init__(self, world: "World", name: str):
        self.world, self.name = world, name
        self.dice = random.Random(f"{world.options.seed} {name}")
        self.peer = ForeignPeer(world.argv, name, world.root, bootstrap=world.bootstrap)
        self.id = self.peer.create_account(name.title())["jami_id"]
        # Conversation -> ids of confirmed messages, in the order of their confirmation.
        self.acked: dict[str, dict[str, None]] = collections.defaultdict(dict)
        self.own: list[tuple[str, str]] = []
        self.files: list[tuple[str, str]] = []  # conversation and SHA3-512 of what it sent
        self.lock = threading.Lock()
        self.seen = self.kills = 0
        self.up = threading.Event()
        self.up.set()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def ack(self, chat: str, message: str) -> None:
        with self.lock:
            self.acked[chat][message] = None

    def note_events(self) -> None:
        """What it has told counts as acknowledged."""
        while self.seen < len(self.peer.events):
            event = self.peer.events[self.seen]
            self.seen += 1
            # Each merges for itself, and nobody is told of it.
            if event["event"] == "messageReceived" and event["message"]["type"] != "merge":
                self.ack(event["conversation"], event["message"]["id"])

    def work(self) -> None:
        while not self.world.over.is_set():
            if not self.up.wait(1):
                continue
            process = self.peer.process
            try:
                self.act()
            except PeerError as error:
                # Killed meanwhile: what was not confirmed may be lost. Else it must not be.
                if process.poll() is None:
                    self.world.refused[str(error)[:120]] += 1
            time.sleep(self.dice.uniform(0, 0.1))

    def act(self) -> None:
        peer, dice = self.peer, self.dice
        choice = dice.random()
        if choice < 0.8 or not self.own:
            chat = dice.choice(self.world.chats[self.name])
            body = f"{self.name} {dice.randrange(1 << 40)} " + "x" * int(dice.paretovariate(0.6))
            sent = peer.send_message(chat, body[:20_000], wait=30)
            self.own.append((chat, sent))
        elif choice < 0.85:
            chat = dice.choice(self.world.chats[self.name])
            path = self.world.root / f"{self.name}.bin"
            path.write_bytes(dice.randbytes(dice.choice([0, 1, 5000, 200_000, 1_000_000])))
            message = peer.send_file(chat, str(path), wait=30)
            sent = message["id"]
            self.files.append((chat, message["sha3sum"]))
        elif choice < 0.92:
            chat, target = dice.choice(self.own)
            sent = peer.react(chat, target, "👍", wait=30)
        else:
            chat, target = dice.choice(self.own)
            sent = peer.edit_message(chat, target, f"better {dice.randrange(1 << 40)}", wait=30)
        self.ack(chat, sent)

    def kill(self) -> None:
        self.up.clear()
        self.peer.kill()
        self.kills += 1
        self.note_events()

    def start(self) -> None:
        self.peer.start()
        if self.peer.default_account not in self.peer.accounts():
            raise Lost(f"{self.name} has no account any more")
        self.check(whole=self.kills % FULL_CHECK == 0)
        self.check_files(self.files)
        self.up.set()

    def check(self, whole: bool) -> None:
        listed = self.peer.conversations()
        with self.lock:
            acked = {chat: list(ids) for chat, ids in self.acked.items()}
        for chat, ids in acked.items():
            if chat not in listed:
                raise Lost(f"{self.name} has no conversation {chat} any more")
            history = self.peer.history(chat, count=0 if whole else LOOK_BACK)
            there = collections.Counter(message["id"] for message in history)
            if twice := [i for i, n in there.items() if n > 1]:
                raise Lost(f"{self.name} lists {twice[0]} twice")
            if missing := [i for i in (ids if whole else ids[-RECENT:]) if i not in there]:
                raise Lost(f"{self.name} lacks {len(missing)} acknowledged messages of {chat}, "
                           f"as {missing[0]}")

    def content(self, chat: str, digest: str) -> pathlib.Path | None:
        found = list(self.peer.directory.glob(f"data/accounts/*/files/{chat}/{digest}"))
        return found[0] if found else None

    def check_files(self, must: list[tuple[str, str]]) -> None:
        """What has a name is whole, and what must be there is there."""
        for path in self.peer.directory.glob("data/accounts/*/files/*/*"):
            if len(path.name) == 128 and path not in self.world.whole:
                if hashlib.sha3_512(path.read_bytes()).hexdigest() != path.name:
                    raise Lost(f"{self.name}: {path} is not what its name says")
                self.world.whole.add(path)
        for chat, digest in must:
            if self.content(chat, digest) is None:
                raise Lost(f"{self.name} lacks the file {digest[:16]}… that it sent to {chat}")


class World:
    def __init__(self, options):
        self.options = options
        self.argv = absolute(options.foreign)
        self.root = pathlib.Path(options.dir or tempfile.mkdtemp(prefix="baraza-crash-"))
        self.over = threading.Event()
        self.whole: set[pathlib.Path] = set()  # files that were found to be right
        self.refused: collections.Counter = collections.Counter()
        self.chats: dict[str, list[str]] = {name: [] for name in NAMES}
        self.node = ForeignDhtNode([*absolute(options.baraza), "dht"], self.root)
        self.bootstrap = self.node.address
        self.talkers = [Talker(self, name) for name in NAMES]
        self.doomed: collections.deque[Talker] = collections.deque()  # who is next
        self.linker = Linker(self, Lost)

    def meet(self) -> None:
        ada, bert, cleo = self.talkers
        for asker, asked in ((ada, bert), (ada, cleo), (bert, cleo)):
            chat = asker.peer.send_request(asked.id)
            self.accept(asked, chat)
            asker.peer.wait_member(chat, asked.id)
            for talker in (asker, asked):
                self.chats[talker.name].append(chat)
        group = ada.peer.create_group([bert.id, cleo.id], title="Crash")
        for talker in (bert, cleo):
            self.accept(talker, group)
        for talker in self.talkers:
            self.chats[talker.name].append(group)

    @staticmethod
    def accept(talker: Talker, chat: str) -> None:
        talker.peer.wait("conversationRequestReceived", {"conversation": chat}, 60)
        talker.peer.accept_request(chat)

    def run(self) -> None:
        dice = random.Random(self.options.seed)
        for talker in self.talkers:
            talker.thread.start()
        self.linker.thread.start()
        begun, told = time.monotonic(), 0
        for kill in range(self.options.kills):
            victim = dice.choice(self.talkers)
            time.sleep(dice.expovariate(1 / self.options.pause))
            if self.doomed:
                victim = self.doomed.popleft()
            victim.kill()
            # Down for an instant, or for so long that others notice.
            time.sleep(dice.choice([0, 0, 0, 0.3, 1]))
            victim.start()
            if self.linker.failure:
                raise self.linker.failure
            if time.monotonic() > told + 30:
                told = time.monotonic()
                print(f"{kill + 1} kills, {self.count()} messages confirmed, "
                      f"{len(self.linker.devices)} devices linked, {told - begun:.0f} s",
                      file=sys.stderr, flush=True)
        # What has begun to be linked is to end well, without kills.
        self.over.set()
        for talker in self.talkers:
            talker.thread.join(120)
        self.linker.done.wait(300)
        if self.linker.failure:
            raise self.linker.failure

    def count(self) -> int:
        ids: set[str] = set()
        for talker in self.talkers:
            with talker.lock:
                ids.update(*talker.acked.values())
        return len(ids)

    def settle(self) -> None:
        """All have what anybody confirmed, each once."""
        everything: dict[str, set[str]] = {}
        for chat in sorted({chat for chats in self.chats.values() for chat in chats}):
            members = [t for t in self.talkers if chat in self.chats[t.name]]
            for talker in members:
                talker.note_events()
            wanted = {i for talker in members for i in talker.acked[chat]}
            everything[chat] = wanted
            deadline = time.monotonic() + SETTLE
            while True:
                lacks = {t.name: len(wanted - {m["id"] for m in t.peer.history(chat)})
                         for t in members}
                if not any(lacks.values()):
                    break
                if time.monotonic() > deadline:
                    raise Lost(f"after {SETTLE} s messages lack in {chat}: {lacks}")
                time.sleep(1)
            for talker in members:
                try:
                    verify(talker.peer.repository(chat))
                except Bad as bad:
                    raise Lost(f"{talker.name}'s repository of {chat}: {bad}") from None
        files = {file for talker in self.talkers for file in talker.files}
        deadline = time.monotonic() + SETTLE
        for chat, digest in sorted(files):
            for talker in (t for t in self.talkers if chat in self.chats[t.name]):
                while talker.content(chat, digest) is None:
                    if time.monotonic() > deadline:
                        raise Lost(f"after {SETTLE} s {talker.name} lacks the file {digest[:16]}… "
                                   f"of {chat}")
                    time.sleep(0.2)
        for talker in self.talkers:
            talker.check(whole=True)
            talker.check_files(talker.files)
        self.linker.settle(everything)

    def close(self) -> None:
        self.over.set()
        if self.linker.thread.is_alive():
            self.linker.done.wait(60)
        for peer in (*self.linker.peers, *(talker.peer for talker in self.talkers)):
            peer.close()
        self.linker.end.set()
        self.node.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--foreign", required=True, help="the program that is killed")
    parser.add_argument("--baraza", required=True, help="for `baraza dht`, to bootstrap from")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.4, help="mean seconds between two kills")
    parser.add_argument("--devices", type=int, default=-1,
                        help="most devices that are linked (one for 20 kills, 3 to 40)")
    parser.add_argument("--dir", default="", help="where to keep the files")
    options = parser.parse_args()
    if options.devices < 0:
        options.devices = min(40, max(3, options.kills // 20))
    sandbox()
    begun = time.monotonic()
    world = World(options)
    failure = ""
    try:
        world.meet()
        world.run()
        world.settle()
    except (Lost, PeerError) as problem:
        failure = str(problem)
    finally:
        world.close()
    kills = sum(talker.kills for talker in world.talkers)
    files = sum(len(talker.files) for talker in world.talkers)
    linker = world.linker
    print(f"{kills} kills, {world.count()} messages and {files} files confirmed, seed {options.seed}, "
          f"{time.monotonic() - begun:.0f} s")
    print(f"{len(linker.devices)} devices linked, {linker.killed} times with a kill in the middle, "
          f"{linker.retried} retries")
    for error, times in world.refused.most_common(10):
        print(f"refused {times} times: {error}")
    if failure:
        print(f"{failure}\nfiles and logs: {world.root}")
    else:
        shutil.rmtree(world.root, ignore_errors=True)
    print(json.dumps({"kills": kills, "messages": world.count(), "files": files,
                      "devices": len(linker.devices), "failure": failure}))
    print("0 passed, 1 failed" if failure else "1 passed, 0 failed")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
