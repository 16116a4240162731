#!/usr/bin/env python3
"""The interop matrix: the same story between every mix of implementations.

    matrix.py                                      real daemon with real daemon
    matrix.py --foreign "target/debug/jami-peer"   + each mix with that program
    matrix.py --only burst,kill-asker --pairs BJ   some cells
    matrix.py --list                               what the rows do

A column is a pair of players, the one that asks for the contact first: J is the real daemon
(jamid), B the program given with --foreign. A cell passes when what its row says happened,
and at the end both sides have the same set of messages, each once, with good signatures.
Where a cell with the daemon fails, the same row is run between two daemons, up to three times
(some fail now and then), and shown beside it. Exit code: 0 if every cell passes, or fails between two daemons too (--strict: only if
every cell passes); else 1. A cell in which a daemon crashed (SIGSEGV, SIGABRT) is run once
more, and that is printed.
"""
from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from jamipeer import (DhtNode, ForeignDhtNode, ForeignPeer, OpenDhtNode, Peer, PeerError,
                      absolute, crashes, sandbox)
from verify_repository import Bad, verify

# The files of rows, imported below, use this module under its name, also when it is the program.
sys.modules["matrix"] = sys.modules[__name__]

SETTLE = 60  # seconds until both sides must have the same messages
QUIET = 5    # seconds in which something must not happen

ODD_TEXTS = [
    "سلام، چطوری؟ می‌خواهم",                      # right to left, zero-width non-joiner
    "שלום \u202eabc\u202c",                        # bidirectional overrides
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇮🇷 e\u0301 Å",                    # joined emoji, flags, combining
    "漢字かな交じり文 𠜎𠜱",                        # beyond the basic plane
    'quotes " \\ \\n \\u0041 {"type": "text/plain"}',
    "several\nlines\r\nand\ttabs\n",
    "\u0001\u001f\u007f control",
    "\ufeffmark \u2028line\u2029paragraph \U0010fffd",
    " leading and trailing ",
    "Z̸̡͓a͎̭l̖̭g̵o̷",
]


# ------------------------------------------------------------------ a pair ----

class OwnFault(PeerError):
    """What B did wrong by itself: no excuse that two daemons fail in this row too."""


class World:
    """One sandbox: a node to bootstrap from, and pairs of players in it."""

    def __init__(self, options, pair: str):
        self.options, self.pair_name = options, pair
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="jamimatrix-"))
        self.node = None
        self.serial = 0
        self.pair: Pair | None = None
        self.names = None  # the name server of players made from now on
        self.alone = False  # whether players made from now on are told of no DHT node

    def bootstrap_from(self, kind: str) -> None:
        """A new, empty DHT of that kind: dead nodes in an old one would slow it."""
        self.discard()
        if self.node:
            self.node.close()
        if kind == "opendht":
            self.node = OpenDhtNode(self.root)
        elif kind == "foreign":
            self.node = ForeignDhtNode([*shlex.split(self.options.baraza), "dht"], self.root)
        else:
            self.node = DhtNode(self.root)

    def fresh(self, kinds: str = "", password: str = "") -> "Pair":
        """Two new players, each with an account; of other kinds than the column's, if given."""
        self.bootstrap_from(self.options.dht)
        return self.new_pair(kinds, password)

    def new_pair(self, kinds: str = "", password: str = "") -> "Pair":
        self.serial += 1
        self.pair = Pair(self, kinds or self.pair_name, password)
        return self.pair

    def connected(self) -> "Pair":
        """The pair of the row before if it still is good, else a new one."""
        if self.pair is None or not self.pair.good:
            self.fresh().connect()
        return self.pair

    def player(self, kind: str, name: str):
        more = {"name_server": self.names.url} if self.names else {}
        if self.alone:
            more["bootstrap"] = ""
        if kind == "J":
            return Peer(name, self.root, debug=True, **more)
        return ForeignPeer(shlex.split(self.options.foreign), name, self.root, **more)

    def discard(self) -> None:
        if self.pair:
            self.pair.close()
            self.pair = None

    def close(self, keep: bool) -> None:
        self.discard()
        if self.node:
            self.node.close()
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)


def together(*functions):
    """Run them at once; the first error counts."""
    results, errors = [None] * len(functions), []

    def run(i):
        try:
            results[i] = functions[i]()
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(1, len(functions))]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def expect(condition, what: str) -> None:
    if not condition:
        raise PeerError("not so: " + what)


def until(condition, what: str, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        expect(time.monotonic() < deadline, f"{what} in {timeout:g} s")
        time.sleep(0.2)


def absent(peer, event: str, predicate, since: int, seconds: float = QUIET) -> None:
    try:
        peer.wait_for(event, predicate, seconds, since)
    except PeerError:
        return
    raise PeerError(f"{peer.name} got a {event} that it should not get")


class Pair:
    """Two players; `a` asks. Keeps account of what was said."""

    def __init__(self, world: World, kinds: str, password: str = "", wait: float = 60):
        self.world, self.good, self.chat = world, True, ""
        number = world.serial
        self.a = world.player(kinds[0], f"asker{number}")
        self.b = world.player(kinds[1], f"asked{number}")
        self.must = collections.Counter()   # (author, body) that both must have, and how often
        self.may = collections.Counter()    # said, but never confirmed to the one who said it
        self.more: list = []                 # further players, closed with these
        self.since = {self.a: 0, self.b: 0}  # where the events of this life begin
        self.ids = dict(zip((self.a, self.b), together(
            lambda: self.create(self.a, "Asker", password, wait),
            lambda: self.create(self.b, "Asked", password, wait))))

    def create(self, peer, name: str, password: str, wait: float) -> str:
        """The Jami ID of a new account; with `wait` 0 nobody may be able to find it yet."""
        # A daemon that is told later takes half a minute to answer.
        more = {"peer_discovery": True} if self.world.alone and isinstance(peer, Peer) else {}
        made = peer.create_account(name, password, wait=wait, **more)
        until(lambda: made.get("jami_id") or peer.identity()["jami_id"], f"{name} has keys", 60)
        return made.get("jami_id") or peer.identity()["jami_id"]

    @property
    def both(self):
        return self.a, self.b

    def other(self, peer):
        return self.b if peer is self.a else self.a

    def request(self) -> dict:
        """a asks b; the event with which b learns of it."""
        self.chat = self.a.send_request(self.ids[self.b])
        expect(len(self.chat) == 40, f"send_request returns a conversation: {self.chat!r}")
        event = self.b.wait("conversationRequestReceived", {"conversation": self.chat}, 60)
        expect(event["metadatas"]["from"] == self.ids[self.a], "the request names who asks")
        return event

    def accept(self) -> None:
        self.b.accept_request(self.chat)
        self.a.wait_member(self.chat, self.ids[self.b])

    def connect(self) -> "Pair":
        """A conversation in which both have heard each other. That is where rows start, so
        each sends until it is heard: a daemon may drop the first notice after a join (which
        has a row of its own)."""
        self.request()
        self.accept()
        return self.warm()

    def warm(self) -> "Pair":
        for sender in self.both:
            for attempt in range(6):
                body = f"warm up {sender.name} {attempt}"
                self.say(sender, body)
                try:
                    self.other(sender).wait_message(body, self.chat, timeout=8)
                    break
                except PeerError:
                    expect(attempt < 5, f"{sender.name} is heard")
        return self

    def say(self, peer, body: str, wait: float = 20) -> str:
        """Send; with `wait` 0 do not wait until the sender's own history has it."""
        result = peer.send_message(self.chat, body, wait=wait)
        self.must[self.ids[peer], body] += 1
        return result

    def hear(self, sender, body: str, timeout: float = 30) -> None:
        """Say it and wait until the other has it."""
        self.say(sender, body)
        self.other(sender).wait_message(body, self.chat, timeout=timeout)

    def texts(self, peer) -> list[tuple[str, str, str]]:
        """(id, author, body) of each text, newest first, as the peer tells them."""
        return [(m["id"], m["author"], m["body"]) for m in peer.history(self.chat)
                if m.get("type") == "text/plain"]

    def settle(self, timeout: float = SETTLE) -> None:
        """Both have the same set of messages: all that were said, each once."""
        deadline = time.monotonic() + timeout
        pause = 0.2
        while True:
            said = [self.texts(p) for p in self.both]
            problem = self.compare(*said)
            if not problem:
                return
            if time.monotonic() > deadline:
                raise PeerError(f"after {timeout:g} s {problem}")
            time.sleep(pause)
            pause = min(1, pause * 1.5)

    def compare(self, ours, theirs) -> str:
        for peer, texts in zip(self.both, (ours, theirs)):
            twice = [i for i, n in collections.Counter(t[0] for t in texts).items() if n > 1]
            if twice:
                return f"{peer.name} lists {len(twice)} messages twice, as {twice[0]}"
        if set(ours) != set(theirs):
            lacks = [f"{p.name} lacks {len(s)}" for p, s in
                     ((self.a, set(theirs) - set(ours)), (self.b, set(ours) - set(theirs))) if s]
            return ", ".join(lacks) + f" of {len(set(ours) | set(theirs))} messages"
        count = collections.Counter((author, body) for _, author, body in ours)
        if lost := self.must - count:
            return f"both lack {sum(lost.values())} messages, as {next(iter(lost))[1][:40]!r}"
        if extra := count - self.must - self.may:
            return f"both have {sum(extra.values())} too many, as {next(iter(extra))[1][:40]!r}"
        return ""

    def verify(self) -> None:
        """Signatures in both repositories; no message was announced twice in one life (the
        daemon does that with much of what it gets while it sends)."""
        for peer in self.both:
            seen = collections.Counter(
                e["message"]["id"] for e in peer.events[self.since[peer]:]
                if e["event"] == "messageReceived" and e["conversation"] == self.chat)
            twice = [i for i, n in seen.items() if n > 1]
            fault = PeerError if isinstance(peer, Peer) else OwnFault
            if twice and fault is OwnFault and not self.world.options.allow_repeats:
                raise OwnFault(f"{peer.name} announces {len(twice)} messages more than once")
            path = peer.repository(self.chat)
            try:
                verify(path)
            except Bad as bad:
                raise fault(f"{peer.name}'s repository: {bad}") from None
            if self.world.options.baraza:
                done = subprocess.run([*shlex.split(self.world.options.baraza), "conversation",
                                       "verify", path], capture_output=True, text=True)
                if done.returncode != 0:
                    raise OwnFault(f"baraza conversation verify refuses {peer.name}'s repository: "
                                   f"{(done.stderr or done.stdout).strip()[-200:]}")

    def stop(self, peer) -> None:
        peer.stop()

    def start(self, peer) -> None:
        self.since[peer] = peer.mark()
        peer.start()
        peer.wait_registered()

    def close(self) -> None:
        for peer in (*self.both, *self.more):
            peer.close()


# -------------------------------------------------------------------- rows ----

ROWS: dict[str, "Row"] = {}
Row = collections.namedtuple("Row", "name title group run pairs why")


def row(group: str, title: str, pairs: str = "", why: str = ""):
    """A row of the table; with `pairs` only for these columns, and `why` says why."""
    def add(function):
        name = function.__name__.replace("_", "-")
        ROWS[name] = Row(name, title, group, function, pairs.split(",") if pairs else [], why)
        return function
    return add


def applies(name: str, pair: str) -> bool:
    return not ROWS[name].pairs or pair in ROWS[name].pairs


def finish(pair: Pair, timeout: float = SETTLE) -> None:
    pair.settle(timeout)
    pair.verify()


@row("requests", "request: it arrives and names who asks; accept: both become members")
def accept(world):
    pair = world.fresh()
    pair.request()
    expect(any(r.get("id") == pair.chat for r in pair.b.requests()), "the request is listed")
    pair.accept()
    expect(pair.b.requests() == [], "no request is left")
    for peer in pair.both:
        expect(pair.chat in peer.conversations(), f"{peer.name} lists the conversation")
        wanted = {pair.ids[pair.a]: "admin", pair.ids[pair.b]: "member"}
        until(lambda: {m["uri"]: m["role"] for m in peer.members(pair.chat)} == wanted,
              f"{peer.name} sees an admin and a member", 10)
        mine = [c for c in peer.contacts() if c["id"] == pair.ids[pair.other(peer)]]
        expect(mine and mine[0].get("confirmed") == "true", f"{peer.name} has a confirmed contact")
    finish(pair)


@row("requests", "decline: no conversation, the asker sees no join")
def decline(world):
    pair = world.fresh()
    pair.request()
    mark = pair.a.mark()
    pair.b.decline_request(pair.chat)
    until(lambda: pair.b.requests() == [], "the request is gone", 10)
    expect(pair.chat not in pair.b.conversations(), "no conversation")
    absent(pair.a, "conversationMemberEvent", lambda e: e["change"] == "joined", mark)


@row("requests", "block: a blocked asker's message and new request do not arrive")
def block(world):
    pair = world.fresh().connect()
    pair.b.remove_contact(pair.ids[pair.a], ban=True)
    until(lambda: any(c["id"] == pair.ids[pair.a] and c.get("banned") == "true"
                      for c in pair.b.contacts()), "the contact is listed as banned", 10)
    mark = pair.b.mark()
    pair.a.send_message(pair.chat, "blocked", wait=0)
    pair.a.send_request(pair.ids[pair.b])
    absent(pair.b, "conversationRequestReceived", None, mark)
    absent(pair.b, "messageReceived", lambda e: e["message"].get("body") == "blocked", mark, 0.1)


@row("requests", "first message: each side's first, sent as soon as it can, without a second")
def first_message(world):
    pair = world.fresh()
    pair.request()
    pair.b.accept_request(pair.chat)
    pair.say(pair.b, "first from the asked")
    pair.a.wait_member(pair.chat, pair.ids[pair.b])
    pair.say(pair.a, "first from the asker")
    finish(pair)


@row("texts", "60 kB texts and odd Unicode, byte for byte")
def texts(world):
    pair = world.connected()
    for sender in pair.both:
        for body in [*ODD_TEXTS, "x" * 60_000, "ش" * 30_000]:
            pair.say(sender, body)
    finish(pair)


@row("messages", "100 messages each way, interleaved")
def interleaved(world):
    pair, count = world.connected(), world.options.count
    for i in range(count):
        for sender in pair.both:
            pair.say(sender, f"interleaved {i}")
    finish(pair)


@row("messages", "100 from each side at once, without waiting")
def burst(world):
    pair, count = world.connected(), world.options.count

    def shoot(sender):
        for i in range(count):
            pair.say(sender, f"burst {i}", wait=0)
    together(lambda: shoot(pair.a), lambda: shoot(pair.b))
    finish(pair)


@row("texts", "one message to and fro, 20 times: each arrives before the next is sent")
def turns(world):
    pair = world.connected()
    for i in range(20):
        pair.hear(pair.both[i % 2], f"turn {i}")
    finish(pair)


def restart_side(pair, peer, kill: bool):
    order = [i for i, _, _ in pair.texts(peer)]
    if kill:
        peer.kill()
    else:
        pair.stop(peer)
    pair.start(peer)
    again = [i for i, _, _ in pair.texts(peer)]
    expect(order == again, f"{peer.name} has the same messages in the same order afterwards")
    what = "kill" if kill else "restart"
    for sender in (pair.other(peer), peer):
        pair.say(sender, f"{what} of {peer.name}: {sender.name} {pair.must.total()}")
    finish(pair)


@row("restarts", "the asker is restarted; then each sends one")
def restart_asker(world):
    pair = world.connected()
    restart_side(pair, pair.a, False)


@row("restarts", "the asked is restarted; then each sends one")
def restart_asked(world):
    pair = world.connected()
    restart_side(pair, pair.b, False)


def killed(pair, victim):
    """kill -9 while it receives, then right after it sent."""
    other = pair.other(victim)
    for i in range(20):
        pair.say(other, f"to the killed {victim.name} {i}", wait=0)
        if i == 10:
            victim.kill()
    pair.start(victim)
    for i in range(5):
        pair.say(victim, f"confirmed {victim.name} {i}")
    body = f"unconfirmed {victim.name}"
    victim.send_message(pair.chat, body, wait=0)
    pair.may[pair.ids[victim], body] += 1
    victim.kill()
    pair.start(victim)
    finish(pair)
    restart_side(pair, victim, True)


@row("restarts", "the asker is killed (kill -9) while receiving, after sending, at rest")
def kill_asker(world):
    pair = world.connected()
    killed(pair, pair.a)


@row("restarts", "the asked is killed (kill -9) while receiving, after sending, at rest")
def kill_asked(world):
    pair = world.connected()
    killed(pair, pair.b)


def away(pair, peer, count):
    other = pair.other(peer)
    pair.stop(peer)
    for i in range(count):
        pair.say(other, f"{peer.name} was away {i}")
    pair.start(peer)
    finish(pair)


@row("absence", "the asker is away while 50 messages are sent")
def absent_asker(world):
    pair = world.connected()
    away(pair, pair.a, world.options.count // 2)


@row("absence", "the asked is away while 50 messages are sent")
def absent_asked(world):
    pair = world.connected()
    away(pair, pair.b, world.options.count // 2)


@row("absence", "each in turn writes 10 while the other is away, and has gone when it is back")
def absent_in_turn(world):
    pair = world.connected()
    for round_, peer in enumerate(pair.both):
        other = pair.other(peer)
        pair.stop(peer)
        for i in range(10):
            pair.say(other, f"in turn {round_} {i}")
        pair.stop(other)
        pair.start(peer)
        pair.say(peer, f"alone {round_}")
        pair.start(other)
        pair.settle()
    finish(pair)


@row("network", "5 % of all packets lost, and two cable cuts")
def loss_and_cuts(world):
    pair = world.connected()
    try:
        for peer in pair.both:
            peer.shape(loss=5)
        for i in range(10):
            for sender in pair.both:
                pair.say(sender, f"lossy {i}")
        for cut in pair.both:
            cut.link(False)
            for i in range(5):
                for sender in pair.both:
                    pair.say(sender, f"cut {cut.name} {i}")
            time.sleep(3)
            cut.link(True)
            for sender in pair.both:
                pair.say(sender, f"mended {cut.name}")
        finish(pair, 120)
    finally:
        for peer in pair.both:
            peer.shape()


def whole_story(world, kind):
    world.bootstrap_from(kind)
    pair = world.new_pair().connect()
    for i in range(5):
        for sender in pair.both:
            pair.say(sender, f"story {i}")
    pair.settle()
    for peer in pair.both:
        pair.stop(peer)
    for peer in pair.both:
        pair.start(peer)
    for sender in pair.both:
        pair.say(sender, f"after the restart of both: {sender.name}")
    finish(pair)
    pair.good = False  # the next row wants the usual network


@row("networks", "the DHT is OpenDHT 2.4.12 (Debian's dhtnode): meet, talk, restart both, talk")
def on_dhtnode(world):
    whole_story(world, "dhtnode")


@row("networks", "the DHT is OpenDHT 4.4.2 (PyPI): meet, talk, restart both, talk")
def on_opendht(world):
    whole_story(world, "opendht")


@row("networks", "the DHT is `baraza dht`: meet, talk, restart both, talk")
def on_baraza(world):
    if not world.options.baraza:
        raise PeerError("give --baraza")
    whole_story(world, "foreign")


# ------------------------------------------------------------------ running ----

def daemons_hang(world) -> str:
    """What to say if a daemon fetches from another daemon without end: until then it answers
    every notice with "Already fetching", and nobody else can help it."""
    logs = {log.parent.name: log.read_text(errors="replace").splitlines()
            for log in world.root.glob(f"*[a-z]{world.serial}/jamid.log")}
    for name, lines in logs.items():
        last = {what: max((float(stamp[1]) for line in lines if what in line
                           and (stamp := re.match(r"\[(\d+\.\d+)\|", line))), default=0.0)
                for what in ("Already fetching", "Validate commit")}
        if last["Already fetching"] <= last["Validate commit"] + 20:
            continue
        asked = [found[1] for line in lines
                 if (found := re.search(r"Send request on .* git://([0-9a-f]{64})/", line))]
        served = [other for other, theirs in logs.items() if other != name and asked
                  and any(f"New channel asked with name git://{asked[-1]}/" in line
                          for line in theirs)]
        if served:
            return f"{name} fetches from {served[0]} without end"
    return ""


def run_rows(options, pair: str, names: list[str], emit) -> None:
    """Run rows one after the other in this process's sandbox."""
    world = World(options, pair)
    failed = False
    todo, again = collections.deque(names), set()
    while todo:
        name = todo.popleft()
        begun, crashed = time.monotonic(), crashes()
        try:
            ROWS[name].run(world)
            error, own = "", False
        except Exception as problem:  # whatever it is, it is this cell's result
            own = isinstance(problem, OwnFault)
            error = str(problem) or type(problem).__name__
            if not isinstance(problem, PeerError):
                error = f"{type(problem).__name__}: {error}"
            if world.pair:
                world.pair.good = False
            # The daemon's DHT thread crashes now and then, often before it has met anybody.
            fault = ("the daemon crashed" if crashes() > crashed else
                     daemons_hang(world) if pair != "JJ" else "")
            if fault and name not in again:
                print(f"{pair} {name}: {fault} ({error}): once more", file=sys.stderr)
                again.add(name)
                todo.appendleft(name)
                continue
            failed = True
        emit({"pair": pair, "row": name, "ok": not error, "error": error, "own": own,
              "seconds": round(time.monotonic() - begun, 1),
              "files": str(world.root) if error else ""})
    try:
        world.close(keep=failed or options.keep)
    except Exception as problem:
        print(f"{pair}: closing: {problem}", file=sys.stderr)


def worker(options) -> int:
    sandbox()
    pair, names = options.worker.split(":")
    run_rows(options, pair, names.split(","), lambda cell: print(json.dumps(cell), flush=True))
    return 0


class Runner:
    """Cuts the cells into jobs (a pair and some rows), and runs some jobs at once."""

    def __init__(self, options, argv):
        self.options, self.argv = options, argv
        self.cells: dict[tuple[str, str], dict] = {}
        self.lock = threading.Lock()

    def run(self, jobs: list[tuple[str, list[str]]]) -> None:
        todo = collections.deque(jobs)

        def work():
            while True:
                with self.lock:
                    if not todo:
                        return
                    pair, names = todo.popleft()
                self.job(pair, names)
        threads = [threading.Thread(target=work) for _ in range(self.options.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def job(self, pair: str, names: list[str]) -> None:
        process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), *self.argv, "--worker",
             f"{pair}:{','.join(names)}"], stdout=subprocess.PIPE, text=True)
        timer = threading.Timer(self.options.limit * len(names), process.kill)
        timer.start()
        left = list(names)
        for line in process.stdout:
            cell = json.loads(line)
            left.remove(cell["row"])
            self.record(cell)
        process.wait()
        timer.cancel()
        for name in left:
            self.record({"pair": pair, "row": name, "ok": False, "seconds": 0, "files": "",
                         "error": f"the run ended with {process.returncode} before this cell"})

    def record(self, cell: dict) -> None:
        with self.lock:
            self.cells[cell["row"], cell["pair"]] = cell
            print(f"{'ok  ' if cell['ok'] else 'FAIL'} {cell['pair']} {cell['row']} "
                  f"({cell['seconds']:.1f} s){' ' + cell['error'] if cell['error'] else ''}",
                  file=sys.stderr, flush=True)


def plan(rows: list[str], pairs: list[str]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name in rows:
        groups.setdefault(ROWS[name].group, []).append(name)
    jobs = [(pair, [name for name in names if applies(name, pair)])
            for names in groups.values() for pair in pairs]
    return [(pair, names) for pair, names in jobs if names]


TITLES = {"JJ": "Jami→Jami", "BJ": "Baraza→Jami", "JB": "Jami→Baraza", "BB": "Baraza↔Baraza"}


def table(cells: dict, rows: list[str], pairs: list[str]) -> None:
    print("| row | " + " | ".join(TITLES[p] for p in pairs) + " |")
    print("|---" * (len(pairs) + 1) + "|")
    for name in rows:
        line = []
        for pair in pairs:
            cell = cells.get((name, pair))
            line.append("–" if not applies(name, pair) else "" if cell is None else
                        f"{'ok' if cell['ok'] else 'FAIL'} {cell['seconds']:.0f} s")
        print(f"| {name} | " + " | ".join(line) + " |")
    print()
    for name in rows:
        if ROWS[name].pairs:
            print(f"{name} is for {', '.join(ROWS[name].pairs)} only: {ROWS[name].why}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foreign", help="command of the program that plays B")
    parser.add_argument("--baraza", default="", help="the baraza program: verifies repositories "
                                                     "and serves the DHT of row on-baraza")
    parser.add_argument("--pairs", help="columns, of JJ, BJ, JB, BB (default: the last three, "
                                        "or JJ without --foreign)")
    parser.add_argument("--only", help="rows, by name or group")
    parser.add_argument("--subset", choices=["test"], help="test: what `make test` runs: all "
                                                           "rows with fewer messages")
    parser.add_argument("--count", type=int, help="how many messages rows send (100)")
    parser.add_argument("--dht", default="dhtnode", choices=["dhtnode", "opendht", "foreign"],
                        help="what all rows but those of group networks bootstrap from")
    parser.add_argument("--jobs", type=int, default=3, help="how many jobs at once (%(default)s)")
    parser.add_argument("--limit", type=int, default=300, help="seconds that a cell may take")
    parser.add_argument("--references", type=int, default=3, help="how often to run the row of "
                        "a failed cell between two daemons until it fails there too")
    parser.add_argument("--reference", action="store_true", help="run all of JJ, not only the "
                                                                 "rows that fail with it")
    parser.add_argument("--allow-repeats", action="store_true", help="let B announce a message "
                        "twice, as daemons do (to try this with jamipeer.py run as --foreign)")
    parser.add_argument("--strict", action="store_true", help="fail even if two daemons fail too")
    parser.add_argument("--json", help="also write the results to this file")
    parser.add_argument("--keep", action="store_true", help="keep the players' files and logs "
                                                            "(those of failed cells are kept)")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.count = options.count or (30 if options.subset else 100)
    for name in ("foreign", "baraza"):  # players run elsewhere
        setattr(options, name, shlex.join(absolute(getattr(options, name) or "")))
    if options.list:
        for entry in ROWS.values():
            print(f"{entry.name:16} {entry.title}")
        return 0
    if options.worker:
        return worker(options)

    rows = list(ROWS)
    if options.only:
        wanted = options.only.split(",")
        rows = [r for r in ROWS if r in wanted or ROWS[r].group in wanted]
        if unknown := [w for w in wanted if w not in ROWS
                       and w not in {r.group for r in ROWS.values()}]:
            parser.error(f"no row or group {unknown[0]}: see --list")
    if not options.baraza and "on-baraza" in rows and not options.only:
        rows.remove("on-baraza")
    pairs = (options.pairs or ("BJ,JB,BB" if options.foreign else "JJ")).split(",")
    if unknown := [p for p in pairs if p not in TITLES]:
        parser.error(f"no pair {unknown[0]}")
    if not options.foreign and any("B" in p for p in pairs):
        parser.error("B needs --foreign")

    begun = time.monotonic()
    runner = Runner(options, sys.argv[1:])
    runner.run(plan(rows, [*pairs, *(["JJ"] if options.reference and "JJ" not in pairs else [])]))
    cells = runner.cells
    doubtful = [] if "JJ" in pairs else [
        r for r in rows if applies(r, "JJ") and any(
            not cells[r, p]["ok"] and not cells[r, p].get("own")
            for p in pairs if "J" in p and applies(r, p))]
    runs = dict.fromkeys(rows, 1)
    for attempt in range(options.references):  # what the daemon does varies from run to run
        doubtful = [r for r in doubtful if (r, "JJ") not in cells or cells[r, "JJ"]["ok"]]
        if not doubtful:
            break
        print("the same between two daemons:", file=sys.stderr)
        runner.run(plan(doubtful, ["JJ"]))
        runs.update(dict.fromkeys(doubtful, attempt + 1))
    shown = [*pairs, *(["JJ"] if "JJ" not in pairs and any(p == "JJ" for _, p in cells) else [])]
    print()
    table(cells, rows, shown)
    failed, excused = [], []
    for name in rows:
        for pair in filter(lambda pair: applies(name, pair), pairs):
            cell = cells[name, pair]
            if cell["ok"]:
                continue
            reference = cells.get((name, "JJ"))
            same = ("J" in pair and pair != "JJ" and reference and not reference["ok"]
                    and not cell.get("own"))
            (excused if same and not options.strict else failed).append(cell)
            print(f"{TITLES[pair]} {name}: {cell['error']}")
            if same:
                print(f"    Jami→Jami fails too ({'at once' if runs[name] == 1 else f'in run {runs[name]}'}"
                      f"): {reference['error']}")
            elif cell.get("own"):
                print("    by Baraza's own fault")
            elif reference and reference["ok"] and pair != "JJ":
                print(f"    Jami→Jami passes ({runs[name]} of {runs[name]} runs)")
            if cell["files"]:
                print(f"    files and logs: {cell['files']}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(list(cells.values()), indent=1))
    total = sum(applies(name, pair) for name in rows for pair in pairs)
    print(f"{time.monotonic() - begun:.0f} s; {len(excused)} cells fail as they do between two "
          "daemons")
    print(f"{total - len(failed) - len(excused)} passed, {len(failed)} failed")
    return 1 if failed else 0


import matrix_devices  # noqa: E402,F401  (its rows)
import matrix_drt  # noqa: E402,F401
import matrix_groups  # noqa: E402,F401
import matrix_keep  # noqa: E402,F401
import matrix_life  # noqa: E402,F401
import matrix_linking  # noqa: E402,F401
import matrix_local  # noqa: E402,F401
import matrix_files  # noqa: E402,F401
import matrix_names  # noqa: E402,F401
import matrix_presence  # noqa: E402,F401
import matrix_relay  # noqa: E402,F401
import matrix_signs  # noqa: E402,F401

if __name__ == "__main__":
    sys.exit(main())
