"""Rows of the matrix: accounts that come and go, being asked again, what groups show, and what
the devices of one account share beside messages."""
from __future__ import annotations

import pathlib

from jamipeer import Peer, PeerError
from matrix import absent, expect, row, together, until
from matrix_devices import Devices
from matrix_files import PIXEL
from matrix_groups import Group
from matrix_linking import PASSWORD, is_device_of_a, new_device


# ------------------------------------------------------------------ accounts ----

@row("accounts", "three accounts in each program, each with one of the other: nothing of one is "
     "seen by another; one is removed: its files are gone, its partner keeps what was said")
def accounts(world):
    pair = world.fresh()
    pair.good = False
    a, b = pair.both
    own = {peer: [peer.identity()] for peer in pair.both}
    for number in (2, 3):
        for peer in pair.both:
            own[peer].append(peer.create_account(f"{peer.name} {number}"))
    expect(len({i["jami_id"] for i in own[a] + own[b]}) == 6, "they are six accounts")
    chats = []
    for one, other in zip(own[a], own[b]):
        mark = b.mark()
        chat = a.send_request(other["jami_id"], account=one["account"])
        event = b.wait("conversationRequestReceived", {"conversation": chat}, 60, mark)
        expect(event["account"] == other["account"], "the right account is asked")
        b.accept_request(chat, account=other["account"])
        a.wait_member(chat, other["jami_id"])
        chats.append(chat)
    for number, (chat, one, other) in enumerate(zip(chats, own[a], own[b])):
        for sender, receiver, by, to in ((a, b, one, other), (b, a, other, one)):
            for attempt in range(6):
                body = f"{number} {sender.name} {attempt}"
                sender.send_message(chat, body, account=by["account"])
                try:
                    event = receiver.wait_message(body, chat, timeout=8)
                    break
                except PeerError:
                    expect(attempt < 5, f"{sender.name} is heard")
            expect(event["account"] == to["account"]
                   and event["message"]["author"] == by["jami_id"], "by the right account")
    for peer, ids in own.items():
        for number, identity in enumerate(ids):
            expect(peer.conversations(account=identity["account"]) == [chats[number]],
                   "each account has its own conversation only")

    for gone, stays, which in ((a, b, 1), (b, a, 2)):
        account = own[gone][which]["account"]
        before = [m["id"] for m in stays.history(chats[which],
                                                 account=own[stays][which]["account"])]
        repository = pathlib.Path(gone.repository(chats[which], account=account))
        expect(repository.exists(), "there is a repository")
        gone.remove_account(account)
        until(lambda: account not in gone.accounts(), "the account is gone", 20)
        until(lambda: not repository.exists(), "so is what it had", 20)
        gone.stop()
        gone.start()
        expect(account not in gone.accounts(), "it stays gone")
        expect([m["id"] for m in stays.history(
            chats[which], account=own[stays][which]["account"])] == before,
            "the other keeps what was said")


@row("accounts", "an account that is switched off hears nothing and is back when switched on")
def switched_off(world):
    pair = world.connected()
    for off in pair.both:
        other = pair.other(off)
        off.set_active(False)
        until(lambda: off.identity()["state"] == "UNREGISTERED", f"{off.name} is off", 30)
        mark = off.mark()
        body = f"while {off.name} was off"
        pair.say(other, body)
        # A daemon goes on hearing on links that it has.
        if not isinstance(off, Peer):
            absent(off, "messageReceived", lambda e: e["message"].get("body") == body, mark)
        off.set_active(True)
        off.wait_registered()
        for attempt in range(6):
            pair.say(other, f"is {off.name} back {attempt}")
            try:
                off.wait_message(body, pair.chat, timeout=15)
                break
            except PeerError:
                expect(attempt < 5, f"{off.name} hears again")
        pair.say(off, f"{off.name} is back")
    pair.settle()
    pair.verify()


# ------------------------------------------------------------- being asked again ----

@row("again", "who declined is asked again, and accepts; where one is a daemon, who declined asks")
def ask_again(world):
    pair = world.fresh()
    pair.good = False
    pair.request()
    pair.b.decline_request(pair.chat)
    until(lambda: pair.b.requests() == [], "the request is gone", 10)
    mark = pair.b.mark()
    if any(isinstance(peer, Peer) for peer in pair.both):
        # A daemon's request does not say when it was made, so that one that is made again is
        # taken for the one that was declined; also between two daemons. The conversation that
        # there is stays (docs/protocol/02-account.md section 8).
        pair.b.send_request(pair.ids[pair.a])

        def agreed():
            chats = {c.get("conversationId") for peer in pair.both for c in peer.contacts()}
            return len(chats) == 1 and chats != {""} and all(
                chats <= set(peer.conversations()) for peer in pair.both)
        until(agreed, "both have the same conversation", 60)
        pair.chat = pair.a.contacts()[0]["conversationId"]
    else:
        chat = pair.a.send_request(pair.ids[pair.b])
        expect(chat == pair.chat, "it is about the same conversation")
        pair.b.wait_for("conversationRequestReceived",
                        lambda e: e["conversation"] == chat, 60, mark)
        pair.b.accept_request(chat)
        pair.a.wait_member(chat, pair.ids[pair.b])
    for sender in pair.both:
        for attempt in range(6):
            try:
                pair.hear(sender, f"at last {sender.name} {attempt}", timeout=8)
                break
            except PeerError:
                expect(attempt < 5, f"{sender.name} is heard")
    pair.settle()
    pair.verify()


@row("again", "one leaves a group, is invited again, and is a member; between ours also who declined "
     "the invitation")
def re_invite(world):
    group = Group(world)
    group.chat = group.pair.chat = group.a.create_group(
        [group.ids[group.b], group.ids[group.c]], title="The bench")
    group.join(group.b)
    group.invited(group.c)
    # A daemon's invitation does not say when it was made: one that was declined stays so.
    if not any(isinstance(peer, Peer) for peer in (group.a, group.c)):
        group.c.decline_request(group.chat)
        until(lambda: group.c.requests() == [], "the invitation is gone", 10)
        mark = group.c.mark()
        group.a.add_member(group.chat, group.ids[group.c])
        group.c.wait_for("conversationRequestReceived",
                         lambda e: e["conversation"] == group.chat, 60, mark)
    group.c.accept_request(group.chat)
    group.a.wait_member(group.chat, group.ids[group.c])
    group.warm()
    group.c.leave(group.chat)
    until(lambda: group.chat not in group.c.conversations(), "the group is gone", 30)
    until(lambda: group.ids[group.c] not in group.roles(group.a), "the first sees that", 60)
    mark = group.c.mark()
    joined = group.a.mark()
    group.a.add_member(group.chat, group.ids[group.c])
    group.c.wait_for("conversationRequestReceived",
                     lambda e: e["conversation"] == group.chat, 60, mark)
    group.c.accept_request(group.chat)
    group.a.wait_member(group.chat, group.ids[group.c], since=joined)
    group.warm()
    group.all_see("three members", lambda p: sorted(group.roles(p).values())
                  == ["admin", "member", "member"])
    group.verify()


# ----------------------------------------------------------------------- groups ----

@row("groups", "title, description and picture of a group: seen by all, and so is each change; "
     "a member cannot change them")
def group_profile(world):
    group = Group(world).make_all()
    group.warm()
    for infos in ({"title": "Üben 🪑 ספסל", "description": "Where we talk, 🌳",
                   "avatar": PIXEL},
                  {"title": "Another", "description": "", "avatar": PIXEL}):
        group.a.set_conversation_info(group.chat, infos)

        def shown(peer):
            info = peer.conversation_info(group.chat)
            return all(info.get(key, "") == value for key, value in infos.items())
        group.all_see(f"the profile {infos['title']}", shown)
    mark = group.a.mark()
    try:
        group.b.set_conversation_info(group.chat, {"title": "Mine"})
    except PeerError:
        pass  # ours says so
    absent(group.a, "messageReceived",
           lambda e: e["message"]["type"] == "application/update-profile", mark)
    for peer in (group.a, group.c):
        expect(peer.conversation_info(group.chat)["title"] == "Another",
               f"{peer.name} shows what the admin said")
    group.verify()


@row("groups", "groups of the modes 1 and 3: joined, also by whom a member invites (nothing more is "
     "enforced anywhere), and all are heard", pairs="BJ,BB", why="a daemon makes only groups of "
     "mode 2")
def modes(world):
    group = Group(world)
    for mode in (1, 3):
        group.chat = group.pair.chat = group.a.create_group([], title=f"mode {mode}", mode=mode)
        group.a.add_member(group.chat, group.ids[group.b])
        group.join(group.b)
        group.warm(group.a, group.b)
        group.b.add_member(group.chat, group.ids[group.c])
        event = group.c.wait("conversationRequestReceived", {"conversation": group.chat}, 60)
        expect(event["metadatas"]["from"] == group.ids[group.b], "it names who invites")
        group.c.accept_request(group.chat)
        group.b.wait_member(group.chat, group.ids[group.c])
        for peer in group.all:
            expect(peer.conversation_info(group.chat)["mode"] == str(mode), "it has the mode")
        group.warm()
        group.verify()


@row("messages", "a call that nobody takes is in the history of both, as what it is",
     pairs="BJ,JB", why="the daemon makes the call: ours makes none")
def call_history(world):
    pair = world.connected()
    daemon = next(p for p in pair.both if isinstance(p, Peer))
    ours = pair.other(daemon)
    kind = "application/call-history+json"
    call = daemon.call(pair.ids[ours])
    mark = daemon.mark()
    try:
        daemon.wait_for("messageReceived", lambda e: e["message"]["type"] == kind, 5, mark)
    except PeerError:
        daemon.hang_up(call)
    made = daemon.wait_for("messageReceived", lambda e: e["message"]["type"] == kind, 60,
                           0)["message"]
    for attempt in range(6):
        try:
            pair.hear(daemon, f"nobody took it {attempt}", timeout=10)
            break
        except PeerError:
            expect(attempt < 5, "the daemon is heard")
    listed = [m for m in ours.history(pair.chat) if m["id"] == made["id"]]
    expect(len(listed) == 1 and listed[0]["type"] == kind
           and listed[0]["duration"] == made["duration"] and listed[0]["to"] == pair.ids[ours],
           f"it is in the history as it was written: {listed}")
    shown = [e for e in ours.view(pair.chat, count=100) if e["id"] == made["id"]]
    expect(len(shown) == 1 and shown[0]["type"] == kind, f"it is shown by its type: {shown}")
    pair.settle()
    pair.verify()


# ------------------------------------------------- what the devices of one share ----

@row("devices", "how a conversation is shown and the name of a device: changed on one, seen on the "
     "other, each way")
def preferences(world):
    devices = Devices(world)
    a, a2 = devices.a, devices.a2
    devices.ready(a2)
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    devices.warm(a, a2)
    for round_, (sets, sees) in enumerate(((a, a2), (a2, a))):
        wanted = {"color": f"#2a7f6{round_}", "symbol": "🌳", "ignoreNotifications": "true"}
        for attempt in range(6):  # a daemon tells of it on channels that are open
            sets.set_preferences(devices.chat, wanted)
            try:
                until(lambda: {k: v for k, v in sees.preferences(devices.chat).items()
                               if k in wanted} == wanted, f"{sees.name} has them", 10)
                break
            except PeerError:
                expect(attempt < 5, f"{sees.name} has the preferences")
    for names, sees in ((a, a2), (a2, a)):
        device = names.identity()["device_id"]
        names.rename_device(f"Ådel 🦁 {names.name}")
        if isinstance(names, Peer):
            # A daemon tells its name to devices that it meets.
            devices.pair.stop(names)
            devices.pair.start(names)
        until(lambda: sees.devices().get(device) == f"Ådel 🦁 {names.name}",
              f"{sees.name} shows the name of the device of {names.name}", 90)


@row("devices", "name and picture, changed on one device, are seen on the other, and by the contact",
     pairs="BJ,JB,BB", why="a daemon leaves it to its client to keep what came")
def own_profile(world):
    devices = Devices(world)
    a, a2, b = devices.a, devices.a2, devices.b
    devices.ready(a2)
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    devices.warm(a, a2, b)
    # A daemon's client writes down what came, so that it is the one that the daemon sends
    # later: the other way round only where there is none.
    for sets, sees in ((a, a2), (a2, a)):
        if isinstance(sets, Peer) and sets is a2:
            continue
        name = f"Ådel 🦁 {sets.name}"
        sets.set_profile(name, PIXEL)
        # A daemon sends it after a fetch.
        for attempt in range(6):
            devices.warm(sees, sets)
            try:
                until(lambda: sees.profile_of(devices.id) == {"name": name, "picture": PIXEL},
                      f"{sees.name} sees what {sets.name} set", 15)
                break
            except PeerError:
                expect(attempt < 5, f"{sees.name} sees what {sets.name} set")
    devices.warm(a, a2, b)
    if isinstance(a, Peer):
        return
    # A daemon that is connected to two devices at once may lose the end of what one sends, and
    # takes nothing more of that one then.
    for attempt in range(3):
        try:
            until(lambda: b.profile_of(devices.id)["picture"] == PIXEL, "the contact sees it", 20)
            return
        except PeerError:
            expect(isinstance(b, Peer) and attempt < 2, "the contact sees it")
            (a, a2)[attempt].set_profile(f"again {attempt}", PIXEL)


@row("devices", "a request is seen on both devices; accepted or declined on one, it is answered on "
     "both; a block on one blocks on both")
def own_requests(world):
    devices = Devices(world, connect=False)
    a, a2, b = devices.a, devices.a2, devices.b
    until(lambda: devices.second in a.devices(), "the first lists the second", 60)
    askers = [b]
    for name in ("second", "third"):
        asker = world.player(world.pair_name[1], f"asks-{name}{world.serial}")
        devices.pair.more.append(asker)
        devices.pair.ids[asker] = asker.create_account(name)["jami_id"]
        askers.append(asker)
    chats = {}
    for asker in askers:
        chats[asker] = asker.send_request(devices.id)
        for peer in (a, a2):
            peer.wait("conversationRequestReceived", {"conversation": chats[asker]}, 90)
    accepted, declined, blocked = askers
    a2.accept_request(chats[accepted])
    accepted.wait_member(chats[accepted], devices.id)
    devices.ready(a, chat=chats[accepted])
    a.decline_request(chats[declined])
    a2.remove_contact(devices.pair.ids[blocked], ban=True)

    def left(peer):
        return {r["id"] for r in peer.requests()} & set(chats.values())
    for peer in (a, a2):
        try:
            until(lambda: not left(peer) - {chats[blocked]}, f"{peer.name} has no request left", 30)
        except PeerError:
            # Devices of daemons tell each other once, whether they are connected or not.
            expect(isinstance(peer, Peer), f"{peer.name} has no request left")
            peer.decline_request(chats[declined])
        until(lambda: any(c["id"] == devices.pair.ids[blocked] and c.get("banned") == "true"
                          for c in peer.contacts()), f"{peer.name} knows the block", 60)
        expect(chats[declined] not in peer.conversations(), "what was declined is not there")
    devices.chat = chats[accepted]
    devices.warm(a, a2, accepted)


@row("linking", "a token: the new device gives up, then the old one, then the old one is away in the "
     "middle; the next one makes a device", pairs="BB", why="daemons of 2023 have no such way")
def link_retry(world):
    pair = world.fresh().connect()
    pair.hear(pair.b, "before the new device")
    expect(pair.a.change_password("", PASSWORD), "the password is set")
    device = new_device(world, pair)

    def ask(peer, command, **arguments):  # what no daemon has
        return peer._request(command, arguments)

    def attempt(in_the_middle) -> tuple[dict, dict]:
        token = ask(device, "link_here")["token"]
        results: dict = {}

        def bring():
            try:
                results.update(ask(pair.a, "link_device", token=token, background=True))
            except PeerError as error:
                results["error"] = str(error)

        def answer():
            ask(device, "link_here", state="AUTHENTICATING")
            in_the_middle()
        together(bring, answer)
        return results, ask(device, "link_here", state="DONE")

    for name, give_up in (("the new device", lambda: ask(device, "cancel_link")),
                          ("the old device", lambda: ask(pair.a, "cancel_link")),
                          ("the network", lambda: pair.a.kill())):
        old, new = attempt(give_up)
        expect(old.get("error"), f"{name} gave up: the old one knows: {old}")
        expect(new.get("error") and not new.get("account"),
               f"{name} gave up: the new one knows: {new}")
        expect(device.accounts() == [], "nothing is left of it")
        if name == "the network":
            pair.start(pair.a)
    old, new = attempt(lambda: ask(device, "link_answer", password=PASSWORD))
    expect("error" not in old, f"it is linked: {old}")
    expect(new.get("account"), f"the new device has the account: {new}")
    device.default_account = new["account"]
    device.wait_registered()
    is_device_of_a(pair, device)
