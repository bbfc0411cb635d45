# SPDX-License-Identifier: Apache-2.0
"""What the virtual machines of the tests share: packages, the guest's script, the console, the end.

A guest boots with this machine's files as its root, runs one command, prints VMREADY before and
VMEXIT=<status> after it, and powers off. uml.py and qemu.py know how to boot; this file knows the rest.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("OOMLAB_VM_CACHE", TREE / ".cache" / "vm"))
READY = b"VMREADY"
EXIT = re.compile(rb"^VMEXIT=(\d+)$")

# Exit status of `run` when the guest itself went wrong; the command's own status otherwise.
STATUS_UNAVAILABLE = 77
STATUS_DEADLINE = 124
STATUS_NO_RESULT = 125

PR_SET_CHILD_SUBREAPER = 36


class Unavailable(Exception):
    """This machine cannot boot the guest; the text says what is missing and what to do."""


def apt_download(package: str, directory: Path) -> None:
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0 and os.geteuid() == 0:
        # A fresh machine has no package lists, an old one has lists of packages that are gone.
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"cannot download the package {package} ({reason}); run apt-get update")


def unpacked(package: str) -> Path:
    """The contents of a Debian package, downloaded once; nothing is installed."""
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise Unavailable(f"{tool} is missing: the guest's kernel comes from a Debian package")
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / package
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            apt_download(package, Path(scratch))
            (deb,) = Path(scratch).glob("*.deb")
            contents = Path(scratch, "contents")
            subprocess.run(["dpkg-deb", "-x", deb, contents], check=True)
            contents.rename(target)
    return target


def busybox() -> Path:
    return unpacked("busybox-static") / "bin" / "busybox"


def enable_controllers() -> str:
    """Shell text: cgroup v2 with every controller that the tests use and this kernel has."""
    return """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in memory pids cpu; do
    echo +$controller > /sys/fs/cgroup/cgroup.subtree_control
done 2>/dev/null
"""


def run_command(kind: str, command: list[str], env: dict[str, str], directory: Path) -> str:
    """Shell text: run the command with a small, known environment and report its status."""
    settings = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/tmp/home",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "OOMLAB_GUEST": kind,
        **env,
    }
    assignments = " ".join(shlex.quote(f"{key}={value}") for key, value in settings.items())
    return f"""
mkdir -p /tmp/home
echo {READY.decode()}
cd {shlex.quote(str(directory))} &&
env -i {assignments} {shlex.join(command)} < /dev/null
status=$?
# The command's last line may lack its end.
echo
echo VMEXIT=$status
"""


class Console:
    """Splits what the guest prints: the command's lines go on to stdout, the rest is kept."""

    def __init__(self, verbose: bool):
        self.verbose = verbose
        self.log: list[bytes] = []
        self.status: int | None = None
        self.ready_at: float | None = None
        self.pending = b""

    def feed(self, data: bytes) -> None:
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.line(line.rstrip(b"\r"))

    def line(self, line: bytes) -> None:
        match = EXIT.match(line)
        shown = self.verbose
        if self.ready_at is None:
            if line == READY:
                self.ready_at = time.monotonic()
        elif match:
            self.status = int(match.group(1))
        elif self.status is None:
            shown = True
        self.log.append(line)
        if shown:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


def kill_descendants() -> None:
    """End every process that the guest left. All of them are our children: we are their subreaper."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def session_of(stat: str) -> int:
    # The command in parentheses may hold blanks.
    return int(stat.rpartition(")")[2].split()[3])


def kill_session(session: int) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if session_of((entry / "stat").read_text(encoding="utf-8")) == session:
                os.kill(int(entry.name), signal.SIGKILL)


def start_guard() -> int:
    """A process that outlives us even after SIGKILL, to end the machine and clear its scratch.

    Returns a pipe: the guard acts on the machine whose session is written there, once it closes.
    """
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(reader)
        return writer
    os.setsid()
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        session, _, scratch = pipe.read().partition(" ")
    if session:
        kill_session(int(session))
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def boot(
    argv: list[str], env: dict[str, str], scratch: Path, deadline_s: float, verbose: bool
) -> int:
    """Run the machine until it reported and ended. Returns the status for our own exit."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    started = time.monotonic()
    console = Console(verbose)
    guard = start_guard()
    machine = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.write(guard, f"{machine.pid} {scratch}".encode())
    expired = False
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(machine.stdout, selectors.EVENT_READ)
            while console.status is None:
                left = started + deadline_s - time.monotonic()
                if left <= 0 or not selector.select(left):
                    expired = True
                    break
                data = os.read(machine.stdout.fileno(), 65536)
                if not data:
                    break
                console.feed(data)
        ended = time.monotonic()
    finally:
        # What is worth keeping was printed before VMEXIT; a power-off has nothing to add.
        kill_descendants()
    return conclude(console, expired, started, ended, deadline_s)


def conclude(
    console: Console, expired: bool, started: float, ended: float, deadline_s: float
) -> int:
    if console.ready_at is not None:
        boot_s, run_s = console.ready_at - started, ended - console.ready_at
        print(f"guest: booted in {boot_s:.1f} s, ran for {run_s:.1f} s", file=sys.stderr)
    if console.status is not None:
        return console.status
    if not console.verbose:
        for line in console.log[-40:]:
            sys.stderr.buffer.write(b"guest: " + line + b"\n")
    if expired:
        print(f"guest: stopped after {deadline_s:.0f} s", file=sys.stderr)
        return STATUS_DEADLINE
    print("guest: ended without a result", file=sys.stderr)
    return STATUS_NO_RESULT


def parser(description: str) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The command line that every machine has: `run [options] -- COMMAND...`."""
    main = argparse.ArgumentParser(description=description)
    run = main.add_subparsers(dest="verb", required=True).add_parser("run", help="run a command")
    run.add_argument("--deadline", type=float, default=300, metavar="SECONDS")
    run.add_argument("--memory", default="512M", help="the machine's memory (default 512M)")
    run.add_argument("--directory", type=Path, default=TREE, help="where the command starts")
    run.add_argument("--share", type=Path, help="this directory is writable as /mnt/share")
    run.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--verbose", action="store_true", help="show the whole console")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return main, run


def command_of(options: argparse.Namespace) -> list[str]:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise SystemExit("no command given")
    return command


def environment_of(options: argparse.Namespace) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in options.env)


def main(run, options: argparse.Namespace) -> int:
    """Call run(options, scratch directory), and say in one line why it cannot."""
    scratch = Path(tempfile.mkdtemp(prefix="oomlab-guest-"))
    try:
        return run(options, scratch)
    except Unavailable as missing:
        print(f"guest: {missing}", file=sys.stderr)
        return STATUS_UNAVAILABLE
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
