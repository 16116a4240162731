#!/usr/bin/env python3
"""DHT clusters side by side: OpenDHT (Debian's library) and Baraza, same shape of run.

    compare.py --ours target/release/examples/cluster [--nodes 10,100] [--seconds 5] [--runs 3]

Each run is a new process in an empty network namespace; the two take turns; medians.
docs/benchmarks.md has the method.
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SANDBOX = [str(HERE.parent.parent / "testing/peers/jamipeer.py"), "sandbox", "--"]

# name in the JSON: (what, unit, aim as text, does ours/theirs satisfy it?)
FIGURES = {
    "puts_per_s": ("puts, 32 in flight", "/s", "≥ 4 ×", lambda ratio: ratio >= 4),
    "put_p50_ms": ("put under load, median", "ms", "", None),
    "put_p95_ms": ("put under load, p95", "ms", "", None),
    "cpu_ms_per_put": ("CPU for a put", "ms", "", None),
    "kib_per_put": ("memory kept for a put", "KiB", "≤ 1/10", lambda ratio: ratio <= 0.1),
    "put_failed": ("puts that failed", "", "", None),
    "gets_per_s": ("gets, 32 in flight", "/s", "≥ 4 ×", lambda ratio: ratio >= 4),
    "get_p50_ms": ("get under load, median", "ms", "", None),
    "get_p95_ms": ("get under load, p95", "ms", "", None),
    "cpu_ms_per_get": ("CPU for a get", "ms", "", None),
    "get_empty": ("gets that found nothing", "", "", None),
    "idle_kib_per_node": ("memory of an idle node", "KiB", "≤ 1/2", lambda ratio: ratio <= 0.5),
    "idle_cpu_percent": ("idle CPU of the whole cluster", "%", "", None),
    "connected_s": ("all connected after", "s", "", None),
}


def build() -> str:
    """Compile the C++ side into the target folder; returns its path."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
    program, source = target / "bench/opendht_cluster", HERE / "opendht_cluster.cpp"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "opendht"], check=True,
                               capture_output=True, text=True).stdout.split()
        subprocess.run(["g++", "-O2", "-std=c++17", str(source), "-o", str(program), *flags],
                       check=True)
    return str(program)


def measure(command: list[str], nodes: int, seconds: float) -> dict | None:
    done = subprocess.run([*SANDBOX, *command, str(nodes), str(seconds)], capture_output=True,
                          text=True, timeout=120 + 4 * seconds)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        print(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}",
              file=sys.stderr)
        return None


def print_further(idle: dict[str, dict[int, float]]) -> None:
    """What one node more takes, without what a process takes once: between the smallest and
    the largest cluster."""
    each = {}
    for name, memory in idle.items():
        few, many = min(memory, default=0), max(memory, default=0)
        if few < many:
            each[name] = (memory[many] * many - memory[few] * few) / (many - few)
            print(f"{name}: {each[name]:.1f} KiB for each node after the first {few}")
    if each.keys() == {"OpenDHT", "Baraza"}:
        print(f"ratio {each['Baraza'] / each['OpenDHT']:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--ours", help="Baraza's cluster program (NODES SECONDS)")
    parser.add_argument("--nodes", default="10,100")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    programs = {"OpenDHT": [build()]}
    if options.ours:
        words = shlex.split(options.ours)
        programs["Baraza"] = [os.path.abspath(words[0]), *words[1:]]
    failed = missed = 0
    idle: dict[str, dict[int, float]] = {name: {} for name in programs}
    for nodes in map(int, options.nodes.split(",")):
        results: dict[str, list[dict]] = {name: [] for name in programs}
        for _ in range(options.runs):
            for name, command in programs.items():
                if result := measure(command, nodes, options.seconds):
                    results[name].append(result)
                else:
                    failed += 1
        print(f"{nodes} nodes in one process, {options.seconds:g} s of each, median of "
              f"{options.runs} runs\n")
        print("| figure | unit | OpenDHT | Baraza | ratio | aim | |\n|---|---|---|---|---|---|---|")
        for key, (what, unit, aim, holds) in FIGURES.items():
            medians = [statistics.median(r[key] for r in results.get(name, []) if key in r)
                       if any(key in r for r in results.get(name, [])) else None
                       for name in ("OpenDHT", "Baraza")]
            ratio, verdict = "", ""
            if medians[0] and medians[1] is not None:
                ratio = f"{medians[1] / medians[0]:.2f}"
                if holds:
                    verdict = "yes" if holds(medians[1] / medians[0]) else "**no**"
                    missed += verdict != "yes"
            shown = ["" if m is None else f"{m:.0f}" if m >= 100 else f"{m:.2f}" for m in medians]
            print(f"| {what} | {unit} | {shown[0]} | {shown[1]} | {ratio} | {aim} | {verdict} |")
        for name, runs in results.items():
            if runs:
                idle[name][nodes] = statistics.median(r["idle_kib_per_node"] for r in runs)
        print(flush=True)
    print_further(idle)
    if missed:
        print(f"{missed} aims missed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
