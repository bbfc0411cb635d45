# SPDX-License-Identifier: Apache-2.0
"""Deletions take as long as the containers do: who waits for the operation finds nothing left."""

import subprocess
import time

import pytest
from serving import APPS, AZURE_LOGIN, ENVIRONMENT, GROUP, SUBSCRIPTION, app_body, missing, running, until

STUBBORN = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]  # is killed after its grace, 2 s


@pytest.fixture
def serve(tmp_path, no_leftovers):
    with running(tmp_path / "serve", "--tcp") as server:
        yield server


def make(serve, name="slow"):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", app_body(STUBBORN))
    assert status == 201, value
    assert serve.operation(headers)["status"] == "Succeeded"
    until(lambda: containers(serve), "it runs")


def containers(serve):
    """Their processes: serve's own children."""
    found = subprocess.run(["pgrep", "-P", str(serve.process.pid), "-f", "trap"], capture_output=True, text=True, check=False)
    return found.stdout.split()


def make_again(serve):
    """Everything of the same name, at once."""
    assert serve.ask("PUT", GROUP, {"location": "local"})[0] == 201
    assert serve.ask("PUT", ENVIRONMENT, {"location": "local"})[0] == 201
    status, value, _ = serve.ask("PUT", f"{APPS}/slow", app_body(STUBBORN))
    assert status == 201, value


def poll(serve, headers):
    path = headers["Location"][headers["Location"].index("/subscriptions"):]
    return lambda: serve.ask("GET", path)[0]


def test_a_group_is_gone_when_its_containers_are(serve):
    make(serve)
    status, _, headers = serve.ask("DELETE", f"{GROUP}?api-version=2021-04-01")
    assert status == 202 and "Azure-AsyncOperation" not in headers
    now = poll(serve, headers)
    assert now() == 202 and containers(serve)
    # It is shown as going, and nothing can be made in it.
    assert serve.get(GROUP)["properties"]["provisioningState"] == "Deleting"
    assert serve.ask("HEAD", GROUP)[0] == 204
    assert "rg" in [group["name"] for group in serve.get(f"{SUBSCRIPTION}/resourceGroups")["value"]]
    for path, body in ((GROUP, {"location": "local"}), (ENVIRONMENT, {"location": "local"}), (f"{APPS}/b", app_body(STUBBORN))):
        status, value, _ = serve.ask("PUT", path, body)
        assert (status, value["error"]["code"]) == (409, "ResourceGroupBeingDeleted"), path
    # Who deletes it again waits for the same.
    assert serve.ask("DELETE", GROUP)[2]["Location"].split("?")[0] == headers["Location"].split("?")[0]
    assert until(lambda: now() in (200, 204) and not containers(serve), "it is gone")
    assert serve.ask("GET", GROUP)[0] == 404
    assert serve.ask("DELETE", GROUP)[0] == 404
    make_again(serve)


def test_an_empty_group(serve):
    status, _, headers = serve.ask("DELETE", GROUP)
    assert status == 202
    now = poll(serve, headers)
    until(lambda: now() == 200, "it is gone", 5)
    assert serve.ask("GET", GROUP)[0] == 404


def test_the_verb_waits(serve):
    make(serve)
    begin = time.monotonic()
    done = serve.az("group", "delete", "--name", "rg", "--yes")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert time.monotonic() - begin > 1 and not containers(serve)
    make_again(serve)
    until(lambda: containers(serve), "it runs")
    done = serve.az("group", "delete", "--name", "rg", "--yes", "--no-wait")
    assert done.returncode == 0 and containers(serve), done.stderr
    until(lambda: serve.ask("GET", GROUP)[0] == 404, "it goes all the same")


def test_a_group_that_is_going_when_serve_is_killed(serve):
    make(serve)
    assert serve.ask("DELETE", GROUP)[0] == 202
    serve.kill()
    serve.start()
    assert serve.ask("GET", GROUP)[0] == 404
    make_again(serve)


@pytest.mark.parametrize("first", [f"{APPS}/slow", GROUP])
def test_a_second_deletion_of_an_app_waits_for_its_end(serve, first):
    make(serve)
    assert serve.ask("DELETE", first)[0] == 202
    status, _, headers = serve.ask("DELETE", f"{APPS}/slow")
    assert status == 202 and containers(serve)
    done = serve.az("containerapp", "delete", "-n", "slow", "-g", "rg", "--yes")
    assert done.returncode == 0 and not containers(serve), done.stderr
    assert serve.operation(headers)["status"] == "Succeeded"
    assert serve.ask("DELETE", f"{APPS}/slow")[0] == 204


AZURE = AZURE_LOGIN + """
import sys
from azure.mgmt.resource import ResourceManagementClient

url, token = sys.argv[1:]

groups = ResourceManagementClient(Credential(), "sub", base_url=url, authentication_policy=Authorize()).resource_groups
poller = groups.begin_delete("rg", polling_interval=1)
assert not poller.done()
poller.result()
assert poller.status() == "Succeeded", poller.status()
assert not groups.check_existence("rg")
"""


def test_the_sdk_waits(serve):
    if subprocess.run(["/usr/bin/python3", "-c", "import azure.mgmt.resource"], capture_output=True, check=False).returncode:
        missing("python3-azure")
    make(serve)
    done = subprocess.run(["/usr/bin/python3", "-c", AZURE, f"http://127.0.0.1:{serve.port()}", serve.token()],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not containers(serve)
