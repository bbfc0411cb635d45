# SPDX-License-Identifier: Apache-2.0
"""What oomlab serve costs: from create to running, idle with 200 replicas, without and with a page that is
open, and queries of metrics. Prints the figures; a line 'bar' says whether one holds. The replicas have an ingress, as most
apps do: they are probed."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from conftest import oomlab_binary  # noqa: E402
from serving import APPS, Serve, UnixConnection, app_body, free_port, until  # noqa: E402

REPLICAS = int(os.environ.get("OOMLAB_BENCH_REPLICAS", "200"))
IDLE_S = 20
CREATES = 20
PAUSE_S = 0.1
QUERIES = 3000
LOOP = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"]


def processor_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def share_of_core(pid):
    """In per cent, over IDLE_S."""
    before, begun = processor_s(pid), time.monotonic()
    time.sleep(IDLE_S)  # the length of the measurement
    return 100 * (processor_s(pid) - before) / (time.monotonic() - begun)


@contextlib.contextmanager
def read_stream(serve):
    """What a page reads as long as it is open."""
    command = ["curl", "-sN", "--unix-socket", serve.socket, "http://localhost/oomlab/stream", "-o", "/dev/null"]
    with subprocess.Popen(command) as reader:
        yield
        assert reader.poll() is None, "the stream has ended"
        reader.terminate()


def bar(name, value, most, unit):
    print(f"bar {name}: {value:.2f} {unit}, at most {most}: {'holds' if value <= most else 'FAILS'}")


def plain(**more):
    return app_body(LOOP, cpu=0.25, memory="64Mi", **more)


def service(**more):
    """An app that answers through its ingress, on any free port."""
    return app_body(None, image="builtin/leaky", cpu=0.25, memory="64Mi", port=8000, **more)


def create(serve, name, body):
    """From the request to the answer that it runs, as somebody sees it who asks every millisecond: in ms."""
    begun = time.monotonic()
    status, value, _ = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    revision = f"{APPS}/{name}/revisions/{name}--0000001"
    while (state := serve.get(revision)["properties"])["runningState"] == "Processing":
        time.sleep(0.001)
    assert state["runningState"].startswith("Running") and state["healthState"] == "Healthy", state
    return (time.monotonic() - begun) * 1000


def start_alone():
    """From its start to the first connection, without serve and its limits: in ms."""
    port = free_port()
    begun = time.monotonic()
    with subprocess.Popen([oomlab_binary(), "workload", "--port", str(port)], stdout=subprocess.DEVNULL) as app:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.001)
        took = (time.monotonic() - begun) * 1000
        app.terminate()
    return took


def creates(serve, kind, body):
    """Apps that are made one at a time, each after a pause: what the last one left in the kernel is over."""
    times = []
    for i in range(CREATES):
        times.append(create(serve, f"{kind}{i}", body()))
        time.sleep(PAUSE_S)
    for i in range(CREATES):
        serve.ask("DELETE", f"{APPS}/{kind}{i}")
    until(lambda: serve.get(APPS)["value"] == [], "the first apps are gone")
    return times


def queries_per_s(serve, name):
    path = (f"{APPS}/{name}/providers/Microsoft.Insights/metrics?metricnames=WorkingSetBytes&aggregation=Average"
            "&api-version=2018-01-01")
    connection = UnixConnection(serve.socket)
    begun = time.monotonic()
    for _ in range(QUERIES):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.close()
    return QUERIES / (time.monotonic() - begun)


def test_cost(tmp_path):
    serve = Serve(tmp_path / "serve", "--allow-any-size", "--max-memory", "100Gi")
    serve.start()
    serve.prepare()
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    times = creates(serve, "plain", plain)
    bar("create to running, median", statistics.median(times), 50, "ms")
    times = creates(serve, "service", service)
    alone = statistics.median(start_alone() for _ in range(CREATES))
    print(f"create to running with an ingress, that is, answering, median: {statistics.median(times):.2f} ms; the app alone "
          f"takes {alone:.2f} ms to listen")
    begun = time.monotonic()
    status, value, _ = serve.ask("PUT", f"{APPS}/many", service(minReplicas=REPLICAS, maxReplicas=REPLICAS))
    assert status == 201, value
    answered = time.monotonic() - begun
    until(lambda: serve.get(f"{APPS}/many/revisions")["value"][0]["properties"]["healthState"] == "Healthy",
          f"{REPLICAS} replicas run", 120)
    print(f"{REPLICAS} replicas: accepted in {answered:.2f} s, all ready in {time.monotonic() - begun:.2f} s")
    pid = serve.process.pid
    bar(f"idle with {REPLICAS} replicas", share_of_core(pid), 2, "% of a core")
    bar("resident", resident_mib(pid), 100, "MiB")
    with read_stream(serve):
        print(f"the same while a page is open: {share_of_core(pid):.2f} % of a core")
        bar("resident", resident_mib(pid), 100, "MiB")
    rate = queries_per_s(serve, "many")
    print(f"bar metric queries: {rate:.0f} a second, at least 1000: {'holds' if rate >= 1000 else 'FAILS'}")
    serve.stop()
