# SPDX-License-Identifier: Apache-2.0
"""oomlab run with one's own service: real servers, real kills, and a clear account of everything that
a service can do wrong."""

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

from conftest import PYTHON, SERVERS

pytestmark = pytest.mark.usefixtures("no_leftovers")

FAST = ("--idle", "200ms", "--gap", "100ms", "--cooldown", "200ms", "--format", "json")


def arm(result, name):
    return next(a for a in result["arms"] if a["name"] == name)


def ends(arm_object):
    return [lifetime["end"]["cause"] for lifetime in arm_object["lifetimes"]]


def script(tmp_path, text):
    path = tmp_path / "service.py"
    path.write_text(text, encoding="utf-8")
    return [PYTHON, str(path)]


SERVER = """
import http.server, os, signal, subprocess, sys, threading, time
kept = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        handle(self.path)
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
def handle(path): pass
def serve():
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256
    global server
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.serve_forever()
"""


# --- leaks in other languages ---------------------------------------------------------------------


def read_code(program):
    """Page cache is charged to the cgroup that reads a page first. With its runtime's code charged to us, a container at its
    limit has none that the kernel could take away, and read again, for as long as it likes before it kills."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for path in [program, *re.findall(r"(/\S+) \(0x", listed)]:
        Path(path).read_bytes()


def runtime_command(language):
    if language == "python":
        return [PYTHON, str(SERVERS / "leaky.py")]
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        pytest.skip("node is not installed")
    read_code(node)
    return [node, "--max-old-space-size=4096", str(SERVERS / "leaky.js")]


# Cycles that have room for three lives of it, also where it takes seconds to start.
@pytest.mark.parametrize("language, memory, cycles", [("python", "96Mi", "5"), ("node", "192Mi", "10")])
def test_leaky_server_is_killed_and_called_a_leak(oomlab, language, memory, cycles):
    result = oomlab.result(
        "run", "--memory", memory, "--port", "auto", "--request", "GET /search?q=x", "--env", "LEAK=1",
        "--env", "KIB=1024", "--ready", "http:/health", "--rate", "100/s", "--cycles", cycles,
        "--per-cycle", "200", "--patch-env", "LEAK=0", "--format", "json", "--",
        *runtime_command(language), status=3, timeout=200)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 3, json.dumps(trigger, indent=1)
    assert set(ends(trigger)[:3]) == {"oom-container-limit"}
    for lifetime in trigger["lifetimes"][:3]:
        assert lifetime["end"]["exit_code"] == 137
        # Correlated: by the counters alone, when the kernel log's rate limit took the line (v1).
        assert lifetime["end"]["level"] in ("Measured", "Observed", "Correlated")
        assert lifetime["end"]["proof"]
    assert trigger["verdict"]["class"] == "leak"
    # None where idle phases of a second are too short to exclude growth by time.
    assert trigger["verdict"]["driver"] in ("requests", None)
    assert result["verdict"]["class"] == "leak"
    # That of the arm which the run's verdict rests on.
    growth = result["verdict"]["growth"]
    assert growth["ci95"][0] <= growth["bytes_per_request"] <= growth["ci95"][1]
    assert any(growth.items() <= each["verdict"]["growth"].items() for each in result["arms"])
    assert arm(result, "raise")["oom_kills"] == 2
    patch = arm(result, "patch")
    assert patch["oom_kills"] == 0
    assert patch["verdict"]["class"] != "leak"
    assert arm(result, "revert")["oom_kills"] >= 1
    assert all(gate["pass"] for gate in result["gates"]), json.dumps(result["gates"], indent=1)


@pytest.mark.parametrize("language, memory", [("python", "96Mi"), ("node", "192Mi")])
def test_healthy_server_is_not_called_a_leak(oomlab, language, memory):
    result = oomlab.result(
        "run", "--memory", memory, "--port", "auto", "--request", "GET /search?q=x", "--env", "KIB=256",
        "--ready", "http:/health", "--rate", "100/s", "--cycles", "5", "--per-cycle", "200",
        "--format", "json", "--", *runtime_command(language), status=0)
    assert [a["name"] for a in result["arms"]] == ["trigger"]
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert trigger["restarts"] == 0
    assert trigger["requests"]["completed"] == trigger["requests"]["planned"] == 1000
    assert trigger["requests"]["failed"] == 0
    # Ten seconds are few for Node's collector: its heap may still move, and then the verdict says what
    # would settle it (docs/statistics.md).
    open_ = {"inconclusive"} if language == "node" else set()
    assert trigger["verdict"]["class"] in {"stable", "bounded-cache"} | open_, trigger["verdict"]
    assert (trigger["verdict"]["class"] == "inconclusive") == bool(trigger["verdict"]["would_settle"])
    assert trigger["health_state"] == "Healthy"


# --- what a service can do wrong ------------------------------------------------------------------


def short(*more):
    return ("run", "--memory", "64Mi", "--port", "auto", "--rate", "50/s", "--cycles", "2",
            "--per-cycle", "20", *FAST, *more)


@pytest.mark.parametrize("command, words", [
    ("./no-such-server", "no-such-server"),
    ("no-such-server-in-path", "PATH"),
    ("/etc/passwd", "ermission"),
    ("/", "/"),
])
def test_command_that_cannot_be_executed(oomlab, command, words):
    done = oomlab(*short("--", command))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_side_by_side_scenarios_that_cannot_start_end_together(oomlab, tmp_path):
    lab = tmp_path / "lab.yaml"
    lab.write_text("""
name: none-starts
memory: 64Mi
side-by-side: true
command: [/no/such/command]
requests: [GET /]
scenarios:
  a: {expect: leak, arms: trigger}
  b: {expect: leak, arms: trigger}
  c: {expect: leak, arms: trigger}
""", encoding="utf-8")
    done = oomlab("run", lab, timeout=30)
    assert done.returncode == 2, done.stderr
    assert "/no/such/command" in done.stderr


def test_service_that_is_never_ready(oomlab):
    result = oomlab.result(*short("--ready-deadline", "2s", "--", "sleep", "100"), status=3)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert trigger["requests"]["completed"] == 0
    assert trigger["health_state"] != "Healthy"
    assert trigger["lifetimes"][0]["ready_after_s"] is None
    assert trigger["verdict"]["class"] in ("not-memory", "inconclusive")


def test_service_that_dies_by_itself(oomlab, tmp_path):
    command = script(tmp_path, "import sys; print('configuration is missing'); sys.exit(3)")
    result = oomlab.result(*short("--", *command), status=3)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert set(ends(trigger)) == {"exited"}
    assert {lifetime["end"]["exit_code"] for lifetime in trigger["lifetimes"]} == {3}
    assert trigger["verdict"]["class"] == "not-memory"


def test_exit_137_without_a_kill_is_no_oom(oomlab, tmp_path):
    command = script(tmp_path, "import sys; sys.exit(137)")
    result = oomlab.result(*short("--", *command), status=3)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert set(ends(trigger)) == {"exited"}
    assert trigger["lifetimes"][0]["end"]["exit_code"] == 137
    assert trigger["lifetimes"][0]["end"]["signal"] is None


def test_service_that_forks_and_is_gone_afterwards(oomlab, tmp_path):
    marker = f"oomlab-fork-marker-{os.getpid()}-{time.monotonic_ns()}"
    command = script(tmp_path, SERVER + f"""
for i in range(5):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", "{marker}"],
                     start_new_session=True)
serve()
""")
    result = oomlab.result(*short("--memory", "256Mi", "--", *command), status=0)
    assert arm(result, "trigger")["requests"]["completed"] == 40
    assert marker not in subprocess.run(["ps", "-eo", "args"], text=True, capture_output=True,
                                        check=True).stdout


def test_service_that_ignores_sigterm_is_stopped(oomlab, tmp_path):
    command = script(tmp_path, SERVER + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nserve()\n")
    result = oomlab.result(*short("--", *command), status=0)
    trigger = arm(result, "trigger")
    assert trigger["requests"]["completed"] == 40
    assert ends(trigger) == ["killed-by-platform"]
    assert trigger["oom_kills"] == 0


def test_service_that_writes_a_gigabyte(oomlab, tmp_path):
    command = script(tmp_path, SERVER + """
threading.Thread(target=serve, daemon=True).start()
line = b"x" * 1023 + b"\\n"
block = line * 1024
for i in range(1024):
    sys.stdout.buffer.write(block)
sys.stdout.buffer.write(b"the last line\\n")
sys.stdout.flush()
threading.Event().wait()
""")
    directory = tmp_path / "run"
    result = oomlab.result(*short("--cycles", "10", "--output", directory, "--", *command), status=0)
    assert arm(result, "trigger")["oom_kills"] == 0
    log = next(Path(directory).glob("console-*.log"))
    with open(log, "rb") as stream:
        stream.seek(-100, os.SEEK_END)
        assert stream.read().endswith(b" stdout F the last line\n")
    payload = 0
    with open(log, "rb") as stream:
        for line in stream:
            payload += len(line) - line.index(b" F " if b" F " in line[:45] else b" P ") - 3
    # One line end is not payload for every line that was cut in two.
    assert payload >= 1024 ** 3
    log.unlink()


def test_service_that_closes_its_port(oomlab, tmp_path):
    command = script(tmp_path, SERVER + """
count = 0
def handle(path):
    global count
    count += 1
    if count == 10:
        threading.Thread(target=close).start()
def close():
    server.shutdown(); server.server_close()
Handler.protocol_version = "HTTP/1.0"  # a connection that is kept alive would outlive its port
serve()
threading.Event().wait()
""")
    result = oomlab.result(*short("--cycles", "6", "--", *command))
    trigger = arm(result, "trigger")
    assert trigger["requests"]["planned"] == 120
    assert 9 <= trigger["requests"]["completed"] < 60
    assert trigger["requests"]["failed"] >= 60
    assert trigger["oom_kills"] == 0
    assert trigger["restarts"] == 0
    assert trigger["health_state"] == "Unhealthy"


def test_killed_child_is_an_event_and_not_an_end(oomlab, tmp_path):
    command = script(tmp_path, SERVER + """
def handle(path):
    subprocess.run([sys.executable, "-c", "x = [bytes([1]) * 2**20 for i in range(2**12)]"])
serve()
""")
    # v2 kills the whole container with memory.oom.group: there it is an end, and here an event.
    directory = tmp_path / "run"
    result = oomlab.result(*short("--rate", "2/s", "--cycles", "1", "--per-cycle", "2", "--output",
                                  directory, "--", *command))
    trigger = arm(result, "trigger")
    if result["run"]["host"]["cgroup_version"] == 1:
        assert trigger["restarts"] == 0
        assert ends(trigger) == ["killed-by-platform"] or ends(trigger) == ["signalled"]
        reasons = [json.loads(line)["Reason"]
                   for line in Path(directory, "events.ndjson").read_text().splitlines()]
        assert "OOMKilledChild" in reasons
        # The raised limit held no more than the first, and its arm is no healthy one.
        assert [each["health_state"] for each in result["arms"]] == ["Unhealthy", "Unhealthy"]
        assert "that is not enough either" in result["verdict"]["summary"]
        assert result["recommendation"]["memory_bytes"] is None
        report = (directory / "report.md").read_text(encoding="utf-8")
        assert re.search(r"1 process; none was killed for memory itself, but (1 child process was|2 child processes were)\.", report)
    else:
        assert "oom-container-limit" in ends(trigger)


def test_port_in_use_is_refused(oomlab):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = oomlab("run", "--memory", "64Mi", "--port", port, "--", "sleep", "10")
    assert done.returncode == 2
    assert str(port) in done.stderr and "in use" in done.stderr


def test_another_process_on_the_port_is_not_the_service(oomlab, tmp_path):
    """The port is free when the arm begins, and then somebody else takes it first."""
    port = free_port()
    command = script(tmp_path, f"""
import time, socket
while True:
    try:
        socket.create_connection(("127.0.0.1", {port}), timeout=1).close()
        break
    except OSError:
        time.sleep(0.01)
print("somebody listens", flush=True)
time.sleep(1000)
""")
    directory = tmp_path / "run"
    process = oomlab.popen("run", "--memory", "64Mi", "--port", port, "--ready-deadline", "3s",
                           "--output", directory, *FAST, "--", *command)
    wait_for_child(command[1])
    with socket.create_server(("127.0.0.1", port)):
        out, err = process.communicate(timeout=60)
    trigger = arm(json.loads(out), "trigger")
    assert trigger["requests"]["completed"] == 0, err
    assert trigger["lifetimes"][0]["ready_after_s"] is None
    assert any("another process listens on this port" in e["Msg"] for e in events_of(directory))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_kill_from_outside_is_not_called_oom(oomlab, tmp_path):
    """Somebody with the right to do so kills the service: 137, but no OOM."""
    command = script(tmp_path, SERVER + """
def handle(path):
    if path == "/die" :
        os.kill(os.getpid(), signal.SIGSEGV)
serve()
""")
    process = oomlab.popen(*short("--cycles", "20", "--", *command))
    pid = wait_for_child(command[1])
    os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    trigger = arm(json.loads(out), "trigger")
    assert trigger["oom_kills"] == 0, err
    assert ends(trigger)[0] == "killed-externally"
    assert trigger["lifetimes"][0]["end"]["exit_code"] == 137


def wait_for_child(argument, deadline_s=20):
    """The pid of the process whose command line has this argument and that is no oomlab."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argument.encode() in words and not words[0].endswith(b"oomlab"):
                return int(entry.name)
        time.sleep(0.01)
    raise AssertionError(f"no process with {argument}")


def test_container_cannot_leave_its_cgroup(oomlab, tmp_path):
    """Who could write there would look healthy with any limit."""
    command = script(tmp_path, """
import os, sys
for path, folders, files in os.walk("/sys/fs/cgroup"):
    for name in files:
        if name == "cgroup.procs":
            try:
                open(os.path.join(path, name), "w").write(str(os.getpid()))
                print("ESCAPED", path, flush=True)
            except OSError as error:
                print("refused", error.errno, flush=True)
sys.exit(3)
""")
    directory = tmp_path / "run"
    oomlab.result(*short("--output", directory, "--", *command))
    log = next(Path(directory).glob("console-*.log")).read_text()
    assert "refused 30" in log  # EROFS
    assert "ESCAPED" not in log


def test_shared_memory_is_the_containers_own(oomlab, tmp_path):
    name = f"oomlab-shm-{os.getpid()}-{time.monotonic_ns()}"
    command = script(tmp_path, f"""
import os, sys
print(os.listdir("/dev/shm"), flush=True)
open("/dev/shm/{name}", "w").write("x")
sys.exit(3)
""")
    directory = tmp_path / "run"
    oomlab.result(*short("--output", directory, "--", *command))
    log = next(Path(directory).glob("console-*.log")).read_text()
    assert log.count("[]") == 3  # three lifetimes, each with a fresh one
    assert not Path("/dev/shm", name).exists()


# --- probes ---------------------------------------------------------------------------------------


def events_of(directory):
    return [json.loads(line) for line in Path(directory, "events.ndjson").read_text().splitlines()]


def test_liveness_probe_restarts_and_is_no_oom(oomlab, tmp_path):
    """The service answers requests, but its liveness path fails from the third probe on."""
    command = script(tmp_path, SERVER + """
probes = 0
class Sick(Handler):
    def do_GET(self):
        global probes
        if self.path == "/live":
            probes += 1
            if probes > 2:
                self.send_response(500); self.send_header("Content-Length", "0"); self.end_headers()
                return
        super().do_GET()
Handler = Sick
serve()
""")
    directory = tmp_path / "run"
    result = oomlab.result(
        *short("--cycles", "20", "--startup", "tcp period=20ms", "--liveness",
               "http:/live period=50ms failures=2", "--output", directory,
               "--", *command), status=3)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert trigger["restarts"] >= 2
    # PID 1 without a handler ignores SIGTERM: the grace period ends with SIGKILL, exit code 137.
    assert set(ends(trigger)) == {"killed-by-platform"}
    assert trigger["verdict"]["class"] != "leak"
    events = events_of(directory)
    assert any(e["Msg"] == "Probe of Liveness failed with status code: 500" for e in events)
    assert any(e["Msg"].endswith("with exit code '' and reason 'ProbeFailure'") for e in events)
    assert not any("ProcessExited" in e["Reason"] for e in events)


def test_startup_probe_that_never_succeeds(oomlab, tmp_path):
    command = script(tmp_path, SERVER + "\nserve()\n")
    directory = tmp_path / "run"
    result = oomlab.result(
        *short("--startup", "http:/x period=50ms failures=3", "--ready", "http:/", "--https", "--output",
               directory, "--", *command), status=3)
    trigger = arm(result, "trigger")
    assert set(ends(trigger)) == {"killed-by-platform"}
    assert trigger["health_state"] == "Unhealthy"
    messages = [e["Msg"] for e in events_of(directory)]
    assert any(m.endswith("failed startup probe, will be restarted") for m in messages)


# --- interruption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_interrupted_run_keeps_its_evidence(oomlab, tmp_path, number):
    directory = tmp_path / "run"
    command = script(tmp_path, SERVER + "\nserve()\n")
    process = oomlab.popen(*short("--cycles", "1000", "--output", directory, "--", *command))
    wait_for_child(command[1])
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert Path(directory, "evidence.db").exists()
    stored = json.loads(Path(directory, "result.json").read_text())
    assert [a["name"] for a in stored["arms"]] == ["trigger"]
    assert ends(arm(stored, "trigger")) in (["killed-by-platform"], ["signalled"])


def test_second_signal_does_not_wait_for_the_grace_period(oomlab, tmp_path):
    command = script(tmp_path, SERVER + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nserve()\n")
    process = oomlab.popen(*short("--cycles", "1000", "--stop-grace", "1h", "--", *command))
    wait_for_child(command[1])
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("kib", [200, 350, 500, 650])
def test_full_disk_ends_the_run_with_a_clear_error(oomlab, tmp_path, kib):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = script(tmp_path, SERVER + "\nserve()\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk], check=True)
    try:
        done = oomlab(*short("--cycles", "20", "--sample-rate", "1000/s", "--output", disk / "run", "--",
                             *command), timeout=60)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == 1
    assert "no space left on the device" in done.stderr


def test_same_requests_for_every_arm_and_every_run(oomlab, tmp_path):
    import sqlite3
    command = script(tmp_path, SERVER + "\nserve()\n")
    sequences = []
    for i in range(2):
        directory = tmp_path / f"run{i}"
        oomlab.result(*short("--seed", "7", "--arrival", "poisson", "--request", "GET /a",
                             "--request", "GET /b", "--output", directory, "--", *command), status=0)
        rows = sqlite3.connect(directory / "evidence.db").execute(
            "SELECT sequence_sha256 FROM arm").fetchall()
        sequences += [row[0] for row in rows]
    assert len(set(sequences)) == 1


def test_ten_requests_are_not_called_level(oomlab, tmp_path):
    """100 KiB are kept for each: too few of them to show, and so too few to call memory level."""
    command = script(tmp_path, SERVER + """
kept = []
def handle(path):
    kept.append(bytearray(b"x" * 102400))
serve()
""")
    result = oomlab.result("run", "--memory", "64Mi", "--arms", "trigger", "--cycles", "1", "--per-cycle", "10",
                           "--port", "auto", *FAST, "--", *command, status=0)
    assert result["verdict"]["class"] == "inconclusive", result["verdict"]
    assert "at least 59" in result["verdict"]["would_settle"]
    assert result["recommendation"]["action"] == "investigate" and not result["recommendation"]["memory_bytes"]


def test_a_patch_that_levels_off_shows_small_growth(oomlab):
    """16 KiB a request: too little for a verdict by itself, and none of it in the patched arm."""
    result = oomlab.result(
        "run", "--memory", "128Mi", "--request", "GET /work", "--ready", "http:/health", "--port", "auto",
        "--env", "MODE=leak-per-request", "--env", "LEAK_BYTES_PER_REQUEST=16Ki", "--patch-env", "MODE=healthy",
        "--rate", "100/s", "--cycles", "5", "--per-cycle", "120", "--format", "json", "--",
        "oomlab", "workload", timeout=120, status=3)
    trigger, patch = (arm(result, name) for name in ("trigger", "patch"))
    assert (trigger["oom_kills"], trigger["verdict"]["class"]) == (0, "inconclusive")
    assert patch["verdict"]["class"] == "stable"
    assert (result["verdict"]["class"], result["verdict"]["level"]) == ("leak", "Correlated")
    assert "the difference, " in result["verdict"]["summary"]
    forecast = result["recommendation"]["forecasts"][0]
    assert forecast["limit_bytes"] == 128 << 20 and forecast["seconds_left"]
    # What it has from the start is not recorded to a page: 128 MiB are at most 8192 requests away.
    assert 7000 < forecast["requests"]["value"] < 8800
