# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over pods: what one container left behind in several lifetimes is one arm."""

import json

POD_UID = "186e9855-0704-4752-a9ee-b0db5ccbe0b4"
OLD = "a" * 64
NEW = "b" * 64


def pod():
    ended = {
        "containerID": f"containerd://{OLD}",
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": "2026-11-22T11:33:00Z",
        "finishedAt": "2026-11-22T11:33:57Z",
    }
    status = {
        "name": "c",
        "restartCount": 1,
        "containerID": f"containerd://{NEW}",
        "state": {"running": {"startedAt": "2026-11-22T11:34:00Z"}},
        "lastState": {"terminated": ended},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n", "uid": POD_UID},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {"containerStatuses": [status]},
    }


def kernel_log(memcg):
    return (
        "2026-11-22T11:33:57,100000+00:00 oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),"
        f"cpuset=/,mems_allowed=0,oom_memcg={memcg},task_memcg={memcg},task=hog,pid=77,uid=0\n"
        "2026-11-22T11:33:57,100010+00:00 Memory cgroup out of memory: Killed process 77 (hog) "
        "total-vm:66792kB, anon-rss:65024kB, file-rss:652kB, shmem-rss:0kB, UID:0 pgtables:176kB "
        "oom_score_adj:0\n"
    )


def diagnose(oomlab, *files):
    return oomlab.result("diagnose", "--format", "json", *files)["arms"]


def test_a_restarted_container_is_one_arm(oomlab, tmp_path):
    source = tmp_path / "pod.json"
    source.write_text(json.dumps(pod()))
    (arm,) = diagnose(oomlab, source)
    assert arm["oom_kills"] == 1
    assert arm["memory_limit_bytes"] == 64 << 20
    assert [life["end"]["cause"] for life in arm["lifetimes"]] == ["oom-container-limit", "running"]


def test_the_kernel_log_of_its_former_life_proves_the_kill(oomlab, tmp_path):
    source, log = tmp_path / "pod.json", tmp_path / "dmesg.txt"
    source.write_text(json.dumps(pod()))
    log.write_text(kernel_log(f"/kubepods/burstable/pod{POD_UID}/{OLD}"))
    (arm,) = diagnose(oomlab, source, log)
    assert arm["oom_kills"] == 1
    first = arm["lifetimes"][0]["end"]
    assert (first["cause"], first["level"]) == ("oom-container-limit", "Observed")


def test_each_container_of_a_pod_has_the_kernels_record_of_its_former_life(oomlab, tmp_path):
    value, source, log = pod(), tmp_path / "pod.json", tmp_path / "dmesg.txt"
    other = json.loads(json.dumps(value).replace(OLD, "c" * 64).replace(NEW, "d" * 64).replace("33:57", "33:58"))
    for part, names in (("spec", "containers"), ("status", "containerStatuses")):
        value[part][names] += [{**entry, "name": "side"} for entry in other[part][names]]
    source.write_text(json.dumps(value))
    paths = [f"/kubepods/burstable/pod{POD_UID}/{name * 64}" for name in "ac"]
    log.write_text(kernel_log(paths[0]) + kernel_log(paths[1]).replace("33:57", "33:58").replace("77", "78"))
    arms = diagnose(oomlab, source, log)
    assert [arm["oom_kills"] for arm in arms] == [1, 1]
    for arm in arms:
        assert [(life["end"]["cause"], life["end"]["level"]) for life in arm["lifetimes"]][0] == (
            "oom-container-limit", "Observed")


def test_the_limit_of_the_pod_is_an_ancestors(oomlab, tmp_path):
    source, log = tmp_path / "pod.json", tmp_path / "dmesg.txt"
    source.write_text(json.dumps(pod()))
    text = kernel_log(f"/kubepods/burstable/pod{POD_UID}/{OLD}")
    log.write_text(text.replace(f"oom_memcg=/kubepods/burstable/pod{POD_UID}/{OLD}",
                                f"oom_memcg=/kubepods/burstable/pod{POD_UID}"))
    (arm,) = diagnose(oomlab, source, log)
    assert arm["lifetimes"][0]["end"]["cause"] == "oom-ancestor-limit"


def test_an_end_after_a_childs_kill_is_left_open(oomlab, tmp_path):
    """OOMKilled and code 1: no kill of the main process, and more memory may still be what it needs."""
    value, source = pod(), tmp_path / "pod.json"
    value["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] = 1
    source.write_text(json.dumps(value))
    result = oomlab.result("diagnose", "--format", "json", source, status=0)
    (arm,) = result["arms"]
    assert arm["oom_kills"] == 0 and arm["lifetimes"][0]["end"]["cause"] == "exited"
    assert arm["verdict"]["class"] == "inconclusive" and "more memory" in arm["verdict"]["would_settle"]
    assert result["recommendation"]["action"] == "investigate"


def test_a_name_makes_up_no_line(oomlab, tmp_path):
    value, source = pod(), tmp_path / "pod.json"
    value["metadata"]["name"] = "p\nOOM kills  9\tand \x1b[31m"
    source.write_text(json.dumps(value))
    done = oomlab("diagnose", source)
    assert done.returncode == 3
    assert [line for line in done.stdout.splitlines() if line.startswith("OOM kills")] == ["OOM kills  1 (restarts: 1)"]
    assert "\x1b" not in done.stdout
