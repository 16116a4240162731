"""Rows of the matrix: groups, and the small signs of a conversation."""
from __future__ import annotations

import collections

from jamipeer import Peer, PeerError
from matrix import absent, expect, row, until
from verify_repository import Bad, verify


class Group:
    """A group that `a` of the pair makes; the third is of the kind of `b`."""

    def __init__(self, world):
        self.pair = world.fresh()
        self.pair.good = False  # what is said here is not what the rows of two expect
        self.a, self.b = self.pair.both
        self.c = world.player(world.pair_name[1], f"third{world.serial}")
        self.pair.more.append(self.c)
        self.ids = self.pair.ids
        self.ids[self.c] = self.c.create_account("Third")["jami_id"]
        self.chat = self.pair.chat = ""
        self.warmed = 0

    @property
    def all(self):
        return self.a, self.b, self.c

    def invited(self, peer, timeout: float = 60) -> None:
        event = peer.wait("conversationRequestReceived", {"conversation": self.chat}, timeout)
        expect(event["metadatas"]["from"] == self.ids[self.a], "the invitation names who invites")

    def join(self, *peers) -> None:
        for peer in peers:
            self.invited(peer)
            peer.accept_request(self.chat)
            self.a.wait_member(self.chat, self.ids[peer])

    def make(self, *members) -> "Group":
        self.chat = self.pair.chat = self.a.create_group([self.ids[m] for m in members],
                                                         title="The bench")
        self.join(*members)
        return self

    def roles(self, peer) -> dict:
        return {m["uri"]: m["role"] for m in peer.members(self.chat)}

    def all_see(self, what: str, condition, *peers, timeout: float = 60) -> None:
        for peer in peers or self.all:
            until(lambda: condition(peer), f"{peer.name} sees {what}", timeout)

    def make_all(self) -> "Group":
        return self.make(self.b, self.c)

    def served(self, peer, other) -> int:
        """How often a daemon gave the group's history to another one, by its log."""
        if not isinstance(peer, Peer):
            return 0
        log = (peer.directory / "jamid.log").read_text(errors="replace")
        return sum(log.count(f"Git server requested for conversation {self.chat}, device {device}")
                   for device in other.devices())

    def say(self, peer, body: str) -> str:
        return peer.send_message(self.chat, body, wait=20)

    def all_have(self, said, *peers, timeout: float = 60) -> None:
        """Everybody has these texts, each once."""
        def has(peer):
            bodies = collections.Counter(m["body"] for m in peer.history(self.chat)
                                         if m.get("type") == "text/plain")
            return all(bodies[body] == 1 for body in said)
        self.all_see(f"{len(said)} messages, each once", has, *peers, timeout=timeout)

    def warm(self, *peers) -> None:
        """Each is heard by all: daemons may drop the first notices after a join."""
        peers = peers or self.all
        for sender in peers:
            for attempt in range(6):
                self.warmed += 1
                body = f"warm up {sender.name} {self.warmed}"
                self.say(sender, body)
                try:
                    self.all_have([body], *peers, timeout=10)
                    break
                except PeerError:
                    expect(attempt < 5, f"{sender.name} is heard by all")

    def verify(self, *peers) -> None:
        for peer in peers or self.all:
            try:
                verify(peer.repository(self.chat))
            except Bad as bad:
                raise PeerError(f"{peer.name}'s repository: {bad}") from None


@row("groups", "a group of three: invite, accept, title; each is heard by all, 10 times")
def group(world):
    group = Group(world)
    group.make(group.b, group.c)
    group.all_see("the title", lambda p: p.conversation_info(group.chat).get("title")
                  == "The bench")
    # Not before somebody has spoken: a daemon that fetches a join while it is about to make
    # its own keeps it beside its branch until there is something more to fetch.
    group.warm()
    group.all_see("three members", lambda p: sorted(group.roles(p).values())
                  == ["admin", "member", "member"])
    said = []
    for i in range(10):
        for sender in group.all:
            said.append(f"group {i} {sender.name}")
            group.say(sender, said[-1])
    group.all_have(said)
    group.verify()


@row("groups", "one is banned and hears nothing more, and is taken back; the title changes")
def ban(world):
    group = Group(world).make_all()
    group.warm()
    group.a.remove_member(group.chat, group.ids[group.c])
    group.all_see("the ban", lambda p: group.roles(p).get(group.ids[group.c]) == "banned",
                  group.a, group.b)
    mark, before = group.c.mark(), group.served(group.b, group.c)
    group.say(group.a, "not for the banned")
    group.all_have(["not for the banned"], group.b)
    # A daemon of 2023 serves whom it banned (docs/protocol/05-swarm.md section 6), and who
    # asks before it has heard of the ban gets what came after it too.
    if not isinstance(group.a, Peer):
        try:
            absent(group.c, "messageReceived",
                   lambda e: e["message"].get("body") == "not for the banned", mark)
        except PeerError:
            expect(group.served(group.b, group.c) > before, "the banned has it from a daemon")
    group.a.set_conversation_info(group.chat, {"title": "Another bench"})
    group.all_see("the new title", lambda p: p.conversation_info(group.chat).get("title")
                  == "Another bench", group.a, group.b)
    group.a.add_member(group.chat, group.ids[group.c])
    group.all_see("the return", lambda p: group.roles(p).get(group.ids[group.c]) == "member",
                  group.a, group.b)
    group.verify(group.a, group.b)


@row("groups", "one leaves: the others see it, and it has the group no more")
def leave(world):
    group = Group(world).make_all()
    group.warm()
    group.c.leave(group.chat)
    until(lambda: group.chat not in group.c.conversations(), "the group is gone", 30)

    def seen(peer):
        return group.ids[group.c] not in group.roles(peer)
    if isinstance(group.c, Peer):
        # A daemon erases the group when one has fetched that it left, and may never answer
        # the other, who asks nobody else as long as the link stands
        # (docs/protocol/05-swarm.md section 4.5).
        until(lambda: seen(group.a) or seen(group.b), "one sees that one left", 60)
        group.pair.stop(group.c)
    group.all_see("that one left", seen, group.a, group.b)
    group.warm(group.a, group.b)
    group.verify(group.a, group.b)


@row("groups", "a reply, a reaction, an edit and a deletion, each way")
def signs(world):
    pair = world.connected()
    for sender in pair.both:
        other = pair.other(sender)
        first = pair.say(sender, f"first {sender.name}")
        other.wait_message(f"first {sender.name}", pair.chat)
        signs = {
            "reply": other.send_message(pair.chat, f"reply {other.name}", reply_to=first),
            "reaction": other.react(pair.chat, first, "👍"),
            "edit": sender.edit_message(pair.chat, first, f"better {sender.name}"),
            "deletion": sender.edit_message(pair.chat, first, ""),
        }

        def found(peer):
            by_id = {m["id"]: m for m in peer.history(pair.chat)}
            got = {name: by_id.get(id_, {}) for name, id_ in signs.items()}
            return (got["reply"].get("reply-to") == first
                    and got["reaction"].get("react-to") == first
                    and got["reaction"].get("body") == "👍"
                    and got["edit"].get("edit") == first
                    and got["edit"].get("body") == f"better {sender.name}"
                    and got["deletion"].get("edit") == first)
        for peer in pair.both:
            until(lambda: found(peer), f"{peer.name} has all signs of {sender.name}", 60)
    pair.verify()
    pair.good = False  # what was said is not only texts now


@row("groups", "what one says and goes away with, the second carries to the third; they never meet")
def carry(world):
    group = Group(world).make_all()
    group.warm()
    absent_one, carrier, last = group.c, group.b, group.a
    group.pair.stop(last)
    said = [f"carried {i}" for i in range(5)]
    for body in said:
        group.say(absent_one, body)
    group.all_have(said, carrier)
    group.pair.stop(absent_one)
    group.pair.start(last)
    # A daemon that starts is told of nothing; the next message brings all.
    if isinstance(carrier, Peer):
        said.append("from the carrier")
        group.say(carrier, said[-1])
    group.all_have(said, last)
    group.pair.start(absent_one)
    group.all_have(said, absent_one)
    group.verify()


@row("groups", "the same text from two at the same instant, twice each: four messages"
               ", in ours in the same order for good")
def equal_texts(world):
    pair = world.connected()
    for _ in range(2):
        for sender in pair.both:
            pair.say(sender, "the same", wait=0)
    pair.settle()
    listed = {peer: [i for i, _, body in pair.texts(peer) if body == "the same"]
              for peer in pair.both}
    for peer in pair.both:
        expect(len(listed[peer]) == 4, f"{peer.name} has four")
        pair.stop(peer)
    for peer in pair.both:
        pair.start(peer)
        again = [i for i, _, body in pair.texts(peer) if body == "the same"]
        # A daemon's order is that of its branch, which a merge changes.
        expect(len(again) == 4 if isinstance(peer, Peer) else again == listed[peer],
               f"{peer.name} lists them in the same order after a restart")
    pair.verify()
    pair.good = False
