# SPDX-License-Identifier: Apache-2.0
"""What a change of an app's configuration does to what runs: its ingress, its mode; and what of it is kept."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from serving import APPS, WAIT, Serve, app_body, free_port, running, until


@pytest.fixture
def serve(tmp_path, no_leftovers):
    with running(tmp_path / "serve", "--allow-any-size") as server:
        yield server


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status in (200, 201), value
    if "Azure-AsyncOperation" in headers:
        assert serve.operation(headers)["status"] == "Succeeded"
    return serve.get(f"{APPS}/{name}")


def service(port, mode="Single", suffix=None):
    body = app_body(None, image="builtin/leaky", port=port)
    body["properties"]["configuration"]["activeRevisionsMode"] = mode
    if suffix:
        body["properties"]["template"]["revisionSuffix"] = suffix
    return body


def patch(serve, name, configuration):
    status, value, _ = serve.ask("PATCH", f"{APPS}/{name}", {"properties": {"configuration": configuration}})
    assert status in (200, 202), value
    return value["properties"]["configuration"]


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return None


def fqdn(serve, name):
    return serve.get(f"{APPS}/{name}")["properties"].get("latestRevisionFqdn")


def test_another_target_port_is_listened_at(serve):
    first, second = free_port(), free_port()
    create(serve, "moved", service(first))
    until(lambda: answers(first) == 200, "it answers")
    patch(serve, "moved", {"ingress": {"targetPort": second}})
    assert (answers(first), answers(second)) == (None, 200)
    assert str(second) in fqdn(serve, "moved")
    # The same again: those who are connected stay.
    patch(serve, "moved", {"ingress": {"targetPort": second}})
    assert answers(second) == 200


@pytest.mark.parametrize("how", ["patch", "put", "put without"])
def test_an_ingress_that_is_taken_away(serve, how):
    port = free_port()
    body = service(port)
    create(serve, "closed", body)
    until(lambda: answers(port) == 200, "it answers")
    if how == "patch":
        patch(serve, "closed", {"ingress": None})
    else:
        configuration = body["properties"]["configuration"]
        configuration.pop("ingress") if how == "put without" else configuration.update(ingress=None)
        create(serve, "closed", body)
    assert answers(port) is None
    assert not serve.get(f"{APPS}/closed")["properties"]["configuration"].get("ingress")
    assert not fqdn(serve, "closed")
    serve.stop()
    serve.start()
    assert answers(port) is None


def active(serve, name):
    return [r["name"] for r in serve.get(f"{APPS}/{name}/revisions")["value"] if r["properties"]["active"]]


def weights(serve, name):
    return [(t.get("revisionName", "latest"), t["weight"])
            for t in serve.get(f"{APPS}/{name}")["properties"]["configuration"]["ingress"]["traffic"]]


def test_single_mode_leaves_one_revision(serve):
    port = free_port()
    create(serve, "many", service(port, "Multiple", "a"))
    create(serve, "many", service(port, "Multiple", "b"))
    shares = [{"revisionName": "many--a", "weight": 70}, {"revisionName": "many--b", "weight": 30}]
    patch(serve, "many", {"ingress": {"traffic": shares}})
    assert len(active(serve, "many")) == 2
    done = serve.az("containerapp", "revision", "set-mode", "-n", "many", "-g", "rg", "--mode", "single")
    assert done.returncode == 0, done.stderr
    assert active(serve, "many") == ["many--b"]
    assert weights(serve, "many") == [("latest", 100)]
    rows = serve.az("containerapp", "logs", "show", "-n", "many", "-g", "rg", "--type", "system", "--tail", "300").stdout
    assert "Deactivating old revisions for ContainerApp 'many'" in rows
    patch(serve, "many", {"activeRevisionsMode": "Multiple"})
    assert active(serve, "many") == ["many--b"]
    assert weights(serve, "many") == [("latest", 100)]
    until(lambda: answers(port) == 200, "the one that is left answers")


def test_a_deactivated_revision_keeps_its_weight(serve):
    """Until the traffic is set anew: what is shown of it is what happens to the requests."""
    port = free_port()
    create(serve, "kept", service(port, "Multiple", "a"))
    create(serve, "kept", service(port, "Multiple", "b"))
    patch(serve, "kept", {"ingress": {"traffic": [{"revisionName": "kept--a", "weight": 100},
                                                  {"revisionName": "kept--b", "weight": 0}]}})
    until(lambda: answers(port) == 200, "it answers")
    assert serve.ask("POST", f"{APPS}/kept/revisions/kept--a/deactivate")[0] == 200
    assert weights(serve, "kept") == [("kept--a", 100), ("kept--b", 0)]
    shown = {r["name"]: (r["properties"]["active"], r["properties"]["trafficWeight"])
             for r in serve.get(f"{APPS}/kept/revisions")["value"]}
    assert shown == {"kept--a": (False, 100), "kept--b": (True, 0)}
    until(lambda: answers(port) == 503, "its requests are lost")
    patch(serve, "kept", {"ingress": {"traffic": [{"latestRevision": True, "weight": 100}]}})
    until(lambda: answers(port) == 200, "the other one answers")
    assert {r["properties"]["trafficWeight"] for r in serve.get(f"{APPS}/kept/revisions")["value"]} == {0, 100}


def requests(serve, name):
    query = urllib.parse.urlencode({"metricnames": "Requests", "aggregation": "Total", "interval": "FULL"})
    data = serve.get(f"{APPS}/{name}/providers/Microsoft.Insights/metrics?{query}")["value"][0]["timeseries"][0]["data"]
    return sum(point.get("total", 0) for point in data)


@pytest.mark.parametrize("how", ["another revision", "restart of serve"])
def test_requests_of_a_replica_that_is_gone_are_counted(serve, how):
    port, sent = free_port(), 0
    create(serve, "counted", service(port))
    for suffix in ("x", "y", "z"):
        until(lambda: answers(port) == 200, "it answers")
        before = requests(serve, "counted")  # with those that waited for it
        for _ in range(5):
            assert answers(port) == 200
        sent += 5
        if how == "another revision":
            create(serve, "counted", service(port, suffix=suffix))
        else:
            serve.stop()
            serve.start()
        until(lambda expected=before + 5: requests(serve, "counted") >= expected, "all of them are counted")
    assert requests(serve, "counted") >= sent


def test_what_is_not_started_again_is_told(serve):
    body = app_body(["/bin/sh", "-c", WAIT])
    create(serve, "kept", body)
    create(serve, "large", {**body, "properties": {**body["properties"], "template": {
        **body["properties"]["template"], "scale": {"minReplicas": 3, "maxReplicas": 3}}}})
    serve.stop()
    options, serve.options = serve.options, (*serve.options, "--max-memory", "1Gi")
    serve.start()
    path = f"{APPS}/large/revisions/large--0000001"
    told = serve.get(path)["properties"]
    assert "--max-memory" in told["provisioningError"]
    assert (told["runningState"], told["healthState"], told["replicas"]) == ("Failed", "Unhealthy", 0)
    done = serve.az("containerapp", "logs", "show", "-n", "large", "-g", "rg", "--type", "system", "--tail", "300")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["Type"], r["RevisionName"]) for r in rows if r["Reason"] == "RevisionStartFailed"] == [
        ("Warning", "large--0000001")]
    assert "provisioningError" not in serve.get(f"{APPS}/kept/revisions/kept--0000001")["properties"]
    # Trying again tells the same, and with more room nothing is left of it.
    assert serve.ask("POST", f"{path}/restart")[0] == 400
    assert "--max-memory" in serve.get(path)["properties"]["provisioningError"]
    serve.stop()
    serve.options = options
    serve.start()
    until(lambda: serve.get(path)["properties"]["healthState"] == "Healthy", "it runs again")
    assert "provisioningError" not in serve.get(path)["properties"]


def pages(serve, path):
    """The names, page by page, as nextLink leads."""
    found = []
    while path:
        page = serve.get(path)
        found.append([item["name"] for item in page["value"]])
        link = page.get("nextLink", "")
        path = link[link.index("/subscriptions"):] if link else None
    return found


def revisions(serve, name, **query):
    text = "&".join(f"{'$' + key}={urllib.parse.quote(str(value))}" for key, value in query.items())
    return pages(serve, f"{APPS}/{name}/revisions?{text}")


def test_a_filter_holds_on_every_page(serve):
    for suffix in "abcd":
        body = app_body(["/bin/sh", "-c", WAIT])
        body["properties"]["configuration"]["activeRevisionsMode"] = "Multiple"
        body["properties"]["template"]["revisionSuffix"] = suffix
        create(serve, "many", body)
    for suffix in "bc":
        assert serve.ask("POST", f"{APPS}/many/revisions/many--{suffix}/deactivate")[0] == 200
    assert revisions(serve, "many", filter="properties/active eq true", top=1) == [["many--a"], ["many--d"]]
    assert revisions(serve, "many", filter="Properties/Active EQ False", top=1) == [["many--b"], ["many--c"]]
    assert revisions(serve, "many", filter="", top=3) == [["many--a", "many--b", "many--c"], ["many--d"]]
    link = serve.get(f"{APPS}/many/revisions?$top=1&x=a%26b%3D%C3%A4%20c&y")["nextLink"]
    query = urllib.parse.parse_qs(link.partition("?")[2], keep_blank_values=True)
    assert (query["x"], query["y"], query["$top"], query["$skipToken"]) == (["a&b=\u00e4 c"], [""], ["1"], ["1"])
    assert query["api-version"] == ["2022-10-01"]


@pytest.mark.parametrize("text", ["garbage", "properties/active eq maybe", "properties/active ne true", "properties/active",
                                  "properties/active eq true or properties/active eq false", "properties/activeeq true",
                                  "name eq 'x'", "not properties/active eq true"])
def test_filters_that_are_none(serve, text):
    create(serve, "one", app_body(["/bin/sh", "-c", WAIT]))
    status, value, _ = serve.ask("GET", f"{APPS}/one/revisions?$filter={urllib.parse.quote(text)}")
    assert (status, value["error"]["code"]) == (400, "InvalidFilter")


def test_the_order_of_apps_survives_a_restart(serve):
    for name in ("middle", "first", "zulu", "alpha"):
        create(serve, name, app_body(["/bin/sh", "-c", WAIT]))
    before = [a["name"] for a in serve.get(APPS)["value"]]
    assert sorted(before) == ["alpha", "first", "middle", "zulu"]
    serve.kill()
    serve.start()
    assert [a["name"] for a in serve.get(APPS)["value"]] == before


def test_what_a_container_prints_of_its_secrets_is_masked(tmp_path, no_leftovers):
    """Those of its variables and of its command, and those of serve's own environment, which it gets."""
    server = Serve(tmp_path / "serve", prefix=("env", "INHERITED_TOKEN=inherited-secret-5")).start()
    server.prepare()
    say = 'echo "it is $DB_PASSWORD, $INHERITED_TOKEN, $PLAIN, argument-secret-9" && ' + WAIT
    create(server, "told", app_body(["/bin/sh", "-c", say, "--token", "argument-secret-9"],
                                    env=[("DB_PASSWORD", "declared-secret-7"), ("PLAIN", "plain-value")]))
    show = ("containerapp", "logs", "show", "-n", "told", "-g", "rg", "--tail", "10", "--format", "text")
    said = until(lambda: (text := server.az(*show).stdout) and "it is" in text and text, "it has said so")
    assert f"it is {17 * '*'}, {18 * '*'}, plain-value, {17 * '*'}" in said
    server.stop()
    for path in (p for p in server.directory.rglob("*") if p.is_file() and "console" in p.name):
        text = path.read_bytes()
        assert b"plain-value" in text
        for secret in (b"declared-secret-7", b"inherited-secret-5", b"argument-secret-9"):
            assert secret not in text, path


def restarts(serve, name):
    query = urllib.parse.urlencode({"metricnames": "RestartCount", "aggregation": "Maximum", "interval": "FULL"})
    data = serve.get(f"{APPS}/{name}/providers/Microsoft.Insights/metrics?{query}")["value"][0]["timeseries"][0]["data"]
    return max((point.get("maximum", 0) for point in data), default=0)


def test_restarts_of_a_revision_that_does_not_live_long_are_counted(serve):
    """The latest count at any moment, not one that is looked at every few seconds."""
    body = app_body(["/bin/sh", "-c", "exit 3"])
    create(serve, "short", body)
    until(lambda: restarts(serve, "short") >= 1, "the first restart is counted", 8)
    before = restarts(serve, "short")
    create(serve, "short", app_body(["/bin/sh", "-c", WAIT]))  # the first revision is deactivated
    assert restarts(serve, "short") >= before


def test_the_system_log_names_the_container(serve):
    create(serve, "named", app_body(["/bin/sh", "-c", "exit 3"]))
    told = until(lambda: (rows := serve.az("containerapp", "logs", "show", "-n", "named", "-g", "rg", "--type", "system", "--tail",
                                           "300").stdout) and "terminated with exit code '3'" in rows and rows, "it has ended")
    rows = [json.loads(row)["Msg"] for row in told.splitlines()]
    assert "Created container 'main'" in rows
    assert any(row.startswith("Container 'main' was terminated with exit code '3'") for row in rows)
    assert not any("ontainer 'named'" in row for row in rows)
