"""Rows of the matrix: what keeps an account and its conversations from being lost.

One of the pair is a daemon or not as its column says; what is done with `baraza` is done for
the one that is ours."""
from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import shlex
import shutil
import stat

from jamipeer import ForeignPeer, Peer, PeerError
from matrix import expect, row, until
from matrix_files import PIXEL, fetch, original, sha3
from program import Program

OURS = "what it is about is done with `baraza`, which two daemons do not have"


def tree(directory: pathlib.Path) -> dict:
    """Names, kinds, modes, times and contents below a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        about = path.lstat()
        content = ""
        if stat.S_ISREG(about.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(about.st_mode):
            content = os.readlink(path)
        found[str(path.relative_to(directory))] = (about.st_mode, about.st_mtime_ns, content)
    return found


def player_of(world, program: Program) -> ForeignPeer:
    """The player that goes on with a program's data directory, on its host."""
    program.stop()
    program.own_host = False
    return ForeignPeer(shlex.split(world.options.foreign), program.directory.name,
                       program.directory.parent, host=program.host)


def warm(pair, chat: str = "") -> None:
    """Each of the pair is heard by the other. Daemons may drop notices."""
    for sender in pair.both:
        other = pair.other(sender)
        for attempt in range(6):
            body = f"again {sender.name} {attempt}"
            if chat:
                sender.send_message(chat, body, wait=20)
            else:
                pair.say(sender, body)
            try:
                other.wait_message(body, chat or pair.chat, timeout=15)
                break
            except PeerError:
                expect(attempt < 5, f"{sender.name} is heard")


@row("keep", "a daemon's data directory is brought here, which is only read: contacts, a "
     "conversation of two, a group, files, profiles; then each is heard again",
     pairs="BJ,JB,BB", why="the account was a daemon's before; the other is the column's")
def datadir(world):
    ours = world.pair_name.index("B")
    kinds = [*world.pair_name]
    kinds[ours] = "J"
    pair = world.fresh("".join(kinds))
    pair.good = False
    old, partner = pair.both[ours], pair.both[1 - ours]
    for peer in pair.both:
        peer.set_profile(f"Ådel 🦁 {peer.name}", PIXEL)
    pair.connect()
    group = old.create_group([pair.ids[partner]], title="The bench")
    partner.wait("conversationRequestReceived", {"conversation": group}, 60)
    partner.accept_request(group)
    old.wait_member(group, pair.ids[partner])
    warm(pair, group)
    pair.hear(partner, "before")
    pair.hear(old, "before, too")
    files = []
    for sender in pair.both:
        path = original(sender, f"of {sender.name}.bin", 300_000)
        sent = sender.send_file(pair.chat, str(path), path.name)
        for attempt in range(4):  # a daemon may forget that it was asked
            try:
                fetch(pair.other(sender), pair.chat, sent, timeout=20)
                break
            except PeerError:
                expect(attempt < 3, "the file is fetched")
                pair.say(sender, f"take it {attempt}")
        files.append(sent)
    old.send_request("5" * 40)
    old.remove_contact("5" * 40, ban=True)
    pair.settle()
    said = pair.texts(old)
    said_in_group = [m["id"] for m in old.history(group)]
    device = old.identity()["device_id"]
    # What came is kept by a daemon's client.
    card = [e["path"] for e in old.events if e["event"] == "profileReceived"
            and e["from"] == pair.ids[partner]]
    expect(card, "the profile of the partner came")
    data = pathlib.Path(old.directory) / "home/.local/share/jami"
    profiles = data / old.default_account / "profiles"
    profiles.mkdir(exist_ok=True)
    name = base64.b64encode(pair.ids[partner].encode()).decode()
    shutil.copy(card[-1], profiles / f"{name}.vcf")
    pair.stop(old)

    before = tree(data)
    program = Program(world, f"imported{world.serial}")
    pair.more += [old, program]
    report = program.ask("account", "import-jami", str(data))
    expect(tree(data) == before, "the original is untouched")
    account = report["accounts"][0]
    expect(account["jami_id"] == pair.ids[old], f"the account is reported: {report}")
    expect(account["conversations"] == 2 and account["fetched_later"] == 0,
           f"both conversations are taken over: {account}")
    expect(account["files"] == 2, f"both files are taken over: {account}")
    expect(account["profiles"] == 2, f"both profiles are taken over: {account}")
    # It was set up for this network.
    expect([p for p in account["problems"] if "setting" not in p] == [],
           f"nothing else is left out: {account}")
    until(lambda: len(program.ask("files", pair.chat)) == 2, "the files are listed", 20)
    for listed in program.ask("files", pair.chat):
        sent = next(f for f in files if f["id"] == listed["message"])
        expect(listed["status"] == "here" and sha3(listed["path"]) == sent["sha3sum"],
               f"the file {listed['name']} is here, as it was")

    taken = player_of(world, program)
    pair.ids[taken] = pair.ids[old]
    pair.since[taken] = 0
    if ours == 0:
        pair.a = taken
    else:
        pair.b = taken
    identity = taken.identity()
    expect(identity["jami_id"] == pair.ids[old] and identity["device_id"] != device,
           "it is another device of the account")
    contacts = {c["id"]: c for c in taken.contacts()}
    expect(contacts[pair.ids[partner]]["confirmed"] == "true", "the contact is there")
    expect(contacts["5" * 40].get("banned") == "true", "who was blocked still is")
    expect(set(taken.conversations()) == {pair.chat, group}, "both conversations are there")
    until(lambda: set(said) == set(pair.texts(taken)), "all messages of both are there", 20)
    expect({m["id"] for m in taken.history(group)} == set(said_in_group),
           "all commits of the group are there")
    for peer in (partner, old):
        shown = taken.profile_of(pair.ids[peer])
        expect(shown == {"name": f"Ådel 🦁 {peer.name}", "picture": PIXEL},
               f"the profile of {peer.name} is there: {shown['name']}")
    taken.wait_registered()
    warm(pair)
    warm(pair, group)
    pair.settle()
    pair.verify()


def spoken(program, pair, to, body: str) -> None:
    """Says it until the other has it: a daemon may drop the notice."""
    for attempt in range(6):
        said = f"{body} {attempt}"
        program.ask("send", pair.chat, said)
        pair.must[pair.ids[pair.other(to)], said] += 1
        try:
            to.wait_message(said, pair.chat, timeout=15)
            return
        except PeerError:
            expect(attempt < 5, f"{program.name} is heard")


@row("keep", "a conversation travels to a device without network in a file, and its answer "
     "back; a changed file is refused; then all are online", pairs="BJ,JB,BB", why=OURS)
def air_gap(world):
    pair = world.fresh().connect()
    pair.good = False
    ours = next(p for p in pair.both if not isinstance(p, Peer))
    other = pair.other(ours)
    pair.hear(other, "for the island")
    pair.hear(ours, "for it, too")
    archive = str(world.root / f"archive{world.serial}")
    expect(ours.export_archive(archive), "the archive is exported")
    said = [body for _, _, body in pair.texts(ours)]

    def bundle(program, name: str, *more: str) -> str:
        path = str(world.root / f"{name}{world.serial}")
        made = program.ask("conversation", "export", pair.chat, path, *more)
        expect(made["conversation"] == pair.chat and made["bytes"] > 0, f"it is written: {made}")
        return path

    def home() -> Program:
        """The program in the place of our player."""
        pair.stop(ours)
        return Program(world, ours.name, host=ours.host, directory=ours.directory)

    program = home()
    carried = bundle(program, "carried")
    program.stop()
    pair.start(ours)

    island = Program(world, f"island{world.serial}")
    pair.more.append(island)
    island.host.link(False)
    made = island.ask("account", "import", archive)
    expect(made["jami_id"] == pair.ids[ours], "the island has a device of the account")
    spoilt = pathlib.Path(carried).read_bytes()
    for place in (len(spoilt) // 2, len(spoilt) - 30):
        bad = world.root / f"spoilt{world.serial}-{place}"
        bad.write_bytes(spoilt[:place] + bytes([spoilt[place] ^ 1]) + spoilt[place + 1:])
        island.refused("conversation", "import", str(bad))
    (world.root / "cut").write_bytes(spoilt[:-100])
    island.refused("conversation", "import", str(world.root / "cut"))
    taken = island.ask("conversation", "import", carried)
    expect(taken["conversation"] == pair.chat and taken["news"] > 0, f"it is taken in: {taken}")
    until(lambda: [b for b in island.bodies(pair.chat) if b in said] == said[::-1],
          "the island has all that was said", 20)
    expect(island.ask("conversation", "import", carried)["news"] == 0, "twice changes nothing")

    island.ask("send", pair.chat, "from the island")
    answer = bundle(island, "answer", "--since", taken["mark"])
    program = home()
    back = program.ask("conversation", "import", answer)
    expect(back["news"] >= 1, f"the answer is taken in: {back}")
    program.stop()
    pair.start(ours)
    until(lambda: "from the island" in [b for _, _, b in pair.texts(ours)], "it is there", 20)
    pair.must[pair.ids[ours], "from the island"] += 1
    # What came by hand goes on over the network. To a daemon it does not, unless that has met
    # the device that wrote it: it gets stuck on one that it does not know ("Can't read file",
    # README.md), so it meets the island first.
    if isinstance(other, Peer):
        pair.stop(ours)
        island.host.link(True)
        spoken(island, pair, other, "met the island")
        pair.start(ours)
    else:
        other.wait_message("from the island", pair.chat, timeout=60)
        island.host.link(True)
    pair.hear(other, "welcome back")
    until(lambda: "welcome back" in island.bodies(pair.chat), "the island hears again", 90)
    spoken(island, pair, other, "thank you")
    until(lambda: "from the island" in [b for _, _, b in pair.texts(other)],
          "the other has what was said on the island", 60)
    pair.settle()
    pair.verify()


@row("keep", "a backup, restored on an empty machine, goes on as the same device; a wrong "
     "password and a damaged file leave nothing behind", pairs="BJ,JB,BB", why=OURS)
def backup(world):
    pair = world.fresh().connect()
    pair.good = False
    ours = next(p for p in pair.both if not isinstance(p, Peer))
    other = pair.other(ours)
    path = original(other, "kept.bin", 200_000)
    sent = other.send_file(pair.chat, str(path), path.name)
    fetch(ours, pair.chat, sent)
    pair.hear(other, "in the backup")
    device = ours.identity()["device_id"]
    file = str(world.root / f"backup{world.serial}")
    pair.stop(ours)
    program = Program(world, ours.name, host=ours.host, directory=ours.directory)
    program.ask("backup", file, "--all", BARAZA_PASSWORD="of the backup")
    spoken(program, pair, other, "after the backup")
    program.stop()

    fresh = world.root / f"restored{world.serial}"
    fresh.mkdir()
    program.data = fresh / "data"
    program.refused("restore", file, BARAZA_PASSWORD="another")
    spoilt = bytearray(pathlib.Path(file).read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    bad = world.root / f"spoilt{world.serial}"
    bad.write_bytes(spoilt)
    program.refused("restore", str(bad), BARAZA_PASSWORD="of the backup")
    expect(not program.data.exists() or not any(program.data.iterdir()), "nothing is left")
    program.ask("restore", file, BARAZA_PASSWORD="of the backup")

    restored = ForeignPeer(shlex.split(world.options.foreign), fresh.name, world.root,
                           host=ours.host)
    pair.ids[restored], pair.since[restored] = pair.ids[ours], 0
    if ours is pair.a:
        pair.a = restored
    else:
        pair.b = restored
    expect(restored.identity()["device_id"] == device, "it is the same device")
    expect("in the backup" in [b for _, _, b in pair.texts(restored)], "the messages are there")
    restored.wait_registered()
    held = list((fresh / "data").glob(f"accounts/*/files/{pair.chat}/{sent['sha3sum']}"))
    expect(len(held) == 1, "the file is there")
    pair.hear(other, "and now?")
    until(lambda: "after the backup 0" in [b for _, _, b in pair.texts(restored)],
          "what was said after the backup comes back", 60)
    warm(pair)
    pair.settle()
    pair.verify()
