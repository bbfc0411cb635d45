# SPDX-License-Identifier: Apache-2.0
"""kill -9 of oomlab serve at random moments under churn: nothing acknowledged is lost, nothing doubled, nothing left."""

import contextlib
import http.client
import os
import random
import threading
import time
from pathlib import Path

from serving import APPS, Serve, app_body, until

KILLS = int(os.environ.get("OOMLAB_TEST_KILLS", "100"))
CHURN_S = float(os.environ.get("OOMLAB_TEST_CHURN_S", "0.4"))  # at most, between a start and its kill
MARK = "oomlab-churn"


def processes(mark):
    """The pids whose command line holds the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


class Churn(threading.Thread):
    """Creates, updates and deletes apps; remembers what was acknowledged and what was under way."""

    def __init__(self, serve, seed):
        super().__init__()
        self.serve, self.random = serve, random.Random(seed)
        self.known = {}  # app -> the tag acknowledged last
        self.open = {}   # app -> what may or may not have happened: a tag, or None for a deletion
        self.over = False
        self.count = 0

    def body(self, tag):
        return app_body(["/bin/sh", "-c", f"trap 'exit 0' TERM; while :; do sleep 1 & wait; done # {MARK}-"
                         f"{self.serve.directory}"], env=[("TAG", tag)])

    def act(self):
        name = f"app{self.random.randrange(4)}"
        self.count += 1
        tag = f"t{self.count}"
        if name in self.known and self.random.random() < 0.3:
            self.open[name] = None
            status, _, _ = self.serve.ask("DELETE", f"{APPS}/{name}")
            if status in (202, 204):
                self.known.pop(name, None)
        else:
            self.open[name] = tag
            status, _, _ = self.serve.ask("PUT", f"{APPS}/{name}", self.body(tag))
            if status in (200, 201):
                self.known[name] = tag
        self.open.pop(name)

    def run(self):
        while not self.over:
            try:
                self.act()
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)
                return  # serve is dead: what was open stays open


def tag_of(app):
    return app["properties"]["template"]["containers"][0]["env"][0]["value"]


def test_kill_under_churn(tmp_path, no_leftovers):
    serve = Serve(tmp_path / "serve")
    mark = f"{MARK}-{serve.directory}"
    serve.start()
    serve.prepare()
    rng = random.Random(20261126)
    known = {}
    count = 0
    for turn in range(KILLS):
        churn = Churn(serve, turn)
        churn.known, churn.count = dict(known), count
        churn.start()
        time.sleep(rng.uniform(0, CHURN_S))  # the moment of the kill is what is random here
        serve.kill()
        churn.join(30)
        count = churn.count
        until(lambda: not processes(mark), "the containers died with serve", 10)
        serve.start()
        apps = {a["name"]: a for a in serve.get(APPS)["value"]}
        for name in set(apps) | set(churn.known) | set(churn.open):
            found = tag_of(apps[name]) if name in apps else None
            allowed = {churn.known.get(name)}
            if name in churn.open:
                allowed.add(churn.open[name])
            assert found in allowed, (turn, name, found, allowed)
        known = {name: tag_of(app) for name, app in apps.items()}
        for name in apps:
            rows = serve.get(f"{APPS}/{name}/revisions")["value"]
            assert len({r["name"] for r in rows}) == len(rows)
            until(lambda n=name: serve.get(f"{APPS}/{n}/revisions")["value"][-1]["properties"]["healthState"]
                  == "Healthy", f"{name} runs")
        # One process for each app, as soon as the older revisions have been stopped.
        until(lambda: len(processes(mark)) == len(apps), f"{len(apps)} containers", 60)
    serve.stop()
    assert processes(mark) == []
    assert count > KILLS  # it did churn
