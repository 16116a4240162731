"""Rows of the matrix: typing, read receipts, and the history as people see it."""
from __future__ import annotations

from jamipeer import Peer, PeerError
from matrix import absent, expect, row, until


def typed(peer, who: str, status: int, since: int):
    return peer.wait_for("composingStatusChanged",
                         lambda e: e["contact_id"] == who and e["status"] == status, 20, since)


@row("signs", "typing, each way; off: neither told nor heard")
def typing(world):
    pair = world.connected()
    for sender in pair.both:
        other, who = pair.other(sender), pair.ids[sender]
        mark = other.mark()
        sender.composing(pair.chat)
        typed(other, who, 1, mark)
        sender.composing(pair.chat, False)
        typed(other, who, 0, mark)
        # It ends by itself when nothing more is heard.
        mark = other.mark()
        sender.composing(pair.chat)
        typed(other, who, 1, mark)
        typed(other, who, 0, mark)
    # Daemons of 2023 have no such setting.
    for sender in (peer for peer in pair.both if not isinstance(peer, Peer)):
        other = pair.other(sender)
        sender.set_details({"Account.sendComposing": "false"})
        marks = {peer: peer.mark() for peer in pair.both}
        for peer in pair.both:
            peer.composing(pair.chat)
        for peer in pair.both:
            absent(peer, "composingStatusChanged",
                   lambda e: e["contact_id"] == pair.ids[pair.other(peer)], marks[peer])
        sender.set_details({"Account.sendComposing": "true"})
        other.composing(pair.chat, False)


def said_and_heard(pair, sender, body: str) -> str:
    """A message that the other has. A daemon whose settings change may forget to tell of one."""
    for attempt in range(6):
        text = f"{body} {attempt}"
        message = pair.say(sender, text)
        try:
            pair.other(sender).wait_message(text, pair.chat, timeout=8)
            return message
        except PeerError:
            expect(attempt < 5, f"{sender.name} is heard")


def has_read(peer, chat: str, who: str, message: str) -> bool:
    members = {m["uri"]: m["lastDisplayed"] for m in peer.members(chat)}
    return members.get(who) == message


@row("signs", "read receipts, each way; off: neither told nor heard")
def receipts(world):
    pair = world.connected()
    for sender in pair.both:
        other, reader = pair.other(sender), pair.ids[pair.other(sender)]
        body = f"read me, {other.name}"
        message = said_and_heard(pair, sender, body)
        mark = sender.mark()
        other.displayed(pair.chat, message)
        sender.wait_for("accountMessageStatusChanged",
                        lambda e: e["id"] == message and e["status"] == 3
                        and e["peer"] == reader, 20, mark)
        until(lambda: has_read(sender, pair.chat, reader, message),
              f"{sender.name} lists what was read", 10)
        for silent in pair.both:
            silent.set_details({"Account.sendReadReceipt": "false"})
            body = f"{silent.name} is silent, {other.name}"
            unread = said_and_heard(pair, sender, body)
            mark = sender.mark()
            other.displayed(pair.chat, unread)
            absent(sender, "accountMessageStatusChanged",
                   lambda e: e["id"] == unread and e["status"] == 3
                   and e["peer"] == reader, mark)
            expect(not has_read(sender, pair.chat, reader, unread),
                   f"{sender.name} does not list it as read")
            silent.set_details({"Account.sendReadReceipt": "true"})
    pair.settle()
    pair.verify()


@row("signs", "the view: edits, deletions, reactions and their end in their place, each way")
def edits_view(world):
    pair = world.connected()
    for sender in pair.both:
        other = pair.other(sender)
        first = pair.say(sender, f"frist {sender.name}")
        gone = pair.say(sender, f"gone {sender.name}")
        for body in (f"frist {sender.name}", f"gone {sender.name}"):
            other.wait_message(body, pair.chat)
        reply = other.send_message(pair.chat, f"answer {other.name}", reply_to=first, wait=20)
        for peer in pair.both:
            peer.react(pair.chat, first, "👍")
        heart = other.react(pair.chat, first, "❤")
        sender.edit_message(pair.chat, first, f"almost {sender.name}")
        sender.edit_message(pair.chat, first, f"first {sender.name}")
        sender.edit_message(pair.chat, gone, "")
        other.edit_message(pair.chat, heart, "")

        def folded(peer):
            view = {e["id"]: e for e in peer.view(pair.chat, count=1000)}
            text, dead, answer = (view.get(i, {}) for i in (first, gone, reply))
            return (text.get("body") == f"first {sender.name}" and text["edited"]
                    and text["reactions"] == {"👍": 2} and dead.get("deleted")
                    and answer.get("reply_to") == first and heart not in view)
        for peer in pair.both:
            until(lambda: folded(peer), f"{peer.name} shows what {sender.name} changed", 60)
    pair.verify()
    pair.good = False  # what was said is not only texts now
