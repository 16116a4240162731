"""The program `baraza` itself on a host of the sandbox: what a person types."""
from __future__ import annotations

import contextlib
import json
import pathlib
import shlex
import subprocess

from jamipeer import Host, PeerError, _die_with_parent


class Program:
    """A node that runs (`baraza run`, or another command that does), and commands to it.

    With `host` and `directory` it runs in the place of a player that was stopped."""

    def __init__(self, world, name: str, *mode: str, host: Host | None = None,
                 directory: pathlib.Path | None = None):
        if not world.options.baraza:
            raise PeerError("give --baraza")
        self.name, self.mode = name, mode or ("run",)
        self.argv = shlex.split(world.options.baraza)
        self.bootstrap = world.node.address
        self.own_host = host is None
        self.host = host or Host()
        self.directory = pathlib.Path(directory or world.root / name)
        self.directory.mkdir(exist_ok=True)
        self.data = self.directory / "data"
        self.process = None
        self.start()

    def start(self) -> None:
        with open(self.directory / "stderr.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.host.prefix, *self.argv, "--json", "--data-dir", str(self.data),
                 *self.mode, "--bootstrap", self.bootstrap, "--api", "127.0.0.1:0"], text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                preexec_fn=_die_with_parent)
        self.line("ready")

    def line(self, event: str) -> dict:
        """The next line that it prints, which must be of that event."""
        line = self.process.stdout.readline()
        if not line:
            raise PeerError(f"{self.name} ended with {self.process.wait()}")
        value = json.loads(line)
        if value.get("event") != event:
            raise PeerError(f"{self.name} prints {line.strip()}, not {event}")
        return value

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        assignments = [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [*self.host.prefix, "env", *assignments, *self.argv, "--json", "--data-dir",
             str(self.data), *arguments], capture_output=True, text=True, timeout=200,
            stdin=subprocess.DEVNULL)

    def ask(self, *arguments: str, **environment: str):
        """What the command prints; it must succeed."""
        done = self.run(*arguments, **environment)
        if done.returncode != 0:
            raise PeerError(f"baraza {' '.join(arguments)}: {done.returncode}: "
                            f"{done.stderr.strip()[-300:]}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *arguments: str, **environment: str) -> str:
        """The command must fail: what it says."""
        done = self.run(*arguments, **environment)
        if done.returncode == 0:
            raise PeerError(f"baraza {' '.join(arguments)} succeeds")
        return done.stderr

    def bodies(self, chat: str) -> list[str]:
        """The texts of a conversation, oldest first; none as long as it is not there."""
        done = self.run("history", chat, "-n", "1000")
        if done.returncode == 4:
            return []
        if done.returncode != 0:
            raise PeerError(f"{self.name}: history: {done.stderr.strip()[-300:]}")
        return [message["body"] for message in json.loads(done.stdout)]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.stop()
        if self.own_host:
            self.host.close()
