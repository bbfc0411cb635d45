# SPDX-License-Identifier: Apache-2.0
"""Bodies that clients send: every JSON type is looked at, and what is refused is named with its path."""

import copy
import json

import pytest
from serving import APPS, ENVIRONMENT, GROUP, WAIT, app_body, free_port, running

COMMAND = ["/bin/sh", "-c", WAIT]


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bodies") / "serve") as server:
        yield server


def put(body, path, value):
    """`value` in the place that a path such as a.b[0].c names."""
    at = body
    keys = path.replace("[", ".").replace("]", "").split(".")
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(at, list):
            key = int(key)
        if following is None:
            at[key] = value
        elif isinstance(at, dict):
            at = at.setdefault(key, [] if following.isdigit() else {})
        else:
            if key == len(at):
                at.append({})
            at = at[key]
    return body


def refuse(serve, method, path, body, code, words):
    status, value, _ = serve.ask(method, path, body)
    assert (status, value["error"]["code"]) == (400, code), value
    assert words in value["error"]["message"]


CONTAINER = "properties.template.containers[0]"
TYPES = [
    ("location", 5, "a string"), ("tags", [], "an object of strings"), ("tags", {"a": 1}, "a string. Path: $.tags['a']"),
    ("properties", "x", "an object"), ("properties.template", [], "an object"),
    ("properties.managedEnvironmentId", 7, "a string"), ("properties.configuration", "x", "an object"),
    ("properties.configuration.activeRevisionsMode", True, "a string"),
    ("properties.configuration.ingress", [], "an object"),
    ("properties.configuration.ingress.targetPort", "http", "a whole number"),
    ("properties.configuration.ingress.targetPort", 80.5, "a whole number"),
    ("properties.configuration.ingress.external", "yes", "true or false"),
    ("properties.configuration.ingress.traffic", {}, "an array"),
    ("properties.configuration.ingress.traffic", [5], "an object. Path: $.properties.configuration.ingress.traffic[0]"),
    ("properties.template.revisionSuffix", 1, "a string"),
    ("properties.template.terminationGracePeriodSeconds", "soon", "a whole number"),
    ("properties.template.scale", 3, "an object"), ("properties.template.scale.minReplicas", [], "a whole number"),
    ("properties.template.scale.maxReplicas", "many", "a whole number"),
    ("properties.template.containers", {}, "an array"), ("properties.template.containers", [None], "an object"),
    ("properties.template.containers", ["x"], "an object. Path: $.properties.template.containers[0]"),
    (f"{CONTAINER}.image", {}, "a string"), (f"{CONTAINER}.name", 1, "a string"),
    (f"{CONTAINER}.command", "sh", "an array"), (f"{CONTAINER}.args", [1], f"a string. Path: $.{CONTAINER}.args[0]"),
    (f"{CONTAINER}.env", {}, "an array"), (f"{CONTAINER}.env", [{"name": "A", "value": 1}], f"Path: $.{CONTAINER}.env[0].value"),
    (f"{CONTAINER}.resources", "big", "an object"), (f"{CONTAINER}.resources.cpu", "0,25", "a number"),
    (f"{CONTAINER}.resources.cpu", "nan", "a number"), (f"{CONTAINER}.resources.cpu", True, "a number"),
    (f"{CONTAINER}.resources.memory", 1, "a string"), (f"{CONTAINER}.probes", {}, "an array"),
    (f"{CONTAINER}.probes", [{"type": "Liveness", "httpGet": {"port": "http"}}], f"Path: $.{CONTAINER}.probes[0].httpGet.port"),
    ("properties.oomlab", {"allowAnySize": "yes"}, "true or false"),
]


@pytest.mark.parametrize(("path", "value", "words"), TYPES, ids=[f"{p}-{i}" for i, (p, _, _) in enumerate(TYPES)])
def test_types_of_an_app(serve, path, value, words):
    body = put(app_body(COMMAND, port=8000), path, value)
    words = words if "Path: " in words else f"{words}. Path: $.{path}"
    refuse(serve, "PUT", f"{APPS}/typed", body, "InvalidRequestContent", words)
    assert serve.ask("GET", f"{APPS}/typed")[0] == 404


def test_bodies_that_are_no_objects(serve):
    for body in ([], [{}]):
        refuse(serve, "PUT", f"{APPS}/typed", body, "InvalidRequestContent", "an object. Path: $")
        refuse(serve, "PUT", ENVIRONMENT, body, "InvalidRequestContent", "an object. Path: $")


@pytest.mark.parametrize("path", [GROUP, ENVIRONMENT])
def test_types_of_groups_and_environments(serve, path):
    refuse(serve, "PUT", path, {"location": 1}, "InvalidRequestContent", "a string. Path: $.location")
    refuse(serve, "PUT", path, {"location": "x", "tags": {"a": []}}, "InvalidRequestContent", "Path: $.tags['a']")
    refuse(serve, "PUT", path, {"location": "x", "properties": 1}, "InvalidRequestContent", "Path: $.properties")


def test_types_of_a_patch(serve):
    assert serve.ask("PUT", f"{APPS}/patched", app_body(COMMAND))[0] == 201
    for body, path in (({"properties": 1}, "$.properties"), ({"tags": "x"}, "$.tags"),
                       ({"properties": {"template": {"scale": {"minReplicas": "x"}}}}, "$.properties.template.scale.minReplicas")):
        refuse(serve, "PATCH", f"{APPS}/patched", body, "InvalidRequestContent", path)
    assert len(serve.get(f"{APPS}/patched/revisions")["value"]) == 1


def test_numbers_may_be_written_as_texts(serve):
    """As the service takes them: Bicep has no fractions, so templates say cpu: '0.25'."""
    body = app_body(COMMAND, cpu="0.25", minReplicas="2", maxReplicas="2")
    status, value, _ = serve.ask("PUT", f"{APPS}/texts", body)
    assert status == 201, value
    template = value["properties"]["template"]
    assert template["containers"][0]["resources"]["cpu"] == 0.25
    assert (template["scale"]["minReplicas"], template["scale"]["maxReplicas"]) == (2, 2)
    # The same as a number is the same template.
    assert serve.ask("PUT", f"{APPS}/texts", app_body(COMMAND, minReplicas=2, maxReplicas=2))[0] == 200
    assert len(serve.get(f"{APPS}/texts/revisions")["value"]) == 1


def test_a_yaml_file_may_write_the_size_as_a_text(serve, tmp_path):
    text = f"""
location: local
tags: {{from: yaml}}
properties:
  managedEnvironmentId: {ENVIRONMENT}
  template:
    containers:
      - name: main
        image: host
        command: [/bin/sh, -c, "{WAIT}"]
        resources: {{cpu: CPU, memory: 0.5Gi}}
"""
    file = tmp_path / "app.yaml"
    for cpu, status in (('"0.25"', 0), ("'quarter'", 1)):
        file.write_text(text.replace("CPU", cpu))
        done = serve.az("containerapp", "create", "-n", f"yaml{status}", "-g", "rg", "--yaml", str(file))
        assert done.returncode == status, done.stderr
        if status:
            assert f"a number. Path: $.{CONTAINER}.resources.cpu" in done.stderr
    assert serve.get(f"{APPS}/yaml0")["tags"] == {"from": "yaml"}


@pytest.mark.parametrize("name", ["Main", "a.b", "-a", "a-", "", "a_b", "a" * 64, "a b"])
def test_container_names_that_are_none(serve, name):
    body = put(app_body(COMMAND), f"{CONTAINER}.name", name)
    refuse(serve, "PUT", f"{APPS}/named", body, "InvalidParameterValueInContainerTemplate",
           f'Invalid value: "{name}": Invalid Name: Per RFC 1123')


def test_container_names(serve):
    for i, name in enumerate(("a", "1-a", "a" * 63)):
        assert serve.ask("PUT", f"{APPS}/name{i}", put(app_body(COMMAND), f"{CONTAINER}.name", name))[0] == 201
    body = app_body(COMMAND)
    containers = body["properties"]["template"]["containers"]
    containers.append(copy.deepcopy(containers[0]))
    refuse(serve, "PUT", f"{APPS}/twice", body, "InvalidParameterValueInContainerTemplate", 'Duplicate value: "main"')


# --- probes ------------------------------------------------------------------------------------


def probed(*probes, port=8000):
    return put(app_body(COMMAND, port=port), f"{CONTAINER}.probes", list(probes))


def probe(kind="Readiness", port=8000, **more):
    return {"type": kind, "tcpSocket": {"port": port}, **more}


RANGES = [
    ("Liveness", "failureThreshold", 1, 30), ("Readiness", "failureThreshold", 1, 48),
    ("Startup", "failureThreshold", 1, 240), ("Liveness", "successThreshold", 1, 1),
    ("Readiness", "successThreshold", 1, 10), ("Startup", "successThreshold", 1, 1),
    *((kind, *more) for kind in ("Liveness", "Readiness", "Startup")
      for more in (("periodSeconds", 1, 240), ("timeoutSeconds", 1, 240), ("initialDelaySeconds", 0, 60))),
]


@pytest.mark.parametrize(("kind", "key", "low", "high"), RANGES)
def test_ranges_of_probes(serve, kind, key, low, high):
    word = key[0].upper() + key[1:]
    for value in (low - 1, high + 1):
        refuse(serve, "PUT", f"{APPS}/probed", probed(probe(kind, **{key: value})), f"ContainerAppProbe{word}OutOfRange",
               f"Container 'main' '{kind}' probe's {word} must be in the range of ['{low}', '{high}'].")


def test_the_ends_of_the_ranges_are_taken(serve):
    for end in (2, 3):
        port = free_port()
        made = [{**{r[1]: r[end] for r in RANGES if r[0] == kind}, **probe(kind, port)}
                for kind in ("Liveness", "Readiness", "Startup")]
        status, value, _ = serve.ask("PUT", f"{APPS}/probes{end}", probed(*made, port=port))
        assert status == 201, value


@pytest.mark.parametrize(("probes", "words"), [
    ([probe(), probe()], "Container 'main' has more than one 'Readiness' probe."),
    ([probe("readiness"), probe("Readiness")], "has more than one 'Readiness' probe."),
    ([probe("Sometimes")], "type must be Liveness, Readiness or Startup"),
    ([{"type": "Liveness"}], "httpGet or tcpSocket is missing"),
    ([{**probe(), "httpGet": {"port": 8000}}], "httpGet or tcpSocket is enough, not both"),
    ([{"type": "Liveness", "httpGet": {"port": 8000, "scheme": "HTTPS"}}], "scheme 'HTTPS' is not supported"),
    *(([{"type": "Liveness", "httpGet": {"port": 8000, "httpHeaders": [{"name": "A", "value": "b"}, header]}}],
       "httpHeaders[1] must have a name")
      for header in ({"name": "", "value": "b"}, {"name": "A B", "value": "b"}, {"name": "A"}, {"value": "b"},
                     {"name": "A", "value": "b\r\nEvil: c"}, {"name": "A:", "value": "b"})),
    ([probe(port=81)], "port 81 is not the ingress's target port"),
])
def test_probes_that_are_refused(serve, probes, words):
    refuse(serve, "PUT", f"{APPS}/probed", probed(*probes), "InvalidParameterValueInContainerTemplate", words)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_that_are_none(serve, port):
    refuse(serve, "PUT", f"{APPS}/probed", probed(probe(port=port)), "ContainerAppProbePortOutOfRange",
           "probe's Port must be in the range of ['1', '65535'].")


@pytest.mark.parametrize("seconds", [-1, 601])
def test_graces_that_are_none(serve, seconds):
    body = put(app_body(COMMAND), "properties.template.terminationGracePeriodSeconds", seconds)
    refuse(serve, "PUT", f"{APPS}/grace", body, "InvalidParameterValueInContainerTemplate",
           "terminationGracePeriodSeconds must be in the range of ['0', '600'].")


COUNTING = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "a") as hits: hits.write("x")
        self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


SHOWING = """
import http.server, json, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "w") as seen: json.dump(list(self.headers.items()), seen)
        self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


def test_a_probe_sends_its_headers(serve, tmp_path):
    port, seen = free_port(), tmp_path / "seen"
    headers = [{"name": "Custom-Header", "value": "Awesome, \u00fc"}, {"name": "Host", "value": "app.example"},
               {"name": "X-Empty", "value": ""}, {"name": "custom-header", "value": "again"}]
    body = put(app_body(["/usr/bin/python3", "-c", SHOWING, str(seen)], port=port), f"{CONTAINER}.probes",
               [{"type": "Readiness", "httpGet": {"port": port, "path": "/", "httpHeaders": headers}, "periodSeconds": 1}])
    status, value, answer = serve.ask("PUT", f"{APPS}/headers", body)
    assert status == 201, value
    assert serve.operation(answer)["status"] == "Succeeded"
    sent = json.loads(seen.read_text(encoding="utf-8"))
    for header in headers:
        assert [header["name"], header["value"].encode().decode("latin-1")] in sent
    assert [name.lower() for name, _ in sent].count("host") == 1
    assert serve.ask("DELETE", f"{APPS}/headers")[0] == 202


@pytest.mark.parametrize(("path", "value", "words"), [
    ("properties.configuration.ingress.ipSecurityRestrictions", [{"name": "a", "action": "Deny", "ipAddressRange": "0.0.0.0/0"}],
     "ingress.ipSecurityRestrictions"),
    ("properties.configuration.ingress.customDomains", [{"name": "a.example"}], "ingress.customDomains"),
    ("properties.configuration.ingress.stickySessions", {"affinity": "sticky"}, "ingress.stickySessions"),
    ("properties.configuration.ingress.corsPolicy", {"allowedOrigins": ["*"]}, "ingress.corsPolicy"),
    ("properties.configuration.ingress.additionalPortMappings", [{"targetPort": 1}], "ingress.additionalPortMappings"),
    ("properties.configuration.runtime", {"java": {"enableMetrics": True}}, "configuration.runtime"),
    ("properties.configuration.service", {"type": "redis"}, "configuration.service"),
    ("properties.template.serviceBinds", [{"serviceId": "x"}], "template.serviceBinds"),
    ("properties.configuration.ingress.exposedPort", 8080, "ingress.exposedPort"),
    ("properties.configuration.ingress.exposedPort", "8080", "ingress.exposedPort"),
    ("properties.workloadProfileName", "D4", "workloadProfileName"),
    ("properties.configuration.ingress.traffic", [{"latestRevision": True, "weight": 100, "label": "blue"}],
     "ingress.traffic[0].label"),
])
def test_what_is_not_here_is_refused_by_name(serve, path, value, words):
    body = put(app_body(COMMAND, port=free_port()), path, value)
    refuse(serve, "PUT", f"{APPS}/more", body, "InvalidParameterValueInContainerTemplate", f"{words} is not supported here")
    # Without a content it asks for nothing.
    status, made, _ = serve.ask("PUT", f"{APPS}/none", put(body, path, {"affinity": "none"} if "sticky" in path else
                                                                   "0" if value == "8080" else type(value)()))
    assert status in (200, 201), made
    patch = put({}, path, value)
    refuse(serve, "PATCH", f"{APPS}/none", patch, "InvalidParameterValueInContainerTemplate", f"{words} is not supported here")


def test_settings_that_ask_for_what_is_there(serve):
    body = put(app_body(COMMAND, port=free_port()), "properties.workloadProfileName", "Consumption")
    assert serve.ask("PUT", f"{APPS}/there", body)[0] == 201
    # Read-only in Azure: neither kept nor a change.
    put(body, f"{CONTAINER}.resources.ephemeralStorage", "8Gi")
    status, value, _ = serve.ask("PUT", f"{APPS}/there", body)
    assert status == 200 and value["properties"]["latestRevisionName"] == "there--0000001", value
    assert value["properties"]["template"]["containers"][0]["resources"]["ephemeralStorage"] == "1Gi"


def test_readiness_takes_as_many_successes_as_it_says(serve, tmp_path):
    port, hits = free_port(), tmp_path / "hits"
    body = put(app_body(["/usr/bin/python3", "-c", COUNTING, str(hits)], port=port), f"{CONTAINER}.probes",
               [{"type": "Readiness", "httpGet": {"port": port, "path": "/"}, "periodSeconds": 1, "successThreshold": 3}])
    status, value, headers = serve.ask("PUT", f"{APPS}/thrice", body)
    assert status == 201, value
    serve.operation(headers)
    assert serve.get(f"{APPS}/thrice/revisions/thrice--0000001")["properties"]["healthState"] == "Healthy"
    assert len(hits.read_text()) >= 3


@pytest.mark.parametrize("path", ["foo", "propertes", "properties.foo", "properties.configuration.ingres",
                                  "properties.template.scale.minReplica", f"{CONTAINER}.resource",
                                  "properties.configuration.ingress.targetport", f"{CONTAINER}.env[0].values"])
def test_members_that_are_unknown(serve, path):
    body = put(app_body(COMMAND, port=8000, env=[("A", "1")]), path, None)
    refuse(serve, "PUT", f"{APPS}/misspelt", body, "InvalidRequestContent", f"Path: $.{path}")
    assert serve.ask("GET", f"{APPS}/misspelt")[0] == 404


def test_what_is_shown_can_be_sent_back(serve, tmp_path):
    """By az's own way: `show` into a file, and that file to --yaml; nothing of it is a change."""
    assert serve.ask("PUT", f"{APPS}/again", app_body(COMMAND, port=free_port()))[0] == 201
    app = ("-n", "again", "-g", "rg")
    file = tmp_path / "app.yaml"
    file.write_text(serve.az("containerapp", "show", *app, "-o", "yaml").stdout, encoding="utf-8")
    assert "ephemeralStorage: 1Gi" in file.read_text(encoding="utf-8")
    before = serve.get(f"{APPS}/again")["properties"]
    for verb in ("update", "create"):
        done = serve.az("containerapp", verb, *app, "--yaml", str(file))
        assert done.returncode == 0, done.stderr
        after = json.loads(done.stdout)["properties"]
        assert (after["template"], after["configuration"]) == (before["template"], before["configuration"])
    assert len(serve.get(f"{APPS}/again/revisions")["value"]) == 1


@pytest.mark.parametrize(("cpu", "memory", "storage"), [
    (None, "1Gi", "2Gi"), (0.25, "0.5Gi", "1Gi"), (0.5, "1Gi", "2Gi"), (0.75, "1.5Gi", "4Gi"), (1, "2Gi", "4Gi"),
    (1.25, "2.5Gi", "8Gi")])
def test_what_is_filled_in(serve, cpu, memory, storage):
    body = app_body(COMMAND, cpu=cpu, memory=memory, port=free_port())
    properties = body["properties"]
    del properties["configuration"]["activeRevisionsMode"], properties["configuration"]["ingress"]["external"]
    if cpu is None:
        del properties["template"]["containers"][0]["resources"]
    status, made, headers = serve.ask("PUT", f"{APPS}/filled", body)
    assert status == 201, made
    try:
        revision = serve.get(f"{APPS}/filled/revisions/filled--0000001")
        for shown in (made, revision):
            resources = shown["properties"]["template"]["containers"][0]["resources"]
            assert resources == {"cpu": cpu or 0.5, "memory": memory, "ephemeralStorage": storage}
        configuration = serve.get(f"{APPS}/filled")["properties"]["configuration"]
        assert configuration["activeRevisionsMode"] == "Single"
        ingress = configuration["ingress"]
        assert (ingress["transport"], ingress["allowInsecure"], ingress["external"]) == ("Auto", False, False)
    finally:
        _, _, headers = serve.ask("DELETE", f"{APPS}/filled")
        serve.operation(headers)


@pytest.mark.parametrize("configuration", [None, {}])
def test_the_mode_without_a_configuration(serve, configuration):
    body = app_body(COMMAND)
    body["properties"]["configuration"] = configuration
    assert serve.ask("PUT", f"{APPS}/moded", body)[0] in (200, 201)
    assert serve.get(f"{APPS}/moded")["properties"]["configuration"] == {"activeRevisionsMode": "Single"}


def test_ids_have_the_subscription_that_was_asked(serve):
    assert serve.ask("PUT", f"{APPS}/named", app_body(COMMAND, env=[("ID", ENVIRONMENT)]))[0] == 201
    other = "/subscriptions/other-one"
    for path, items in ((APPS, 1), (f"{APPS}/named", 0), (f"{APPS}/named/revisions", 1), (ENVIRONMENT, 0), (GROUP, 0),
                        (f"{APPS}/named/revisions/named--0000001/replicas", 1), (ENVIRONMENT.rpartition("/")[0], 1),
                        (f"{APPS}/named/providers/Microsoft.Insights/metrics", 1)):
        for place in (path, path.replace("/subscriptions/sub", other)):
            status, value, _ = serve.ask("GET", f"{place}?api-version=2024-03-01")
            assert status == 200, value
            for item in value["value"] if items else [value]:
                ids = [item["id"], *(item.get("properties", {}).get(key, item["id"])
                                     for key in ("managedEnvironmentId", "environmentId"))]
                assert all(each.startswith("/".join(place.split("/")[:3]) + "/") for each in ids), ids
    shown = serve.ask("GET", f"{APPS.replace('/subscriptions/sub', other)}/named?api-version=2024-03-01")[1]
    assert shown["properties"]["template"]["containers"][0]["env"] == [{"name": "ID", "value": ENVIRONMENT}]
    # Made again under another name, it still has its apps.
    again = f"{ENVIRONMENT.replace('/subscriptions/sub', other)}?api-version=2024-03-01"
    assert serve.ask("PUT", again, {"location": "local"})[0] == 200
    assert serve.ask("DELETE", ENVIRONMENT)[0] == 409
