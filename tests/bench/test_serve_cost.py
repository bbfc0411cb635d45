# SPDX-License-Identifier: Apache-2.0
"""What oomlab serve costs: idle with 200 replicas, from create to running, and queries of metrics. Prints the figures;
a line 'bar' says whether one holds."""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from serving import APPS, Serve, UnixConnection, app_body, until  # noqa: E402

REPLICAS = int(os.environ.get("OOMLAB_BENCH_REPLICAS", "200"))
IDLE_S = 20
CREATES = 20
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


def bar(name, value, most, unit):
    print(f"bar {name}: {value:.2f} {unit}, at most {most}: {'holds' if value <= most else 'FAILS'}")


def create(serve, name, **more):
    begun = time.monotonic()
    status, value, _ = serve.ask("PUT", f"{APPS}/{name}", app_body(LOOP, cpu=0.1, memory="16Mi", **more))
    assert status == 201, value
    while serve.get(f"{APPS}/{name}/revisions/{name}--0000001")["properties"]["runningState"] == "Processing":
        pass
    return (time.monotonic() - begun) * 1000


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
    times = [create(serve, f"one{i}") for i in range(CREATES)]
    bar("create to running, median", statistics.median(times), 50, "ms")
    for i in range(CREATES):
        serve.ask("DELETE", f"{APPS}/one{i}")
    until(lambda: serve.get(APPS)["value"] == [], "the first apps are gone")
    serve.ask("PUT", f"{APPS}/many", app_body(LOOP, cpu=0.1, memory="16Mi", minReplicas=REPLICAS, maxReplicas=REPLICAS))
    until(lambda: serve.get(f"{APPS}/many/revisions")["value"][0]["properties"]["healthState"] == "Healthy",
          f"{REPLICAS} replicas run", 120)
    pid = serve.process.pid
    before, begun = processor_s(pid), time.monotonic()
    time.sleep(IDLE_S)  # the length of the measurement
    share = 100 * (processor_s(pid) - before) / (time.monotonic() - begun)
    bar(f"idle with {REPLICAS} replicas", share, 2, "% of a core")
    bar("resident", resident_mib(pid), 100, "MiB")
    rate = queries_per_s(serve, "many")
    print(f"bar metric queries: {rate:.0f} a second, at least 1000: {'holds' if rate >= 1000 else 'FAILS'}")
    serve.stop()
