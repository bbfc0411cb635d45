# SPDX-License-Identifier: Apache-2.0
"""axe-core in a page of browser.py, the pictures that are kept, and where both lie in the build directory."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

AXE = "4.10.2"
BINARY = Path(os.environ.get("OOMLAB", Path(__file__).resolve().parents[2] / "build" / "oomlab")).resolve()
BUILD = next((folder for folder in BINARY.parents if (folder / "build.ninja").exists()), BINARY.parent)


def missing(what):
    if os.environ.get("OOMLAB_MUST_WORK"):
        raise FileNotFoundError(what)
    pytest.skip(what)


def axe_source():
    """axe-core's source, from npm, kept in the build directory."""
    place = BUILD / "npm"
    source = place / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        if not shutil.which("npm"):
            missing("npm is not installed, so there is no axe-core")
        place.mkdir(exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", place,
                               f"axe-core@{AXE}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            missing(f"npm cannot install axe-core: {done.stderr.strip()[-200:]}")
    return source.read_text(encoding="utf-8")


def violations(browser, source):
    """What keeps people out of the page that is open; at least some rules must have had something to check."""
    browser.ask(source + ";0")
    found, passes = browser.ask("""axe.run(document, {resultTypes: ['violations']}).then(result => [
        result.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' +
            n.failureSummary)]), result.passes.length])""")
    assert passes > 15, passes
    return found


def keep_picture(browser, name):
    (BUILD / "screenshots").mkdir(exist_ok=True)
    browser.take_picture(BUILD / "screenshots" / f"{name}.png")
