# SPDX-License-Identifier: Apache-2.0
"""oomlab advise: what it prints for a leak, a limit that was too small and a healthy service, read by the tools that
will have to: kubectl, docker-compose, promtool, systemd-analyze, a YAML parser."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import Oomlab, oomlab_binary

MIB = 1 << 20
LEAKS = ("leak", "patched")
TARGETS = ["kubernetes", "azure", "compose", "systemd", "prometheus"]
ALERTS = ["MemoryNearLimit", "MemoryPredictedToReachLimit", "OutOfMemoryKill", "ContainerRestarts"]
LIVENESS_PATH = "/health?a=$b\"'#"
LIVENESS = ("--liveness", "http:" + LIVENESS_PATH.replace('"', '\\"').replace("'", "\\'"))
RUNS = {
    "leak": ("--memory", "64Mi", "--kills", "2", "--env", "MODE=leak-per-request", "--cycles", "4", "--per-cycle",
             "60", "--rate", "60/s", *LIVENESS),
    "patched": ("--memory", "64Mi", "--kills", "2", "--env", "MODE=leak-per-request", "--patch-env", "MODE=healthy",
                "--arms", "trigger,patch", "--cycles", "4", "--per-cycle", "60", "--rate", "60/s"),
    "sized": ("--memory", "48Mi", "--raise", "192Mi", "--arms", "trigger,raise", "--kills", "2", "--env",
              "MODE=hard-oom", "--env", "HARD_OOM_MB=96", "--cycles", "4", "--per-cycle", "40", "--rate", "40/s"),
    "healthy": ("--memory", "64Mi", "--port", "18231", "--cycles", "4", "--per-cycle", "40", "--rate", "40/s"),
}


def tool(name, package):
    """A real tool; a test without it says which package is missing."""
    if not shutil.which(name):
        if os.environ.get("OOMLAB_MUST_WORK"):
            raise FileNotFoundError(f"{name} is not installed")
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return name


def read_yaml(text):
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    return yaml.safe_load(text)


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    """A real run of each kind: its name, its result and what was advised. The app is called 8080, which YAML takes for
    a number where it is not quoted."""
    directory = tmp_path_factory.mktemp(request.param)
    instance = Oomlab(directory)
    (directory / "8080").symlink_to(oomlab_binary())
    done = instance("run", "--ready", "http:/health", "--request", "GET /work", "--idle", "500ms", "--gap", "200ms",
                    "--cooldown", "500ms", *RUNS[request.param], "--format", "json", "--", directory / "8080", "workload")
    if done.returncode == 4:
        pytest.skip(f"this machine cannot run a lab: {done.stderr.strip()}")
    assert done.returncode in (0, 3), done.stderr
    advice = {}
    for target in TARGETS:
        told = instance("advise", "last", "--for", target)
        assert told.returncode == 0 and told.stderr == "", told.stderr
        advice[target] = told.stdout
    return request.param, json.loads(done.stdout), advice


def held_in(result):
    """The arm whose limit held, as the test knows it by itself."""
    arms = [arm for arm in result["arms"] if arm["name"] in ("trigger", "raise") and arm["oom_kills"] == 0]
    return min(arms, key=lambda arm: arm["memory_limit_bytes"])


def quantity(text):
    return int(float(text[:-2]) * {"Mi": MIB, "Gi": 1 << 30}[text[-2:]])


def test_the_runs_are_what_they_are_called(run):
    kind, result, _ = run
    assert result["verdict"]["class"] in {
        "leak": {"leak"}, "patched": {"leak"}, "sized": {"startup-demand"}, "healthy": {"stable", "bounded-cache"}}[kind], result["verdict"]


def test_every_target_names_the_run_and_its_evidence(run):
    kind, result, advice = run
    arm = result["arms"][0] if kind in LEAKS else held_in(result)
    for text in advice.values():
        comments = " ".join(line.strip().removeprefix("# ") for line in text.splitlines() if line.strip()[:1] == "#")
        assert result["run"]["id"] in comments and result["verdict"]["class"] in comments
        for item in result["evidence"]:
            if item["id"] in arm["verdict"]["because"]:
                assert f"{item['id']} ({item['level']}; table {item['source']['table']}" in comments
        assert ("ny size only delays the next kill" in comments) == (kind in LEAKS)
        patched = "With the patch of service/patch, a limit of 64Mi held: no kill" in comments
        assert patched == (kind == "patched"), comments
        # Wrapped; a word alone may be longer, as a control group's path is.
        assert not [line for line in text.splitlines() if len(line) > 98 and line.startswith("# ") and
                    not line.startswith("# az ") and " " in line[2:].strip() and "#   --" not in line]


def test_kubernetes(run):
    kind, result, advice = run
    container = read_yaml(advice["kubernetes"])["spec"]["template"]["spec"]["containers"][0]
    probe = container["readinessProbe"]
    assert probe["httpGet"]["path"] == "/health" and probe["httpGet"]["scheme"] == "HTTP"
    assert probe["periodSeconds"] >= 1 and probe["timeoutSeconds"] >= 1
    assert ("livenessProbe" in container) == (kind == "leak") and "startupProbe" not in container
    if kind == "leak":
        assert container["livenessProbe"]["httpGet"]["path"] == LIVENESS_PATH
    if kind in LEAKS:
        assert "resources" not in container
        return
    arm = held_in(result)
    peak = max(life["working_set"]["peak_bytes"] for life in arm["lifetimes"])
    limit = quantity(container["resources"]["limits"]["memory"])
    request = quantity(container["resources"]["requests"]["memory"])
    assert limit == arm["memory_limit_bytes"] == (192 * MIB if kind == "sized" else 64 * MIB)
    assert peak < request <= limit and request <= 1.15 * peak + MIB
    if kind == "healthy":
        assert probe["httpGet"]["port"] == 18231


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "8080"}
spec:
  selector: {matchLabels: {app: "8080"}}
  template:
    metadata: {labels: {app: "8080"}}
    spec:
      containers:
        - {name: side, image: other}
        - {name: "8080", image: mine, resources: {limits: {cpu: "1", memory: 1Gi}}}
"""


def read_deployment(kubectl, text):
    """A patch is applied as it is; what reads the outcome into a Deployment refuses what is none."""
    return subprocess.run([kubectl, "set", "env", "--local", "-f", "-", "-o", "json", "A=b"], input=text,
                          capture_output=True, text=True, check=False)


def test_kubectl_patches_a_deployment(run, tmp_path):
    kind, result, advice = run
    name = tool("kubectl", "kubernetes-client")
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT, encoding="utf-8")

    def patch(text):
        return subprocess.run([name, "patch", "--local", "-f", tmp_path / "deployment.yaml", "-o", "json", "-p", text],
                              capture_output=True, text=True, check=False)
    done = patch(advice["kubernetes"])
    assert done.returncode == 0, done.stderr
    side, container = sorted(json.loads(done.stdout)["spec"]["template"]["spec"]["containers"],
                             key=lambda item: item["image"], reverse=True)
    assert "readinessProbe" not in side and container["image"] == "mine"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    limits = container["resources"]["limits"]
    assert limits["cpu"] == "1"
    assert limits["memory"] == "1Gi" if kind in LEAKS else quantity(limits["memory"]) == held_in(result)[
        "memory_limit_bytes"]
    assert read_deployment(name, done.stdout).returncode == 0
    wrong = patch(advice["kubernetes"].replace("periodSeconds: 1", "periodSeconds: soon")).stdout
    assert "periodSeconds" in read_deployment(name, wrong).stderr


def test_azure(run):
    kind, result, advice = run
    container = read_yaml(advice["azure"])["properties"]["template"]["containers"][0]
    assert "Readiness" in [probe["type"] for probe in container["probes"]]
    assert ("resources" in container) == (kind not in LEAKS)
    if kind not in LEAKS:
        assert quantity(container["resources"]["memory"]) >= held_in(result)["memory_limit_bytes"]
        assert container["resources"]["cpu"] * 2 == float(container["resources"]["memory"][:-2])
    share = re.search(r"WorkingSetBytes > (\d+)'", advice["azure"]).group(1)
    assert int(share) == int(0.8 * 512 * MIB)  # the smallest size that Azure has, whatever was tested
    assert "no size that Azure has" in " ".join(advice["azure"].replace("#", "").split())


def test_azure_says_what_has_to_be_filled_in(run):
    """As comments, in their place: with them uncommented the template is one that an update takes."""
    _, _, advice = run
    assert "az containerapp show" in advice["azure"]
    filled = re.sub(r"^( +)# (image:|env:|  - name:|    value:|    secretRef:)", r"\1\2", advice["azure"], flags=re.M)
    container = read_yaml(filled)["properties"]["template"]["containers"][0]
    assert container["image"] == "REGISTRY/IMAGE:TAG"
    assert [sorted(variable) for variable in container["env"]] == [["name", "value"], ["name", "secretRef"]]


def test_compose(run):
    kind, result, advice = run
    (service,) = read_yaml(advice["compose"])["services"].values()
    test = service["healthcheck"]["test"]
    assert test[:3] == ["CMD", "curl", "-fsS"] and "/health" in test[3]
    if kind == "leak":
        assert test[3].endswith("/health?a=$$b\"'#")
    if kind in LEAKS:
        assert not {"mem_limit", "mem_reservation"} & set(service)
    else:
        assert service["mem_limit"] == service["memswap_limit"] == f"{held_in(result)['memory_limit_bytes']}b"


def test_compose_takes_it(run, tmp_path):
    kind, result, advice = run
    name = tool("docker-compose", "docker-compose")
    (tmp_path / "compose.yaml").write_text('services: {"8080": {image: mine}}\n', encoding="utf-8")

    def merge(text):
        (tmp_path / "advice.yaml").write_text(text, encoding="utf-8")
        return subprocess.run([name, "-f", "compose.yaml", "-f", "advice.yaml", "config"], cwd=tmp_path,
                              capture_output=True, text=True, check=False)
    done = merge(advice["compose"])
    assert done.returncode == 0, done.stderr
    service = read_yaml(done.stdout)["services"]["8080"]
    assert service["image"] == "mine" and service["restart"] == "unless-stopped"
    assert service["healthcheck"]["retries"] == 3
    assert ("mem_limit" in done.stdout) == (kind not in LEAKS)
    assert merge(advice["compose"].replace("interval: ", "intervals: ")).returncode != 0


def verify_unit(directory, text):
    (directory / "app.service.d").mkdir(exist_ok=True)
    (directory / "app.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    (directory / "app.service.d" / "50-memory.conf").write_text(text, encoding="utf-8")
    return subprocess.run([tool("systemd-analyze", "systemd"), "verify", "--man=no", directory / "app.service"],
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"}, capture_output=True, text=True,
                          check=False)


def test_systemd(run, tmp_path):
    kind, result, advice = run
    done = verify_unit(tmp_path, advice["systemd"])
    assert done.returncode == 0 and "50-memory.conf" not in done.stderr, done.stderr
    # It was read, and would have been complained about.
    assert "50-memory.conf" in verify_unit(tmp_path, advice["systemd"] + "MemoryMaxx=1\n").stderr
    if kind in LEAKS:
        assert "MemoryMax" not in advice["systemd"]
    else:
        assert f"\nMemoryMax={held_in(result)['memory_limit_bytes']}\n" in advice["systemd"]


def promtool(*arguments):
    return subprocess.run([tool("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False)


def test_prometheus_takes_the_rules(run, tmp_path):
    _, result, advice = run
    path = tmp_path / "rules.yml"
    path.write_text(advice["prometheus"], encoding="utf-8")
    done = promtool("check", "rules", path)
    assert done.returncode == 0 and "4 rules found" in done.stdout, done.stdout + done.stderr
    rules = read_yaml(advice["prometheus"])["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == ALERTS
    assert all(rule["annotations"]["oomlab_run"] == result["run"]["id"] for rule in rules)


def fires(tmp_path, rules, series):
    """Which alerts fire after two hours of these series, by Prometheus' own engine."""
    app = re.search(r'container="([a-z0-9-]+)"', rules).group(1)
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    fired = []
    for alert in ALERTS:
        labels = f'container="{app}", namespace="n", pod="p"'
        inputs = [{"series": "%s{%s%s}" % (name, labels, more), "values": values} for name, more, values in series]
        case = {"rule_files": ["rules.yml"], "evaluation_interval": "1m",
                "tests": [{"interval": "1m", "input_series": inputs,
                           "alert_rule_test": [{"eval_time": "2h", "alertname": alert, "exp_alerts": []}]}]}
        (tmp_path / "test.yml").write_text(json.dumps(case), encoding="utf-8")
        done = promtool("test", "rules", tmp_path / "test.yml")
        text = done.stdout + done.stderr
        assert done.returncode == 0 or f"alertname: {alert}, time: 2h" in text, text
        if done.returncode != 0:
            fired.append(alert)
    return fired


@pytest.mark.parametrize("series, expected", [
    ([("container_memory_working_set_bytes", "", "100+0x130")], []),
    ([("container_memory_working_set_bytes", "", "850+0x130")], ["MemoryNearLimit"]),
    # From 100 by 2 a minute: 340 after two hours, 820 four hours later; by 3: 460, then 1180.
    ([("container_memory_working_set_bytes", "", "100+2x130")], []),
    ([("container_memory_working_set_bytes", "", "100+3x130")], ["MemoryPredictedToReachLimit"]),
    ([("container_oom_events_total", "", "0+0x115 1+0x15")], ["OutOfMemoryKill"]),
    ([("kube_pod_container_status_restarts_total", "", "0+0x115 1+0x15")], ["ContainerRestarts"]),
    ([("kube_pod_container_status_restarts_total", "", "0+0x115 1+0x15"),
      ("kube_pod_container_status_last_terminated_reason", ', reason="OOMKilled"', "1+0x130")],
     ["OutOfMemoryKill", "ContainerRestarts"]),
    # A kill of long ago is no news.
    ([("container_oom_events_total", "", "0+0x15 1+0x115"),
      ("kube_pod_container_status_restarts_total", "", "0+0x15 1+0x115"),
      ("kube_pod_container_status_last_terminated_reason", ', reason="OOMKilled"', "1+0x130")], []),
])
def test_alerts_fire_when_they_should(run, tmp_path, series, expected):
    limit = ("container_spec_memory_limit_bytes", "", "1000+0x130")
    assert fires(tmp_path, run[2]["prometheus"], [limit, *series]) == expected
    # A container without a limit has 0 there, and nothing to reach.
    if series[0][0] == "container_memory_working_set_bytes":
        none = ("container_spec_memory_limit_bytes", "", "0+0x130")
        assert fires(tmp_path, run[2]["prometheus"], [none, *series]) == []
