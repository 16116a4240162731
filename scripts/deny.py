#!/usr/bin/env python3
"""Check the dependencies against deny.toml: banned crates, licences, sources.

Does in a second what `cargo deny check bans licenses sources` does, without having to
build cargo-deny first. Exits 1 and names each crate that breaks a rule.
"""
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def allowed_by(expression: str, allowed: set[str]) -> bool:
    """Is the SPDX expression satisfied by licences of the allow list alone?"""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def peek():
        return tokens[0] if tokens else ""

    def either():
        result = both()
        while peek() == "OR":
            tokens.pop(0)
            result = both() or result
        return result

    def both():
        result = term()
        while peek() == "AND":
            tokens.pop(0)
            result = term() and result
        return result

    def term():
        token = tokens.pop(0)
        if token == "(":
            result = either()
            tokens.pop(0)
            return result
        if peek() == "WITH":
            token = f"{token} {tokens.pop(0)} {tokens.pop(0)}"
        return token in allowed

    return either()


def main() -> int:
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    banned = {entry["crate"] for entry in rules["bans"]["deny"]}
    licences = set(rules["licenses"]["allow"])
    registries = {"registry+" + url for url in rules["sources"]["allow-registry"]}

    # What is really built for this system: the lock file also names crates that only a
    # feature nobody enables would bring in.
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--workspace", "--edges", "normal,build,dev", "--prefix", "none",
         "--format", "{p}\t{l}"], cwd=ROOT, check=True, text=True,
        stdout=subprocess.PIPE).stdout
    crates = {}
    for line in tree.splitlines():
        package, _, licence = line.partition("\t")
        if package:
            name, version = package.split()[:2]
            crates[name, version.removeprefix("v")] = licence.removesuffix(" (*)").strip()

    problems = []
    for (name, version), licence in sorted(crates.items()):
        if name in banned:
            problems.append(f"{name} {version} is banned (cargo tree -i {name} shows by whom "
                            "it is used)")
        if not licence:
            problems.append(f"{name} {version} names no licence")
        elif not allowed_by(licence, licences):
            problems.append(f"{name} {version} has licence {licence}, which is not on the list")
    for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]:
        if "source" in package and package["source"] not in registries:
            problems.append(f"{package['name']} {package['version']} does not come from crates.io")
    for problem in problems:
        print(f"deny: {problem}")
    if not problems:
        print(f"deny: {len(crates)} crates, all as deny.toml wants")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
