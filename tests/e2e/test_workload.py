# SPDX-License-Identifier: Apache-2.0
"""The workload as a process: what it prints, what it answers, and what it does to memory."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import TREE

MIB = 1 << 20
MODES = ["healthy", "hard-oom", "leak", "leak-per-request", "cache", "spike", "page-cache", "shmem", "child"]
VARIABLES = ["MODE", "HOST", "PORT", "HARD_OOM_MB", "LEAK_MB_PER_TICK", "LEAK_INTERVAL_SECONDS",
             "LEAK_BYTES_PER_REQUEST", "CACHE_MB", "SPIKE_MB", "SPIKE_MS", "DATA_DIR", "DATA_MB",
             "HOST_RESERVE_MB"]


def workload_binary():
    build = os.environ.get("BUILD_DIR", str(TREE / "build"))
    return os.path.join(build, "workload", "oomlab-workload")


def plain_environment(settings):
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**env, "PORT": "0", **{name: str(value) for name, value in settings.items()}}


def wait_for(condition, seconds=20, what="the condition"):
    """Poll what the kernel does not announce; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true in {seconds} s")


class Workload:
    """A running workload; settings are environment variables."""

    def __init__(self, *prefix, preexec=None, **settings):
        self.process = subprocess.Popen([*prefix, workload_binary()], env=plain_environment(settings), text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=preexec)
        self.pid = self.process.pid
        self.lines = []
        self.port = None

    def line(self):
        text = self.process.stdout.readline()
        assert text.endswith("\n"), f"ended after {self.lines} with {self.process.wait()}"
        self.lines.append(text[:-1])
        return text[:-1]

    def listen(self):
        while not (match := re.fullmatch(r"\[app\] listening on :(\d+)", self.line())):
            pass
        self.port = int(match[1])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return self

    def request(self, path, method="GET", body=None, connection=None):
        connection = connection or self.connection
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def work(self, times=1):
        for _ in range(times):
            status, text = self.request("/work")
            assert status == 200, text

    def info(self):
        return json.loads(self.request("/info")[1])

    def proc_bytes(self, key):
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(key)

    def stop(self, number=signal.SIGTERM):
        os.kill(self.pid, number)
        return self.process.wait(timeout=10)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def workload():
    with contextlib.ExitStack() as stack:
        def start(*prefix, **settings):
            started = Workload(*prefix, **settings)
            stack.callback(started.close)
            return started
        yield start


@pytest.fixture
def memory_cgroup():
    """A memory-limited cgroup v1 or v2: a function of the limit that gives what moves a process in."""
    v1 = Path("/sys/fs/cgroup/memory")
    root = v1 if (v1 / "memory.limit_in_bytes").exists() else Path("/sys/fs/cgroup")
    group = root / f"oomlab-test-workload-{os.getpid()}"
    if not os.access(root, os.W_OK):
        pytest.skip("no cgroup with the memory controller can be made here")
    group.mkdir()
    limit = group / ("memory.limit_in_bytes" if root == v1 else "memory.max")
    if not limit.exists():
        group.rmdir()
        pytest.skip("the cgroup hierarchy here lacks the memory controller")

    def enter(limit_bytes):
        limit.write_text(str(limit_bytes), encoding="ascii")
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0", encoding="ascii")
        return lambda: (group / "cgroup.procs").write_text("0", encoding="ascii")

    yield enter
    wait_for(lambda: not (group / "cgroup.procs").read_text(encoding="ascii"), what="the cgroup's emptying")
    group.rmdir()


# What it prints.


def test_healthy_prints_one_line(workload):
    app = workload().listen()
    app.work(3)
    assert app.stop() == 0
    assert app.process.stdout.read() == ""
    assert app.lines == [f"[app] listening on :{app.port}"]


def test_hard_oom_lines_come_before_listening(workload):
    app = workload(MODE="hard-oom", HARD_OOM_MB=120).listen()
    assert app.lines == [
        "[hard-oom] allocating 120 MiB at startup (will exceed cgroup limit)",
        "[hard-oom] allocated 50/120 MiB",
        "[hard-oom] allocated 100/120 MiB",
        "[hard-oom] allocated 120/120 MiB",
        f"[app] listening on :{app.port}",
    ]
    assert app.info()["retained"]["startup"] == 120 * MIB
    assert app.proc_bytes("VmRSS") >= 120 * MIB


def test_leak_ticks(workload):
    app = workload(MODE="leak", LEAK_MB_PER_TICK=3, LEAK_INTERVAL_SECONDS="0.5").listen()
    listening = time.monotonic()
    assert app.line() == "[leak] tick 1: +3 MiB, total retained 3 MiB"
    assert time.monotonic() - listening < 0.45  # the first tick waits for nothing
    for tick in range(2, 6):
        assert app.line() == f"[leak] tick {tick}: +3 MiB, total retained {3 * tick} MiB"
    assert 1.8 < time.monotonic() - listening < 6
    assert app.info()["ticks"] >= 5


def test_free_port_is_printed_and_a_taken_one_refused(workload):
    app = workload().listen()
    second = subprocess.run([workload_binary(), "--port", str(app.port)], env=plain_environment({}),
                            capture_output=True, text=True, check=False, timeout=10)
    assert second.returncode == 1
    assert "Address already in use" in second.stderr
    assert second.stderr.count("\n") == 1


@pytest.mark.parametrize("settings, words", [
    ({"MODE": "leaky"}, "MODE: there is no mode 'leaky'"),
    ({"PORT": "http"}, "PORT: 'http' is not"),
    ({"PORT": "65536"}, "PORT: '65536' is not"),
    ({"HOST": "localhost"}, "HOST: 'localhost' is not an IP address"),
    ({"HARD_OOM_MB": "-1"}, "HARD_OOM_MB: '-1' is not"),
    ({"LEAK_MB_PER_TICK": "3.5"}, "LEAK_MB_PER_TICK: '3.5' is not"),
    ({"LEAK_INTERVAL_SECONDS": "0"}, "LEAK_INTERVAL_SECONDS: '0' is not"),
    ({"LEAK_INTERVAL_SECONDS": "nan"}, "LEAK_INTERVAL_SECONDS: 'nan' is not"),
    ({"LEAK_BYTES_PER_REQUEST": "lots"}, "LEAK_BYTES_PER_REQUEST: "),
    ({"LEAK_BYTES_PER_REQUEST": "0"}, "LEAK_BYTES_PER_REQUEST: '0' is not"),
    ({"MODE": "cache", "CACHE_MB": "0"}, "CACHE_MB is smaller than one entry"),
    ({"CACHE_MB": ""}, "CACHE_MB: '' is not"),
    ({"SPIKE_MB": "99999999"}, "SPIKE_MB: '99999999' is not"),
    ({"SPIKE_MS": "x"}, "SPIKE_MS: 'x' is not"),
    ({"MODE": "page-cache", "DATA_DIR": "/dev/shm"}, "DATA_DIR: '/dev/shm' is memory itself"),
    ({"DATA_DIR": ""}, "DATA_DIR is empty"),
    ({"MODE": "page-cache", "DATA_MB": "0"}, "DATA_MB is smaller than one block"),
    ({"HOST_RESERVE_MB": "all"}, "HOST_RESERVE_MB: 'all' is not"),
])
def test_wrong_settings(settings, words):
    done = subprocess.run([workload_binary()], env=plain_environment(settings), capture_output=True, text=True,
                          check=False, timeout=10)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("arguments, words", [
    (["--mode", "x"], "--mode: there is no mode 'x'"),
    (["--port=-3"], "--port: '-3' is not"),
    (["--port"], "--port needs a value"),
    (["--frob"], "there is no option '--frob'"),
    (["8000"], "'8000' is too much"),
])
def test_wrong_options(arguments, words):
    done = subprocess.run([workload_binary(), *arguments], env=plain_environment({}), capture_output=True, text=True,
                          check=False, timeout=10)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_win_over_the_environment():
    process = subprocess.Popen([workload_binary(), "--mode", "spike", "--port", "0"], text=True,
                               env=plain_environment({"MODE": "leak", "PORT": "1"}), stdout=subprocess.PIPE)
    with process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/info")
        assert json.load(connection.getresponse())["mode"] == "spike"
        process.terminate()
    assert process.returncode == 0


def test_help_and_manual_name_every_setting():
    done = subprocess.run([workload_binary(), "--help"], env=plain_environment({}), capture_output=True, text=True,
                          check=True, timeout=10)
    manual = (TREE / "docs" / "workload.md").read_text(encoding="utf-8")
    for name in VARIABLES:
        assert re.search(rf"^  {name} .*\[.+\]$", done.stdout, re.MULTILINE), name
        assert f"`{name}`" in manual
    for mode in MODES:
        assert mode in done.stdout
        assert f"`{mode}`" in manual
    assert set(re.findall(r"^  ([A-Z_]+) ", done.stdout, re.MULTILINE)) == set(VARIABLES)


# What it answers.


def test_endpoints(workload):
    app = workload().listen()
    assert app.request("/health") == (200, '{"status": "ok"}\n')
    assert app.request("/")[0] == 200
    assert app.request("/nothing")[0] == 404
    assert app.request("/health", "DELETE")[0] == 405
    assert app.request("/health", "POST")[0] == 405
    assert app.request("/health", "HEAD") == (200, "")
    assert app.request("/work", "POST", body="x" * 100000)[0] == 200
    assert app.request("/leak?bytes=1Mi") == (200, '{"retained_bytes": 1048576}\n')
    assert app.request("/leak?bytes=4096", "POST")[0] == 200
    assert app.request("/spike?bytes=1Mi&ms=1")[0] == 200
    for path in ("/leak?bytes=", "/leak?bytes=-1", "/leak?bytes=17Gi", "/spike?bytes=x", "/spike?ms=x", "/spike?ms=600001"):
        status, text = app.request(path)
        assert status == 400, path
        assert json.loads(text)["error"]
    info = app.info()
    assert info["mode"] == "healthy"
    assert info["pid"] == app.pid
    assert info["retained_bytes"] == MIB + 4096
    assert info["works"] == 1
    assert info["requests"] == 17
    assert info["uptime_s"] > 0
    assert abs(info["rss_bytes"] - app.proc_bytes("VmRSS")) < 4 * MIB


def test_health_answers_while_others_work(workload):
    app = workload(MODE="spike", SPIKE_MB=8, SPIKE_MS=3000).listen()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def spike():
            connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
            return app.request("/work", connection=connection)
        busy = [pool.submit(spike) for _ in range(8)]
        wait_for(lambda: app.proc_bytes("VmRSS") > 60 * MIB, what="eight spikes at once")
        begun = time.monotonic()
        assert app.request("/health")[0] == 200
        assert time.monotonic() - begun < 1
        assert not any(request.done() for request in busy)
        assert all(request.result()[0] == 200 for request in busy)


def test_the_host_keeps_its_reserve(workload):
    app = workload(MODE="leak-per-request", HOST_RESERVE_MB=16777216).listen()
    for path in ("/work", "/leak?bytes=1", "/spike"):
        status, text = app.request(path)
        assert status == 507
        assert "HOST_RESERVE_MB" in text
    assert app.info()["retained_bytes"] == 0


# What it does to memory.


def test_healthy_keeps_nothing(workload):
    app = workload(LEAK_BYTES_PER_REQUEST="2Mi").listen()
    app.work(50)
    before = app.proc_bytes("VmRSS")
    app.work(300)
    assert abs(app.proc_bytes("VmRSS") - before) < 2 * MIB
    assert app.info()["retained_bytes"] == 0


def test_leak_per_request_keeps_all_by_three_paths(workload):
    app = workload(MODE="leak-per-request", LEAK_BYTES_PER_REQUEST="2Mi").listen()
    app.work(10)
    before = app.proc_bytes("RssAnon")
    app.work(100)
    grown = app.proc_bytes("RssAnon") - before
    assert 200 * MIB <= grown < 206 * MIB
    info = app.info()
    assert info["retained_bytes"] == 220 * MIB
    shares = {name: value / info["retained_bytes"] for name, value in info["retained"].items() if value}
    assert shares == pytest.approx({"sessions": 0.5, "templates": 0.3, "audit_log": 0.2}, abs=1e-5)


def test_no_two_retained_pages_are_equal(workload):
    app = workload(MODE="leak-per-request").listen()
    app.work(20)
    pages, distinct = 0, set()
    with open(f"/proc/{app.pid}/maps", encoding="ascii") as maps, open(f"/proc/{app.pid}/mem", "rb") as memory:
        for line in maps:
            span, rights, _, _, inode, *name = line.split()
            if not rights.startswith("rw") or inode != "0" or name not in ([], ["[heap]"]):
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            if end - begin > 1 << 30:  # a sanitizer's shadow
                continue
            memory.seek(begin)
            for _ in range(begin, end, 4096):
                page = memory.read(4096)
                if page.count(0) < 4000:  # neither untouched nor nearly so
                    pages += 1
                    distinct.add(page)
    assert pages >= 20 * 256
    assert len(distinct) == pages


def test_cache_is_bounded(workload):
    app = workload(MODE="cache", CACHE_MB=16).listen()
    app.work(8)
    assert app.info()["retained"]["cache"] == 8 * MIB
    app.work(16)
    full = app.proc_bytes("RssAnon")
    assert full >= 16 * MIB
    app.work(100)
    assert app.info()["retained"]["cache"] == 16 * MIB
    assert app.proc_bytes("RssAnon") < full + 3 * MIB


def test_spike_goes_back_to_the_kernel(workload):
    app = workload(MODE="spike", SPIKE_MB=64, SPIKE_MS=1).listen()
    app.work()
    before = app.proc_bytes("RssAnon")
    app.work(5)
    assert app.proc_bytes("VmHWM") >= 64 * MIB
    assert abs(app.proc_bytes("RssAnon") - before) < 2 * MIB


def test_page_cache_writes_a_file_without_a_name(workload, tmp_path):
    system = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)
    if system.stdout.strip() in ("tmpfs", "ramfs"):
        pytest.skip("the temporary directory is on tmpfs")
    app = workload(MODE="page-cache", DATA_DIR=tmp_path, DATA_MB=8).listen()
    app.work(2)
    before = app.proc_bytes("RssAnon")
    app.work(18)
    assert app.info()["file_written_bytes"] == 20 * MIB
    assert app.proc_bytes("RssAnon") < before + 3 * MIB
    assert not list(tmp_path.iterdir())
    sizes = [os.stat(f"/proc/{app.pid}/fd/{fd}").st_size for fd in os.listdir(f"/proc/{app.pid}/fd")
             if str(tmp_path) in os.readlink(f"/proc/{app.pid}/fd/{fd}")]
    assert sizes == [8 * MIB]


def test_shmem_retains_in_shared_memory(workload):
    app = workload(MODE="shmem").listen()
    app.work(2)
    before = app.proc_bytes("RssAnon")
    app.work(18)
    held = [os.stat(f"/proc/{app.pid}/fd/{fd}").st_blocks * 512 for fd in os.listdir(f"/proc/{app.pid}/fd")
            if "memfd:" in os.readlink(f"/proc/{app.pid}/fd/{fd}")]
    assert held == [20 * MIB]
    assert app.info()["retained"]["shmem"] == 20 * MIB
    assert app.proc_bytes("RssAnon") < before + 2 * MIB


def child_of(app, other_than=None):
    def find():
        pid = app.info()["child_pid"]
        return pid if pid and pid != other_than else None
    return wait_for(find, what="a worker")


def test_child_does_the_leaking(workload):
    app = workload(MODE="child").listen()
    own = app.proc_bytes("RssAnon")
    app.work(30)
    child = child_of(app)
    resident = int(Path(f"/proc/{child}/statm").read_text(encoding="ascii").split()[1]) * 4096
    assert resident >= 30 * MIB
    assert app.proc_bytes("RssAnon") < own + 4 * MIB
    assert app.info()["retained"]["child"] == 30 * MIB


def test_killed_child_is_replaced(workload):
    app = workload(MODE="child").listen()
    app.work(3)
    first = child_of(app)
    assert app.lines[0] == f"[child] worker {first} started"
    os.kill(first, signal.SIGKILL)
    assert app.line() == f"[child] worker {first} was killed by signal 9"
    second = child_of(app, other_than=first)
    assert app.line() == f"[child] worker {second} started"
    assert not os.path.exists(f"/proc/{first}")  # reaped
    app.work(2)
    assert app.info()["retained"]["child"] == 2 * MIB
    assert app.stop() == 0
    assert not os.path.exists(f"/proc/{second}")


def test_child_dies_with_its_parent(workload):
    app = workload(MODE="child").listen()
    child = child_of(app)
    app.process.kill()
    app.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), what="the worker's end")


# Its end.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_in_order(workload, mode, number):
    app = workload(MODE=mode, HARD_OOM_MB=60, SPIKE_MB=1).listen()
    app.work(3)
    assert app.stop(number) == 0


def test_ends_at_once_while_a_request_waits(workload):
    app = workload(MODE="spike", SPIKE_MB=20, SPIKE_MS=60000).listen()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(app.request, "/work")
        wait_for(lambda: app.proc_bytes("VmRSS") > 20 * MIB, what="the spike")
        begun = time.monotonic()
        assert app.stop() == 0
        assert time.monotonic() - begun < 3
        with contextlib.suppress(OSError, http.client.HTTPException):
            waiting.result()


def test_ends_during_the_start_up_allocation(workload):
    app = workload(MODE="hard-oom", HARD_OOM_MB=4000)
    while "50/4000" not in app.line():
        pass
    assert app.stop() == 0
    assert "listening" not in app.process.stdout.read()


def test_as_pid_1(workload):
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("a pid namespace needs root, unshare and nsenter")
    app = workload("unshare", "--pid", "--fork", "--kill-child", "--mount-proc").listen()
    assert app.info()["pid"] == 1
    children = Path(f"/proc/{app.pid}/task/{app.pid}/children")
    inner = int(wait_for(lambda: children.read_text(encoding="ascii").split(), what="PID 1")[0])
    # An orphan in the namespace becomes its child, ends, and must not stay a zombie.
    orphan = ["nsenter", "--target", str(inner), "--pid", "--mount", "sh", "-c", "sleep 0.3 & exit 0"]
    subprocess.run(orphan, check=True, timeout=10)
    adopted = Path(f"/proc/{inner}/task/{inner}/children")
    wait_for(lambda: adopted.read_text(encoding="ascii").split(), what="the orphan's adoption")
    wait_for(lambda: not adopted.read_text(encoding="ascii").split(), what="the orphan's reaping")
    os.kill(inner, signal.SIGTERM)
    assert app.process.wait(timeout=10) == 0


def test_survives_a_reader_that_went_away(workload):
    app = workload(MODE="leak", LEAK_MB_PER_TICK=1, LEAK_INTERVAL_SECONDS="0.05").listen()
    app.process.stdout.close()
    wait_for(lambda: app.info()["ticks"] > 5, what="five more ticks")
    assert app.stop() == 0
    app.process.stdout = open(os.devnull, encoding="ascii")  # for close()


def test_client_that_goes_away_harms_nobody(workload):
    app = workload(MODE="spike", SPIKE_MB=4, SPIKE_MS=100).listen()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", app.port)) as rude:
            rude.sendall(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n")
    app.work()
    assert app.stop() == 0


# Under a real limit.


def test_hard_oom_is_killed_before_it_listens(workload, memory_cgroup):
    app = workload(MODE="hard-oom", HARD_OOM_MB=200, preexec=memory_cgroup(120 * MIB))
    assert app.process.wait(timeout=60) == -signal.SIGKILL
    text = app.process.stdout.read()
    assert "[hard-oom] allocated 100/200 MiB" in text
    assert "150/200" not in text
    assert "listening" not in text


def test_only_the_child_is_killed(workload, memory_cgroup):
    app = workload(MODE="child", preexec=memory_cgroup(64 * MIB)).listen()
    first = child_of(app)
    statuses = [app.request("/work")[0] for _ in range(80)]
    assert statuses.count(503) >= 1
    assert set(statuses) == {200, 503}
    assert app.line() == f"[child] worker {first} was killed by signal 9"
    assert app.request("/health")[0] == 200
    assert app.stop() == 0


def test_page_cache_is_never_killed(workload, memory_cgroup):
    app = workload(MODE="page-cache", DATA_DIR="/var/tmp", DATA_MB=96, preexec=memory_cgroup(48 * MIB)).listen()
    app.work(150)
    assert app.info()["file_written_bytes"] == 150 * MIB
    assert app.stop() == 0
