# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over the logs of user-space OOM killers: whose end it was, and when it is the kernel's after all."""

import json

import pytest

ID, OTHER = "a" * 64, "b" * 64
PATH = f"/system.slice/docker-{ID}.scope"
OOMD = ("2026-11-26T14:09:23+0000 vm systemd-oomd[226]: Killed {} due to memory pressure for /system.slice being "
        "6.11% > 1.00% for > 1s with reclaim activity\n")
SWAP = ("2026-11-26T14:09:23+0000 vm systemd-oomd[226]: Killed {} due to memory used (1000) / total (1100) and swap "
        "used (900) / total (1000) being more than 90.00%\n")
EARLYOOM = ('2026-11-26T14:09:23+0000 vm earlyoom[202]: sending {} to process 199 uid 0 "python3": badness 763, '
            "VmRSS 139 MiB\n")
KERNEL = ("2026-11-26T14:09:23+0000 vm kernel: oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
          "mems_allowed=0,oom_memcg={0},task_memcg={0},task=python3,pid=199,uid=0\n"
          "2026-11-26T14:09:23+0000 vm kernel: Memory cgroup out of memory: Killed process 199 (python3) "
          "total-vm:66792kB, anon-rss:65024kB, file-rss:652kB, shmem-rss:0kB, UID:0 pgtables:176kB oom_score_adj:0\n")
KILLER = "oom-userspace-killer"


def container(name, number, code=137, flag=False, at="14:09:23.900"):
    return {"Id": number, "Name": f"/{name}", "Created": "2026-11-26T14:00:00Z", "Image": "sha256:0", "State": {
        "Status": "exited", "Running": False, "OOMKilled": flag, "Pid": 0, "ExitCode": code,
        "StartedAt": "2026-11-26T14:00:01Z", "FinishedAt": f"2026-11-26T{at}Z"},
        "HostConfig": {"Memory": 64 << 20}, "Config": {"Image": "app"}}


@pytest.fixture
def ends(oomlab, tmp_path):
    def run(log, *containers):
        (tmp_path / "log").write_text(log, encoding="utf-8")
        sources = [tmp_path / "log"]
        if containers:
            (tmp_path / "inspect.json").write_text(json.dumps(containers), encoding="utf-8")
            sources.append(tmp_path / "inspect.json")
        result = oomlab.result("diagnose", "--format", "json", *sources)
        return {arm["name"]: [(life["end"]["cause"], life["end"]["level"]) for life in arm["lifetimes"]]
                for arm in result["arms"]}
    return run


@pytest.mark.parametrize("line", [OOMD, SWAP])
def test_oomd_names_the_container(ends, line):
    found = ends(line.format(PATH), container("app", ID), container("other", OTHER))
    assert found == {"app": [(KILLER, "Observed")], "other": [("unknown", "Not Proven")]}


def test_oomd_alone(ends):
    assert ends(OOMD.format("/system.slice/x.scope")) == {"/system.slice/x.scope": [(KILLER, "Observed")]}


@pytest.mark.parametrize("signal, code", [("SIGKILL", 137), ("SIGTERM", 137), ("SIGTERM", 143)])
def test_earlyoom_by_the_moment(ends, signal, code):
    found = ends(EARLYOOM.format(signal), container("app", ID, code), container("other", OTHER, code, at="14:12:00"))
    assert found["app"] == [(KILLER, "Strongly Suggested")]
    assert found["other"][0][0] != KILLER and len(found) == 2


def test_two_ends_at_that_moment_leave_it_open(ends):
    found = ends(EARLYOOM.format("SIGKILL"), container("app", ID), container("other", OTHER))
    assert found["python3"] == [(KILLER, "Observed")]
    assert found["app"] == found["other"] == [("unknown", "Not Proven")]


@pytest.mark.parametrize("code", [0, 1, 143])
def test_an_end_by_itself_is_none_of_its_kills(ends, code):
    found = ends(EARLYOOM.format("SIGKILL"), container("app", ID, code))
    assert found["app"][0][0] in ("exited", "signalled")
    assert found["python3"] == [(KILLER, "Observed")]


def test_sigterm_and_then_sigkill_is_one_kill(ends):
    assert ends(EARLYOOM.format("SIGTERM") + EARLYOOM.format("SIGKILL")) == {"python3": [(KILLER, "Observed")]}


@pytest.mark.parametrize("line", [OOMD.format(PATH), EARLYOOM.format("SIGKILL")])
def test_what_the_kernel_explains_stays_the_kernels(ends, line):
    found = ends(KERNEL.format(PATH) + line, container("app", ID))
    assert found["app"] == [("oom-container-limit", "Observed")]


def test_the_kernels_record_alone_beside_oomds(ends):
    assert ends(KERNEL.format("/x") + OOMD.format("/x")) == {
        "/x": [("oom-container-limit", "Strongly Suggested")]}


def test_the_platforms_oomkilled_is_not_earlyooms(ends):
    found = ends(EARLYOOM.format("SIGKILL"), container("app", ID, flag=True))
    assert found["app"] == [("oom-container-limit", "Strongly Suggested")]


GROUP = ("Tasks in {0} are going to be killed due to memory.oom.group set", *(
    f"Memory cgroup out of memory: Killed process {pid} (worker) total-vm:66792kB, anon-rss:65024kB, file-rss:652kB, "
    "shmem-rss:0kB, UID:0 pgtables:176kB oom_score_adj:0" for pid in (199, 200, 201)))


def test_a_group_kill_is_one_end_and_a_whole_one(ends):
    """memory.oom.group: three processes, one container's end; the log itself shows that nothing was left."""
    lines = "".join(f"2026-11-26T14:09:23+0000 vm kernel: {line}\n" for line in GROUP)
    assert ends((KERNEL + lines).format("/x")) == {"/x": [("oom-container-limit", "Observed")]}


def test_what_earlyoom_did_not_do_is_no_kill(oomlab, tmp_path):
    """It writes before it sends; the next line may take that back."""
    said = "2026-11-26T14:09:{} vm earlyoom[202]: {}\n"
    dry, failed = "dryrun, not actually sending any signal", "kill failed: No such process"
    again = EARLYOOM.format("SIGTERM").replace("09:23", "09:40")
    for text, kills in ((EARLYOOM.format("SIGTERM") + said.format("23+0000", dry), 0),
                        (EARLYOOM.format("SIGKILL") + said.format("23+0000", failed), 0),
                        (EARLYOOM.format("SIGTERM") + said.format("33+0000", "kill failed: Timer expired") + again, 1)):
        (tmp_path / "log").write_text(text, encoding="utf-8")
        result = oomlab.result("diagnose", "--format", "json", tmp_path / "log")
        assert sum(len(arm["lifetimes"]) for arm in result["arms"]) == kills, text
