"""Rows of the matrix: a group of five, ours and daemons, whole and in two halves."""
from __future__ import annotations

import subprocess

from matrix import expect, row
from matrix_groups import Group


class Five(Group):
    """Three of ours and two daemons, or five of ours; the first of the pair makes it."""

    further: list = []
    KINDS = {"BJ": "BB", "JB": "BJ", "BB": "BB", "JJ": "JJ"}

    def __init__(self, world):
        super().__init__(world)
        self.further = []
        kinds = self.KINDS.get(world.pair_name, "BB")
        for name, kind in zip(("Fourth", "Fifth"), kinds):
            peer = world.player(kind, f"{name.lower()}{world.serial}")
            self.pair.more.append(peer)
            self.ids[peer] = peer.create_account(name)["jami_id"]
            self.further.append(peer)
        self.make(self.b, self.c, *self.further)

    @property
    def all(self):
        return self.a, self.b, self.c, *self.further


def split(one, other) -> None:
    """No packet passes between the hosts of the two lists."""
    for here, there in ((one, other), (other, one)):
        addresses = ", ".join(peer.host.ip for peer in there)
        rules = ("table ip split\ndelete table ip split\ntable ip split {\n"
                 " chain arriving {\n  type filter hook input priority 0\n"
                 f"  ip saddr {{ {addresses} }} drop\n }}\n"
                 " chain leaving {\n  type filter hook output priority 0\n"
                 f"  ip daddr {{ {addresses} }} drop\n }}\n}}\n")
        for peer in here:
            subprocess.run([*peer.host.prefix, "nft", "-f", "-"], input=rules, text=True,
                           check=True)


def heal(*peers) -> None:
    for peer in peers:
        subprocess.run([*peer.host.prefix, "nft", "delete", "table", "ip", "split"], check=True)


@row("groups", "a group of five: everybody is heard by everybody; cut in two halves that say 20 each,"
               " and whole again: equal sets")
def group_five(world):
    group = Five(world)
    group.warm()
    said = []
    for sender in group.all:
        said.append(f"five {sender.name}")
        group.say(sender, said[-1])
    group.all_have(said)
    first, second = (group.a, group.b), (group.c, *group.further)
    split(first, second)
    try:
        for i in range(20):
            for half in (first, second):
                sender = half[i % len(half)]
                said.append(f"half {i} {sender.name}")
                group.say(sender, said[-1])
        for half, other in ((first, second), (second, first)):
            names = tuple(peer.name for peer in other)
            theirs = [body for body in said if body.startswith("half") and body.endswith(names)]
            expect(len(theirs) == 20, "each half says 20")
            for peer in half:
                bodies = {m["body"] for m in peer.history(group.chat)
                          if m.get("type") == "text/plain"}
                expect(not bodies & set(theirs), f"{peer.name} hears nothing of the other half")
    finally:
        heal(*group.all)
    # A daemon finds out about links that died in its own time, and asks nobody by itself.
    said.append("whole again")
    group.say(group.a, said[-1])
    group.all_have(said, timeout=240)
    group.verify()
