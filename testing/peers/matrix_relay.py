"""Rows of the matrix: an always-on relay between people who are never online together."""
from __future__ import annotations

from jamipeer import PeerError
from matrix import expect, row, until
from matrix_files import fetch, offered, original
from matrix_groups import Group
from program import Program


class Relayed(Group):
    """A group of the pair and `baraza relay`, which the first of the pair owns."""

    def __init__(self, world):
        self.pair = world.fresh()
        self.pair.good = False
        self.ids, self.warmed = self.pair.ids, 0
        self.a, self.b = self.pair.both
        self.relay = Program(world, f"relay{world.serial}", "relay", "--owner",
                             self.ids[self.a], "--monitor", "127.0.0.1:0")
        self.pair.more.append(self.relay)
        self.relay_id = self.relay.line("relay")["jami_id"]
        self.chat = self.pair.chat = self.a.create_group(
            [self.ids[self.b], self.relay_id], title="Seldom together")
        self.join(self.b)
        self.a.wait_member(self.chat, self.relay_id)

    @property
    def all(self):
        return self.a, self.b

    def relay_has(self, said, timeout: float = 60) -> None:
        until(lambda: set(said) <= set(self.relay.bodies(self.chat)),
              f"the relay has {said[-1]!r}", timeout)

    def relay_has_file(self, sent: dict) -> None:
        def here():
            listed = self.relay.ask("files", self.chat)
            return [f["status"] for f in listed if f["message"] == sent["id"]] == ["here"]
        until(here, "the relay has the file", 60)

    def hand_over(self, leaves, comes) -> None:
        """One says something and goes away before the other comes, who gets it all."""
        self.pair.stop(comes)
        said = [f"relayed {leaves.name} {i}" for i in range(5)]
        for body in said:
            self.say(leaves, body)
        path = original(leaves, f"relayed {leaves.name}.bin", 1_000_000)
        sent = leaves.send_file(self.chat, str(path), path.name)
        # A daemon may forget to tell of one; the next one brings it.
        for attempt in range(6):
            said.append(f"relayed {leaves.name} last {attempt}")
            self.say(leaves, said[-1])
            try:
                self.relay_has(said, 10)
                break
            except PeerError:
                expect(attempt < 5, f"the relay hears {leaves.name}")
        self.relay_has_file(sent)
        self.pair.stop(leaves)
        # Hours may pass: it keeps what it has over a restart.
        self.relay.stop()
        self.relay.start()
        expect(self.relay.line("relay")["jami_id"] == self.relay_id, "it is the same relay")
        self.pair.start(comes)
        self.all_have(said, comes, timeout=120)
        offered(comes, self.chat, sent["id"])
        fetch(comes, self.chat, sent, timeout=120)
        self.pair.start(leaves)


@row("relay", "a relay in a group carries texts and a file, each way, between two who are never "
     "online together; it accepts its owner's invitations only", pairs="BJ,JB,BB",
     why="the relay is ours in any case, so that two daemons say nothing about us")
def relay(world):
    group = Relayed(world)
    group.warm()
    foreign = group.b.create_group([group.relay_id], title="Not its owner's")
    group.hand_over(group.a, group.b)
    group.hand_over(group.b, group.a)
    listed = [one["id"] for one in group.relay.ask("conversation", "list")]
    expect(listed == [group.chat] and foreign not in listed, "it is in its owner's group only")
    group.verify()


@row("relay", "the relay is a further device of the first, linked with a PIN: it has what was said, "
     "carries on between two who are never online together, and declines nobody",
     pairs="BJ,JB,BB", why="the relay is ours in any case")
def relay_device(world):
    pair = world.fresh().connect()
    pair.good = False
    a, b = pair.both
    pair.hear(b, "before the relay")
    password = "of the rélay"
    expect(a.change_password("", password), "a password is set")
    pin = world.root / f"pin{world.serial}"
    pin.write_text(a.link_pin(password=password) + "\n")
    secret = world.root / f"password{world.serial}"
    secret.write_text(password + "\n")
    device = Program(world, f"relay{world.serial}", "relay", "--link-pin-file", str(pin),
                     "--password-file", str(secret), "--monitor", "127.0.0.1:0")
    pair.more.append(device)
    expect(device.line("relay")["jami_id"] == pair.ids[a], "it is a device of the account")
    until(lambda: "before the relay" in device.bodies(pair.chat), "it has what was said", 90)
    for sender in (b, a):
        for attempt in range(6):
            body = f"warm up the relay {sender.name} {attempt}"
            pair.say(sender, body)
            try:
                until(lambda: body in device.bodies(pair.chat), "it hears", 10)
                break
            except PeerError:
                expect(attempt < 5, f"the relay hears {sender.name}")
    for leaves, comes in ((b, a), (a, b)):
        pair.stop(comes)
        said = []
        for attempt in range(6):
            said.append(f"while {comes.name} was away {attempt}")
            pair.say(leaves, said[-1])
            try:
                until(lambda: set(said) <= set(device.bodies(pair.chat)), "it hears", 10)
                break
            except PeerError:
                expect(attempt < 5, f"the relay hears {leaves.name}")
        pair.stop(leaves)
        device.stop()
        device.mode = ("relay", "--monitor", "127.0.0.1:0")
        device.start()
        expect(device.line("relay")["jami_id"] == pair.ids[a], "it still is that device")
        pair.start(comes)
        until(lambda: set(said) <= {body for _, _, body in pair.texts(comes)},
              f"{comes.name} has what was said, of the relay", 120)
        pair.start(leaves)
    # Somebody asks the account: its user answers, not the relay.
    stranger = world.player("B", f"stranger{world.serial}")
    pair.more.append(stranger)
    pair.ids[stranger] = stranger.create_account("Stranger")["jami_id"]
    chat = stranger.send_request(pair.ids[a])
    until(lambda: any(r["conversation"] == chat for r in device.ask("request", "list")),
          "the relay hears of the request", 60)
    a.wait("conversationRequestReceived", {"conversation": chat}, 60)
    device.stop()
    device.start()
    expect(device.line("relay")["jami_id"] == pair.ids[a], "it still is that device")
    expect([r["conversation"] for r in device.ask("request", "list")] == [chat],
           "the request is still there, after a restart too")
    a.accept_request(chat)
    stranger.wait_member(chat, pair.ids[a])
    pair.settle()
    pair.verify()
