# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the oomlab binary, a state directory of their own, traces of leftovers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
SERVERS = TREE / "tests" / "e2e" / "servers"
PYTHON = "/usr/bin/python3"


def oomlab_binary():
    return os.environ.get("OOMLAB", str(TREE / "build" / "oomlab"))


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


def own_cgroups():
    """The control groups that oomlab made and that are there now."""
    found = set()
    for path, folders, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(path, name) for name in folders if name.startswith("oomlab-")}
    return found


def mounts():
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def no_leftovers():
    """Fails when the test leaves a control group or a mount behind."""
    before = own_cgroups(), mounts()
    yield
    after = own_cgroups(), mounts()
    assert after[0] <= before[0], f"left behind: {after[0] - before[0]}"
    assert after[1] == before[1]
