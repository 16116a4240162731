"""Rows of the matrix: who is there."""
from __future__ import annotations

from jamipeer import Peer
from matrix import expect, finish, row, until


def of(peer, who: str) -> dict:
    return next(c for c in peer.contacts() if c["id"] == who)


@row("presence", "none of whom nobody has seen; connected; announced, with the reason, of one that was "
     "killed; connected again; a daemon tells its subscribers of an announcement")
def presence(world):
    pair = world.fresh()
    pair.good = False
    pair.request()
    pair.b.accept_request(pair.chat)
    pair.a.wait_member(pair.chat, pair.ids[pair.b])
    for watcher in pair.both:
        seen = pair.other(watcher)
        who = pair.ids[seen]
        if isinstance(watcher, Peer):
            # It tells of announcements only: that somebody is there, and not that one went.
            pair.stop(seen)
            pair.stop(watcher)
            watcher.start()
            watcher.wait_registered()
            mark = watcher.mark()
            watcher.watch_presence(who)
            pair.start(seen)
            watcher.wait_for("newBuddyNotification", lambda e: e["buddy_uri"] == who
                             and e["status"] >= 1, 60, mark)
            continue
        until(lambda: of(watcher, who)["presence"] == "connected",
              f"{watcher.name} is connected", 60)
        # It is gone, and its announcement is still on the DHT.
        mark = watcher.mark()
        seen.kill()
        watcher.wait_for("newBuddyNotification", lambda e: e["buddy_uri"] == who
                         and e["status"] == 1, 60, mark)
        until(lambda: of(watcher, who)["presence"] == "available"
              and of(watcher, who)["unreachable"],
              f"{watcher.name} says why it cannot reach {seen.name}", 120)
        mark = watcher.mark()
        pair.start(seen)
        watcher.wait_for("newBuddyNotification", lambda e: e["buddy_uri"] == who
                         and e["status"] == 2, 120, mark)
        until(lambda: of(watcher, who)["presence"] == "connected"
              and not of(watcher, who)["unreachable"], "there is no reason any more", 10)
        # Who has never been there.
        watcher.add_contact("5" * 40)
        expect(of(watcher, "5" * 40)["presence"] == "offline", "nobody is there")


@row("presence", "somebody whose network is cut without a word is seen to be gone soon after something "
     "was said, and has it when the network is back", pairs="BJ,BB",
     why="a daemon tells of announcements only")
def vanish(world):
    pair = world.connected()
    watcher, seen = pair.both
    who = pair.ids[seen]
    until(lambda: of(watcher, who)["presence"] == "connected", f"{watcher.name} is connected", 60)
    seen.link(False)
    pair.say(watcher, "are you there?")
    until(lambda: of(watcher, who)["presence"] != "connected", f"{watcher.name} sees it", 60)
    seen.link(True)
    finish(pair, 180)


def delivery(peer, chat: str, message: str = "") -> list:  # what no daemon has
    return peer._request("delivery", {"conversation": chat, "message": message})


@row("presence", "why a message has not arrived, of each device: not joined; gone without a word, with "
     "the time of the next attempt; and that it has", pairs="BJ,JB,BB",
     why="a daemon does not say")
def why_not_yet(world):
    pair = world.fresh()
    pair.good = False
    pair.request()
    asker = pair.a
    if not isinstance(asker, Peer):
        early = delivery(asker, pair.chat)
        expect([d["pending"] for d in early] == ["not_joined"] and early[0]["reason"],
               f"it waits for {pair.b.name} to accept: {early}")
    pair.accept()
    pair.warm()
    for sender in (peer for peer in pair.both if not isinstance(peer, Peer)):
        other = pair.other(sender)
        device = other.identity()["device_id"]
        other.kill()
        message = pair.say(sender, f"for {other.name}, who is gone")

        def report():
            devices = delivery(sender, pair.chat, message)
            expect([d["device"] for d in devices] == [device], f"of one device: {devices}")
            return devices[0]
        # A device of 2023 is also left a notice on the DHT.
        until(lambda: report()["pending"] in ("unanswered", "not_found", "failed", "told_by_dht")
              and report()["next_try"] and report()["tries"],
              f"{sender.name} says what it waits for", 60)
        expect(not report()["delivered"] and report()["reason"], "in words, too")
        pair.start(other)
        until(lambda: report()["delivered"] and not report()["pending"],
              f"{sender.name} knows that {other.name} has it", 120)
    finish(pair)
