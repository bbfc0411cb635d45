#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run the table of attribution rows through the real `oomlab run` and print the confusion matrix.

Exit status: 0 every answer was the truth, 1 some was not, 77 nothing could run.
"""

import argparse
import contextlib
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import matrix
from table import LEVELS, ROWS, Row

TREE = Path(__file__).resolve().parents[2]
DEADLINE_S = float(os.environ.get("OOMLAB_ROW_DEADLINE", "30"))


def oomlab_binary() -> str:
    build = Path(os.environ.get("BUILD_DIR", TREE / "build"))
    return os.environ.get("OOMLAB", str(build / "src" / "cli" / "oomlab"))


class Wrong(Exception):
    """The row could not be played as its script says."""


class NotStaged(Wrong):
    """The kernel log was not as the row wants it: its five seconds of silence were over before the kill, or
    others' kills on this machine had used it up."""


TRIES = 20  # a guest on a busy machine is slow


# --- one run --------------------------------------------------------------------------------------


class Actions:
    """What the runner does when the program has come to the meeting."""

    def __init__(self, directory: Path, process: subprocess.Popen):
        self.directory, self.process = directory, process

    def main_pid(self) -> int:
        for child in machine.children_of(self.process.pid):
            if "NSpid" in Path(f"/proc/{child}/status").read_text(encoding="utf-8"):
                status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
                (pids,) = [line for line in status.splitlines() if line.startswith("NSpid:")]
                if pids.split()[-1] == "1":
                    return child
        raise Wrong("oomlab has no container")

    def open_fifo(self, name: str, flags: int) -> int:
        """Come to the meeting, but not for ever: the program may have died before it."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError):
                return os.open(self.directory / name, flags | os.O_NONBLOCK)
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Wrong(f"the program did not come to '{name}'")
            time.sleep(0.002)

    def arrive(self) -> None:
        fifo = os.open(self.directory / "here", os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(fifo, select.POLLIN | select.POLLHUP)
            # A FIFO that nobody has opened yet neither hangs up nor has data.
            deadline = time.monotonic() + DEADLINE_S
            while not poll.poll(50):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Wrong(f"no meeting: oomlab's status is {self.process.returncode}")
        finally:
            os.close(fifo)

    def send_on(self) -> None:
        os.close(self.open_fifo("go", os.O_WRONLY))

    def go(self):
        self.send_on()

    def no_group(self):
        if machine.cgroup_version() == 2:
            directory = machine.memory_cgroup_of(self.main_pid())
            (directory / "memory.oom.group").write_text("0", encoding="ascii")
        self.send_on()

    def no_group_then_kill(self):
        self.no_group()
        self.arrive()
        time.sleep(0.2)  # the child's kill must not be mistaken for this one, however close
        os.kill(self.main_pid(), signal.SIGKILL)

    def kill(self):
        os.kill(self.main_pid(), signal.SIGKILL)

    def kill_as_oomd(self):
        """What systemd-oomd does, in its order (oomd_cgroup_kill())."""
        main = self.main_pid()
        directory = machine.memory_cgroup_of(main)
        os.setxattr(directory, "user.oomd_ooms", b"1")
        os.kill(main, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):  # as oomd does: the cgroup may be gone already
            os.setxattr(directory, "user.oomd_kill", b"1")

    def fill_machine(self):
        """All of the machine's memory, by somebody whom the kernel may not kill."""
        machine.fill_until_killed(self.main_pid())

    def earlyoom(self):
        """The real one, as a service; it is content when the container is gone."""
        with machine.service("earlyoom", machine.earlyoom_command()):
            machine.wait_until_killed(self.main_pid())

    def oomd(self):
        """The real systemd-oomd; its manager is told to watch the container's scope."""
        main = self.main_pid()
        with machine.oomd_watches(machine.memory_cgroup_of(main)):
            self.send_on()
            machine.wait_until_killed(main)

    def interrupt(self):
        self.send_on()
        self.process.send_signal(signal.SIGINT)

    def squeeze(self):
        """The limit above shrinks after the start: oomlab refuses one that is too small before."""
        lab = machine.memory_cgroup_of(self.process.pid)
        while lab.name != "oomlab-test-lab":
            lab = lab.parent
        machine.set_limit(lab.parent, 96 * machine.MIB)
        self.send_on()

    def nest(self, pid: int):
        """A smaller cgroup below the container's, and the process in it."""
        outer = machine.memory_cgroup_of(self.main_pid())
        inner = outer / "inner"
        inner.mkdir()
        if machine.cgroup_version() == 2:
            other = outer / "rest"
            other.mkdir()
            for member in (outer / "cgroup.procs").read_text(encoding="ascii").split():
                (other / "cgroup.procs").write_text(member, encoding="ascii")
            machine.enable_memory_below(outer)
        machine.set_limit(inner, 20 * machine.MIB)
        (inner / "cgroup.procs").write_text(str(pid), encoding="ascii")
        self.send_on()

    def nest_child(self):
        (child,) = machine.children_of(self.main_pid())
        self.nest(child)

    def nest_main(self):
        self.nest(self.main_pid())


def command_of(row: Row, directory: Path) -> list[str]:
    if not row.command:
        return [machine.PYTHON, str(machine.PROGRAMS), row.program]
    words = {"{programs}/Grow.java": str(TREE / "tests" / "attribution" / "Grow.java")}
    if "{c++}" in row.command:
        words["{c++}"] = str(directory / "grow")
        subprocess.run(["g++", "-o", directory / "grow", TREE / "tests/attribution/grow.cc"],
                       check=True)
    command = [words.get(word, word) for word in row.command]
    return [shutil.which(command[0]) or command[0], *command[1:]]


def argv_of(row: Row, directory: Path) -> list[str]:
    prefix = machine.LockedLog().prefix() if row.log == "unreadable" else []
    # The program decides when it ends: the traffic is one request and a long wait.
    return [*prefix, oomlab_binary(), "run", "--quiet", "--format", "json", "--output",
            str(directory / "run"), "--memory", row.memory, "--arms", "trigger", "--kills", "1",
            "--ready", "none", "--cycles", "1", "--per-cycle", "1", "--idle", "10ms", "--gap",
            "10ms", "--cooldown", f"{DEADLINE_S - 5:.0f}s", "--deadline", f"{DEADLINE_S:.0f}s", "--backoff",
            "10ms,10ms", "--env", f"OOMLAB_ROW={directory}", *row.options, "--",
            *command_of(row, directory)]


@contextlib.contextmanager
def place_of(row: Row, name: str):
    """Where oomlab runs: a cgroup, or None for here."""
    if row.place != "ancestor":
        locked = row.log == "unreadable" and machine.cgroup_version() == 2
        with machine.cgroup(name) if locked else contextlib.nullcontext() as here:
            yield here
        return
    # The neighbour holds 24 MiB, the container may have 80, and Actions.squeeze() leaves them 96.
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(machine.cgroup(name))
        machine.enable_memory_below(parent)
        lab = stack.enter_context(machine.cgroup("lab", parent))
        beside = stack.enter_context(machine.cgroup("beside", parent))
        neighbour = machine.hog(24, beside)
        try:
            yield lab
        finally:
            neighbour.stdin.close()
            neighbour.stdout.close()
            neighbour.wait()


def open_to_all(directory: Path, place: Path | None) -> None:
    """An ordinary user's oomlab writes there."""
    if place and machine.cgroup_version() == 2:
        machine.delegate(place)
    for path in (directory.parent, directory, directory / "here", directory / "go"):
        path.chmod(0o777)


def play_logged(row: Row, directory: Path) -> tuple[dict, list[dict], list[str]]:
    """play(), in a stretch of the kernel log from which nothing was left out. Only v1 has no group kills, and
    may be a machine on which others kill."""
    if row.log or machine.cgroup_version() != 1:
        return play(row, directory)
    log = machine.KernelLog()
    try:
        played = play(row, directory)
        if log.lost_reports():
            raise NotStaged("others' kills had used up the kernel log")
        return played
    finally:
        log.close()


def play(row: Row, directory: Path) -> tuple[dict, list[dict], list[str]]:
    """One run of the row: its result, its events and the proof."""
    for fifo in ("here", "go"):
        os.mkfifo(directory / fifo)
    name = f"{directory.parent.name}-{directory.name}"
    with place_of(row, name) as place:
        preexec = machine.enter(place)
        if row.log == "unreadable":
            preexec = machine.LockedLog().preexec(preexec)
            open_to_all(directory, place)
        process = subprocess.Popen(argv_of(row, directory), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=preexec, text=True)
        try:
            if row.act:
                actions = Actions(directory, process)
                actions.arrive()
                if row.log == "burnt":
                    try:
                        machine.burn_kernel_log(name)
                    except TimeoutError as reason:
                        raise NotStaged(str(reason)) from None
                getattr(actions, row.act)()
            _, err = process.communicate(timeout=DEADLINE_S + 15)
        except Wrong as wrong:
            process.terminate()
            raise type(wrong)(f"{wrong}; {process.communicate()[1].strip()[-300:]}") from None
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate()
    try:
        result = json.loads((directory / "run" / "result.json").read_text(encoding="utf-8"))
    except OSError:
        raise Wrong(f"exit status {process.returncode}, no result: {err.strip()[-300:]}") from None
    events = (directory / "run" / "events.ndjson").read_text(encoding="utf-8").splitlines()
    return result, [json.loads(line) for line in events], [err]


# --- judging --------------------------------------------------------------------------------------


def label(cause: str, child: bool) -> str:
    return cause + (" + oom-child" if child else "")


def first_lifetime_events(events: list[dict]) -> list[dict]:
    found = []
    for event in events:
        found.append(event)
        if event["Reason"] == "ContainerTerminated":
            break
    return found


def judge(row: Row, result: dict, events: list[dict]) -> tuple[str, str, list[str]]:
    """Truth, answer, and what else is wrong."""
    end = result["arms"][0]["lifetimes"][0]["end"]
    child = any(event["Reason"] == "OOMKilledChild" for event in first_lifetime_events(events))
    wanted_child = child if row.child is None else row.child
    least = row.v1 if machine.cgroup_version() == 1 else row.v2
    faults = []
    if end["exit_code"] not in row.exit_code:
        faults.append(f"exit code {end['exit_code']}, not {row.exit_code}")
    if LEVELS.index(end["level"]) < LEVELS.index(least):
        faults.append(f"level {end['level']}, less than {least}")
    for key, value in row.expect.items():
        if end.get(key) != value:
            faults.append(f"{key} {end.get(key)}, not {value}")
    if not any(row.proof in proof for proof in end["proof"]):
        faults.append(f"no proof with '{row.proof}'")
    if row.log == "burnt" and any("oom-kill:" in proof for proof in end["proof"]):
        raise NotStaged("the kernel log was not full: its line is there")
    return label(row.cause, wanted_child), label(end["cause"], child), faults


def reason_to_skip(row: Row) -> str | None:
    if machine.cgroup_version() not in row.versions:
        return f"only on cgroup v{row.versions[0]}"
    if row.needs and not shutil.which(row.needs):
        return f"{row.needs} is not installed"
    if row.guest and not os.environ.get("OOMLAB_GUEST"):
        return "only on a machine that the tests boot"
    if row.journal and not Path("/run/systemd/journal/socket").exists():
        return "no journal: only where systemd runs"
    if row.act == "oomd" and not os.environ.get("OOMLAB_OOMD_PACKAGE"):
        return "OOMLAB_OOMD_PACKAGE does not say where the package systemd-oomd is unpacked"
    if row.slow and os.environ.get("OOMLAB_GUEST") == "uml":
        return "too slow for this guest"
    return machine.LockedLog().reason_not() if row.log == "unreadable" else None


class Tally:
    def __init__(self):
        self.found = matrix.empty(f"cgroup v{machine.cgroup_version()}, Linux {platform.release()}")

    def run(self, row: Row, keep: bool) -> None:
        """One answer. Where the stage could not be set, the row is played again."""
        directory = Path(tempfile.mkdtemp(prefix=f"oomlab-row-{row.name.replace('+', 'x')}-"))
        started = time.monotonic()
        for number in range(TRIES):
            attempt = directory / str(number)
            attempt.mkdir()
            try:
                right = self.run_once(row, attempt, last=number + 1 == TRIES)
                break
            except NotStaged as reason:
                machine.log(f"again {row.name}: {reason}")
        machine.log(f"     {time.monotonic() - started:.1f} s")
        if right or not keep:
            shutil.rmtree(directory, ignore_errors=True)

    def run_once(self, row: Row, directory: Path, last: bool) -> bool:
        truth, answer, faults, end = row.cause, "no answer", [], None
        try:
            result, events, _ = play_logged(row, directory)
            end = result["arms"][0]["lifetimes"][0]["end"]
            truth, answer, faults = judge(row, result, events)
        except (Wrong, RuntimeError, subprocess.SubprocessError, OSError, LookupError,
                ValueError) as error:
            if isinstance(error, NotStaged) and not last:
                raise
            faults = [f"{type(error).__name__}: {error}"]
        right = truth == answer and not faults
        matrix.add(self.found, truth, answer)
        matrix.add_row(self.found, row.name, 1, right, {end["level"]: 1} if end else {})
        if not right:
            self.found["wrong"].append({"row": row.name, "truth": truth, "answer": answer,
                                        "faults": faults, "end": end})
        machine.log(f"{'ok  ' if right else 'FAIL'} {row.name}: {answer}"
                    f" ({end['level'] if end else '-'})"
                    + "".join(f"; {fault}" for fault in faults))
        return right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="each row so often")
    parser.add_argument("--row", action="append", metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the directories of wrong runs")
    parser.add_argument("--list", action="store_true", help="the rows' names")
    options = parser.parse_args()
    if options.list:
        print("\n".join(row.name for row in ROWS))
        return 0
    names = {row.name for row in ROWS}
    if unknown := set(options.row or []) - names:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    tally = Tally()
    for row in ROWS:
        if options.row and row.name not in options.row:
            continue
        if reason := reason_to_skip(row):
            tally.found["skipped"][row.name] = reason
            continue
        for _ in range(options.runs):
            tally.run(row, options.keep)
    found = tally.found
    print(json.dumps(found, indent=1) if options.json
          else f"{matrix.text(found)}\n{matrix.rows_text(found)}")
    if not found["rows"]:
        return 77
    return 0 if matrix.diagonal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
