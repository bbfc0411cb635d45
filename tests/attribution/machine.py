# SPDX-License-Identifier: Apache-2.0
"""What a row does to the machine from outside: cgroups of its own, signals, a full kernel log."""

import contextlib
import os
import select
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
        control = directory / "cgroup.subtree_control"
        control.write_text("+memory", encoding="ascii")
        with contextlib.suppress(OSError):  # a container's cgroup has no more than memory
            control.write_text("+pids", encoding="ascii")


def enter(directory: Path | None):
    """A preexec_fn that joins the cgroup; None: it stays where it is."""
    if directory is None:
        return lambda: None
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
    """Whether the kernel's reports appear: new lines since the last look. Each kill has its line; the report
    before it ("oom-kill:") is left out when anybody's kills have used up ten in five seconds."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def new_records(self):
        while True:
            try:
                yield os.read(self.fd, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue

    def shows_report_of(self, cgroup_name: str) -> bool:
        name = cgroup_name.encode()
        return any([b"oom-kill:" in record and name in record for record in self.new_records()])

    def lost_reports(self) -> bool:
        """Of single kills: of a group's there is one report for all."""
        records = list(self.new_records())
        return sum(b"Killed process " in r for r in records) > sum(b"oom-kill:" in r for r in records)

    def close(self):
        os.close(self.fd)


def burn(directory: Path, times: int) -> None:
    """So many kills at the same moment: the processes are there before the first of them grows."""
    reader, writer = os.pipe()
    burners = [start_burner(directory, reader, writer) for _ in range(times)]
    os.close(reader)
    os.close(writer)
    ends = [os.waitpid(burner, 0)[1] for burner in burners]
    if any(not os.WIFSIGNALED(end) or os.WTERMSIG(end) != signal.SIGKILL for end in ends):
        raise RuntimeError("a burner of the log was not killed")


def start_burner(directory: Path, reader: int, writer: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            enter(directory)()
            os.close(writer)
            os.read(reader, 1)  # its end is the signal to all
            bytearray(b"x" * (64 * MIB))
        finally:
            os._exit(1)
    return pid


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
                        raise TimeoutError("the kernel log is not rate limited")
    finally:
        log_reader.close()


ORDINARY_USER = 65534


class LockedLog:
    """How the kernel log is kept from oomlab here: v1 by taking CAP_SYSLOG, which is no lock on
    6.1 (CAP_SYS_ADMIN passes), v2 by being an ordinary user in a cgroup that was delegated."""

    restrict = Path("/proc/sys/kernel/dmesg_restrict")

    def __init__(self):
        self.delegated = cgroup_version() == 2
        if os.environ.get("OOMLAB_GUEST") and os.geteuid() == 0 and self.restrict.exists():
            self.restrict.write_text("1", encoding="ascii")  # a machine of our own

    def reason_not(self) -> str | None:
        if not self.restrict.exists() or self.restrict.read_text(encoding="ascii").strip() != "1":
            return "the kernel log is open to all here (kernel.dmesg_restrict is not 1)"
        if not self.delegated and not shutil.which("setpriv"):
            return "setpriv is not installed"
        return None

    def prefix(self) -> list[str]:
        drop = ["setpriv", "--bounding-set", "-syslog", "--inh-caps", "-syslog"]
        return [] if self.delegated else drop

    def preexec(self, join):
        """After join(), where oomlab runs as an ordinary user."""
        def become():
            join()
            os.setgroups([])
            os.setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
            os.setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
        return become if self.delegated else join


def delegate(directory: Path) -> None:
    """What systemd does for a user's session (cgroups(7), "Delegation")."""
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(directory / name, ORDINARY_USER, ORDINARY_USER)


def hog(mebibytes: int, directory: Path) -> subprocess.Popen:
    """A process that holds so much, in that cgroup; started when it has it."""
    text = (f"import sys; kept = bytearray({mebibytes} << 20)\n"
            "print('full', flush=True); sys.stdin.read()")
    process = subprocess.Popen([PYTHON, "-c", text], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, preexec_fn=enter(directory))
    if process.stdout.readline().strip() != b"full":
        raise RuntimeError("the neighbour did not get its memory")
    return process


def memory_of_machine(key: str) -> int:
    """A line of /proc/meminfo, in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/meminfo has no {key}")


def wait_until_killed(pid: int) -> None:
    deadline = time.monotonic() + 60
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ended = poll.poll(60_000)
        os.close(fd)
        if not ended or time.monotonic() > deadline:
            raise RuntimeError(f"nobody killed {pid}")


def fill_until_killed(pid: int) -> None:
    """Take memory until the kernel has none left and kills that process, not us."""
    text = ("import sys\nkept = []\n"
            "while True: kept.append(b'x' * (4 << 20))")

    def spare():
        Path("/proc/self/oom_score_adj").write_text("-1000", encoding="ascii")
    filler = subprocess.Popen([PYTHON, "-c", text], preexec_fn=spare)
    try:
        wait_until_killed(pid)
    finally:
        filler.kill()
        filler.wait()


@contextlib.contextmanager
def service(name: str, command: list[str]):
    """A transient service of systemd's, so that its words go into the journal."""
    subprocess.run(["systemd-run", "--quiet", "--collect", f"--unit={name}", *command], check=True)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "stop", name], check=True)


@contextlib.contextmanager
def oomd_watches(directory: Path):
    """systemd-oomd as its package has it, put into this guest, and quick to act: one second of
    pressure above 1 % on the scope that holds this cgroup."""
    scope = next(name for name in reversed(directory.parts) if name.endswith(".scope"))
    shutil.copytree(os.environ["OOMLAB_OOMD_PACKAGE"], "/", symlinks=True, dirs_exist_ok=True)
    settings = Path("/run/systemd/oomd.conf.d/quick.conf")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[OOM]\nDefaultMemoryPressureDurationSec=1s\n", encoding="ascii")
    for command in (
        ["systemd-sysusers"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "reload", "dbus"],
        ["systemctl", "set-property", "--runtime", scope, "ManagedOOMMemoryPressure=kill",
         "ManagedOOMMemoryPressureLimit=1%"],
        ["systemctl", "start", "systemd-oomd"],
    ):
        subprocess.run(command, check=True, stdout=sys.stderr)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "stop", "systemd-oomd"], check=True)


def earlyoom_command() -> list[str]:
    """It kills at less memory than there is now, and not once the victim's has come back."""
    percent = 100 * memory_of_machine("MemAvailable") // memory_of_machine("MemTotal")
    return [shutil.which("earlyoom"), "-r", "0", "-m", f"{percent + 5},{percent + 5}", "-s", "100"]


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
