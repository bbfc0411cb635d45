# SPDX-License-Identifier: Apache-2.0
"""Clients of containerapp exec, and what they leave behind."""

import os
import subprocess
import uuid
from pathlib import Path

from conftest import oomlab_binary
from serving import APPS, BUSYBOX, missing

SLEEP = ["/bin/sleep", "100000"]


def mark():
    """A file name that no other process of this machine has on its command line."""
    return f"exec-{uuid.uuid4().hex}"


def processes(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes() and "oomlab" not in (path.parent / "comm").read_text(encoding="utf-8"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def needs_images():
    """What a container with an image of its own takes."""
    if not BUSYBOX.exists():
        missing("busybox-static")
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        missing("overlayfs")


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    done = serve.operation(headers)
    assert done["status"] == "Succeeded", done


def arguments(command, app="web", *more):
    given = [] if command is None else ["--command", command]
    return ["containerapp", "exec", "--name", app, "--resource-group", "rg", *given, *more]


def run(serve, command, *more, app="web", **options):
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if options["stdin"] is None:
        del options["stdin"]
    return serve.az(*arguments(command, app, *more), **options)


STARTED = []


def begin(serve, command, app="web", **options):
    """A client that goes on; its pipes are the test's."""
    for name in ("stdin", "stdout", "stderr"):
        options.setdefault(name, subprocess.PIPE)
    env = {**os.environ, "OOMLAB_SERVER": str(serve.socket)}
    STARTED.append(subprocess.Popen([oomlab_binary(), *arguments(command, app)], env=env, **options))
    return STARTED[-1]


def end_all():
    """A test that has failed must not fail the next one."""
    while STARTED:
        client = STARTED.pop()
        if client.poll() is None:
            client.kill()
            client.wait()


def end(client):
    """Its rest: status, output, errors."""
    out, err = client.communicate(timeout=60)
    return client.returncode, out, err.decode()
