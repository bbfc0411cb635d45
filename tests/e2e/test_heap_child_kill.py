# SPDX-License-Identifier: Apache-2.0
"""The kernel kills a worker for memory, and its container goes on: what was held then is kept."""

import subprocess

import pytest

from conftest import TREE
from test_heap_reader import build, profile, reports, result_of

MI = 1 << 20

pytestmark = pytest.mark.usefixtures("no_leftovers")

PREFORK = (TREE / "tests" / "heap" / "prefork.c").read_text(encoding="utf-8")


# Of all threads but the first.
SLOW_DISK = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd)
{
    if (gettid() != getpid())
        sleep(1);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""


def prefork(oomlab, tmp_path, *words, per_cycle="20", cycles="4", ready="tcp", **more):
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "64Mi", "--arms", "trigger", "--ready", ready, "--rate", "100/s", "--cycles",
                  cycles, "--per-cycle", per_cycle, "--gap", "200ms", "--cooldown", "200ms", "--kills", "1", "--heap",
                  "--output", run, "--", build(tmp_path, "prefork.c", PREFORK, "-g"), *words, **more)
    assert done.returncode in (0, 3), done.stderr
    return run


def functions(stack):
    return [frame["function"] for frame in stack["frames"]]


def test_a_killed_worker_is_told_with_what_it_held(oomlab, tmp_path):
    run = prefork(oomlab, tmp_path, "again")
    result = result_of(run)
    life = result["arms"][0]["lifetimes"][0]
    assert len(result["arms"][0]["lifetimes"]) == 1 and life["end"]["cause"] != "oom-container-limit"
    heap = profile(oomlab, run)
    first, second = heap["stacks"][:2]
    assert heap["moment"] == "kill" and heap["other_moment"] and 0.9 < heap["coverage"] < 1.05
    assert "worker_keeps" in functions(first) and "main_keeps" in functions(second)
    assert 50 * MI < first["bytes"] < 60 * MI and second["bytes"] == 6 * MI
    assert first["growth"]["bytes_per_request"] == pytest.approx(MI, rel=0.2)
    leading = result["arms"][0]["verdict"]["leading_stack"]
    assert (leading["function"], leading["moment"]) == ("keep", "kill") and leading["called_from"] == "worker_keeps"
    # What the children held is no longer asked for.
    assert result["arms"][0]["verdict"]["would_settle"] == result["verdict"]["would_settle"] == "The same work with more memory."


def test_the_end_is_there_too(oomlab, tmp_path):
    run = prefork(oomlab, tmp_path, "again")
    assert profile(oomlab, run, "--at", "kill") == profile(oomlab, run)
    end = profile(oomlab, run, "--at", "end")
    kept = next(stack for stack in end["stacks"] if "worker_keeps" in functions(stack))
    assert end["moment"] == "end" and end["at"] > profile(oomlab, run)["at"]
    # The second worker's: 80 requests, of which the first took some 55 with it. No loss of memory is a growth of less.
    assert 10 * MI < kept["bytes"] < 40 * MI and kept["growth"]["bytes_per_request"] == pytest.approx(MI, rel=0.2)
    # When cycle 3 began, the first worker held 40 MiB, which are no longer there.
    since = profile(oomlab, run, "--at", "end", "--since", "3")
    gone = next(stack["bytes"] for stack in since["stacks"] if stack["bytes"] < 0)
    assert gone == pytest.approx(-40 * MI, abs=4 * MI) and since["total_bytes"] == pytest.approx(kept["bytes"] + gone, abs=MI)
    assert "held when a child process was killed for memory" in oomlab("heap", run).stdout
    assert "--at kill" in oomlab("heap", run, "--at", "end").stdout
    for text in reports(run).values():
        assert "when a child process was killed for memory" in text
    graph = tmp_path / "graph.svg"
    assert oomlab("heap", run, "--flamegraph", graph).returncode == 0
    assert "when a child process was killed" in graph.read_text(encoding="utf-8")


def test_what_was_held_is_told_when_the_container_ends_later(oomlab, tmp_path):
    run = prefork(oomlab, tmp_path, "ends", cycles="8")
    heap = profile(oomlab, run, "--lifetime", "1")
    assert heap["moment"] == "kill" and 50 * MI < heap["total_bytes"] < 66 * MI
    assert profile(oomlab, run, "--lifetime", "1", "--at", "end")["total_bytes"] < 10 * MI


def test_what_was_held_is_told_when_the_container_ends_at_once(oomlab, tmp_path):
    """Before it is known whether the main process outlives the kill; no sample tells its memory after that."""
    run = prefork(oomlab, tmp_path, "soon", ready="none")
    lives = result_of(run)["arms"][0]["lifetimes"]
    assert lives[0]["end"]["exit_code"] == 3
    heap = profile(oomlab, run, "--lifetime", "1")
    assert heap["moment"] == "kill" and 50 * MI < heap["total_bytes"] < 66 * MI and 0.9 < heap["coverage"] < 1.1


def test_the_profile_does_not_wait_for_the_disk(oomlab, tmp_path):
    """Each row takes a second to be durable; the next worker is at work by then."""
    slow = build(tmp_path, "slow.c", SLOW_DISK, "-shared", "-fPIC").rename(tmp_path / "slow.so")
    run = prefork(oomlab, tmp_path, "again", env={"LD_PRELOAD": str(slow)})
    heap = profile(oomlab, run)
    assert heap["moment"] == "kill" and 60 * MI < heap["total_bytes"] < 66 * MI and 0.9 < heap["coverage"] < 1.05


def test_the_dead_of_earlier_kills_do_not_count(oomlab, tmp_path):
    """Kills in quick succession: at no moment was more held than the limit allows."""
    run = prefork(oomlab, tmp_path, "storm", ready="none")
    kill, end = (profile(oomlab, run, "--at", moment) for moment in ("kill", "end"))
    assert result_of(run)["arms"][0]["lifetimes"][0]["end"]["counters"]["oom_kill"][1] > 10
    assert 50 * MI < kill["total_bytes"] < 70 * MI and end["total_bytes"] < 70 * MI


def test_the_dead_do_not_count_when_the_main_process_is_killed_after_them(oomlab, tmp_path):
    run = prefork(oomlab, tmp_path, "last", ready="none")
    end = result_of(run)["arms"][0]["lifetimes"][0]["end"]
    assert end["cause"] == "oom-container-limit" and end["counters"]["oom_kill"][1] >= 6
    heap = profile(oomlab, run, "--lifetime", "1", "--at", "end")
    assert 50 * MI < heap["total_bytes"] < 70 * MI and "main_grows" in functions(heap["stacks"][0])


def test_two_sorts_of_moments_are_told_apart(oomlab, tmp_path):
    run = prefork(oomlab, tmp_path, "again")
    difference = oomlab.result("heap", "--diff", run, run, "--format", "json", status=0)
    assert difference["before"]["moment"] == difference["after"]["moment"] == "kill"
    assert "sorts of moments" not in oomlab("heap", "--diff", run, run).stdout
    other = tmp_path / "other"
    other.mkdir()
    ended = prefork(oomlab, other, "again", cycles="1")  # too few requests for a kill
    text = oomlab("heap", "--diff", run, ended).stdout
    assert "the first was held when a child process was killed for memory, the second at the end" in text


def test_more_at_the_end_than_at_the_kill(oomlab, tmp_path):
    """A child that cannot be profiled was killed while little else was there; then the main process grew."""
    build(tmp_path, "hog.c", "#include <stdlib.h>\n#include <string.h>\nint main(void) { for (;;) { volatile char *new = malloc(65536);"
          " for (int i = 0; i < 65536; i += 4096) new[i] = 1; } }\n", "-static").rename(tmp_path / "hog")
    run = prefork(oomlab, tmp_path, "hog", tmp_path / "hog", cycles="1", per_cycle="10")
    heap = profile(oomlab, run)
    assert heap["moment"] == "end" and heap["other_moment"] and 40 * MI < heap["total_bytes"] < 50 * MI
    # On a busy machine the main process may have its 30 MiB when oomlab hears of the kill, but no request yet.
    assert 5 * MI < profile(oomlab, run, "--at", "kill")["total_bytes"] < 37 * MI


def test_without_such_a_kill_there_is_only_the_end(oomlab, tmp_path):
    """The kernel kills the main process: there is nothing that went on."""
    (tmp_path / "leak.c").write_text("#include <stdlib.h>\n#include <string.h>\n"
                                     "int main(void) { for (;;) memset(malloc(65536), 1, 65536); }\n", encoding="utf-8")
    subprocess.run(["gcc", "-g", "-o", tmp_path / "leak", tmp_path / "leak.c"], check=True)
    done = oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger", "--kills", "2", "--ready", "none", "--idle", "0s", "--cycles",
                  "1", "--per-cycle", "1", "--cooldown", "60s", "--heap", "--output", tmp_path / "run", "--", tmp_path / "leak")
    assert done.returncode in (0, 3), done.stderr
    heap = profile(oomlab, tmp_path / "run")
    assert heap["moment"] == "end" and not heap["other_moment"] and heap["total_bytes"] > 36 * MI
    asked = oomlab("heap", tmp_path / "run", "--at", "kill")
    assert asked.returncode == 2 and "no child process was killed for memory in a container that went on" in asked.stderr
    assert oomlab("heap", tmp_path / "run", "--at", "noon").returncode == 2
    assert not list((tmp_path / "run" / "heap").glob("*.kill.*"))
