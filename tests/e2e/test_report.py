# SPDX-License-Identifier: Apache-2.0
"""What a run leaves: the result against its schema, the page, the manifest; of a real run and of synthetic ones."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import pytest

from conftest import make_run

TREE = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TREE / "docs" / "result.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVENT_FIELDS = ["TimeStamp", "Type", "ContainerAppName", "RevisionName", "ReplicaName", "Msg", "Reason",
                "EventSource", "Count"]
KINDS = ["lab", "service", "interrupted", "empty", "hostile", "dense"]
VOID = {"wbr", "meta", "br", "img", "link", "input", "hr"}


@pytest.fixture(scope="module", params=KINDS)
def synthetic(request, tmp_path_factory):
    """The directory of a synthetic run of each kind, and its kind."""
    directory = tmp_path_factory.mktemp(request.param)
    done = subprocess.run([make_run(), request.param, directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory, request.param


class Page(html.parser.HTMLParser):
    """Checks nesting and collects what a page refers to."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.loads, self.tags = [], [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attributes = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        self.loads += [attributes[name] for name in ("src", "srcset", "data", "xlink:href") if name in attributes]
        assert not any(name.startswith("on") for name in attributes), attributes

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-5:])
        self.open.pop()


def parse(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def assert_valid(result):
    errors = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(result)]
    assert not errors, errors


def assert_manifest(directory):
    done = subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "MANIFEST.sha256"], cwd=directory,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split("  ", 1)[1] for line in
              (directory / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines()}
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert files == listed | {"MANIFEST.sha256"}


def assert_page(path):
    page = parse(path)
    assert not page.open
    assert not page.loads, "the page must not load anything"
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    text = path.read_text(encoding="utf-8")
    assert "url(" not in text and "@import" not in text
    assert len(text) < 1_000_000
    for svg in re.findall(r"<svg .*?</svg>", text, re.S):
        root = ElementTree.fromstring(svg)
        assert root.find("title").text and root.find("desc").text
        assert "nan" not in re.sub(r"<(title|desc|text).*?</\1>", "", svg, flags=re.S)


def assert_citations(result, markdown):
    """Every id that is cited exists."""
    known = {item["id"] for item in result["evidence"]}
    assert set(re.findall(r"\[(E[0-9]+)\]", markdown)) <= known
    for owner in [result, *result["arms"]]:
        assert set(owner["verdict"]["because"]) <= known


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_result_is_valid(synthetic):
    assert_valid(json.loads((synthetic[0] / "result.json").read_text(encoding="utf-8")))


def test_page_stands_alone(synthetic):
    assert_page(synthetic[0] / "report.html")


def test_markdown_renders_on_github(synthetic):
    """GitHub's own dialect, which drops raw HTML: nothing is dropped, and every picture stands beside it alone."""
    directory, kind = synthetic
    if not shutil.which("cmark-gfm"):
        if os.environ.get("OOMLAB_MUST_WORK"):
            raise FileNotFoundError("cmark-gfm is not installed")
        pytest.skip("cmark-gfm is not installed")
    done = subprocess.run(["cmark-gfm", "-e", "table", directory / "report.md"], capture_output=True, text=True,
                          check=True)
    assert "raw HTML omitted" not in done.stdout
    assert "<h2>Conclusion</h2>" in done.stdout
    assert "<table>" in done.stdout
    # Each reference is a link to the section with its row, and that section is there.
    assert not re.search(r"\[E\d+\]", done.stdout)
    assert ('href="#evidence"' in done.stdout) == ("<h2>Evidence</h2>" in done.stdout and kind != "empty")
    pictures = re.findall(r'<img src="([^"]*)" alt="([^"]+)"', done.stdout)
    assert {name for name, _ in pictures} == {path.name for path in directory.glob("*.svg")}
    for name, _ in pictures:
        root = ElementTree.fromstring((directory / name).read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title").text


def test_the_answer_comes_first(synthetic):
    """Who, which limit, how often, leak or not, what to do: before any section, in both."""
    directory, kind = synthetic
    page = (directory / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    front = page[page.index('<p class="answer'):page.index("<h2>")]
    questions = re.findall(r"<dt>(.*?)</dt>", front)
    asked = ["Who killed it", "Which limit", "How often", "Leak or not", "What to do"]
    more = ["Other scenarios"] if kind == "lab" else []
    assert questions == (asked[3:] if kind == "empty" else asked + more)
    if kind == "lab":
        assert re.search(r"<dt>Other scenarios</dt><dd>\S+/\S+: [^;]+, [1-9][0-9]* kills", front)
        assert "The kernel killed it at its own 512 MiB limit, three times" in front
        assert "more memory only delayed the next kill" in front
        assert front.index("<svg ") < front.index("<ul>")
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    assert markdown.index("> **") < markdown.index("What to do: ") < markdown.index("## ")


def test_figures_are_told_in_words(synthetic):
    """Each arm of the arms side by side, and of an arm its kinds of memory, requests, failures and latency."""
    directory, kind = synthetic
    if kind not in ("lab", "service"):
        return
    texts = re.findall(r"^\*Figure \d+\. (.*)$", (directory / "report.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " "), re.MULTILINE)
    beside = [text for text in texts if "side by side" in text]
    single = [text for text in texts[1:] if "side by side" not in text]
    scenario = beside[0].split(":")[0]
    assert f" {scenario}/trigger: Working set against" in beside[0] and f" {scenario}/raise: Working set against" in beside[0]
    assert all(re.search(r"Memory at its fullest: anonymous .*, kernel .*\. Requests: \d+ answered, \d+ failed", text)
               or "No request was sent" in text for text in single), single
    assert any("; the longest took " in text for text in single)


def test_squares_are_explained(oomlab, tmp_path):
    """An end that is no kill is a square in Figure 1, and its caption says so."""
    directory = tmp_path / "run"
    done = oomlab("run", "--memory", "32Mi", "--arms", "trigger", "--ready", "none", "--cycles", "1", "--per-cycle", "5",
                  "--idle", "100ms", "--cooldown", "1s", "--output", directory, "--", "/bin/sh", "-c", "sleep 0.2; exit 3")
    assert done.returncode in {0, 3}, done.stderr
    page = (directory / "report.html").read_text(encoding="utf-8")
    figure = page[page.index("<figure"):page.index("</figure>")]
    assert 'class="end"' in figure and "a square another end of a process" in figure


def test_manifest_holds(synthetic):
    assert_manifest(synthetic[0])


def test_citations_exist(synthetic):
    directory, _ = synthetic
    assert_citations(json.loads((directory / "result.json").read_text(encoding="utf-8")),
                     (directory / "report.md").read_text(encoding="utf-8"))


def test_events_have_azures_fields(synthetic):
    lines = (synthetic[0] / "events.ndjson").read_text(encoding="utf-8").splitlines()
    for line in lines:
        event = json.loads(line)
        assert list(event)[:9] == EVENT_FIELDS
        assert set(event) <= {*EVENT_FIELDS, "oomlab"}
        assert event["Type"] in {"Normal", "Warning"}
    assert lines or synthetic[1] == "empty"


def test_the_page_says_what_the_markdown_says(synthetic):
    """Both come from one document: same sections, and the same number of table rows."""
    directory, _ = synthetic
    page = (directory / "report.html").read_text(encoding="utf-8")
    markdown = re.sub(r"^(`{3,}).*?^\1$", "", (directory / "report.md").read_text(encoding="utf-8"),
                      flags=re.S | re.M)
    assert re.findall(r"<h2>(.*?)</h2>", page) == re.findall(r"^## (.*)$", markdown, re.M)
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(re.findall(r"<tr", page)) == len(rows)


def test_the_same_file_gives_the_same_bytes(synthetic, tmp_path):
    directory, _ = synthetic
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    for path in copy.iterdir():
        if not path.name.startswith(("evidence.db", "console-")):
            path.unlink()
    subprocess.run([make_run(), "report", copy], check=True, capture_output=True)
    for path in directory.iterdir():
        assert path.read_bytes() == (copy / path.name).read_bytes(), path.name


WRONG = [
    (["schema"], "oomlab.result/2"),
    (["run", "host", "cgroup_version"], 3),
    (["run", "started_at"], "yesterday"),
    (["verdict", "class"], "broken"),
    (["verdict", "confidence"], 1.5),
    (["verdict", "driver"], "magic"),
    (["verdict", "because"], ["row 7"]),
    (["arms", 0, "oom_kills"], -1),
    (["arms", 0, "memory_limit_bytes"], "512Mi"),
    (["arms", 0, "health_state"], "fine"),
    (["arms", 0, "requests", "failed"], None),
    (["arms", 0, "lifetimes", 0, "index"], 0),
    (["arms", 0, "lifetimes", 0, "end", "cause"], "oom"),
    (["arms", 0, "lifetimes", 0, "end", "level"], "Certain"),
    (["arms", 0, "lifetimes", 0, "end", "exit_code"], 300),
    (["arms", 0, "lifetimes", 0, "growth", "ci95"], [1]),
    (["predictions", 0, "sha256"], "abc"),
    (["gates", 0, "checks", 0, "pass"], "yes"),
    (["evidence", 0, "id"], "1"),
    (["recommendation", "action"], "pray"),
]


@pytest.fixture(scope="module")
def lab_result(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab-result")
    subprocess.run([make_run(), "lab", directory], check=True, capture_output=True)
    return json.loads((directory / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path, value", WRONG, ids=["/".join(map(str, path)) for path, _ in WRONG])
def test_the_schema_refuses(lab_result, path, value):
    """A wrong value or a missing field is an error at that place."""
    wrong = json.loads(json.dumps(lab_result))
    owner = wrong
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    assert any(list(error.absolute_path)[:len(path)] == path for error in VALIDATOR.iter_errors(wrong))
    if isinstance(path[-1], str):
        del owner[path[-1]]
        assert not VALIDATOR.is_valid(wrong)


def console_text(path):
    """What the container wrote to its standard output, out of the CRI format."""
    lines = [line.split(" ", 3) for line in path.read_text(encoding="utf-8").splitlines()]
    return "".join(text + ("\n" if tag == "F" else "") for _, stream, tag, text in lines if stream == "stdout")


SECRETS = {"DB_PASSWORD": "correct-horse-battery", "API_KEY": "k-0123456789"}


def test_no_secret_is_written_down(oomlab, tmp_path, no_leftovers):
    """Not in the database, the report, the logs, the result, the archive, nor on the terminal; the service gets
    them, says so, and prints what it got."""
    directory = tmp_path / "run"
    service = ("import http.server, json, os, sys\n"
               "print('start with', os.environ['DB_PASSWORD'], os.environ['API_KEY'], sys.argv, flush=True)\n"
               "print('inherited', os.environ['INHERITED_TOKEN'], flush=True)\n"
               "for part in 'form ', os.environ['GITHUB'][:9], os.environ['GITHUB'][9:], '\\n': print(part, end='', flush=True)\n"
               "class H(http.server.BaseHTTPRequestHandler):\n"
               "    def do_GET(self):\n"
               "        print('got', self.headers.get('X-Api-Key'), flush=True)\n"
               "        good = self.path == '/' or self.headers.get('X-Api-Key') == 'header-secret-1'\n"
               "        self.send_response(200 if good else 401); self.end_headers()\n"
               "    def do_POST(self):\n"
               "        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))\n"
               "        print('posted', body['password'], 'to', self.path, self.path[-16:], flush=True)\n"
               "        self.send_response(200); self.end_headers()\n"
               "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n")
    program = tmp_path / "service.py"
    program.write_text(service, encoding="utf-8")
    lab = tmp_path / "lab.yaml"
    token = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"  # known by its form, not by its name
    lab.write_text(json.dumps({
        "name": "secrets", "memory": "64Mi", "cycles": 2, "per-cycle": 5, "rate": "50/s", "idle": "100ms",
        "gap": "100ms", "cooldown": "100ms", "env": {**SECRETS, "GITHUB": token}, "patch-env": {"API_KEY": "patched-key-77"},
        "command": ["/usr/bin/python3", str(program), "--token", "argument-secret-9"],
        "requests": [{"method": "GET", "path": "/work", "headers": {"X-Api-Key": "header-secret-1"}},
                     {"method": "POST", "path": "/p?x=1&sig=signature-of-url", "body": '{"password": "body-secret-3"}'}],
    }), encoding="utf-8")
    done = oomlab("run", lab, "--env", "OTHER_TOKEN=command-line-secret", "--output", directory,
                  env={"INHERITED_TOKEN": "inherited-secret-5"})
    assert done.returncode in {0, 3}, done.stderr
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    assert all(arm["requests"]["failed"] == 0 and arm["requests"]["completed"] > 0 for arm in result["arms"])
    logs = "".join(console_text(path) for path in directory.glob("console-*.log"))
    assert f"start with {21 * '*'} " in logs and f"got {15 * '*'}\n" in logs
    assert f"form {40 * '*'}\n" in logs
    assert f"inherited {18 * '*'}\n" in logs and f"posted {13 * '*'} to /p?x=1&sig={16 * '*'} {16 * '*'}\n" in logs
    assert "[redacted]" in (directory / "report.html").read_text(encoding="utf-8")
    archive = tmp_path / "run.tar.zst"
    assert oomlab("export", directory, "--output", archive).returncode == 0
    unpacked = subprocess.run(["zstd", "-dcq", archive], capture_output=True, check=True).stdout
    texts = {path.name: path.read_bytes() for path in directory.iterdir()}
    texts |= {"archive": unpacked, "terminal": (done.stdout + done.stderr).encode()}
    for secret in [*SECRETS.values(), token, "patched-key-77", "header-secret-1", "argument-secret-9",
                   "command-line-secret", "inherited-secret-5", "body-secret-3", "signature-of-url"]:
        for name, text in texts.items():
            assert secret.encode() not in text, (secret, name)


def test_a_real_run(oomlab, tmp_path, no_leftovers):
    """The smallest real lab: one arm of the built-in workload, killed by the kernel."""
    directory = tmp_path / "run"
    done = oomlab("run", "--scenarios", "hard", "--arms", "trigger", "--kills", "1", "--output", directory)
    assert done.returncode in {0, 3}, done.stderr
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    assert_valid(result)
    assert_page(directory / "report.html")
    assert_manifest(directory)
    assert_citations(result, (directory / "report.md").read_text(encoding="utf-8"))
    (arm,) = result["arms"]
    assert arm["oom_kills"] >= 1
    end = arm["lifetimes"][0]["end"]
    assert end["exit_code"] == 137 and end["signal"] == 9
    assert end["counters"]["oom_kill"][1] > end["counters"]["oom_kill"][0]
    assert end["committed_after_ms"] is not None


def test_each_sentence_of_the_answer_links_to_its_row(oomlab, tmp_path, no_leftovers):
    directory = tmp_path / "run"
    done = oomlab("run", "--quiet", "--scenarios", "leak", "--arms", "trigger,patch", "--kills", "2", "--output", directory)
    assert done.returncode in {0, 3}, done.stderr
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    markdown = (directory / "report.md").read_text(encoding="utf-8")
    answer = next(line for line in markdown.splitlines() if line.startswith("> **The kernel killed it"))
    sources = {item["id"]: (item["source"]["arm"], item["source"]["table"]) for item in result["evidence"]}
    # Each with the words before it, back to the reference before that one.
    cited = [(words, sources[number]) for words, number in re.findall(r"([^\[]*)\[(E\d+)\]", answer)]
    expected = [(r"own 512\s+MiB limit, twice", ("leak/trigger", "lifetime_end")),
                (r"It keeps [\d.]+\s+MiB per request", ("leak/trigger", "growth")),
                ("Patched, it stays at", ("leak/patch", "lifetime_end"))]
    if result["verdict"]["class"] != "leak":  # a busy machine may leave it open
        assert "not settled by this evidence" in answer
        del expected[1]
    assert [source for _, source in cited] == [source for _, source in expected], answer
    for (words, _), (part, _) in zip(cited, expected):
        assert re.search(part, words), (part, words)
