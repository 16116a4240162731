"""Rows of the matrix: the local network."""
from __future__ import annotations

from jamipeer import Peer
from matrix import Pair, expect, finish, row, until


@row("local", "a network without anything else and no host to begin with: each finds the other's node "
     "and lists the other as a person nearby; request, talk; who does not show itself any more is gone")
def nearby(world):
    world.discard()
    if world.node:
        world.node.close()
        world.node = None
    world.serial += 1
    world.alone = True
    try:
        pair = world.pair = Pair(world, world.pair_name, wait=0)
        pair.good = False  # the next row wants the usual network
        for peer in pair.both:
            if not isinstance(peer, Peer):
                expect(peer.nearby() == {}, "nobody is seen before one looks")
                peer.look_around(True)
        names = {pair.a: "Asker", pair.b: "Asked"}
        for peer in pair.both:
            other = pair.other(peer)
            until(lambda: peer.nearby() == {pair.ids[other]: names[other]},
                  f"{peer.name} lists {names[other]}", 60)
        for peer in pair.both:
            peer.wait_registered()
        pair.connect()
        for i in range(5):
            for sender in pair.both:
                pair.hear(sender, f"nearby {i}")
        finish(pair)
        # Silence is noticed after a minute or so.
        pair.b.stop() if isinstance(pair.b, Peer) else pair.b.look_around(False)
        until(lambda: pair.a.nearby() == {}, "who hides is gone", 120)
    finally:
        world.alone = False
