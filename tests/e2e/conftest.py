# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the oomlab binary, a state directory of their own, traces of leftovers."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from axe import axe_source, missing
from browser import Browser, find_browser

TREE = Path(__file__).resolve().parents[2]
SERVERS = TREE / "tests" / "e2e" / "servers"
PYTHON = "/usr/bin/python3"


# A shell without job control has what it starts in the background ignore SIGINT, and a child would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def oomlab_binary():
    return os.environ.get("OOMLAB", str(TREE / "build" / "oomlab"))


def make_run():
    """The program that makes synthetic runs; built with the unit tests, beside the binary's build directory."""
    binary = Path(os.environ.get("OOMLAB", TREE / "build" / "oomlab")).resolve()
    for folder in [*binary.parents, TREE / "build"]:
        program = folder / "tests" / "unit" / "report" / "make-run"
        if program.exists():
            return program
    if os.environ.get("OOMLAB_MUST_WORK"):
        raise FileNotFoundError("make-run was not built")
    pytest.skip("make-run was not built (no cmocka)")
    return None


class Oomlab:
    """Runs oomlab with a state directory of its own."""

    def __init__(self, state: Path):
        self.state = state
        self.env = {**os.environ, "XDG_STATE_HOME": str(state), "NO_COLOR": "1"}

    def popen(self, *arguments, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        env = {**self.env, **more.pop("env", {})}
        return subprocess.Popen([oomlab_binary(), *map(str, arguments)], env=env, text=True,
                                stdin=subprocess.DEVNULL, **more)

    def __call__(self, *arguments, timeout=120, **more):
        process = self.popen(*arguments, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s:\n{out}\n{err}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def result(self, *arguments, status=None, **more):
        """Run with --format json; the result object. `status`: what the exit status must be."""
        done = self(*arguments, **more)
        assert status is None or done.returncode == status, (done.returncode, done.stderr)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def oomlab(tmp_path):
    return Oomlab(tmp_path / "state")


def run_ids(directory):
    """The ids of all runs whose evidence lies below the directory."""
    found = set()
    for path in Path(directory).rglob("evidence.db"):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as evidence:
            with contextlib.suppress(sqlite3.Error):  # killed before the tables were made
                found |= {row[0] for row in evidence.execute("SELECT id FROM run")}
    return found | {path.name for path in Path(directory).glob("**/oomlab/runs/*")}


def cgroups_of(ids):
    """The control groups that are there now and belong to these runs: a neighbour's do not count."""
    found = set()
    for path, folders, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(path, name) for name in folders if name.removeprefix("oomlab-") in ids}
    return found


def mounts():
    """What oomlab could leave behind: its own names, and the places over which containers mount."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    ours = {"/proc", "/dev/shm", "/sys/fs/cgroup"}
    return [line for line in lines if line.split()[4] in ours or "oomlab" in line]


@pytest.fixture
def no_leftovers(tmp_path):
    """Fails when the test leaves a control group or a mount behind."""
    before = mounts()
    yield
    ids = run_ids(tmp_path)
    assert cgroups_of(ids) == set()
    assert mounts() == before


@pytest.fixture(scope="module", name="axe")
def axe_of_npm():
    return axe_source()


@pytest.fixture(scope="module", name="browser")
def one_browser(tmp_path_factory):
    if not find_browser():
        missing("chromium is not installed (Debian package chromium)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
