# SPDX-License-Identifier: Apache-2.0
"""The verbs of az as az has them: how options are read, tags, ids, weights, and what is refused in which words."""

import json
import os
import subprocess

import pytest
from conftest import oomlab_binary
from serving import APPS, ENVIRONMENT, GROUP, WAIT, Serve, app_body, free_port, running, until

NOBODY = 65534


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with running(tmp_path_factory.mktemp("az") / "serve") as server:
        yield server


def make(serve, name, *, mode="Single", port=None, suffix=None, change=None):
    body = app_body(["/bin/sh", "-c", WAIT], port=port)
    body["properties"]["configuration"]["activeRevisionsMode"] = mode
    if suffix:
        body["properties"]["template"]["revisionSuffix"] = suffix
    if change:
        change(body)
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    return headers


def az(serve, *arguments):
    done = serve.az(*arguments)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def refused(serve, status, words, *arguments):
    done = serve.az(*arguments)
    assert (done.returncode, done.stdout) == (status, ""), (arguments, done.stdout, done.stderr)
    assert words in done.stderr


# --- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, command", [
    ("containerapp revision", "set-mode"), ("containerapp env", "create"), ("containerapp logs", "show"),
    ("containerapp replica", "count"), ("containerapp ingress", "traffic set"), ("containerapp ingress traffic", "set"),
    ("monitor metrics", "list"), ("containerapp", "revision set-mode"), ("monitor", "metrics list")])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_of_a_group_of_commands(serve, words, command, option):
    done = serve.az(*words.split(), option)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: oomlab {words} COMMAND" in done.stdout
    assert any(line.startswith(f"  {command} ") for line in done.stdout.splitlines())
    assert "create a container app" not in done.stdout or words == "containerapp"


@pytest.mark.parametrize("words", ["rev", "revision lst", "traffic", "ingress traffic x", "revisions", ""])
def test_what_is_no_group_of_commands(serve, words):
    done = serve.az("containerapp", *words.split(), *(["-h"] if words else []))
    assert (done.returncode, done.stdout) == (2, "")


# --- options -----------------------------------------------------------------------------------


def test_the_beginning_of_an_option_will_do(serve):
    make(serve, "prefixes")
    assert az(serve, "containerapp", "show", "--na", "prefixes", "--resource", "rg", "--out", "json",
              "--que=name") == "prefixes"
    assert az(serve, "group", "show", "--nam", "rg", "--q", "name") == "rg"
    assert "--resource-group" in serve.az("containerapp", "show", "--hel").stdout
    url = f"{APPS}/prefixes?api-version=2024-03-01"
    assert az(serve, "rest", "--url", url, "--qu", "name") == "prefixes"
    # Two spellings of one option are not two options.
    assert az(serve, "monitor", "metrics", "list", "--resource", "prefixes", "-g", "rg", "--metr", "Replicas", "--query",
              "value[].name.value") == ["Replicas"]


@pytest.mark.parametrize(("option", "candidates"), [
    ("--re", "--resource-group, --revision-suffix, --replace-env-vars, --remove-env-vars"),
    ("--m=1", "ambiguous option: --m could match --memory, --min-replicas, --max-replicas"),
    ("--set-env", None), ("--e", None), ("--quer", None),
])
def test_an_ambiguous_beginning_is_refused_with_the_candidates(serve, option, candidates):
    arguments = ("containerapp", "update", "--name", "none", "-g", "rg", option)
    if candidates is None:  # it means one option alone: the next fault is told
        assert "ambiguous" not in serve.az(*arguments, "A=1").stderr
        return
    refused(serve, 2, candidates, *arguments)
    assert "could match" in serve.az(*arguments).stderr


def test_only_the_verbs_of_az_abbreviate(tmp_path):
    done = subprocess.run([oomlab_binary(), "list", "--form", "json"], capture_output=True, text=True, check=False,
                          env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "unknown option '--form'" in done.stderr


@pytest.mark.parametrize("output", ["TSV", "Tsv", "tsv"])
def test_the_output_in_any_case(serve, output):
    assert serve.az("group", "show", "-n", "rg", "--query", "name", "-o", output).stdout == "rg\n"


def test_an_output_that_is_none_is_refused_before_anything_is_done(serve):
    for verb in (("group", "create", "-n", "never"), ("rest", "--method", "put", "--url",
                                                      f"{GROUP.replace('/rg', '/never')}?api-version=2022-09-01",
                                                      "--body", "{}")):
        refused(serve, 2, "argument --output/-o: 'xml' is not a valid value", *verb, "-o", "xml")
    assert serve.ask("GET", GROUP.replace("/rg", "/never"))[0] == 404


def test_a_query_that_is_none_is_refused_before_anything_is_done(serve):
    make(serve, "unharmed")
    refused(serve, 2, "argument --query", "containerapp", "delete", "-n", "unharmed", "-g", "rg", "-y", "--query", "[?")
    refused(serve, 2, "argument --query", "containerapp", "update", "-n", "unharmed", "-g", "rg", "--set-env-vars", "A=1",
            "--query", "a b")
    assert len(serve.get(f"{APPS}/unharmed/revisions")["value"]) == 1
    refused(serve, 2, "argument --query", "rest", "--method", "put", "--url",
            f"{GROUP.replace('/rg', '/never')}?api-version=2022-09-01", "--body", "{}", "--query", "[")
    assert serve.ask("GET", GROUP.replace("/rg", "/never"))[0] == 404


@pytest.mark.parametrize(("verb", "option", "value", "words"), [
    ("create", "--min-replicas", "1.7", "argument --min-replicas: invalid int value: '1.7'"),
    ("create", "--max-replicas", "", "argument --max-replicas: invalid int value: ''"),
    ("logs show", "--tail", "4294967299", "argument --tail: invalid int value"),
    ("logs show", "--tail", "", "argument --tail: invalid int value: ''"),
    ("logs show", "--tail", "301", "--tail must be between 0 and 300."),
    ("logs show", "--format", "xml", "argument --format: 'xml' is not a valid value (json, text)"),
    ("logs show", "--type", "all", "argument --type: 'all' is not a valid value (console, system)"),
])
def test_values_that_are_none(serve, verb, option, value, words):
    more = ("--environment", "env", "--image", "host", "--command", "true") if verb == "create" else ()
    refused(serve, 2, words, "containerapp", *verb.split(), "-n", "valued", "-g", "rg", *more, option, value)


@pytest.mark.parametrize(("given", "words"), [
    (("--target-port", "8080"), "Usage error: must specify --ingress with --target-port"),
    (("--ingress", "external"), "Usage error: must specify --target-port with --ingress")])
def test_an_ingress_is_asked_for_by_both(serve, given, words):
    refused(serve, 1, words, "containerapp", "create", "-n", "half", "-g", "rg", "--environment", "env", "--image", "host",
            "--command", "true", *given)
    assert serve.ask("GET", f"{APPS}/half")[0] == 404


@pytest.mark.parametrize("name", ["\u00fcn\u00ef", "a" * 300, "", "Upper", "a_b", "../rg"])
def test_names_that_no_app_can_have(serve, name):
    refused(serve, 1, "(ContainerAppInvalidName)", "containerapp", "create", "-n", name, "-g", "rg", "--environment", "env",
            "--image", "host", "--command", "true")


def test_apps_of_an_environment(serve):
    make(serve, "inside")
    az(serve, "containerapp", "env", "create", "-n", "empty", "-g", "rg")
    assert "inside" in az(serve, "containerapp", "list", "--environment", "ENV", "--query", "[].name")
    assert "inside" in az(serve, "containerapp", "list", "-g", "rg", "--environment", ENVIRONMENT, "--query", "[].name")
    assert az(serve, "containerapp", "list", "--environment", "empty") == []


def test_a_revision_as_a_table(serve):
    make(serve, "tabled")
    shown = serve.az("containerapp", "revision", "show", "-n", "tabled", "-g", "rg", "--revision", "tabled--0000001", "-o", "table")
    listed = serve.az("containerapp", "revision", "list", "-n", "tabled", "-g", "rg", "-o", "table")
    assert shown.stdout.split()[:7] == ["CreatedTime", "Active", "Replicas", "TrafficWeight", "HealthState", "ProvisioningState", "Name"]
    assert shown.stdout == listed.stdout


def test_a_copy_is_of_its_source(serve, tmp_path):
    make(serve, "copied", mode="Multiple", suffix="a", change=lambda b: b["properties"]["template"].pop("terminationGracePeriodSeconds"))
    app = ("-n", "copied", "-g", "rg")
    status, value, _ = serve.ask("PATCH", f"{APPS}/copied", {"properties": {"template": {"revisionSuffix": "b",
                                                                                        "terminationGracePeriodSeconds": 7}}})
    assert status in (200, 202), value
    made = az(serve, "containerapp", "revision", "copy", *app, "--from-revision", "copied--a", "--revision-suffix", "c")
    assert "terminationGracePeriodSeconds" not in made["properties"]["template"]
    made = az(serve, "containerapp", "revision", "copy", *app, "--from-revision", "copied--b", "--revision-suffix", "d")
    assert made["properties"]["template"]["terminationGracePeriodSeconds"] == 7
    file = tmp_path / "copy.yaml"
    file.write_text("properties:\n  template:\n    revisionSuffix: e\n    terminationGracePeriodSeconds: 9\n", encoding="utf-8")
    made = az(serve, "containerapp", "revision", "copy", *app, "--from-revision", "copied--a", "--yaml", str(file))
    template = made["properties"]["template"]
    assert (template["revisionSuffix"], template["terminationGracePeriodSeconds"]) == ("e", 9)
    assert template["containers"][0]["command"] == ["/bin/sh", "-c", WAIT]


def test_beside_yaml_other_options_are_ignored_aloud(serve, tmp_path):
    file = tmp_path / "app.yaml"
    file.write_text(json.dumps(app_body(["/bin/sh", "-c", WAIT])), encoding="utf-8")
    app = ("containerapp", "create", "-n", "yamled", "-g", "rg", "--yaml", str(file), "--query",
           "properties.[template.containers[0].resources.cpu, configuration.ingress]")
    quiet = serve.az(*app)
    assert (json.loads(quiet.stdout), quiet.stderr) == ([0.25, None], "")
    loud = serve.az(*app, "--cpu", "2", "--ingress", "external", "--target-port", "8080")
    assert json.loads(loud.stdout) == [0.25, None]
    assert "Additional flags were passed along with --yaml. These flags will be ignored" in loud.stderr
    assert "Additional flags" not in serve.az(*app, "--cpu", "2", "--only-show-errors").stderr


def test_what_rest_fills_in(serve):
    url = "/subscriptions/{subscriptionId}/resourceGroups"
    for parameters in (("api-version=2022-09-01", "x=a b"), ('{"api-version": "2022-09-01", "x": "a&b"}',)):
        assert az(serve, "rest", "--url", url, "--uri-parameters", *parameters, "--query", "value[?name=='rg'].name",
                  "--resource", "https://management.azure.com/") == ["rg"]
    refused(serve, 2, "'api' is not KEY=VALUE", "rest", "--url", url, "--uri-parameters", "api")
    refused(serve, 2, "is no JSON object", "rest", "--url", url, "--uri-parameters", "{api")
    head = serve.az("rest", "--method", "head", "--url", f"{GROUP}?api-version=2022-09-01")
    assert (head.returncode, head.stdout) == (0, ""), head.stderr


def test_what_every_command_takes(serve):
    for option in (("--only-show-errors",), ("--verbose",), ("--debug",), ("--subscription", "any")):
        assert az(serve, "group", "show", "-n", "rg", *option)["name"] == "rg"


# --- tags and ids ------------------------------------------------------------------------------


def test_tags_of_groups_and_environments(serve):
    assert az(serve, "group", "create", "-n", "tagged", "--tags", "team=a", "stage")["tags"] == {"team": "a", "stage": ""}
    assert az(serve, "group", "show", "-n", "tagged")["tags"] == {"team": "a", "stage": ""}
    made = az(serve, "containerapp", "env", "create", "-n", "tagged", "-g", "tagged", "--tags", "k=v=w")
    assert made["tags"] == {"k": "v=w"}
    assert az(serve, "containerapp", "env", "show", "-n", "tagged", "-g", "tagged")["tags"] == {"k": "v=w"}


def test_tags_of_an_app(serve):
    arguments = ("-n", "tagged", "-g", "rg")
    made = az(serve, "containerapp", "create", *arguments, "--environment", "env", "--image", "host", "--command",
              "/bin/sh", "-c", WAIT, "--cpu", "0.25", "--memory", "0.5Gi", "--tags", "team=a", "stage=test")
    assert made["tags"] == {"team": "a", "stage": "test"}
    changed = az(serve, "containerapp", "update", *arguments, "--tags", "stage=live", "more=1")
    assert changed["tags"] == {"team": "a", "stage": "live", "more": "1"}
    # Tags are of the app, not of the template: no new revision.
    assert len(serve.get(f"{APPS}/tagged/revisions")["value"]) == 1
    body = app_body(["/bin/sh", "-c", WAIT])
    assert serve.ask("PUT", f"{APPS}/tagged", {**body, "tags": {"only": "this"}})[1]["tags"] == {"only": "this"}
    assert "tags" not in serve.ask("PATCH", f"{APPS}/tagged", {"tags": None})[1]
    assert "tags" not in serve.get(f"{APPS}/tagged")
    assert serve.ask("PATCH", f"{APPS}/tagged", {"tags": {"a": "b", "c": None}})[1]["tags"] == {"a": "b"}
    assert "tags" not in serve.ask("PUT", f"{APPS}/tagged", body)[1]


def test_tags_survive_a_restart_of_serve(tmp_path, no_leftovers):
    own = Serve(tmp_path / "serve").start()
    own.prepare()
    make(own, "kept", change=lambda body: body.update(tags={"team": "a"}))
    own.stop()
    own.start()
    assert own.get(f"{APPS}/kept")["tags"] == {"team": "a"}
    own.stop()


def test_ids(serve):
    make(serve, "first")
    make(serve, "second")
    ids = [serve.get(f"{APPS}/{name}")["id"] for name in ("first", "second")]
    assert az(serve, "containerapp", "show", "--ids", ids[0])["name"] == "first"
    assert [a["name"] for a in az(serve, "containerapp", "show", "--ids", *ids)] == ["first", "second"]
    lines = "\n".join(ids)  # as "--ids $(... -o tsv)" in quotes
    assert [a["name"] for a in az(serve, "containerapp", "show", "--ids", lines)] == ["first", "second"]
    table = serve.az("containerapp", "show", "--ids", *ids, "-o", "table").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["Name", "------", "first", "second"]
    done = serve.az("containerapp", "show", "--ids", ids[0], "--name", "other", "-g", "none")
    assert json.loads(done.stdout)["name"] == "first"
    assert "option '--name' will be ignored due to use of '--ids'" in done.stderr
    assert az(serve, "containerapp", "revision", "show", "--ids", ids[1], "--revision", "second--0000001")["name"] == \
        "second--0000001"
    env = ENVIRONMENT.replace("/subscriptions/sub", "/SUBSCRIPTIONS/any")
    assert az(serve, "containerapp", "env", "show", "--ids", env)["name"] == "env"
    assert serve.az("containerapp", "delete", "--yes", "--ids", *ids).returncode == 0
    for name in ("first", "second"):
        until(lambda name=name: serve.ask("GET", f"{APPS}/{name}")[0] == 404, f"{name} is gone")


@pytest.mark.parametrize("value", ["first", "/subscriptions/s/resourceGroups/rg", "//subscriptions/s/x/y/providers/a/b/c",
                                   "/subscriptions/s/groups/rg/providers/Microsoft.App/containerApps/a"])
def test_ids_that_are_none(serve, value):
    refused(serve, 2, f"argument --ids: invalid ResourceId value: '{value}'", "containerapp", "show", "--ids", value)


def test_ids_only_where_az_has_them(serve):
    for verb in ("create", "list", "exec", "logs show", "replica list", "revision list"):
        refused(serve, 2, "unknown option '--ids'", "containerapp", *verb.split(), "--ids", f"{APPS}/a")


# --- traffic -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split(serve):
    """An app in multiple mode with the revisions one, two, three, of which the last is inactive."""
    make(serve, "split", mode="Multiple", port=free_port(), suffix="one")
    template = serve.get(f"{APPS}/split")["properties"]["template"]
    for suffix in ("two", "three"):
        template = {**template, "revisionSuffix": suffix, "terminationGracePeriodSeconds": len(suffix)}
        assert serve.ask("PATCH", f"{APPS}/split", {"properties": {"template": template}})[0] == 202
    assert serve.ask("POST", f"{APPS}/split/revisions/split--three/deactivate")[0] == 200
    return serve


def set_traffic(serve, *weights):
    return ("containerapp", "ingress", "traffic", "set", "-n", "split", "-g", "rg", "--revision-weight", *weights)


def begin(serve, **weights):
    traffic = [{"latestRevision": True, "weight": w} if name == "latest" else
               {"revisionName": f"split--{name}", "weight": w} for name, w in weights.items()]
    status, value, _ = serve.ask("PATCH", f"{APPS}/split", {"properties": {"configuration": {"ingress": {
        "traffic": traffic}}}})
    assert status == 200, value


def weights_of(traffic):
    return {t.get("revisionName", "latest"): t["weight"] for t in traffic}


# az's own arithmetic (_update_revision_weights and _update_weights of its containerapp module), worked out by hand.
@pytest.mark.parametrize(("before", "given", "after"), [
    ({"latest": 100}, ("split--one=30",), {"latest": 70, "split--one": 30}),
    ({"one": 50, "two": 50}, ("split--one=100",), {"split--one": 100, "split--two": 0}),
    ({"one": 50, "two": 30, "latest": 20}, ("split--one=20",), {"split--one": 20, "split--two": 48, "latest": 32}),
    ({"one": 50, "two": 30, "latest": 20}, ("latest=0",), {"split--one": 62, "split--two": 38, "latest": 0}),
    ({"one": 33, "two": 33, "latest": 34}, ("latest=33",), {"split--one": 34, "split--two": 33, "latest": 33}),
    ({"one": 30, "two": 70}, ("split--one=70", "SPLIT--TWO=30"), {"split--one": 70, "split--two": 30}),
    ({"one": 30, "two": 70}, ("LATEST=10",), {"split--one": 27, "split--two": 63, "latest": 10}),
])
def test_weights_that_are_not_given_share_the_rest(split, before, given, after):
    begin(split, **before)
    traffic = az(split, *set_traffic(split, *given))
    assert weights_of(traffic) == after
    assert weights_of(az(split, "containerapp", "ingress", "traffic", "show", "-n", "split", "-g", "rg")) == after


@pytest.mark.parametrize(("given", "status", "words"), [
    (("split--one",), 1, 'Traffic weights must be in format "<revision>=<weight> <revision2>=<weight2> ..."'),
    (("split--one=x",), 1, "Traffic weights must be integers between 0 and 100"),
    (("split--one=101",), 1, "Traffic weights must be integers between 0 and 100"),
    (("split--one=-1",), 1, "Traffic weights must be integers between 0 and 100"),
    (("split--one=60", "nosuch=60"), 1, "Traffic sums may not exceed 100."),
    (("nosuch=60",), 1, "Revision 'nosuch' is not a valid revision name."),
    (("split--one=50", "split--ONE=50"), 1, "The revision 'split--ONE' is given twice."),
    (("latest=50", "latest=50"), 1, "The revision 'latest' is given twice."),
    (("split--three=10",), 1, "revision 'split--three' is not active"),
])
def test_weights_that_are_refused(split, given, status, words):
    begin(split, one=100)
    refused(split, status, words, *set_traffic(split, *given))
    assert weights_of(split.get(f"{APPS}/split")["properties"]["configuration"]["ingress"]["traffic"]) == {
        "split--one": 100}


def test_an_inactive_revision_may_have_no_weight(split):
    begin(split, one=100)
    assert weights_of(az(split, *set_traffic(split, "split--three=0"))) == {"split--one": 100, "split--three": 0}


def test_traffic_is_refused_in_single_mode_without_ingress_and_by_label(serve, split):
    verb = ("containerapp", "ingress", "traffic", "set", "-g", "rg")
    make(serve, "alone", port=free_port())
    make(serve, "closed", mode="Multiple")
    refused(serve, 1, "Containerapp 'alone' is configured for single revision. Set revision mode to multiple", *verb,
            "-n", "alone", "--revision-weight", "latest=100")
    refused(serve, 1, "Ingress must be enabled to set ingress traffic", *verb, "-n", "closed", "--revision-weight",
            "latest=100")
    refused(serve, 2, "--label-weight is not supported here", *verb, "-n", "split", "--label-weight", "blue=10")
    refused(serve, 1, "Must specify --revision-weight", *verb, "-n", "split")
    refused(serve, 3, "was not found", *verb, "-n", "nosuch", "--revision-weight", "latest=100")


@pytest.mark.parametrize(("traffic", "words"), [
    ([{"revisionName": "split--one", "weight": 99}], "must add up to 100, not 99"),
    ([{"revisionName": "split--one", "weight": 60}, {"latestRevision": True, "weight": 60}], "not 120"),
    ([{"revisionName": "nosuch", "weight": 100}], "traffic[0]: revision 'nosuch' does not exist"),
    ([{"weight": 100}], "give revisionName, or latestRevision"),
    ([{"revisionName": "split--one", "weight": 101}, {"latestRevision": True, "weight": -1}], "is not 0 to 100"),
    ([{"revisionName": "split--one", "weight": 50}, {"revisionName": "split--ONE", "weight": 50}], "has a weight already"),
])
def test_weights_that_the_api_refuses(split, traffic, words):
    status, value, _ = split.ask("PATCH", f"{APPS}/split", {"properties": {"configuration": {"ingress": {
        "traffic": traffic}}}})
    assert status == 400
    assert words in value["error"]["message"]


# --- names that are not there, and a socket that is not ours ------------------------------------


def test_logs_of_what_is_not_there(serve):
    make(serve, "logged")
    verb = ("containerapp", "logs", "show", "-n", "logged", "-g", "rg")
    until(lambda: serve.get(f"{APPS}/logged/revisions/logged--0000001/replicas")["value"], "a replica")
    assert serve.az(*verb, "--container", "MAIN").returncode == 0
    for option, words in (("--container", "(ContainerNotFound) Could not find container 'nosuch'"),
                          ("--replica", "(ReplicaNotFound) Could not find replica 'nosuch'"),
                          ("--revision", "(RevisionNotFound) Could not find revision 'nosuch'")):
        refused(serve, 3, words, *verb, option, "nosuch")
    refused(serve, 3, "(RevisionNotFound)", *verb, "--type", "system", "--revision", "nosuch")
    # Replicas come and go; their rows stay.
    assert serve.az(*verb, "--type", "system", "--replica", "gone").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes another user")
def test_an_address_without_http(serve):
    for server in ("127.0.0.1:9400", "localhost:1"):
        done = serve.az("group", "list", "--server", server)
        assert done.returncode == 1 and f"--server http://{server}" in done.stderr, done.stderr
    done = serve.az("group", "list", "--server", "/nowhere:80")
    assert done.returncode == 1 and "http://" not in done.stderr, done.stderr


def test_exec_without_an_active_revision(serve):
    make(serve, "inactive")
    assert serve.ask("POST", f"{APPS}/inactive/revisions/inactive--0000001/deactivate")[0] == 200
    exec_in = ("containerapp", "exec", "-n", "inactive", "-g", "rg", "--command", "true")
    refused(serve, 1, "Container app 'inactive' has no active revision", *exec_in)
    refused(serve, 3, "Revision 'none' of container app 'inactive' was not found", *exec_in, "--revision", "none")


def test_another_name_in_the_yaml_file(serve, tmp_path):
    file = tmp_path / "app.yaml"
    body = app_body(["/bin/sh", "-c", WAIT])
    file.write_text(json.dumps({**body, "name": "other"}))
    create = ("containerapp", "create", "-n", "named", "-g", "rg", "--yaml", str(file), "--query", "name")
    done = serve.az(*create)
    assert (done.returncode, json.loads(done.stdout)) == (0, "named"), done.stderr
    assert ('The app name provided in the --yaml file "other" does not match the one provided in the --name flag "named". '
            "The one provided by the --name flag is used here.") in done.stderr
    assert serve.ask("GET", f"{APPS}/other")[0] == 404
    assert "does not match" in serve.az(*create[:1], "update", *create[2:]).stderr
    assert "does not match" not in serve.az(*create, "--only-show-errors").stderr
    file.write_text(json.dumps({**body, "name": "Named"}))
    assert "does not match" not in serve.az(*create).stderr


def test_a_socket_of_somebody_else(serve):
    """Permission is what is missing, not serve."""
    def become():
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    directory = serve.directory
    while directory != directory.parent and not directory.stat().st_mode & 0o001:
        directory.chmod(directory.stat().st_mode | 0o011)
        directory = directory.parent
    done = serve.az("group", "list", preexec_fn=become)
    assert done.returncode == 1
    assert "permission denied: the socket" in done.stderr
    assert "Run this as root" in done.stderr
    assert "Start it" not in done.stderr
    serve.directory.chmod(0o700)
    done = serve.az("group", "list", preexec_fn=become)
    assert "permission denied" in done.stderr and "directory" in done.stderr
    missing = serve.az("group", "list", "--server", "/nonexistent/socket")
    assert missing.returncode == 1
    assert "Start it with 'oomlab serve'" in missing.stderr
