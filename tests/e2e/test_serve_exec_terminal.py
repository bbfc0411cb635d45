# SPDX-License-Identifier: Apache-2.0
"""containerapp exec from a terminal: one in the container for it, its size and its keys, and ours as it was afterwards."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from conftest import oomlab_binary
from execs import SLEEP, arguments, create, mark, needs_images, processes
from layouts import Layout, directory, layer, program, symlink
from serving import APPS, WAIT, Serve, app_body, until


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("terminal") / "serve", "--allow-any-size").start()
    server.prepare()
    create(server, "web", app_body(SLEEP, memory="256Mi"))
    yield server
    assert server.get("/healthz") == "ok\n"
    server.stop()


class Terminal:
    """A client in a terminal of its own, as a person has it."""

    def __init__(self, serve, command, app="web", rows=24, columns=80, **env):
        self.fd, inside = pty.openpty()
        self.inside = inside
        self.text = ""
        self.resize(rows, columns)
        self.before = termios.tcgetattr(inside)
        env = {**os.environ, "OOMLAB_SERVER": str(serve.socket), "TERM": "vt220", **env}

        def take():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.client = subprocess.Popen([oomlab_binary(), *arguments(command, app)], env=env, stdin=inside, stdout=inside,
                                       stderr=inside, start_new_session=True, preexec_fn=take)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, wanted, seconds=30):
        """What has come up to and with the wanted text, which is then behind us."""
        deadline = time.monotonic() + seconds
        while wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {wanted!r} in {self.text!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        before, _, self.text = self.text.partition(wanted)
        return before + wanted

    def end(self):
        """Exit status; the terminal is as it was."""
        end = time.monotonic() + 30
        while self.client.poll() is None:  # its last words must not fill the terminal
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.02)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        assert termios.tcgetattr(self.inside) == self.before
        return self.client.returncode

    def close(self):
        if self.client.poll() is None:
            self.client.kill()
            self.client.wait()
        os.close(self.inside)
        os.close(self.fd)


@pytest.fixture
def terminal(serve):
    made = []

    def make(command, **more):
        made.append(Terminal(more.pop("server", serve), command, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_it_is_a_terminal_of_its_own(terminal):
    shell = terminal("sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo TERM=$TERM; stty size; exit 3'", rows=31, columns=97)
    said = shell.read("31 97\r\n")
    assert said.startswith("/dev/pts/"), said
    assert "all\r\n" in said
    assert "TERM=" in said
    assert os.ttyname(shell.inside) not in said.split()
    assert shell.end() == 3


def test_its_size_follows(terminal):
    shell = terminal("sh -c 'trap \"stty size\" WINCH; echo ready; while :; do sleep 0.05; done'")
    shell.read("ready\r\n")
    shell.resize(40, 111)
    shell.read("40 111\r\n")
    shell.resize(10, 20)
    shell.read("10 20\r\n")
    shell.type("\x03")
    assert shell.end() == 130


def test_a_person_at_a_shell(terminal):
    name = mark()
    shell = terminal(None)
    shell.type("PS1=; echo $((6 * 7))\r")
    shell.read("42\r\n")
    shell.type(f"sh -c 'sleep 100000; : {name}'\r")
    until(lambda: processes(name), "it runs")
    shell.type("\x03")
    shell.type("echo after-$?\r")
    shell.read("after-130\r\n")
    shell.type("exit 7\r")
    assert shell.end() == 7


def test_the_end_of_input_is_a_key(terminal):
    shell = terminal("cat")
    shell.type("a line\r")
    shell.read("a line\r\na line\r\n")
    shell.type("\x04")
    assert shell.end() == 0


def test_our_terminal_is_raw_meanwhile(terminal):
    shell = terminal("sh -c 'stty raw -echo; echo ready; head -c 4 | od -An -tx1'")
    shell.read("ready")
    shell.type("\x03\x1a\x11\r")
    shell.read("03 1a 11 0d")
    assert shell.end() == 0


def test_much_output(terminal):
    shell = terminal("sh -c 'seq 200000'")
    said = shell.read("\r\n200000\r\n")
    assert said.split() == [str(i) for i in range(1, 200001)]
    assert shell.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_restores_the_terminal(terminal, number):
    name = mark()
    shell = terminal(f"sh -c 'echo ready; sleep 100000; : {name}'")
    shell.read("ready\r\n")
    shell.client.send_signal(number)
    assert shell.end() == 128 + number
    until(lambda: not processes(name), "the command is gone")


def test_a_client_that_is_killed(terminal):
    """Also what ignores that its terminal hangs up."""
    name = mark()
    shell = terminal(f"sh -c 'trap : HUP; (trap : HUP; sleep 100000; : {name}) & echo ready; sleep 100000; wait; : {name}'")
    shell.read("ready\r\n")
    shell.client.kill()
    shell.client.wait(30)
    until(lambda: not processes(name), "the command is gone")


def test_a_command_that_is_not_there(terminal):
    shell = terminal("not-there-at-all")
    shell.read("command not found: 'not-there-at-all'")
    assert shell.end() == 127


def test_a_child_in_the_background_does_not_hold_the_client(terminal):
    shell = terminal("sh -c 'trap : HUP; sleep 5 & echo there'")
    shell.read("there\r\n")
    assert shell.end() == 0


def test_nobody_types_and_nobody_reads(serve, terminal):
    """A command that floods a terminal whose keys nobody reads: serve goes on."""
    shell = terminal("sh -c 'stty raw; yes'")
    shell.read("y")
    with contextlib.suppress(BlockingIOError):
        os.set_blocking(shell.fd, False)
        for _ in range(100):
            os.write(shell.fd, b"x" * 1000)
    assert serve.get("/healthz") == "ok\n"


def test_serve_is_gone(tmp_path, terminal, no_leftovers):
    server = Serve(tmp_path / "serve", "--allow-any-size").start()
    server.prepare()
    create(server, "web", app_body(SLEEP, memory="64Mi"))
    shell = terminal("sh -c 'echo ready; sleep 100000'", server=server)
    shell.read("ready\r\n")
    server.kill()
    shell.read("the connection to oomlab serve is lost")
    assert shell.end() == 1
    server.start()
    server.stop()


def test_in_an_image(tmp_path, terminal, no_leftovers):
    """Of its own /dev/pts, and as its user."""
    needs_images()
    layout = Layout(tmp_path / "layout")
    layout.image(layer(directory("bin"), program("bin/busybox"), *[symlink(f"bin/{n}", "busybox") for n in ("sh", "tty", "id", "stty")]),
                 tag="t", config={"User": "5:6", "Entrypoint": ["/bin/busybox", "sh", "-c", WAIT]})
    server = Serve(tmp_path / "serve", "--allow-any-size").start()
    server.prepare()
    try:
        create(server, "image", app_body(None, image=f"oci:{layout.path}:t", memory="64Mi"))
        shell = terminal("sh -c 'tty; id -u; echo $TERM; : </dev/tty && echo opened; exit 4'", app="image", server=server)
        assert shell.read("opened\r\n") == "/dev/pts/0\r\n5\r\nvt220\r\nopened\r\n"
        assert shell.end() == 4
        assert server.ask("DELETE", f"{APPS}/image")[0] in (202, 204)
    finally:
        server.stop()
