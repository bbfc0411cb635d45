# SPDX-License-Identifier: Apache-2.0
"""What a row does to the machine from outside: cgroups of its own, signals, a full kernel log."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = Path(__file__).with_name("programs.py")
PYTHON = "/usr/bin/python3"
MIB = 1 << 20


def cgroup_version() -> int:
    """Which hierarchy has the memory controller."""
    root = Path("/sys/fs/cgroup")
    controllers = root / "cgroup.controllers"
    if controllers.exists() and "memory" in controllers.read_text(encoding="ascii").split():
        return 2
    return 1


def own_memory_cgroup() -> Path:
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if cgroup_version() == 1 and "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/")
        if cgroup_version() == 2 and controllers == "":
            return Path("/sys/fs/cgroup") / path.lstrip("/")
    raise RuntimeError("no memory cgroup")


def memory_cgroup_of(pid: int) -> Path:
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if cgroup_version() == 1 and "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/")
        if cgroup_version() == 2 and controllers == "":
            return Path("/sys/fs/cgroup") / path.lstrip("/")
    raise RuntimeError(f"no memory cgroup of {pid}")


def set_limit(directory: Path, limit: int) -> None:
    name = "memory.limit_in_bytes" if cgroup_version() == 1 else "memory.max"
    (directory / name).write_text(str(limit), encoding="ascii")


def enable_memory_below(directory: Path) -> None:
    if cgroup_version() == 2:
        (directory / "cgroup.subtree_control").write_text("+memory", encoding="ascii")


def enter(directory: Path):
    """A preexec_fn that joins the cgroup."""
    procs = str(directory / "cgroup.procs")

    def join():
        with open(procs, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    return join


@contextlib.contextmanager
def cgroup(name: str, parent: Path | None = None, limit: int | None = None):
    """A cgroup of the test's own, removed afterwards."""
    directory = (parent or own_memory_cgroup()) / f"oomlab-test-{name}"
    directory.mkdir()
    try:
        if limit:
            set_limit(directory, limit)
        yield directory
    finally:
        deadline = time.monotonic() + 5
        while True:
            try:
                directory.rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # members that are being torn down


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text(encoding="ascii").split()]
    return found


class KernelLog:
    """Whether the kernel's reports appear: new lines since the last look."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def shows_report_of(self, cgroup_name: str) -> bool:
        shown = False
        while True:
            try:
                record = os.read(self.fd, 8192)
            except BlockingIOError:
                return shown
            except BrokenPipeError:
                continue
            shown |= b"oom-kill:" in record and cgroup_name.encode() in record

    def close(self):
        os.close(self.fd)


def burn(directory: Path, times: int) -> None:
    command = ["/bin/sh", "-c", "x=xxxxxxxx; while :; do x=$x$x; done"]
    burners = [subprocess.Popen(command, preexec_fn=enter(directory), stderr=subprocess.DEVNULL)
               for _ in range(times)]
    if any(burner.wait() != -signal.SIGKILL for burner in burners):
        raise RuntimeError("a burner of the log was not killed")


def burn_kernel_log(name: str) -> None:
    """Use up what the kernel grants, ten OOM reports in five seconds, at the beginning of such five
    seconds: first wait them out, then see a report, then see none."""
    log_reader = KernelLog()
    try:
        with cgroup(f"burn-{name}", limit=4 * MIB) as directory:
            for wanted in (False, True, False):
                deadline = time.monotonic() + 30
                while True:
                    if not wanted:
                        burn(directory, 12)
                    log_reader.shows_report_of(directory.name)
                    burn(directory, 1)
                    if log_reader.shows_report_of(directory.name) == wanted:
                        break
                    if time.monotonic() > deadline:
                        raise RuntimeError("the kernel log is not rate limited")
    finally:
        log_reader.close()


def unreadable_log() -> list[str] | None:
    """A prefix that takes the right to read the kernel log; None when this machine has no such lock."""
    restrict = Path("/proc/sys/kernel/dmesg_restrict")
    if not restrict.exists() or restrict.read_text(encoding="ascii").strip() != "1":
        return None
    if not shutil.which("setpriv"):
        return None
    return ["setpriv", "--bounding-set", "-syslog", "--inh-caps", "-syslog"]


def hog(mebibytes: int, directory: Path) -> subprocess.Popen:
    """A process that holds so much, in that cgroup; started when it has it."""
    text = (f"import sys; kept = bytearray({mebibytes} << 20)\n"
            "print('full', flush=True); sys.stdin.read()")
    process = subprocess.Popen([PYTHON, "-c", text], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, preexec_fn=enter(directory))
    if process.stdout.readline().strip() != b"full":
        raise RuntimeError("the neighbour did not get its memory")
    return process


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
