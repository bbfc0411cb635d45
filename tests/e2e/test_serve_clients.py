# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody here wrote: Debian's python3-azure and Prometheus."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
from serving import APPS, AZURE_LOGIN, ENVIRONMENT, app_body, free_port, missing, running, until


@pytest.fixture
def serve(tmp_path, no_leftovers):
    with running(tmp_path / "serve", "--tcp") as server:
        yield server


AZURE = AZURE_LOGIN + '''
import sys
from azure.core.exceptions import ResourceNotFoundError, HttpResponseError
from azure.mgmt.appcontainers import ContainerAppsAPIClient
from azure.mgmt.monitor import MonitorManagementClient

url, token, environment = sys.argv[1:]

client = ContainerAppsAPIClient(Credential(), "sub", base_url=url, authentication_policy=Authorize())
apps = client.container_apps

from azure.mgmt.appcontainers import models as m
def app(cpu, memory, tag):
    return m.ContainerApp(location="local", managed_environment_id=environment,
        configuration=m.Configuration(active_revisions_mode="Single"),
        template=m.Template(scale=m.Scale(min_replicas=2, max_replicas=2), containers=[m.Container(
            name="main", image="host", command=["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"], env=[m.EnvironmentVar(name="TAG", value=tag)],
            resources=m.ContainerResources(cpu=cpu, memory=memory))]))

made = apps.begin_create_or_update("rg", "client", app(0.25, "0.5Gi", "one")).result()
assert made.provisioning_state == "Succeeded", made.provisioning_state
assert made.latest_revision_name == "client--0000001"
assert made.template.containers[0].resources.memory == "0.5Gi"
apps.begin_update("rg", "client", app(0.5, "1Gi", "two")).result()
assert [a.name for a in apps.list_by_resource_group("rg")] == ["client"]
assert [a.name for a in apps.list_by_subscription()] == ["client"]
shown = apps.get("rg", "client")
assert shown.template.containers[0].resources.cpu == 0.5
revisions = list(client.container_apps_revisions.list_revisions("rg", "client"))
assert [r.name for r in revisions] == ["client--0000001", "client--0000002"], revisions
latest = client.container_apps_revisions.get_revision("rg", "client", "client--0000002")
assert latest.active and latest.health_state == "Healthy", latest
replicas = client.container_apps_revision_replicas.list_replicas("rg", "client", latest.name).value
assert len(replicas) == 2 and all(c.ready for r in replicas for c in r.containers)
client.container_apps_revisions.restart_revision("rg", "client", latest.name)
client.container_apps_revisions.deactivate_revision("rg", "client", latest.name)
client.container_apps_revisions.activate_revision("rg", "client", latest.name)
try:
    apps.begin_create_or_update("rg", "client", app(0.5, "0.5Gi", "x")).result()
    raise SystemExit("the pair was taken")
except HttpResponseError as error:
    assert error.error.code == "ContainerAppInvalidResourceTotal", error
monitor = MonitorManagementClient(Credential(), "sub", base_url=url, authentication_policy=Authorize())
import time
end = time.monotonic() + 30
while True:
    metrics = monitor.metrics.list(shown.id.lstrip("/"), metricnames="WorkingSetBytes", aggregation="Average",
                                   interval="PT1M")
    values = [p.average for t in metrics.value[0].timeseries for p in t.data if p.average is not None]
    if values:
        break
    assert time.monotonic() < end, "no metric"
    time.sleep(0.1)
assert metrics.value[0].unit == "Bytes" and all(v > 0 for v in values)
apps.begin_delete("rg", "client").result()
assert list(apps.list_by_resource_group("rg")) == []
try:
    apps.get("rg", "client")
    raise SystemExit("it is still there")
except ResourceNotFoundError:
    pass
print("done")
'''


def test_azure_sdk(serve):
    if subprocess.run(["/usr/bin/python3", "-c", "import azure.mgmt.appcontainers"], capture_output=True,
                      check=False).returncode != 0:
        missing("python3-azure")
    done = subprocess.run(["/usr/bin/python3", "-c", AZURE, f"http://127.0.0.1:{serve.port()}", serve.token(),
                           ENVIRONMENT], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "done\n"


RULES = """
groups:
- name: memory
  interval: 1s
  rules:
  - alert: WillRunOut
    expr: predict_linear(container_memory_working_set_bytes{app="leaks"}[10s], 3600) > on(pod) container_spec_memory_limit_bytes
  - alert: OOMKilled
    expr: increase(container_oom_events_total{app="leaks"}[1m]) > 0
  - alert: Restarts
    expr: increase(kube_pod_container_status_restarts_total{app="leaks"}[1m]) > 0
"""


def check_diagnosis(oomlab, port, labels):
    """The same server asked by oomlab diagnose: the kill is there, and no surer than a metric's word."""
    result = oomlab.result("diagnose", "--prometheus", f"http://127.0.0.1:{port}", "--namespace", labels["namespace"],
                           "--pod", labels["pod"], "--last", "5m", "--format", "json", status=3)
    (arm,) = result["arms"]
    assert arm["oom_kills"] >= 1 and arm["restarts"] >= 1
    first = arm["lifetimes"][0]["end"]
    assert (first["cause"], first["level"]) == ("oom-container-limit", "Strongly Suggested")


def test_prometheus_fires_after_a_real_kill(serve, oomlab, tmp_path):
    program = shutil.which("prometheus")
    if not program:
        missing("prometheus")
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "oomlab", "authorization": {"credentials_file": str(serve.directory / "token")},
                            "static_configs": [{"targets": [f"127.0.0.1:{serve.port()}"]}]}]}))
    port = free_port()
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen([program, f"--config.file={tmp_path}/prometheus.yml",
                                    f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
                                   stdout=log, stderr=log)

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def firing():
        found = ask("alerts")
        return {a["labels"]["alertname"] for a in found["alerts"] if a["state"] == "firing"} if found else set()

    try:
        env = [("MODE", "leak"), ("LEAK_MB_PER_TICK", "60"), ("LEAK_INTERVAL_SECONDS", "1")]
        status, _, headers = serve.ask("PUT", f"{APPS}/leaks", app_body(image="builtin/leaky", env=env))
        assert status == 201
        serve.operation(headers)
        until(lambda: "WillRunOut" in firing(), "predict_linear fires", 60)
        until(lambda: {"OOMKilled", "Restarts"} <= firing(), "the kill's alerts fire", 60)
        query = urllib.parse.quote('kube_pod_container_status_last_terminated_reason{reason="OOMKilled"}')
        (series,) = ask(f"query?query={query}")["result"]
        assert series["value"][1] == "1"
        check_diagnosis(oomlab, port, series["metric"])
    finally:
        process.terminate()
        process.wait(30)
