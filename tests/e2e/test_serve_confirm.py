# SPDX-License-Identifier: Apache-2.0
"""What destroys is asked about first: the question of az, its answers, and its refusal where nobody can answer."""

import os
import pty
import subprocess

import pytest
from conftest import oomlab_binary
from serving import APPS, ENVIRONMENT, GROUP, WAIT, app_body, running

QUESTION = "Are you sure you want to perform this operation? (y/n): "
NO_TTY = "Unable to prompt for confirmation as no tty available. Use --yes."


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with running(tmp_path_factory.mktemp("confirm") / "serve") as server:
        assert server.ask("PUT", f"{APPS}/kept", app_body(["/bin/sh", "-c", WAIT]))[0] == 201
        yield server


DELETIONS = [(("containerapp", "delete", "-n", "kept", "-g", "rg"), f"{APPS}/kept"),
             (("containerapp", "delete", "--ids", f"{APPS}/kept"), f"{APPS}/kept"),
             (("containerapp", "env", "delete", "-n", "env", "-g", "rg"), ENVIRONMENT),
             (("group", "delete", "-n", "rg"), GROUP)]


@pytest.mark.parametrize(("words", "path"), DELETIONS)
def test_without_a_terminal_it_is_refused(serve, words, path):
    done = serve.az(*words, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert NO_TTY in done.stderr and "Operation cancelled." in done.stderr
    assert QUESTION not in done.stderr
    assert serve.get(path)["properties"]["provisioningState"] != "Deleting"


def answered(serve, words, text):
    ours, theirs = pty.openpty()
    try:
        os.write(ours, text.encode())
        return serve.az(*words, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("words", "path"), DELETIONS)
def test_no_at_a_terminal_leaves_it(serve, words, path):
    done = answered(serve, words, "N\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count(QUESTION) == 1 and "Operation cancelled." in done.stderr
    assert serve.get(path)["properties"]["provisioningState"] != "Deleting"


def test_yes_at_a_terminal_is_asked_for_until_it_is_an_answer(serve):
    assert serve.ask("PUT", f"{APPS}/gone", app_body(["/bin/sh", "-c", WAIT]))[0] == 201
    done = answered(serve, ("containerapp", "delete", "-n", "gone", "-g", "rg"), "\nyes\ny\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(QUESTION) == 3
    assert serve.ask("GET", f"{APPS}/gone")[0] == 404


def test_azs_own_setting_asks_nothing(serve):
    assert serve.ask("PUT", f"{APPS}/quiet", app_body(["/bin/sh", "-c", WAIT]))[0] == 201
    done = subprocess.run(["env", f"OOMLAB_SERVER={serve.socket}", "AZURE_CORE_DISABLE_CONFIRM_PROMPT=true", oomlab_binary(),
                           "containerapp", "delete", "-n", "quiet", "-g", "rg"], check=False, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
