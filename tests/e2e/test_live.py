# SPDX-License-Identifier: Apache-2.0
"""The live view of `oomlab run`, on a terminal that is emulated: what a person sees, and that the terminal is as it was
afterwards. What it draws for which figures is in tests/unit/lab/test_live_view.c."""

import json
import os
import re
import select
import signal
import termios
import time

import pytest

from conftest import oomlab_binary

pexpect = pytest.importorskip("pexpect", reason="python3-pexpect is not installed")
pyte = pytest.importorskip("pyte", reason="python3-pyte is not installed")
pytestmark = pytest.mark.usefixtures("no_leftovers")

LAB = ("run", "--ready", "http:/health", "--request", "GET /work", "--idle", "300ms", "--gap", "200ms", "--cooldown",
       "300ms", "--memory", "48Mi", "--raise", "64Mi", "--arms", "trigger,raise", "--kills", "2", "--env",
       "MODE=leak-per-request", "--cycles", "4", "--per-cycle", "60", "--rate", "40/s", "--", "oomlab", "workload")
LONG = [word if word != "300ms" else "60s" for word in LAB]
ESCAPE = b"\x1b"


class Terminal:
    """oomlab on a terminal; `seen` is every byte, `lines()` what stands on the screen."""

    def __init__(self, state, arguments, rows=30, columns=100, program=None, **env):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES")}
        self.child = pexpect.spawn(program or oomlab_binary(), list(map(str, arguments)), dimensions=(rows, columns), env={
            **clean, "XDG_STATE_HOME": str(state), "TERM": "xterm-256color", "LANG": "C.UTF-8", **env})
        self.modes = termios.tcgetattr(self.child.child_fd)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def feed(self, timeout):
        try:
            data = self.child.read_nonblocking(65536, timeout=timeout)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.seen += data
        self.stream.feed(data)
        return True

    def until(self, pattern, seconds=60):
        """Feed the screen until it shows the pattern; the match."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text(), re.MULTILINE)):
            assert self.feed(0.2), f"ended before {pattern!r}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {pattern!r}:\n{self.text()}"
        return found

    def end(self, seconds=90):
        """Read to the end; the exit status as a shell has it."""
        deadline = time.monotonic() + seconds
        while self.feed(0.5):
            assert time.monotonic() < deadline, self.text()
        self.child.close()
        return self.child.exitstatus if self.child.signalstatus is None else 128 + self.child.signalstatus

    def resize(self, rows, columns):
        """As most terminals do it: lines that are too long are broken, and the cursor stays at its character."""
        before, cursor = self.lines(), self.screen.cursor
        broken, at = [], 0
        for y, line in enumerate(before[:max(cursor.y + 1, len([*filter(None, before)]))]):
            if y == cursor.y:
                at = len(broken)
            broken += [line[x:x + columns] for x in range(0, len(line), columns)] or [""]
        gone = max(0, at + 1 - rows)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.stream.feed("\r\n".join(broken[gone:gone + rows]).encode())
        self.screen.cursor_position(at - gone + 1, 1)
        self.child.setwinsize(rows, columns)

    def assert_restored(self):
        assert not self.screen.cursor.hidden and self.screen.cursor.attrs == pyte.screens.Char(" ")
        assert self.screen.cursor.x == 0
        assert not re.search(r"at most .* left|stopping: ", self.text()), self.text()
        # No mode was ever switched: no alternate screen, no hidden cursor, no mouse.
        assert not re.search(rb"\x1b\[\?|\x1b[=>78]", self.seen)


@pytest.fixture(name="start")
def start_on_a_terminal(tmp_path):
    """Makes terminals; what still runs on one when the test is over is ended."""
    started = []

    def start(arguments, **more):
        started.append(Terminal(tmp_path, arguments, **more))
        return started[-1]
    yield start
    for terminal in started:
        if terminal.child.isalive():
            terminal.child.kill(signal.SIGTERM)
            terminal.end()


def panel(terminal):
    """The lines of the view, from the bar on."""
    lines = terminal.lines()
    bars = [i for i, line in enumerate(lines) if re.search(r", (at most )?[\d:]+ left$", line)]
    assert len(bars) == 1, terminal.text()
    return [line for line in lines[bars[0]:] if line]


def test_a_run_as_it_goes_on(start, tmp_path):
    terminal = start(LAB)
    terminal.until(r"^ service +▶ trigger  · raise$")
    terminal.until(r"service/trigger  idle, 0/240 requests$")
    terminal.until(r"service/trigger  cycle 1 of 4, [1-9]\d*/240 requests")
    terminal.until(r"[\d.]+ MiB, \d+ % of the limit  \+[\d.]+ (KiB|MiB) per request, at the limit in about \d+ requests")
    terminal.until(r"▶ trigger ✗1")
    while select.select([terminal.child.child_fd], [], [], 0.02)[0]:
        terminal.feed(0)  # a read may end in the middle of a picture
    bar, arms, status, memory, limit, *bars = panel(terminal)
    assert re.fullmatch(r" █*░+ +\d+ %  .*, at most .* left", bar) and "· raise" in arms
    assert status.startswith(" service/trigger  ")
    assert limit.startswith("     48Mi ─") and limit.count("✗") == 1 and len(limit) == 99
    assert len(bars) == 8 and bars[-1].startswith("        0 ")
    # It rose to its limit: the highest row of bars ends where the kill stands, give or take the last sample's.
    assert abs(max(i for i, c in enumerate(bars[0]) if c != " ") - limit.index("✗")) <= 3, terminal.text()
    terminal.until(r"✓ trigger ✗2  ▶ raise")
    terminal.until(r"^ +64Mi ─")
    assert terminal.end() == 3
    terminal.assert_restored()
    assert "VERDICT: memory leak" in terminal.text()
    (result,) = tmp_path.rglob("result.json")
    arms = json.loads(result.read_text(encoding="utf-8"))["arms"]
    # What is logged goes on above, each line once.
    assert [terminal.seen.count(f"service/{arm['name']}  lifetime ".encode()) for arm in arms] == [
        arm["oom_kills"] for arm in arms]


STUCK = """
import http.server, sys, time, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            time.sleep(60)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_requests_in_flight_are_waited_for(start):
    """While nothing is answered the rest has the time-out in it, and no arm that goes on is at 100 % or counts back."""
    terminal = start(("run", "--ready", "http:/health", "--request", "GET /stuck", "--idle", "200ms", "--gap", "100ms",
                      "--cooldown", "200ms", "--memory", "64Mi", "--arms", "trigger", "--cycles", "1", "--per-cycle", "20",
                      "--rate", "20/s", "--", "/usr/bin/python3", "-c", STUCK))
    terminal.until(r"cycle 1 of 1, [1-9]")
    counts, rests, shares = [], [], []
    deadline = time.monotonic() + 60
    while terminal.feed(0.1) and "VERDICT" not in terminal.text():
        assert time.monotonic() < deadline, terminal.text()
        if found := re.search(r"service/trigger  .*, (\d+)/20 requests", terminal.text()):
            counts.append(int(found.group(1)))
        if found := re.search(r"(\d+) %  \S+, at most (\S+) left", terminal.text()):
            shares.append(int(found.group(1)))
            rests.append(found.group(2))
    assert counts == sorted(counts) and counts[-1] == 20, counts
    assert "0:08" in rests and "0:00" not in rests, rests
    assert max(shares) < 100, shares


CHILDREN = STUCK.replace("time.sleep(60)", 'os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", "x = bytes([1]) * 2**28"])')


@pytest.mark.skipif(os.path.exists("/sys/fs/cgroup/cgroup.controllers"), reason="v2 kills the whole container: an end")
def test_a_childs_kill_is_marked(start):
    terminal = start(("run", "--ready", "http:/health", "--request", "GET /child", "--idle", "200ms", "--cooldown", "3s",
                      "--memory", "64Mi", "--arms", "trigger", "--cycles", "1", "--per-cycle", "2", "--rate", "1/s", "--",
                      "/usr/bin/python3", "-c", CHILDREN))
    terminal.until(r"requests, 1 child process killed\n[\s\S]*64Mi ─*✗")
    assert "▶ trigger ✗" not in terminal.text(), terminal.text()  # no end of the container


def test_colour_and_characters_as_the_environment_asks(start):
    terminal = start(LAB, NO_COLOR="1", LANG="C")
    terminal.until(r"> trigger x1")
    limit = terminal.until(r"^ +48Mi -[-x]*x[-x]*$").group()  # a read may end in the middle of a picture
    assert limit.count("x") == 1
    terminal.child.kill(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.seen) and terminal.seen.isascii()
    terminal.assert_restored()


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(start, env):
    terminal = start(LAB, **env)
    assert terminal.end() == 3
    assert ESCAPE not in terminal.seen and b"VERDICT: memory leak" in terminal.seen
    assert b"% of the limit" not in terminal.seen and b"/240 requests" not in terminal.seen


@pytest.mark.parametrize("redirect", [">/dev/null", "2>/dev/null", ">/dev/null 2>&1"])
def test_only_where_both_outputs_are_a_terminal(start, redirect):
    command = " ".join(f"'{word}'" for word in (oomlab_binary(), *LAB))
    terminal = start(["-c", f"{command} {redirect}"], program="/bin/sh")
    assert terminal.end() == 3
    assert b"% of the limit" not in terminal.seen
    if redirect != ">/dev/null":  # there stderr alone has its one line
        assert b"\x1b[K" not in terminal.seen


def test_it_follows_the_terminals_size(start):
    terminal = start(LONG)
    terminal.until(r"^        0 [▁▂▃▄▅▆▇█]")
    for rows, columns in ((12, 60), (30, 140), (8, 40), (24, 80)):
        terminal.resize(rows, columns)
        width = min(columns - 11, 256)
        expected = rf"^ +48Mi ─{{{width}}}$" if rows >= 9 else r"^ service/trigger  idle"
        terminal.until(expected)
        assert len(panel(terminal)) <= rows - 1 and max(map(len, terminal.lines())) <= columns - 1
    terminal.resize(4, 80)  # too low for any of it
    terminal.until(r"\A(?![\s\S]*at most)[\s\S]*\Z")
    terminal.resize(24, 80)
    terminal.until(r"at most .* left")
    terminal.child.sendintr()
    assert terminal.end() == 128 + signal.SIGINT
    terminal.assert_restored()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_leaves_the_terminal_as_it_was(start, number):
    terminal = start(LONG)
    terminal.until(r"service/trigger  idle")
    if number == signal.SIGINT:
        terminal.child.sendintr()  # as Ctrl-C
    else:
        terminal.child.kill(number)
    while terminal.feed(0.5):
        assert termios.tcgetattr(terminal.child.child_fd) == terminal.modes
    assert terminal.end() == 128 + number
    terminal.assert_restored()
    assert "This run was interrupted" in terminal.text()
