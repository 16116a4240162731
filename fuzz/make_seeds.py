#!/usr/bin/env python3
"""Make the fuzz seeds from testing/vectors: fuzz/seeds/TARGET/NAME, a few dozen a target.

Safe to run again: it rewrites only files that start with `v-`; inputs that a fuzzer found
(`crash-...`) and made up ones stay. The result is committed, so that tests need not run this.
"""
import base64
import gzip
import hashlib
import json
import pathlib
import re
import subprocess
import tarfile
import tempfile


ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "testing" / "vectors"
SEEDS = ROOT / "fuzz" / "seeds"
MAX_SEEDS, MAX_SIZE = 40, 12_000

found: dict[str, dict[str, bytes]] = {}


def seed(target: str, data: bytes, limit: int = MAX_SIZE) -> None:
    if 0 < len(data) <= limit:
        found.setdefault(target, {})[hashlib.sha1(data).hexdigest()[:12]] = data


def text(name: str) -> str:
    return (VECTORS / name).read_text(errors="replace")


def load(name: str):
    return json.loads((VECTORS / name).read_text())


def hexes(value, key="hex"):
    """All strings under that key (or ending in _hex), as bytes, anywhere in the JSON."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if (name == key or name.endswith("_" + key)) and isinstance(inner, str) \
                    and re.fullmatch(r"([0-9a-f]{2})+", inner):
                yield bytes.fromhex(inner)
            else:
                yield from hexes(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from hexes(inner, key)


def unpack(name: str, where: str) -> pathlib.Path:
    folder = pathlib.Path(where) / name.removesuffix(".tar.gz")
    with tarfile.open(VECTORS / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


# -- DHT

for name in ("dht-udp-2412-plain.json", "dht-udp-2412-identity.json", "dht-udp-head.json",
             "head-dht-daemon.json", "dht-raw-requests-2412.json"):
    for packet in hexes(load(name)):
        seed("packet", packet)
        seed("msgpack", packet[:4000])
crypto = load("dht-crypto.json")
for blob in hexes(crypto):
    seed("value", blob)
for path in VECTORS.glob("account-*/*.msgpack"):
    seed("value", path.read_bytes())
    seed("msgpack", path.read_bytes())
state = load("dht-state-discovery-2412.json")
seed("dht_state", bytes.fromhex(state["state_hex"]))
for packet in hexes(state["discovery"]):
    seed("discovery", packet)
people = bytes.fromhex("92c414" + "07" * 20 + "a45a757269")
seed("discovery", b"\x82\xa4jami" + people + b"\xa3dht\x93\xc4\x14" + b"\x07" * 20 + b"\xcd\x10\x7e\x00")
for query in ("SELECT * WHERE id=5", "SELECT id,value_type WHERE value_type=3,owner=aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
              "SELECT seq WHERE user_type=\"text/plain\"", "WHERE seq=7", "SELECT", ""):
    seed("query", query.encode())

# -- identity

pems = re.findall(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?",
                  "\n".join(p.read_text(errors="replace") for p in VECTORS.glob("*.pem")) +
                  json.dumps(crypto).replace("\\n", "\n"), re.DOTALL)
pems += [p.read_text() for p in VECTORS.glob("account-*/*.crt")]
for pem in pems:
    kind = "certificate" if "CERTIFICATE" in pem else "key"
    seed(kind, pem.encode())

    for body in re.findall(r"-----BEGIN (?:CERTIFICATE|[A-Z ]*KEY)-----\n(.*?)-----END", pem, re.DOTALL):
        seed(kind, base64.b64decode(body))
seed("crl", (VECTORS / "account-crl/crl.der").read_bytes())
for path in VECTORS.glob("account-*/*.gz"):
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b" and path.name != "home-A.tar.gz" and not path.name.endswith(".tar.gz"):
        plain = gzip.decompress(raw)
        seed("archive", raw, 40_000)
        seed("archive_json", plain, 40_000)
    elif not path.name.endswith(".tar.gz"):
        seed("archive", raw)
for path in VECTORS.glob("account-*/receipt.json"):
    seed("receipt", path.read_bytes())
seed("archive_json", (VECTORS / "head-link-device-accdata.json").read_bytes(), 40_000)

# -- links

for name in ("connection-2023-peer-requests.txt", "head-peer-requests.txt"):
    for line in text(name).splitlines():
        for blob in re.findall(r"\b(?:[0-9a-f]{2}){20,}\b", line):
            seed("peer_request", bytes.fromhex(blob))
            data = bytes.fromhex(blob)
            at = data.find(b"ice_msg")
            if at > 0:
                # a str or bin of msgpack; the next key of the map ends it
                seed("ice_text", re.sub(rb"^[^0-9a-z]*", b"", data[at + 7:]).split(b"\xa8isAnswer")[0])
    for block in re.findall(r"(?:^[0-9a-f]{8}\n[0-9a-zA-Z+/]+\n(?:.* candidate|[A-Z].*\n)+)", text(name), re.M):
        seed("ice_text", block.encode())
for line in text("connection-2023-stun-frames.txt").splitlines():
    blob = line.split()[-1]
    if re.fullmatch(r"([0-9a-f]{2})+", blob):
        frame = bytes.fromhex(blob)
        seed("frame", frame)
        seed("stun", frame[2:])
for raw in re.findall(r"raw=([0-9a-f]+)", text("connection-2023-A-mux-decoded.txt")):
    seed("mux", bytes.fromhex(raw)) if len(raw) % 2 == 0 else None
for line in text("connection-mux-probe-messages.txt").splitlines():
    seed("mux", bytes.fromhex(line.split()[0]))
for blob in re.findall(r"\b(?:92[0-9a-f]{2}(?:[0-9a-f]{2})+)\b", text("head-messages.txt")):
    seed("mux", bytes.fromhex(blob))

# -- conversations

def unescape(body: str) -> bytes:
    return re.sub(rb"\\(x[0-9a-f]{2}|n|r|t|0|\\)", lambda m: {
        b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}.get(
            m[1]) or bytes([int(m[1][1:], 16)]), body.encode("latin-1", "replace"))


wire: dict[str, list[bytes]] = {}
for line in text("swarm-git-wire.txt").splitlines():
    match = re.match(r"[\d.]+ [<>] \[(\d+) bytes\] (.*)", line)
    if match and len(data := unescape(match[2])) == int(match[1]):
        seed("pktline", data)
        # whole dialogues: what one side sends after the other
        wire.setdefault(line.split()[1], []).append(data)
    match = re.match(r"HEX ([0-9a-f]+)", line)
    if match and len(match[1]) % 2 == 0:
        data = bytes.fromhex(match[1])
        seed("pktline", data)
        at = data.find(b"PACK")
        if at >= 0:
            seed("pack", data[at:])

for target, writes in (("git_server", [w for side in wire.values() for w in side
                                       if b"git-upload-pack" in w or b"want " in w]),
                       ("git_client", [w for side in wire.values() for w in side
                                       if b"git-upload-pack" not in w and b"want " not in w])):
    for write in writes:
        seed(target, write)
    for first in writes:
        for second in writes[:8]:
            seed(target, first + second)

with tempfile.TemporaryDirectory() as where:
    for name in ("swarm-1to1-alice.tar.gz", "swarm-group-alice.tar.gz", "head-1to1-alice.tar.gz",
                 "swarm-bad.tar.gz"):
        folder = unpack(name, where)
        top = next((p.parent for p in folder.rglob("HEAD") if (p.parent / "objects").is_dir()), None)
        if top is None:
            continue

        def git(*words, data=None):
            return subprocess.run(["git", "-c", "safe.directory=*", "--git-dir", str(top), *words],
                                  check=True, capture_output=True, input=data).stdout
        commits = git("rev-list", "--all").decode().split()
        for commit in commits:
            body = git("cat-file", "commit", commit)
            seed("commit", body)
            message = body.split(b"\n\n", 1)[1]
            if message.startswith(b"{"):
                seed("message_json", message)
            tree = git("rev-parse", commit + "^{tree}").decode().strip()
            seed("tree", git("cat-file", "tree", tree))
        small = git("pack-objects", "--stdout", "--revs",
                    data=(git("rev-list", "--max-parents=0", "--all").split()[0] + b"\n"))
        seed("pack", small)

# -- messages between devices

def packed(entries: dict) -> bytes:
    def string(value: str) -> bytes:
        data = value.encode()
        return (bytes([0xa0 | len(data)]) if len(data) < 32 else
                b"\xd9" + bytes([len(data)])) + data
    body = b"".join(string(k) + string(v) for k, v in entries.items())
    return (b"\x82" + string("schemeId") + b"\0" + string("payload")
            + bytes([0x80 | len(entries)]) + body)


for entries in ({}, {"authScheme": ""}, {"authScheme": "password"}, {"password": "pass-wörd 1"},
                {"passwordCorrect": "false", "canRetry": "true"}, {"canRetry": "false"},
                {"stateMsg": "TIMEOUT"}, {"stateMsg": "CANCELED"}, {"accData": "{}"}):
    seed("auth_message", packed(entries))
for tail in ("123456", "999999/further", "12345", "12345a"):
    seed("link_token", f"jami-auth://{'0123456789abcdef' * 4}/{tail}".encode())

names = text("account-nameservice/http.log")
for which, status in ((0, 67), (1, 67), (2, 67), (0, 134), (2, 134), (2, 143)):
    for answer in re.findall(r"(?m)^<<< \d+ (\{.*\})$", names):
        seed("name_answer", bytes([which, status]) + answer.encode())
    for answer in ('{"success": true}', '{"success": false, "error": "name already registered"}',
                   '{"name": "alice", "addr": "0x' + "07" * 20 + '"}', "<html>"):
        seed("name_answer", bytes([which, status]) + answer.encode())
for query in ("alice", "BOB-TEST_1", "alice@example.com", "bob@http://10.0.0.1:3000/ns", "jami:alice",
              "jami:f2c815f5554bcc22689ce84d45aefdda1bce9146", "swarm:0123", "x@[fd77::1]:80",
              "ring:f2c815f5554bcc22689ce84d45aefdda1bce9146@ring.dht", "\u00e4rger"):
    seed("name_query", query.encode())

for name in ("head-messages.txt", "head-group-messages.txt"):
    for lines in re.findall(r"\[msg:.*\n +hex ([0-9a-f]+)", text(name)):
        packed = bytes.fromhex(lines)
        seed("msg_channel", packed)
        at = packed.index(b"\xa1t")
        mime = packed[at + 3:packed.index(b"\xa1c")]
        body = re.sub(rb"^(\xd9.|\xda..|[\xa0-\xbf])", b"", packed[packed.index(b"\xa1c") + 2:-5],
                      flags=re.DOTALL)
        seed("device_message", mime + b"\n" + body)
for block in text("swarm-messages.txt").split("\n----- ")[1:]:
    head, _, body = block.split("\n", 1)[1].partition("\n\n")
    length = int(head.rsplit("Content-Length:", 1)[1])
    seed("sip", head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + (body + "\n\n").encode()[:length])
    if mime := re.search(r"Content-Type: (.*)", head):
        seed("device_message", mime[1].encode() + b"\n" + (body + "\n\n").encode()[:length])
for name, marker in [("swarm-sync.txt", "HEX"), ("head-sync.txt", "hex")]:
    for packed in re.findall(rf"^\s*{marker} ([0-9a-f]+)$", text(name), re.MULTILINE):
        seed("sync", bytes.fromhex(packed))

for path in VECTORS.glob("account-trustrequest/*.plain.msgpack"):
    plain = path.read_bytes()
    at = plain.index(b"\xa4data\xc4")
    seed("account_value", plain[at + 7:at + 7 + plain[at + 6]])
    card = plain.find(b"BEGIN:VCARD")
    if card > 0:
        seed("vcard", plain[card:plain.index(b"END:VCARD") + 9])
for name in ("trustrequest_data", "im_value_data"):
    seed("account_value", bytes.fromhex(crypto["opendht_2412"][name]))
for path in VECTORS.glob("account-*/*.msgpack"):
    seed("account_value", path.read_bytes())
for card in ("BEGIN:VCARD\nVERSION:2.1\nFN:Alice\nEND:VCARD",
             "BEGIN:VCARD\nVERSION:4.0\nFN:Bob\nPHOTO:data:image/jpeg;base64,/9j/4AAQ\nEND:VCARD",
             "BEGIN:VCARD\r\nFN:Carol\r\nPHOTO;TYPE=PNG;ENCODING=b:iVBOR\r\n w0KGgo=\r\nEND:VCARD"):
    seed("vcard", card.encode())

for name in sorted(set(re.findall(r"data-transfer://[^']*", text("swarm-data-transfer.txt")))):
    seed("transfer_name", name.encode())
    seed("transfer_name", (name + "?start=100&end=200").encode())
seed("transfer_name", b"data-transfer://profile.vcf?sha3=" + b"0f" * 64 + b"&modified=7")

# -- local API

for body in ({"display_name": "Alice"}, {"display_name": "Ali\u0000ce", "password": "x" * 50},
             {"id": "ce4fc38761d203cd6b4296568f499ca9ea0a06fc"}, {"body": "hello", "reply_to": ""},
             {"body": "سلام"}, {"conversation": "b901934f6cc6f42b397e1853f06c54bebbf29285"}):
    seed("api_json", json.dumps(body).encode())
for line in text("head-messages.txt").splitlines()[:400]:
    for body in re.findall(r"\{\"[^}]*\}", line):
        seed("message_json", body.encode())

# Registrations that a daemon sent to a name server, and what the log and dumps make of them.
registrations = re.findall(r">>> POST /name/(\S+).*?\n(\{.*?\})\n", text("account-nameservice/http.log"), re.S)
for name, body in registrations:
    seed("names_request", f"{name}\n{body}".encode())
    seed("names_dump", json.dumps({name: json.loads(body)}).encode())
    seed("names_dump", json.dumps([{"name": name, "addr": json.loads(body)["addr"]}]).encode())
NAME, ID, REASON = b"\0\5alice", b"\x11" * 20, b"\0\5order"
for kind, rest in ((0, b"k" * 32), (1, NAME + ID + b"d" * 32), (2, NAME + ID + b"d" * 32), (3, b"\1"),
                   (4, NAME + ID + b"\x22" * 20 + b"d" * 32 + REASON), (5, NAME + REASON),
                   (6, NAME + REASON), (7, NAME + b"\0\0"), (8, NAME + REASON)):
    seed("names_log", b"\1" + (7).to_bytes(8, "big") + (1767225600).to_bytes(8, "big") + bytes([kind]) + rest)

# Steps of made up members, see testing/fuzz-targets/src/conversation.rs: who, what, parents,
# count of files, then two bytes a file; after each text of their own, its length and itself.
for steps in ("00000000", "0000000000000000", "000800010600", "000300010b00", "02020003090005100616",
              "00000000010001000100000001040100", "000100021314030500", "00070000077b2274223a317d",
              "0000000001000001000000000006010000000100"):
    seed("conversation", bytes.fromhex(steps))

# -- backups and bundles, as docs of crates/core/src/backup/entries.rs and
# crates/swarm/src/bundle.rs have them

description = json.dumps({
    "format": 1, "program": "0.1.0", "created": 1800000000000, "files": False,
    "accounts": [{"account": "00000000000000aa", "jami_id": "3a7c" * 10, "display_name": "Al"}],
}).encode()
for files in ({}, {"node.db": b"abc"}, {"node.db": b"", "accounts/1/device.key": b"-----BEGIN"}):
    entries = b"".join(b"\x01" + len(name).to_bytes(2) + name.encode()
                       + len(content).to_bytes(8) + content for name, content in files.items())
    seed("backup", len(description).to_bytes(4) + description + entries
         + b"\x00" + len(files).to_bytes(8))
KEYS = ROOT / "crates" / "identity" / "testdata"
for since in (None, "0c" * 20):
    header = json.dumps({
        "conversation": "b901934f6cc6f42b397e1853f06c54bebbf29285", "head": "0d" * 20,
        "since": since, "created": 1800000000000, "length": 0, "sha256": "e3" * 32,
        "chain": (KEYS / "alice.crt").read_text(),
    }).encode()
    signature = subprocess.run(
        ["openssl", "dgst", "-sha512", "-sign", KEYS / "alice.key"],
        input=b"baraza bundle\0" + header, capture_output=True, check=True).stdout
    seed("bundle", b"\x89BUNDLE\n\x01" + len(header).to_bytes(4) + header
         + len(signature).to_bytes(2) + signature)

for home in ("account-datadir-2023/home-A", "account-datadir-2023/home-B", "head-datadir-alice"):
    with tarfile.open(VECTORS / f"{home}.tar.gz") as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if name in ("contacts", "convInfo", "convRequests") and member.size > 1:
                seed("jami_state", archive.extractfile(member).read())
            elif name == "config.yml":
                seed("jami_config", archive.extractfile(member).read())

for target, seeds in sorted(found.items()):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("v-*"):
        old.unlink()
    # Evenly over the sizes, so that short and long kinds both stay.
    ordered = sorted(seeds.items(), key=lambda item: (len(item[1]), item[0]))
    step = max(1, len(ordered) / MAX_SEEDS)
    chosen = {ordered[int(i * step)] for i in range(min(MAX_SEEDS, len(ordered)))}
    for name, data in chosen:
        (folder / f"v-{name}").write_bytes(data)
    print(f"{target:14} {len(chosen):3} of {len(seeds):4} seeds, "
          f"{sum(len(d) for _, d in chosen):7} bytes")
