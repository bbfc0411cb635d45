# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 on the distribution's stock kernel (see qemu.py): PSI, several CPUs, and systemd with a
login session, as root and as an ordinary user."""

import json
import shlex

import pytest

import conftest
from conftest import BUILD, Machine

# An emulated machine restarts slowly: at 25 requests a second half of them meet no server.
SLOW = ["--rate", "20/s", "--per-cycle", "120"]
OOMLAB = shlex.quote(str(BUILD / "oomlab"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    share = tmp_path_factory.mktemp("qemu")
    return conftest.run_kernel_tests(Machine("qemu.py"), share, deadline_s=900)


@pytest.mark.parametrize("name", [test["name"] for test in conftest.kernel_tests()])
def test_kernel(results, name, record_property):
    conftest.report_cases(results[name], record_property)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    share = tmp_path_factory.mktemp("lab")
    machine = Machine("qemu.py", "--cpus", "2")
    return conftest.run_small_lab(machine, share, deadline_s=900, options=SLOW)


def test_lab(lab):
    status, result = lab
    assert result["run"]["host"]["cgroup_version"] == 2
    assert result["run"]["host"]["cpus"] == 2
    conftest.assert_lab_holds(status, result)


@pytest.mark.parametrize("user", ["root", "tester"])
def test_session(user, tmp_path):
    """systemd owns the tree: containers must live in a scope that it delegates."""
    tmp_path.chmod(0o777)
    tmp_path.parent.chmod(0o755)
    script = f"""
    id -un > /mnt/share/user
    cat /proc/self/cgroup > /mnt/share/cgroup
    {OOMLAB} doctor --format json > /mnt/share/doctor.json
    echo $? > /mnt/share/doctor.status
    {OOMLAB} run --quiet --format json --scenarios leak {shlex.join(SLOW)} labs/small.yaml \\
        > /mnt/share/result.json
    echo $? > /mnt/share/run.status
    find /sys/fs/cgroup -name 'oomlab*' > /mnt/share/left
    """
    machine = Machine("qemu.py", "--session", user)
    done = machine.run(tmp_path, ["sh", "-c", script], deadline_s=900)
    assert done.returncode == 0
    read = {path.name: path.read_text(encoding="utf-8").strip() for path in tmp_path.iterdir()}
    assert read["user"] == user
    assert "/session-" in read["cgroup"]
    assert read["doctor.status"] == "0", read["doctor.json"]
    assert json.loads(read["doctor.json"])
    conftest.assert_lab_holds(int(read["run.status"]), json.loads(read["result.json"]))
    assert read["left"] == ""

