#!/usr/bin/env python3
"""Verify the signature of every commit of a conversation's repository, independently of
any implementation: with git, the openssl command and Python's integers.

    verify_repository.py DIR [DIR...]    prints the count per repository; exits 1 on a bad one

For each commit that `main` reaches: the `signature` header is an RSA PKCS#1 v1.5 / SHA-512
signature of the commit without that header (docs/protocol/05-swarm.md section 3) by the
device that the author names, whose certificate is in the tree of the commit or a parent.
"""
import base64
import functools
import hashlib
import re
import subprocess
import sys

SHA512_PREFIX = bytes.fromhex("3051300d060960864801650304020305000440")


class Bad(Exception):
    """The repository breaks a rule; the text names the commit and the rule."""


@functools.lru_cache(maxsize=None)
def public_key(pem: bytes) -> tuple[int, str]:
    """The modulus of the certificate's RSA key, and its device id."""
    spki = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, check=True,
                          capture_output=True).stdout
    der = base64.b64decode(b"".join(spki.split(b"\n")[1:-2]))
    modulus = subprocess.run(["openssl", "rsa", "-pubin", "-noout", "-modulus"], input=spki,
                             check=True, capture_output=True).stdout
    return int(modulus.decode().strip().removeprefix("Modulus="), 16), hashlib.sha256(der).hexdigest()


def signed_by(modulus: int, signature: bytes, payload: bytes) -> bool:
    size = (modulus.bit_length() + 7) // 8
    digest = SHA512_PREFIX + hashlib.sha512(payload).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    opened = pow(int.from_bytes(signature, "big"), 65537, modulus)
    return len(signature) == size and opened.to_bytes(size, "big") == padded


class Repository:
    def __init__(self, path: str):
        self.git = ["git", "-c", "safe.directory=*", "-C", str(path)]
        self.reader = subprocess.Popen([*self.git, "cat-file", "--batch"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.reader.stdin.close()
        self.reader.wait()
        self.reader.stdout.close()

    def commits(self) -> list[str]:
        done = subprocess.run([*self.git, "rev-list", "--topo-order", "--reverse",
                               "refs/heads/main"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Bad(f"git rev-list: {done.stderr.strip()}")
        return done.stdout.split()

    def read(self, name: str) -> bytes | None:
        self.reader.stdin.write(name.encode() + b"\n")
        self.reader.stdin.flush()
        head = self.reader.stdout.readline().split()
        if len(head) != 3:
            return None
        body = self.reader.stdout.read(int(head[2]))
        self.reader.stdout.read(1)
        return body

    def check(self, commit: str) -> None:
        raw = self.read(commit)
        head, message = raw.split(b"\n\n", 1)
        lines = head.split(b"\n")
        signatures = [n for n, line in enumerate(lines) if line.startswith(b"signature ")]
        if len(signatures) != 1:
            raise Bad(f"{commit}: {len(signatures)} signature headers")
        end = start = signatures[0]
        while end + 1 < len(lines) and lines[end + 1].startswith(b" "):
            end += 1
        signature = b"".join([lines[start][10:], *(line[1:] for line in lines[start + 1:end + 1])])
        kept = lines[:start] + lines[end + 1:]
        payload = b"\n".join(kept) + b"\n\n" + message
        author = next((line for line in kept if line.startswith(b"author ")), b"")
        device = re.search(rb"<([0-9a-f]{64})>", author)
        if not device:
            raise Bad(f"{commit}: the author names no device")
        device = device[1].decode()
        parents = [line[7:].decode() for line in kept if line.startswith(b"parent ")]
        pem = next(filter(None, (self.read(f"{c}:devices/{device}.crt")
                                 for c in [commit, *parents])), None)
        if pem is None:
            raise Bad(f"{commit}: no certificate of device {device}")
        modulus, owner = public_key(pem)
        if owner != device:
            raise Bad(f"{commit}: the certificate of device {device} holds the key of {owner}")
        if not signed_by(modulus, base64.b64decode(signature), payload):
            raise Bad(f"{commit}: wrong signature")


def verify(path: str) -> int:
    """The number of commits, all with a good signature; raises Bad otherwise."""
    with Repository(path) as repository:
        commits = repository.commits()
        for commit in commits:
            repository.check(commit)
    return len(commits)


def main() -> int:
    status = 0
    for path in sys.argv[1:]:
        try:
            print(f"{path}: {verify(path)} commits, all signatures good")
        except Bad as error:
            print(f"{path}: {error}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
