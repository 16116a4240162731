"""Rows of the matrix: registered names."""
from __future__ import annotations

import base64
import json
import pathlib
import shlex
import subprocess
import tempfile

from jamipeer import GATEWAY, NameServer, Peer, PeerError, _die_with_parent
from matrix import Pair, expect, row, until
from program import Program

FOUND, INVALID, NOT_FOUND, ERROR = range(4)
REGISTERED, WRONG_PASSWORD, NO_NAME, TAKEN = range(4)
NOBODY = "6" * 40


class Directory:
    """`baraza names`, on the side of the network that all players reach."""

    def __init__(self, world, port: int = 3002):
        if not world.options.baraza:
            raise PeerError("give --baraza")
        self.argv = shlex.split(world.options.baraza)
        self.data = world.root / f"names{world.serial}"
        self.data.mkdir()
        with open(self.data / "stderr.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.argv, "--json", "names", "--data", self.data, "--listen",
                 f"{GATEWAY}:{port}"], text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, preexec_fn=_die_with_parent)
        line = self.process.stdout.readline()
        if not line:
            raise PeerError(f"baraza names ended with {self.process.wait()}")
        self.url = "http://" + json.loads(line)["listen"][0]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def verified(self) -> dict:
        """What `baraza names verify` says of it when it has ended."""
        self.close()
        done = subprocess.run([*self.argv, "--json", "names", "verify", "--data", self.data],
                              capture_output=True, text=True)
        expect(done.returncode == 0, f"the log is whole: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)


def stand_in(_world, port: int = 3000):
    """A stand-in for the existing server, with the list `requests` of (method, path, body)."""
    return NameServer(port)


def named(world, password: str = "", directory=stand_in) -> Pair:
    """A new pair that uses a new name server, `pair.names`."""
    world.discard()
    names = world.names = directory(world)
    try:
        pair = world.fresh(password=password)
    except BaseException:
        names.close()
        raise
    finally:
        world.names = None
    pair.names, pair.good = names, False
    pair.more.append(names)
    return pair


def registrations(names) -> list[tuple[str, dict]]:
    return [(path, body) for method, path, body in names.requests if method == "POST"]


def finds(peer, text: str, jami_id: str) -> None:
    found = peer.lookup_name(text)
    expect((found["status"], found["address"]) == (FOUND, jami_id),
           f"{peer.name} finds {text}: {found}")


def names_of(peer, jami_id: str, name: str) -> None:
    found = peer.lookup_address(jami_id)
    expect((found["status"], found["name"].lower()) == (FOUND, name),
           f"{peer.name} knows {jami_id} as {name}: {found}")


def is_signed(body: dict, name: str, jami_id: str) -> None:
    """The body of a registration is of that account, by openssl."""
    expect(body["addr"].lower() == jami_id, "it says whose it is")
    expect(len(body["owner"]) == 40, "it names an owner")
    with tempfile.TemporaryDirectory() as directory:
        files = pathlib.Path(directory)
        key, der, signature, text = (files / f for f in ("key", "der", "signature", "text"))
        key.write_bytes(base64.b64decode(body["publickey"], validate=True).rstrip(b"\0"))
        signature.write_bytes(base64.b64decode(body["signature"], validate=True))
        text.write_text(name)
        done = subprocess.run(["openssl", "dgst", "-sha512", "-verify", key, "-signature",
                               signature, text], capture_output=True, text=True)
        expect(done.returncode == 0, f"it is signed: {done.stdout}{done.stderr}")
        subprocess.run(["openssl", "pkey", "-pubin", "-in", key, "-outform", "DER", "-out", der],
                       check=True, capture_output=True)
        digest = subprocess.run(["openssl", "dgst", "-sha1", "-r", der], check=True,
                                capture_output=True, text=True).stdout.split()[0]
        expect(digest == jami_id, "it is signed by the account")


@row("names", "a name registered by one is found by the other, by name and by ID, and is signed by "
     "its account; a taken name, no name at all and nobody's name are refused")
def name(world):
    pair = named(world)
    asker, asked = (pair.ids[peer] for peer in pair.both)
    expect(pair.b.lookup_name("asker-name_1")["status"] == NOT_FOUND, "nobody has it yet")
    expect(pair.a.register_name("Asker-Name_1") == REGISTERED, "it is registered")
    (path, body), = registrations(pair.names)
    expect(path == "/name/asker-name_1", f"in lower case: {path}")
    is_signed(body, "asker-name_1", asker)
    expect(pair.a.identity()["registered_name"].lower() == "asker-name_1",
           "it knows its own name")
    finds(pair.b, "asker-name_1", asker)
    finds(pair.b, "ASKER-Name_1", asker)
    names_of(pair.b, asker, "asker-name_1")
    # Somebody else's: before and after the owner was looked up.
    expect(pair.b.register_name("asker-name_1") == TAKEN, "it is taken")
    expect(pair.b.register_name("asked") == REGISTERED, "another one is not")
    expect(pair.a.register_name("asked") == TAKEN, "which then is taken, too")
    finds(pair.a, "asked", asked)
    names_of(pair.a, asked, "asked")
    sent = len(registrations(pair.names))
    for text in ("ab", "has space", "sl/ash", "a" * 33, "ätsch"):
        expect(pair.a.register_name(text) == NO_NAME, f"{text} is no name")
    expect(len(registrations(pair.names)) == sent, "the server is not asked to register it")
    expect(pair.a.lookup_name("has space")["status"] == INVALID, "nor looked up")
    expect(pair.a.lookup_address(NOBODY)["status"] == NOT_FOUND, "nobody has no name")
    finds(pair.b, "asker-name_1", asker)


@row("names", "of an account with a password a name is registered only with it: a wrong one, or "
     "none, reaches no server")
def name_password(world):
    pair = named(world, password="correct horse")
    for number, peer in enumerate(pair.both):
        name = f"secret{number}"
        for wrong in ("wrong", ""):
            expect(peer.register_name(name, wrong) == WRONG_PASSWORD, f"{wrong!r} is refused")
        expect(not any(name in path for path, _ in registrations(pair.names)), "nothing was sent")
        expect(peer.register_name(name, "correct horse") == REGISTERED, "the right one is not")
        path, body = registrations(pair.names)[-1]
        is_signed(body, name, pair.ids[peer])
    finds(pair.a, "secret1", pair.ids[pair.b])
    finds(pair.b, "secret0", pair.ids[pair.a])


@row("names", "the name server is `baraza names`: registered with a password and without, found by "
     "name and ID, taken; its log proves that no name changed hands", pairs="BJ,JB,BB",
     why="the server is ours in any case")
def name_server(world):
    for password in ("", "correct horse"):
        pair = named(world, password=password, directory=Directory)
        asker, asked = (pair.ids[peer] for peer in pair.both)
        if password:
            expect(pair.a.register_name("asker", "wrong") == WRONG_PASSWORD, "it needs the right one")
        expect(pair.b.lookup_name("asker")["status"] == NOT_FOUND, "nobody has it yet")
        expect(pair.a.register_name("Asker", password) == REGISTERED, "it is registered")
        expect(pair.b.register_name("asker", password) == TAKEN, "then it is taken")
        finds(pair.b, "asker", asker)
        names_of(pair.b, asker, "asker")
        expect(pair.b.register_name("asked_2", password) == REGISTERED, "another one is not")
        finds(pair.a, "ASKED_2", asked)
        names_of(pair.a, asked, "asked_2")
        expect(pair.a.lookup_address(NOBODY)["status"] == NOT_FOUND, "nobody has no name")
        expect(pair.a.register_name("again", password) not in (REGISTERED, NO_NAME),
               "who has a name gets no other")
        pair.more.remove(pair.names)
        report = pair.names.verified()
        expect((report["names"], report["moved"]) == (2, 0), f"two names: {report}")


@row("names", "who was looked up is found when the server is gone, others are not, with an error; "
     "the own name stays over a restart")
def name_offline(world):
    pair = named(world)
    expect(pair.b.register_name("asked") == REGISTERED, "it is registered")
    finds(pair.a, "asked", pair.ids[pair.b])
    pair.names.close()
    pair.more.remove(pair.names)
    finds(pair.a, "asked", pair.ids[pair.b])
    expect(pair.a.lookup_name("stranger")["status"] == ERROR, "nobody can be asked")
    expect(pair.a.register_name("asker") not in (REGISTERED, TAKEN), "nor registered with")
    pair.stop(pair.b)
    pair.start(pair.b)
    expect(pair.b.identity()["registered_name"] == "asked", "it knows its name")
    if not isinstance(pair.a, Peer):
        # A daemon writes down what it knows some seconds later.
        pair.stop(pair.a)
        pair.start(pair.a)
        finds(pair.a, "asked", pair.ids[pair.b])


@row("names", "name@server is asked of that server, and of no other")
def name_elsewhere(world):
    pair = named(world)
    other = stand_in(world, 3001)
    pair.more.append(other)
    stranger = "7" * 40
    other.names["stranger"] = {"addr": f"0x{stranger}"}
    # A daemon of 2023 takes no scheme, and goes by http without one.
    scheme = "" if isinstance(pair.a, Peer) else "http://"
    finds(pair.a, f"stranger@{scheme}{GATEWAY}:3001", stranger)
    expect(other.requests == [("GET", "/name/stranger", None)], f"it was asked: {other.requests}")
    expect(not any("stranger" in path for _, path, _ in pair.names.requests), "alone")
    expect(pair.a.lookup_name("stranger")["status"] == NOT_FOUND, "the own one has no such name")


@row("names", "what a person types: a contact added by name, by ID and by what a code says is the "
     "same one, shown with its registered name and the one it shows; nobody is asked before a "
     "server is chosen", pairs="BJ,BB", why="it is a row of the program baraza")
def name_typed(world):
    pair = named(world)
    them = pair.ids[pair.b]
    expect(pair.b.register_name("asked") == REGISTERED, "it is registered")
    person = Program(world, "typist")
    pair.more.append(person)
    mine = person.ask("account", "create", "--name", "Typist", "--wait", "60")["jami_id"]
    requests = len(pair.names.requests)
    for command in (("contact", "add", "asked"), ("name", "register", "typist"),
                    ("name", "lookup", "asked")):
        expect("no name server is chosen" in person.refused(*command), f"{command} says why")
    expect(len(pair.names.requests) == requests, "nobody was asked")
    expect(person.ask("name", "server", pair.names.url)["server"] == pair.names.url, "chosen")
    expect("is taken" in person.refused("name", "register", "asked"), "it says why")
    expect("at least 3" in person.refused("name", "register", "ab"), "it says which rule")
    expect("no such name" in person.refused("contact", "add", "nobody"), "it says what")
    expect(person.ask("name", "register", "Typist")["name"] == "typist", "it is registered")
    finds(pair.b, "typist", mine)
    found = person.ask("name", "lookup", "Asked")
    expect((found["id"], found["signed"]) == (them, True), f"found: {found}")
    mark = pair.b.mark()
    chats = {person.ask("contact", "add", text)["conversation"]
             for text in ("asked", them, f"jami:{them}", f"asked@{pair.names.url}")}
    expect(len(chats) == 1, f"they are the same contact: {chats}")
    chat, = chats
    request = pair.b.wait_for("conversationRequestReceived",
                              lambda e: e["conversation"] == chat, 60, mark)
    expect(request["metadatas"]["from"] == mine, "it is asked")
    pair.b.accept_request(chat)
    person.ask("send", "asked", "hello by name", "--wait", "60")
    pair.b.wait_message("hello by name", chat)
    pair.b.set_profile("Asked Person")
    contact, = person.ask("contact", "list")
    expect((contact["id"], contact["registered_name"]) == (them, "asked"), f"listed: {contact}")
    # A daemon sends it after a fetch.
    person.ask("send", "asked", "and again", "--wait", "60")
    until(lambda: person.ask("contact", "list")[0]["name"] == "Asked Person",
          "it is listed with the name it shows, too")
