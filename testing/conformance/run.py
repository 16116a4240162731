#!/usr/bin/env python3
"""Asks a node and a server of names what their OpenAPI descriptions promise (`make conformance`).

schemathesis makes requests from the descriptions, right ones and wrong ones, and compares the
answers with them. Its environment is made beside the build when it is not there yet.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def tool(where):
    """The program of the environment; made if the wanted version is not in it."""
    wanted = (HERE / "requirements.txt").read_text()
    program, stamp = where / "bin" / "schemathesis", where / "requirements"
    if not (program.exists() and stamp.exists() and stamp.read_text() == wanted):
        print(f"conformance: making {where} ({wanted.strip()})", flush=True)
        venv.create(where, with_pip=True, clear=True)
        pip = [where / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    return program


class Server:
    """A program that serves until the block ends."""

    def __init__(self, arguments, log):
        self.arguments, self.log = [str(one) for one in arguments], log

    def __enter__(self):
        with open(self.log, "w") as err:
            self.process = subprocess.Popen(self.arguments, stdout=subprocess.PIPE,
                                            stderr=err, text=True)
        self.line = self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        self.process.terminate()
        self.process.wait(30)
        if not alive:
            raise SystemExit(f"{self.arguments}: ended by itself; see {self.log}")


def check(name, program, description, url, arguments, headers=(), left_out=()):
    """Runs schemathesis; whether it found nothing."""
    command = [program, "--config-file", HERE / "schemathesis.toml", "--no-color", "run", description,
               "--url", url, "--max-examples", str(arguments.examples), "--continue-on-failure",
               "--request-timeout", "60", "--phases", arguments.phases]
    if arguments.seed is not None:
        command += ["--seed", str(arguments.seed)]
    for header in headers:
        command += ["-H", header]
    command += [*left_out, *arguments.more]
    print(f"=== {name}: {url}", flush=True)
    log = arguments.logs / f"{name}.log"
    begun = time.monotonic()
    with open(log, "w") as out:
        code = subprocess.run(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT,
                              cwd=arguments.logs).returncode
    text = log.read_text()
    shown = text[text.find("= FAILURES"):] if code else "\n".join(text.splitlines()[-8:])
    print(shown)
    print(f"{'ok' if code == 0 else 'FAILED'} {name} in {time.monotonic() - begun:.0f} s; {log}", flush=True)
    return code == 0


def ask(api, token, method, path, body=None):
    """A request to the node's API."""
    request = urllib.request.Request(
        f"http://{api}/api/v1{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def described(url, description):
    """The description served, after a look at whether it is the one kept."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        served = json.load(answer)
    if served != json.loads((ROOT / "docs" / description).read_text()):
        raise SystemExit(f"docs/{description} is not what is served: write it anew with BLESS=1")
    return served


def names(program, arguments, work):
    """The server of names."""
    port = free_port()
    serve = [arguments.baraza, "names", "--data", work / "names", "--listen", f"127.0.0.1:{port}",
             "--lookups", "0", "--registrations", "0", "--all-registrations", "0"]
    with Server(serve, arguments.logs / "names-server.log"):
        described(f"http://127.0.0.1:{port}/openapi.json", "openapi-names.json")
        return check("names", program, ROOT / "docs/openapi-names.json",
                     f"http://127.0.0.1:{port}", arguments)


def node(program, arguments, work):
    """A node with an account, a group and a message, to which the requests lead."""
    data = work / "node"
    serve = [arguments.baraza, "--data-dir", data, "--json", "run", "--no-bootstrap", "--loopback",
             "--api", "127.0.0.1:0", "--log-level", "warn"]
    with Server(serve, arguments.logs / "node-server.log") as server:
        api = json.loads(server.line)["api"]
        token = (data / "api-token").read_text().strip()
        account = ask(api, token, "POST", "/accounts", {"display_name": "Conformance"})["account"]
        group = ask(api, token, "POST", f"/accounts/{account}/conversations", {})["conversation"]
        message = ask(api, token, "POST", f"/accounts/{account}/conversations/{group}/messages",
                      {"body": "hello"})["id"]
        served = described(f"http://{api}/api/openapi.json", "openapi.json")
        description = work / "openapi.json"
        description.write_text(json.dumps(with_values(served, {
            "account": account, "conversation": group, "message": message})))
        good = check("node", program, description, f"http://{api}", arguments,
                     [f"Authorization: Bearer {token}"], LEFT_OUT)
        ask(api, token, "GET", "/status")
        return good


# What would end the test or take minutes, or makes accounts beside the one that is named here,
# which would be as good: other tests do that. It stays in the description, so
# that its methods are not taken for undeclared ones.
LEFT_OUT = ["--exclude-path-regex", r"^/api/v1/(accounts/(import|link|import-jami)|link|ws)\b",
            "--exclude-operation-id", "accounts_create",
            "--exclude-operation-id", "accounts_remove",
            "--exclude-operation-id", "conversations_leave"]


def with_values(description, values):
    """The description with the ids that there are as examples of path parameters."""
    for item in description["paths"].values():
        for operation in item.values():
            parameters = operation.get("parameters", [])
            # Minutes of waiting for events that do not come.
            parameters[:] = [one for one in parameters if one["name"] != "wait"]
            for parameter in parameters:
                if parameter["in"] == "path" and parameter["name"] in values:
                    parameter["schema"]["enum"] = [values[parameter["name"]]]
                    parameter["example"] = values[parameter["name"]]
    # Nobody is asked and nothing is sent to but what is on this machine, where nobody listens.
    types = description["components"]["schemas"]
    types["NewWebhook"]["properties"]["url"] = {"type": "string", "enum": ["http://127.0.0.1:9/"]}
    del types["ChangeNameServer"]["properties"]["server"]
    for item in description["paths"].values():
        for operation in item.values():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                if media["schema"].get("$ref", "").endswith(("/NewWebhook", "/ChangeNameServer")):
                    media.pop("example", None)
    return description


def free_port():
    """A port that nobody uses just now."""
    import socket
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baraza", default=TARGET / "debug/baraza", type=pathlib.Path)
    parser.add_argument("--only", choices=["names", "node"])
    parser.add_argument("--examples", type=int, default=20, help="requests for each operation")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful",
                        help="what schemathesis does, with commas between")
    parser.add_argument("--seed", type=int, help="to repeat a run")
    parser.add_argument("--logs", type=pathlib.Path, default=TARGET / "conformance")
    parser.add_argument("more", nargs="*", help="further arguments of schemathesis, after --")
    arguments = parser.parse_args()
    arguments.logs = arguments.logs.resolve()
    arguments.logs.mkdir(parents=True, exist_ok=True)
    program = tool(TARGET / "conformance-venv")
    parts = {"names": names, "node": node}
    results = []
    with tempfile.TemporaryDirectory(prefix="baraza-conformance-") as work:
        for name, part in parts.items():
            if arguments.only in (None, name):
                results.append(part(program, arguments, pathlib.Path(work)))
    print(f"{sum(results)} passed, {results.count(False)} failed")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
