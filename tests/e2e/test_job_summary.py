# SPDX-License-Identifier: Apache-2.0
"""--summary FILE of run and check: what GitHub shows on the page of a job, rendered as GitHub does, against the result."""

import os
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from test_check import interrupt

pytestmark = pytest.mark.usefixtures("no_leftovers")

FAST = ("--quiet", "--idle", "200ms", "--gap", "100ms", "--cooldown", "200ms", "--cycles", "4", "--per-cycle", "60",
        "--rate", "100/s", "--request", "GET /work", "--memory", "64Mi", "--kills", "2")
LEAKING = ("--env", "MODE=leak-per-request")
WORKLOAD = ("--", "oomlab", "workload")


def render(path):
    """The page, as GitHub's own dialect makes it: headings, and tables as lists of rows of text."""
    if not shutil.which("cmark-gfm"):
        if os.environ.get("OOMLAB_MUST_WORK"):
            raise FileNotFoundError("cmark-gfm is not installed")
        pytest.skip("cmark-gfm is not installed")
    done = subprocess.run(["cmark-gfm", "-e", "table", "-t", "html", path], capture_output=True, text=True, check=True)
    assert "raw HTML omitted" not in done.stdout
    text = done.stdout.replace("\N{NO-BREAK SPACE}", " ")  # between a number and its unit
    page = ElementTree.fromstring(f"<page>{text}</page>")
    headings = ["".join(heading.itertext()) for heading in page.iter("h1")]
    tables = [[["".join(cell.itertext()) for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
              for table in page.iter("table")]
    return headings, tables, re.sub(r"\s+", " ", "".join(page.itertext()))


def test_a_run_then_a_check_in_one_file(oomlab, tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("# A step before\nits last line has no end", encoding="utf-8")
    result = oomlab.result("run", *FAST, *LEAKING, "--patch-env", "MODE=healthy", "--arms", "trigger,patch", "--summary",
                           path, "--format", "json", *WORKLOAD, status=3)
    headings, tables, text = render(path)
    assert headings == ["A step before", "oomlab run: oomlab"]
    arms, = tables
    assert [(row[0], row[1], row[3], row[5]) for row in arms[1:]] == [
        (f"service/{arm['name']}", "64Mi", str(arm["oom_kills"]), str(arm["requests"]["completed"]))
        for arm in result["arms"]]
    assert "its last line has no end" in text and result["run"]["id"] in text
    assert "The kernel killed it at its own 64 MiB limit, twice" in text and "What to do: Fix the leak" in text

    checked = oomlab.result("check", *FAST[:-2], *LEAKING, "--summary", path, "--format", "json", *WORKLOAD, status=3)
    headings, tables, text = render(path)
    assert headings == ["A step before", "oomlab run: oomlab", "oomlab check: oomlab: FAIL"]
    assert [row[:4] for row in tables[1][1:]] == [
        [row["outcome"].upper(), row["scenario"], row["check"], row["observed"]] for row in checked["checks"]]
    assert checked["run"] in text


def test_a_check_that_passes(oomlab, tmp_path):
    path = tmp_path / "summary.md"
    oomlab.result("check", *FAST[:-2], "--summary", path, "--format", "json", *WORKLOAD, status=0)
    headings, tables, _ = render(path)
    assert headings == ["oomlab check: oomlab: PASS"] and {row[0] for row in tables[0][1:]} == {"PASS"}


@pytest.mark.parametrize("verb", ["run", "check"])
def test_what_could_not_be_carried_out_says_why(oomlab, tmp_path, verb):
    path = tmp_path / "summary.md"
    command = tmp_path / "n*o*_n_<e>|[x](y)"
    done = oomlab(verb, "--quiet", "--memory", "64Mi", "--summary", path, "--", command)
    assert done.returncode == 2
    headings, tables, text = render(path)
    assert len(headings) == 1 and headings[0].startswith(f"oomlab {verb}: ") and headings[0].endswith(": ERROR")
    assert tables == [] and command.name in text  # as text, and no markup


def test_an_interrupted_check_says_so(oomlab, tmp_path):
    path = tmp_path / "summary.md"
    interrupt(oomlab, "check", "--summary", path)
    headings, _, text = render(path)
    assert headings == ["oomlab check: oomlab: ERROR"] and "interrupted" in text


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(oomlab, verb):
    done = oomlab(verb, "--memory", "64Mi", "--summary", "/nonexistent/x.md", "--", "/bin/true")
    assert done.returncode == 2 and "--summary: cannot write '/nonexistent/x.md'" in done.stderr
    assert not list(oomlab.state.rglob("evidence.db"))
