#!/usr/bin/env python3
"""Baraza and the real daemon side by side: the measures of testing/peers/baseline.py for
both in one run, with the ratio and the aim. docs/benchmarks.md has the method.

    side_by_side.py --foreign target/release/jami-peer [--only latency,idle] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing" / "peers"))
import baseline  # noqa: E402
from jamipeer import PeerError, sandbox  # noqa: E402

DEFAULT = ("registration,request,latency,long,burst,cold,files,large,group,history,device,"
           "growth,idle")

# Measures that are compared with what the machine can do.
FILES = ("files", "large")

MESSAGE = "message until received, connected"
# figure: (what is aimed at, does it hold?), given our and their medians and all of ours
AIMS = {
    MESSAGE: ("≤ 1/8 of the daemon's", lambda ours, theirs, all_: ours <= theirs / 8),
    "message until received, after 1000 others":
        ("≤ 1.5 × that in a new conversation",
         lambda ours, theirs, all_: ours <= 1.5 * all_.get(MESSAGE, 0)),
    "burst of 500 messages, rate of arrival":
        ("≥ 70 % of the signing rate",
         lambda ours, theirs, all_: ours >= 0.7 * all_["signing rate"]),
    "1000 missed messages, from process start to the last":
        ("≤ 1/5 of the daemon's", lambda ours, theirs, all_: ours <= theirs / 5),
    "idle, one account: resident memory":
        ("≤ 20 MiB", lambda ours, theirs, all_: ours <= 20),
    "idle, one account: packets in and out":
        ("≤ the daemon's", lambda ours, theirs, all_: ours <= theirs),
    "start with an existing account until announced":
        ("≤ 0.3 s", lambda ours, theirs, all_: ours <= 0.3),
}
for size in ("100 MB", "1 GB"):
    AIMS[f"{size} file: download, its check included"] = (
        "≥ 4 × the daemon's, and ≥ 60 % of what TLS and SHA-3 can do",
        lambda ours, theirs, all_: ours >= 4 * theirs
        and ours >= 0.6 * min(all_["TLS"], all_["SHA-3"]))
    AIMS[f"{size} file: memory of the larger side above that before, peak"] = (
        "≤ 16 MiB", lambda ours, theirs, all_: ours <= 16)
for part in ("one has it, of all four", "all four have it"):
    AIMS[f"group of 5: message until {part}"] = (
        "≤ 1/4 of the daemon's", lambda ours, theirs, all_: ours <= theirs / 4)
AIMS["new device from an archive until it has all 10000"] = (
    "≤ 1/5 of the daemon's", lambda ours, theirs, all_: ours <= theirs / 5)


def calibrated(program: str) -> dict[str, float]:
    """MB/s of a bare TLS stream and of SHA3-512, by crates/core/examples/calibrate.rs."""
    out = subprocess.run([program, "--json"], capture_output=True, text=True, check=True).stdout
    rates = json.loads(out)
    return {"TLS": rates["tls"], "SHA-3": rates["sha3"]}


def signing_rate() -> float:
    """RSA-4096 signatures a second on one core, by openssl."""
    out = subprocess.run(["openssl", "speed", "-seconds", "2", "rsa4096"], capture_output=True,
                         text=True, check=True).stdout
    return float(re.search(r"rsa 4096 bits +\S+ +\S+ +([\d.]+)", out)[1])


def take(name: str, foreign: str | None, writer: str) -> tuple[list[dict], str]:
    """One measure of one program, on fresh peers: its figures, and an error if it failed."""
    bench = baseline.Bench(foreign, writer)
    bench.report = quietly(bench)
    try:
        baseline.MEASURES[name](bench)
        return bench.figures, ""
    except (PeerError, OSError, ValueError, KeyError) as error:
        return bench.figures, f"{type(error).__name__}: {error}"
    finally:
        bench.close()
        bench.node.close()


def quietly(bench):
    """Bench.report without its line on stdout."""
    report = bench.report

    def silent(*words, **options):
        with open(os.devnull, "w") as nowhere:
            out, sys.stdout = sys.stdout, nowhere
            try:
                report(*words, **options)
            finally:
                sys.stdout = out
    return silent


def number(value) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--foreign", required=True, help="command of Baraza's peer program")
    parser.add_argument("--only", default=DEFAULT,
                        help="measures, of: " + ", ".join(baseline.MEASURES))
    parser.add_argument("--calibrate", help="the example calibrate of crates/core; else looked "
                        "for in examples/ beside the peer program")
    parser.add_argument("--json", help="also write all figures to this file")
    options = parser.parse_args()
    words = shlex.split(options.foreign)
    if os.sep in words[0]:
        words[0] = os.path.abspath(words[0])
    foreign = shlex.join(words)

    begun, load = time.monotonic(), os.getloadavg()[0]
    rate, limits = signing_rate(), {}
    if any(measure in FILES for measure in options.only.split(",")):
        limits = calibrated(options.calibrate or
                            str(pathlib.Path(words[0]).parent / "examples" / "calibrate"))
    sandbox()
    programs = {"daemon": None, "baraza": foreign}
    figures: dict[str, dict[str, dict]] = {}
    failed = []
    for measure in options.only.split(","):
        for program, command in programs.items():
            print(f"{measure}: {program}", file=sys.stderr, flush=True)
            taken, error = take(measure, command, foreign)
            for figure in taken:
                figures.setdefault(figure["measure"], {})[program] = figure
            if error:
                failed.append((measure, program, error))
                print(f"    failed: {error}", file=sys.stderr)

    ours = {name: by["baraza"]["median"] for name, by in figures.items() if "baraza" in by}
    ours |= {"signing rate": rate, **limits}
    print("| measure | unit | Jami 20230206 | Baraza | ratio | aim | |")
    print("|---|---|---|---|---|---|---|")
    missed = 0
    for name, by in figures.items():
        theirs, mine = (by.get(p, {}).get("median") for p in ("daemon", "baraza"))
        ratio = f"{mine / theirs:.2f}" if mine is not None and theirs else ""
        aim, verdict = "", ""
        if name in AIMS:
            aim, holds = AIMS[name]
            if mine is not None and theirs is not None:
                verdict = "yes" if holds(mine, theirs, ours) else "**no**"
                missed += verdict != "yes"
        unit = next(iter(by.values()))["unit"]
        print(f"| {name} | {unit} | {number(theirs)} | {number(mine)} | {ratio} | {aim} | "
              f"{verdict} |")
    print(f"\nMedians. One core makes {rate:.0f} RSA-4096 signatures/s (openssl). Load {load:.1f} "
          f"before, {os.getloadavg()[0]:.1f} after; {time.monotonic() - begun:.0f} s.")
    if limits:
        slower = min(limits, key=limits.get)
        print(f"A bare TLS stream over loopback does {limits['TLS']:.0f} MB/s, SHA3-512 "
              f"{limits['SHA-3']:.0f} MB/s; 60 % of the slower, {slower}: "
              f"{0.6 * limits[slower]:.0f} MB/s.")
    for measure, program, error in failed:
        print(f"FAILED {measure} ({program}): {error}")
    if missed:
        print(f"{missed} aims missed")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {"signing_rate": rate, **limits, "figures": figures, "failed": failed}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
