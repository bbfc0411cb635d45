# SPDX-License-Identifier: Apache-2.0
"""Console output that is no text: every row is told all the same."""

import contextlib
import json
import os
import subprocess
import threading

import pytest
from conftest import oomlab_binary
from serving import APPS, WAIT, app_body, running, until

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with running(tmp_path_factory.mktemp("logs") / "serve") as server:
        yield server


def make(serve, name, script):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", app_body(["/bin/sh", "-c", script]))
    assert status == 201, value
    serve.operation(headers)


def shown(serve, name):
    done = serve.az("containerapp", "logs", "show", "-n", name, "-g", "rg", "--tail", "50")
    return [json.loads(line)["Log"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name, printed, told", [
    ("nul", r"nul \000 x", f"nul {REPLACED} x"),
    ("nuls", r"\000\000", REPLACED * 2),
    ("latin", r"caf\351 \303\251", f"caf{REPLACED} \N{LATIN SMALL LETTER E WITH ACUTE}"),
    ("cut", r"a\303", f"a{REPLACED}")])
def test_what_is_no_text_hides_nothing(serve, name, printed, told):
    make(serve, name, f"echo one; printf '{printed}\\n'; echo three; {WAIT}")
    until(lambda: shown(serve, name)[-1:] == ["three"], "the last row")
    assert shown(serve, name) == ["one", told, "three"]


def test_rows_after_a_nul_are_followed(serve):
    make(serve, "follow", f"while :; do printf 'a\\000b\\n'; echo after; sleep 0.2; done & {WAIT}")
    env = {**os.environ, "OOMLAB_SERVER": str(serve.socket)}
    follower = subprocess.Popen([oomlab_binary(), "containerapp", "logs", "show", "-n", "follow", "-g", "rg", "--follow",
                                 "--tail", "0"], env=env, stdout=subprocess.PIPE, text=True)
    rows = []

    def read():
        with contextlib.suppress(ValueError):
            for line in follower.stdout:
                rows.append(json.loads(line)["Log"])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: rows.count("after") >= 3, "rows go on")
    finally:
        follower.terminate()
        follower.wait(30)
        reader.join(30)
    assert set(rows) == {f"a{REPLACED}b", "after"}


def test_a_new_app_of_an_old_name_has_its_own_log(serve):
    def replica():
        return serve.get(f"{APPS}/twice/revisions/twice--0000001/replicas")["value"][0]["name"]

    make(serve, "twice", f"echo of the first; {WAIT}")
    until(lambda: shown(serve, "twice") == ["of the first"], "it has printed")
    first = replica()
    assert serve.az("containerapp", "delete", "-n", "twice", "-g", "rg", "--yes").returncode == 0
    make(serve, "twice", f"echo of the second; {WAIT}")
    until(lambda: "of the second" in shown(serve, "twice"), "it has printed")
    assert shown(serve, "twice") == ["of the second"]
    assert replica() != first
