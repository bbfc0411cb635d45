# SPDX-License-Identifier: Apache-2.0
"""Resource groups as ARM has them: what one must be made with, what of it stays, their names, their tags."""

import json
import urllib.parse

import pytest
from serving import GROUP, SUBSCRIPTION, running

GROUPS = f"{SUBSCRIPTION}/resourceGroups"


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with running(tmp_path_factory.mktemp("groups") / "serve") as server:
        yield server


def put(serve, name, body):
    status, value, _ = serve.ask("PUT", f"{GROUPS}/{name}", body)
    return status, value.get("error", {}).get("code") or value


@pytest.mark.parametrize("body", [None, {}, {"location": ""}, {"location": None}, {"tags": {"a": "b"}}])
def test_a_location_is_required(serve, body):
    assert put(serve, "nowhere", body) == (400, "LocationRequired")
    assert put(serve, "rg", body) == (400, "LocationRequired")
    assert serve.ask("GET", f"{GROUPS}/nowhere")[0] == 404
    assert serve.get(GROUP)["location"] == "local"


def test_what_stays_of_a_group(serve):
    status, made = put(serve, "Mixed", {"location": "westeurope", "tags": {"a": "b"}})
    assert (status, made["name"]) == (201, "Mixed")
    status, value, _ = serve.ask("PUT", f"{GROUPS}/mixed", {"location": "eastus", "tags": {"c": "d"}})
    assert (status, value["error"]["code"]) == (409, "InvalidResourceGroupLocation")
    assert "'eastus'" in value["error"]["message"] and "'westeurope'" in value["error"]["message"]
    assert serve.get(f"{GROUPS}/mixed") == made
    status, value = put(serve, "MIXED", {"location": "West Europe", "tags": {"c": "d"}})
    assert (status, value) == (200, {**made, "tags": {"c": "d"}})
    assert serve.get(f"{GROUPS}/mixed") == value


@pytest.mark.parametrize("name", ["n" * 91, "ends.", "a b", "a'b", "a&b", "\u00fcmlaut", "a*b"])
def test_names_that_no_group_can_have(serve, name):
    assert put(serve, urllib.parse.quote(name), {"location": "local"}) == (400, "InvalidResourceGroup")
    done = serve.az("group", "create", "-n", name)
    assert done.returncode == 1 and "(InvalidResourceGroup)" in done.stderr


@pytest.mark.parametrize("name", ["n" * 90, "a.b_c-(d)", "1"])
def test_names_that_a_group_can_have(serve, name):
    assert put(serve, name, {"location": "local"})[0] == 201


def test_tags_and_their_filter(serve):
    for name, tags in (("red", {"Colour": "red"}), ("blue", {"colour": "blue"}), ("plain", {})):
        assert put(serve, name, {"location": "local", "tags": tags})[0] == 201

    def listed(*words):
        done = serve.az("group", "list", *words, "--query", "[].name")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert {"red", "blue", "plain"} <= set(listed())
    assert listed("--tag", "colour") == ["blue", "red"]
    assert listed("--tag", "colour=red") == ["red"]
    assert listed("--tag", "colour=RED") == listed("--tag", "none") == []
    for text in ("tagName eq 'a' or tagValue eq 'b'", "name eq 'red'", "tagName eq 'a' and", "tagName"):
        status, value, _ = serve.ask("GET", f"{GROUPS}?$filter={urllib.parse.quote(text)}")
        assert (status, value["error"]["code"]) == (400, "InvalidFilterInQueryString")


def test_update_and_exists(serve):
    assert put(serve, "changed", {"location": "local", "tags": {"a": "b"}})[0] == 201

    def az(*words):
        done = serve.az("group", *words, "-n", "changed")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert az("exists") is True
    assert json.loads(serve.az("group", "exists", "-n", "none").stdout) is False
    assert az("update", "--tags", "c=d")["tags"] == {"c": "d"}
    assert az("show")["tags"] == {"c": "d"}
    assert az("update")["tags"] == {"c": "d"}
    assert serve.ask("PATCH", f"{GROUPS}/changed", {"location": "elsewhere"})[1]["location"] == "local"
    assert serve.ask("PATCH", f"{GROUPS}/none", {"tags": {}})[0] == 404
    assert serve.az("group", "update", "-n", "none", "--tags", "a=b").returncode == 3
