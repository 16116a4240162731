#!/usr/bin/env python3
"""The name server beside nginx with a file of the same size: docs/benchmarks.md has the method.

    names.py --server target/release/baraza --bench target/release/examples/names_bench
             --keep DIRECTORY [--count 10000000] [--open 64] [--seconds 10]
             [--registrations 20000]
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
LOOKUPS, P99, PART, REGISTRATIONS, MEMORY = 30_000, 10.0, 0.5, 0.8, 100
RUNS = 3
START = 30  # seconds until a server answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--server", required=True, help="the program baraza")
    parser.add_argument("--bench", required=True, help="the program names_bench")
    parser.add_argument("--keep", required=True, help="where the directory stays")
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--open", type=int, default=64, help="connections of lookups")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--registrations", type=int, default=20_000)
    options = parser.parse_args()
    directory = pathlib.Path(options.keep).absolute() / str(options.count)
    fill(directory, options)
    with tempfile.TemporaryDirectory(prefix="baraza-names-") as temporary:
        rows = measure(directory, pathlib.Path(temporary), options)
    return table(rows, directory, options)


def fill(directory: pathlib.Path, options) -> None:
    """Once; what was not finished is begun again."""
    if directory.exists():
        return
    half = directory.with_suffix(".new")
    shutil.rmtree(half, ignore_errors=True)
    subprocess.run([options.bench, "fill", half, str(options.count)],
                   check=True, stdout=sys.stderr)
    half.rename(directory)


def measure(directory, temporary, options) -> dict:
    rows = {}
    with Nginx(temporary) as nginx:
        warm = Names(directory, options)
        with warm as names:
            rows["start"] = names.started
            answer = fetch(names.address, "/name/" + name(1))
            nginx.serve(answer)
            pairs = []
            for run in range(RUNS):
                print(f"lookups, run {run + 1}", file=sys.stderr, flush=True)
                ceiling = wrk(nginx.address, options, file=True)
                pairs.append((wrk(names.address, options), ceiling))
            rows["ours"] = median([ours for ours, _ in pairs])
            rows["nginx"] = median([ceiling for _, ceiling in pairs])
            rows["size"] = len(answer)
            print("registrations", file=sys.stderr, flush=True)
            text = subprocess.run(
                [options.bench, "register", names.address, str(options.registrations), "64"],
                check=True, stdout=subprocess.PIPE, text=True).stdout
            rows["verify"] = float(re.search(r"verify: (\d+)/s", text)[1])
            found = re.search(r"register: (\d+)/s p50 (\S+) ms p99 (\S+) ms", text)
            rows["register"], rows["p50"], rows["p99"] = map(float, found.groups())
            rows["memory"] = names.peak()
    return rows


def median(results):
    """The middle one by its rate."""
    return sorted(results)[len(results) // 2]


def table(rows: dict, directory, options) -> int:
    rate, p50, p99, worst, errors = rows["ours"]
    ceiling = rows["nginx"]
    missed = 0

    def line(what, unit, value, aim="", good=None):
        nonlocal missed
        missed += good is False
        verdict = {None: "", True: "yes", False: "**no**"}[good]
        print(f"| {what} | {unit} | {value} | {aim} | {verdict} |")

    size = sum(file.stat().st_size for file in directory.iterdir())
    print("| measure | unit | value | aim | |\n|---|---|---|---|---|")
    line("lookups, kept connections", "1/s", f"{rate:.0f}", f"≥ {LOOKUPS}", rate >= LOOKUPS)
    line("lookup, 50 %", "ms", f"{p50:.2f}")
    line("lookup, 99 %", "ms", f"{p99:.2f}", f"≤ {P99:.0f}", p99 <= P99)
    line("lookup, slowest", "ms", f"{worst:.1f}")
    line("lookups that failed", "", errors, "0", errors == 0)
    line(f"nginx, file of {rows['size']} bytes", "1/s", f"{ceiling[0]:.0f}")
    line("lookups to nginx", "", f"{rate / ceiling[0]:.2f}", f"≥ {PART}",
         rate >= PART * ceiling[0])
    line("signatures verified, nothing else", "1/s", f"{rows['verify']:.0f}")
    line("registrations", "1/s", f"{rows['register']:.0f}",
         f"≥ {REGISTRATIONS:.0%} of these", rows["register"] >= REGISTRATIONS * rows["verify"])
    line("registration, 50 % and 99 %", "ms", f"{rows['p50']:.2f}, {rows['p99']:.2f}")
    line("memory, peak", "MiB", f"{rows['memory']:.1f}", f"≤ {MEMORY}",
         rows["memory"] <= MEMORY)
    line("start", "s", f"{rows['start']:.2f}")
    print(f"\n{options.count} names, {size / 1e9:.1f} GB; {options.open} connections; "
          f"load {os.getloadavg()[0]:.1f} after.")
    print(f"{missed} aims missed" if missed else "All aims met")
    return 1 if missed else 0


def name(number: int) -> str:
    syllables = "ba be bo bu ka ke ko ku sa se so su ta te to tu".split()
    spread = number * 5882353 % (1 << 24)
    return "".join(syllables[spread >> 4 * digit & 15] for digit in range(5, -1, -1))


def wrk(address: str, options, file=False):
    """Rate, median, 99th percentile and slowest in ms, answers that failed."""
    environment = dict(os.environ, NAMES_COUNT=str(options.count))
    words = ["wrk", "-t2", f"-c{options.open}", f"-d{options.seconds}s", "-s",
             HERE / ("file.lua" if file else "names.lua"), f"http://{address}"]
    text = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True,
                          env=environment).stdout
    requests, micros, errors, p50, p99, worst = re.search(
        r"RESULT (\d+) (\d+) (\d+) (\S+) (\S+) (\S+)", text).groups()
    return (int(requests) / (int(micros) / 1e6), float(p50), float(p99), float(worst),
            int(errors))


def fetch(address: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return answer.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that is ended by its id."""

    def __init__(self, words):
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def wait_for(self, path: str) -> float:
        begun = time.monotonic()
        while True:
            try:
                fetch(self.address, path)
                return time.monotonic() - begun
            except OSError:
                if self.process.poll() is not None or time.monotonic() > begun + START:
                    raise
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


class Names(Server):
    def __init__(self, directory, options):
        self.address = f"127.0.0.1:{free_port()}"
        limits = ["--lookups", "--all-lookups", "--registrations", "--all-registrations"]
        super().__init__([
            options.server, "names", "--listen", self.address, "--data", directory,
            "--connections-of-one", "256", *[word for limit in limits for word in (limit, "0")]])
        self.started = self.wait_for("/ready")

    def peak(self) -> float:
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


class Nginx(Server):
    """Both cores, and the file from its cache of open ones."""

    def __init__(self, temporary: pathlib.Path):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.root = temporary / "files"
        self.root.mkdir()
        (self.root / "ready").write_bytes(b"")
        config = temporary / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(f"""
daemon off; master_process on; worker_processes 2; pid {temporary}/pid; {user}
error_log {temporary}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=10; default_type application/json;
  client_body_temp_path {temporary}/a; proxy_temp_path {temporary}/b;
  fastcgi_temp_path {temporary}/c; uwsgi_temp_path {temporary}/d; scgi_temp_path {temporary}/e;
  server {{ listen 127.0.0.1:{port}; root {self.root}; }}
}}""")
        super().__init__([shutil.which("nginx") or "/usr/sbin/nginx", "-c", config])
        self.wait_for("/ready")

    def serve(self, answer: bytes) -> None:
        (self.root / "answer").write_bytes(answer)


if __name__ == "__main__":
    sys.exit(main())
