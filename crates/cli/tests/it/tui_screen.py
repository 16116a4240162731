"""Plays Bob in `baraza tui` on a pseudo-terminal: accepts Alice's request, reads what she
writes, answers it, leaves a draft; then checks that the terminal is as it was, also after
SIGTERM. Only what a person sees and types: keys in, a screen of text out."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata

BARAZA, ALICE, BOB, BOB_ID = sys.argv[1:]


class Terminal:
    """As much of a terminal as the program uses: it moves the cursor, clears, and colours."""

    def __init__(self, columns, rows):
        self.master, slave = pty.openpty()
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.raw = ""
        self.pending = b""
        environment = dict(os.environ, BARAZA_DATA_DIR=BOB, TERM="xterm-256color")
        self.child = subprocess.Popen(
            [BARAZA, "tui"], stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return
        self.pending += os.read(self.master, 65536)
        text = self.pending.decode("utf-8", "ignore")
        # An incomplete sequence at the end waits for its rest.
        cut = re.search(r"\x1b(\[[0-9;?]*)?$", text)
        if cut:
            self.pending = text[cut.start():].encode()
            text = text[:cut.start()]
        else:
            self.pending = b""
        self.raw += text
        for part in re.findall(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.|[^\x1b]", text):
            self.take(part)

    def take(self, part):
        if part.startswith("\x1b["):
            numbers = [int(n) for n in re.findall(r"\d+", part)]
            if part.endswith("H"):
                self.y, self.x = (numbers + [1, 1])[0] - 1, (numbers + [1, 1])[1] - 1
            elif part.endswith("J"):
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif unicodedata.category(part) in ("Cf", "Mn", "Me"):
            # Joins what is before it.
            if 0 < self.x <= self.columns:
                self.cells[self.y][self.x - 1] += part
        elif part >= " ":
            if self.x < self.columns and self.y < self.rows:
                self.cells[self.y][self.x] = part
            self.x += 2 if unicodedata.east_asian_width(part) in "WF" else 1

    def screen(self):
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def sees(self, text):
        end = time.monotonic() + 60
        while text not in self.screen():
            if time.monotonic() > end or self.child.poll() is not None:
                sys.exit(f"not seen: {text!r} in\n{self.screen()}")
            self.read(0.2)

    def keys(self, text):
        os.write(self.master, text.encode())

    def resize(self, columns, rows):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.killpg(self.child.pid, signal.SIGWINCH)

    def ends(self, code):
        end = time.monotonic() + 30
        while self.child.poll() is None:
            if time.monotonic() > end:
                sys.exit("it does not end")
            self.read(0.1)
        self.read(0.1)
        if self.child.returncode != code:
            sys.exit(f"it ended with {self.child.returncode}\n{self.raw[-500:]}")
        if termios.tcgetattr(self.slave) != self.before:
            sys.exit("the terminal is not as it was")
        if not self.raw.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" not in self.raw:
            sys.exit(f"the screen was not given back: {self.raw[-80:]!r}")


def alice(*arguments):
    environment = dict(os.environ, BARAZA_DATA_DIR=ALICE)
    subprocess.run([BARAZA, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def main():
    terminal = Terminal(80, 24)
    try:
        terminal.sees("? Alice (")
        terminal.keys("a")
        terminal.sees("Alice · connected")
        alice("send", BOB_ID, "hello\x1b]0;owned\x07")
        terminal.sees("hello\\u{1b}]0;owned\\u{7}")
        terminal.keys("\x1b[A")
        terminal.sees("r reply")
        terminal.keys("r")
        terminal.sees("answering Alice")
        terminal.keys("hi Alice\r")
        terminal.sees("hi Alice (")
        terminal.keys("half a sen")
        terminal.sees("> half a sen")
        terminal.resize(40, 12)
        terminal.sees("half a sen")
        terminal.keys("\x11")
        terminal.ends(0)
        if "\x1b]" in terminal.raw:
            sys.exit("a sequence of Alice's reached the terminal")

        terminal = Terminal(80, 24)
        terminal.sees("Alice")
        terminal.keys("\r")
        terminal.sees("> half a sen")
        os.kill(terminal.child.pid, signal.SIGTERM)
        terminal.ends(0)
    finally:
        if terminal.child.poll() is None:
            terminal.child.kill()


main()
