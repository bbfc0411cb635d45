# SPDX-License-Identifier: Apache-2.0
"""The command line itself: help, usage errors, exit statuses, state, output that fails. Nothing here
runs a lab but the one test that needs a run to list, show, export, compare and remove."""

import contextlib
import datetime
import fcntl
import io
import json
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import termios
from pathlib import Path

import pytest

from conftest import TREE, Oomlab, oomlab_binary

VERBS = ["run", "check", "diagnose", "report", "heap", "list", "show", "compare", "advise", "export", "clean",
         "serve", "containerapp", "monitor", "group", "rest", "doctor", "workload", "completion", "version", "help"]
AZ_VERBS = ("containerapp", "monitor", "group", "rest")


def options_in_help(oomlab, verb):
    text = oomlab("help", verb).stdout
    return set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", text, re.MULTILINE)) - {"help"}


# --- help -----------------------------------------------------------------------------------------


def test_help_lists_all_verbs(oomlab):
    done = oomlab("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert re.findall(r"^  (\w+) +[a-z]", done.stdout, re.MULTILINE)[:len(VERBS)] == VERBS
    assert oomlab("help").stdout == oomlab("-h").stdout == done.stdout


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "workload"])
def test_help_of_a_verb(oomlab, verb):
    done = oomlab(verb, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: oomlab {verb}")
    assert done.stdout == oomlab("help", verb).stdout == oomlab(verb, "-h").stdout


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_100_columns(oomlab, verb):
    text = oomlab("help", *filter(None, [verb])).stdout
    assert text and max(map(len, text.splitlines())) <= 100


def test_version(oomlab):
    done = oomlab("version")
    assert re.fullmatch(r"oomlab \d+\.\d+\.\d+\n", done.stdout)
    assert oomlab("--version").stdout == oomlab("-V").stdout == done.stdout


# --- the manual agrees with the table --------------------------------------------------------------


def manual_options(name):
    text = (TREE / "docs" / "man" / name).read_text(encoding="utf-8")
    items = [line for line in text.splitlines() if line.startswith(".It Fl")]
    return {re.search(r"Fl -([a-z-]+)", item).group(1) for item in items}


def test_manual_of_run(oomlab):
    assert manual_options("oomlab-run.1") == options_in_help(oomlab, "run")


def test_manual_of_check(oomlab):
    assert manual_options("oomlab-check.1") == options_in_help(oomlab, "check")


def test_manual_of_diagnose(oomlab):
    assert manual_options("oomlab-diagnose.1") == options_in_help(oomlab, "diagnose")


def test_manual_of_heap(oomlab):
    assert manual_options("oomlab-heap.1") == options_in_help(oomlab, "heap")


def test_manual_of_serve(oomlab):
    assert manual_options("oomlab-serve.1") == options_in_help(oomlab, "serve")


def test_manual_of_containerapp(oomlab):
    text = oomlab("containerapp", "--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    commands = [re.match(r"  (\w[\w -]*?\w)  ", line).group(1) for line in text.splitlines()]
    page = (TREE / "docs" / "man" / "oomlab-containerapp.1").read_text(encoding="utf-8")
    assert re.findall(r"^\.It Cm (.+)$", page, re.MULTILINE) == commands
    options = set()
    others = [["monitor", "metrics", "list"], ["group", "create"], ["group", "list"], ["rest"]]
    for words in [["containerapp", *c.split()] for c in commands] + others:
        text = oomlab(*words, "--help").stdout
        options |= set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", text, re.MULTILINE)) - {"help"}
    assert manual_options("oomlab-containerapp.1") == options


def test_manual_of_the_rest(oomlab):
    own_page = ("run", "check", "diagnose", "heap", "serve", *AZ_VERBS)
    options = set().union(*(options_in_help(oomlab, v) for v in VERBS if v not in own_page))
    assert manual_options("oomlab.1") == options
    text = (TREE / "docs" / "man" / "oomlab.1").read_text(encoding="utf-8")
    assert re.findall(r"^\.It Cm (\w+)$", text, re.MULTILINE) == VERBS
    synopsis = text.split(".Sh DESCRIPTION")[0]
    assert re.findall(r"^\.Nm oomlab\n\.Cm (\w+)$", synopsis, re.MULTILINE) == VERBS
    for verb in VERBS:
        if verb not in (*own_page, "workload"):
            part = re.search(rf"\.Cm {verb}\n((?:\.(?:Op|Ar|Cm).*\n)*)", synopsis).group(1)
            assert set(re.findall(r"Fl -([a-z-]+)", part)) == options_in_help(oomlab, verb), verb


def test_manual_has_no_faults():
    lint = shutil.which("mandoc")
    if not lint:
        pytest.skip("mandoc is not installed")
    done = subprocess.run([lint, "-T", "lint", *map(str, (TREE / "docs" / "man").glob("*.1"))],
                          capture_output=True, text=True, check=False)
    faults = [line for line in (done.stdout + done.stderr).splitlines()
              if "referenced manual not found" not in line]  # ours are not installed here
    assert faults == []


def test_lab_file_page_has_every_key(oomlab):
    page = (TREE / "docs" / "lab-file.md").read_text(encoding="utf-8")
    keys = set(re.findall(r"^\| `([a-z-]+)` \| [TS] \|", page, re.MULTILINE))
    not_keys = {"output", "junit", "summary", "format", "quiet", "request"}
    file_only = {"name", "question", "app", "expect", "command", "requests"}
    assert keys == (options_in_help(oomlab, "run") - not_keys) | file_only


def test_examples_of_the_lab_file_page(oomlab, tmp_path):
    page = (TREE / "docs" / "lab-file.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        lab = tmp_path / "lab.yaml"
        lab.write_text(text, encoding="utf-8")
        # Refused only because no machine has so much memory: the file itself is read in full.
        done = oomlab("run", lab, "--raise", "1Pi")
        assert done.returncode == 4, done.stderr


# --- usage errors ---------------------------------------------------------------------------------

WRONG = [
    ([], "a verb is missing"),
    (["rnu"], "did you mean 'oomlab run'?"),
    (["serve-me"], "unknown verb 'serve-me'"),
    (["--verbose"], "unknown option '--verbose'"),
    (["help", "rnu"], "did you mean 'oomlab run'?"),
    (["help", "run", "list"], "unexpected operand 'list'"),
    (["version", "now"], "unexpected operand 'now'"),
    (["run", "--memroy", "1Gi"], "did you mean '--memory'?"),
    (["run", "--mem=1Gi"], "did you mean '--memory'?"),
    (["run", "-z"], "unknown option '-z'"),
    (["run", "-qq"], "unknown option '-qq'"),
    (["run", "--memory"], "--memory needs a value: --memory SIZE"),
    (["run", "--quiet=yes"], "--quiet takes no value"),
    (["run", "--"], "the command after '--' is missing"),
    (["run", "a.yaml", "b.yaml"], "a command stands after '--'"),
    (["run", "none.yaml"], "cannot read the lab file 'none.yaml'"),
    (["run", "--", "./x"], "the memory limit under test is missing"),
    (["run", "--memory", "64", "--", "./x"], "--memory: 64 is too little"),
    (["run", "--memory", "64Mi", "--", ""], "the command is empty"),
    (["run", "--raise", "1Mi"], "--raise: 1Mi is too little"),
    (["run", "--raise", "64Mi"], "--raise: 64Mi is not more"),
    (["run", "--cpu", "none"], "--cpu: 'none' is not a number of cores"),
    (["run", "--patch-memory", "x"], "--patch-memory: 'x' is not a size"),
    (["run", "--patch-cpu", "0"], "--patch-cpu: 0 cores"),
    (["run", "--port", "65536"], "--port: 65536 is out of range"),
    (["run", "--requests-file", "none.txt"], "--requests-file: cannot read 'none.txt'"),
    (["run", "--rate", "fast"], "--rate: 'fast' is not a rate"),
    (["run", "--arrival", "late"], "--arrival: 'late'"),
    (["run", "--cycles", "0"], "--cycles: 0 is out of range"),
    (["run", "--per-cycle", "1.5"], "--per-cycle: '1.5' is not a whole number"),
    (["run", "--idle", "-1s"], "--idle: '-1s' is not a duration"),
    (["run", "--gap", "2d"], "--gap: '2d' is out of range"),
    (["run", "--cooldown", "soon"], "--cooldown: 'soon' is not a duration"),
    (["run", "--ready", "http"], "--ready: 'http' is no probe"),
    (["run", "--ready-deadline", "0"], "--ready-deadline: '0' is out of range"),
    (["run", "--liveness", "tcp often"], "--liveness: 'often' is none of"),
    (["run", "--startup", "http:x"], "--startup: 'http:x' is no probe"),
    (["run", "--backoff", "slow"], "--backoff: 'slow' is no back-off"),
    (["run", "--arms", "trigger,rise"], "did you mean 'raise'?"),
    (["run", "--scenarios", "leek"], "did you mean 'leak'?"),
    (["run", "--deadline", "1s"], "--deadline: an arm's deadline of 1 s is shorter"),
    (["run", "--sample-rate", "5000"], "--sample-rate: '5000' is out of range"),
    (["run", "--pids-max", "1"], "--pids-max: 1 is out of range"),
    (["run", "--stop-grace", "2h"], "--stop-grace: '2h' is out of range"),
    (["run", "--side-by-side", "maybe"], "--side-by-side: 'maybe'"),
    (["run", "--heap-rate", "1"], "--heap-rate: '1' is not from 1Ki to 1Gi"),
    (["heap", "last"], "there is no run yet"),
    (["heap", "last", "--top", "few"], "--top: 'few' is not a number"),
    (["heap", "last", "last"], "two runs are compared with --diff"),
    (["heap", "last", "--diff"], "--diff compares two runs"),
    (["run", "--seed", "-1"], "--seed: '-1' is not a whole number"),
    (["run", "--env", "A"], "--env: 'A' is not NAME=VALUE"),
    (["run", "--patch-env", "=x"], "--patch-env: '' is no name"),
    (["run", "--patch-command", "a 'b"], "--patch-command: the quote ' is not closed"),
    (["run", "--request", "GTE /"], "--request: request 'GTE /'"),
    (["run", "--kills", "many"], "--kills: 'many' is not a whole number"),
    (["run", "--budget", "1ms"], "--budget: '1ms' is out of range"),
    (["run", "--confidence", "1.5"], "--confidence: 1.5 is out of range; it must be from 0.5 to 0.999"),
    (["run", "--output", "/dev/null"], "--output: '/dev/null' is not a directory"),
    (["run", "--output", "/"], "--output: '/' is not empty"),
    (["run", "--junit", "/nonexistent/a.xml"], "--junit: cannot write '/nonexistent/a.xml'"),
    (["run", "--summary", "/nonexistent/a.md"], "--summary: cannot write '/nonexistent/a.md'"),
    (["run", "--output", "/nonexistent/a"], "--output: cannot make '/nonexistent/a'"),
    (["run", "--format", "jsno"], "did you mean 'json'?"),
    (["list", "--format", "xml"], "--format: 'xml' is neither text nor json"),
    (["report"], "it needs an operand: oomlab report RUN"),
    (["report", "last"], "there is no run yet"),
    (["show", "/nonexistent/x"], "'/nonexistent/x': No such file"),
    (["show", "/"], "'/' is no run"),
    (["show", ""], "there is no run yet"),
    (["compare", "last"], "oomlab compare RUN[:ARM] RUN[:ARM]"),
    (["advise", "last"], "--for is missing; say --for kubernetes|azure"),
    (["advise", "last", "--for", "nomad"], "--for: 'nomad' is none of kubernetes|azure|compose"),
    (["advise", "last", "--for", "azure"], "there is no run yet"),
    (["export", "last"], "there is no run yet"),
    (["clean", "--keep", "some"], "--keep: 'some' is not a whole number"),
    (["clean", "x", "--keep", "1"], "--keep is for all runs"),
    (["clean", "--older-than", "old"], "--older-than: 'old' is not a duration"),
    (["clean", "--older-than", "99999d"], "--older-than: '99999d' is out of range"),
    (["clean", "x", "--older-than", "1d"], "--older-than is for all runs"),
    (["clean", "last"], "there is no run yet"),
    (["export", "last", "--format", "json"], "--format json is for --verify"),
    (["doctor", "--formt", "json"], "did you mean '--format'?"),
    (["completion", "zsh"], "'zsh' is not known"),
    (["list", "--", "x"], "it takes no command after '--'"),
]


@pytest.mark.parametrize("arguments,message", WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_usage_error(oomlab, tmp_path, arguments, message):
    done = oomlab(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("oomlab: error: ")
    assert not oomlab.state.exists()  # nothing was made


def test_every_option_of_run_is_wrong_once(oomlab):
    """The table above leaves no option of `run` out."""
    tried = {word[2:].split("=")[0] for arguments, _ in WRONG for word in arguments
             if arguments[:1] == ["run"] and word.startswith("--") and len(word) > 2}
    assert options_in_help(oomlab, "run") - tried == {"https", "heap"}  # flags that cannot be wrong


def test_lab_file_error_has_its_place(oomlab, tmp_path):
    lab = tmp_path / "lab.yaml"
    lab.write_text("memory: 64Mi\ncommand: ./x\nscenarios:\n  one:\n    cycels: 3\n", encoding="utf-8")
    done = oomlab("run", lab)
    assert done.returncode == 2
    assert done.stderr == f"oomlab: error: {lab}:5:5: unknown key 'cycels'; did you mean 'cycles'?\n"


def test_an_error_is_harmless_to_the_terminal(oomlab):
    done = oomlab("run", "a\x1b]0;owned\x07\u009b31m\nb\u00e9.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "a\\x1b]0;owned\\x07\\x9b31m\\x0ab\u00e9.yaml" in done.stderr


def test_lab_file_from_standard_input(oomlab):
    process = subprocess.run([oomlab_binary(), "run", "-"], input="memory: 1\n", text=True,
                             capture_output=True, env=oomlab.env, check=False)
    assert process.returncode == 2
    assert "<stdin>:1:9: memory: 1 is too little" in process.stderr


def test_requests_file_error_has_its_place(oomlab, tmp_path):
    (tmp_path / "r.txt").write_text("GET /a\n# no\n\nGTE /b\n", encoding="utf-8")
    (tmp_path / "lab.yaml").write_text("memory: 64Mi\ncommand: ./x\nrequests-file: r.txt\n",
                                       encoding="utf-8")
    done = oomlab("run", tmp_path / "lab.yaml")
    assert done.returncode == 2
    assert f"{tmp_path}/r.txt:4:1: " in done.stderr


def test_too_much_for_the_machine(oomlab):
    done = oomlab("run", "--memory", "1Pi", "--", "./x")
    assert done.returncode == 4
    assert "only" in done.stderr and "Lower the limits" in done.stderr
    done = oomlab("run", "--memory", "64Mi", "--cpu", "4096", "--", "./x")
    assert done.returncode == 4 and "4096 CPU cores" in done.stderr


# --- state ----------------------------------------------------------------------------------------


def bare(arguments, **variables):
    return subprocess.run([oomlab_binary(), *arguments], env={"PATH": os.environ["PATH"], **variables},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize("variables", [{}, {"HOME": ""}, {"HOME": "relative"},
                                       {"XDG_STATE_HOME": "relative"}])
def test_no_place_for_runs(variables):
    done = bare(["list"], **variables)
    assert done.returncode == 2
    assert "neither XDG_STATE_HOME nor HOME" in done.stderr and "--output" in done.stderr


def test_state_below_home(tmp_path):
    done = bare(["list", "--format", "json"], HOME=str(tmp_path))
    assert json.loads(done.stdout) == {"schema": "oomlab.list/1", "runs": []}
    assert list(tmp_path.iterdir()) == []


def test_foreign_things_are_no_runs(oomlab):
    runs = oomlab.state / "oomlab" / "runs"
    (runs / "notes").mkdir(parents=True)
    (runs / "20261122-130000-x-0001").mkdir()
    listed = json.loads(oomlab("list", "--format", "json").stdout)["runs"]
    assert [run["id"] for run in listed] == ["20261122-130000-x-0001"]
    assert listed[0]["state"] == "incomplete" and listed[0]["verdict"] is None
    assert oomlab("clean", "--yes").returncode == 0
    assert (runs / "notes").is_dir() and not (runs / "20261122-130000-x-0001").exists()


def test_ids_by_their_beginning(oomlab):
    runs = oomlab.state / "oomlab" / "runs"
    for name in ("20261122-130000-a-0001", "20261122-130500-a-0002"):
        (runs / name).mkdir(parents=True)
    assert "more than one run begins with '20261122-13'" in oomlab("show", "20261122-13").stderr
    assert "there is no run '2025'" in oomlab("show", "2025").stderr
    assert "did you mean '20261122-130000-a-0001'?" in oomlab("show", "20261122-130000-a-0003").stderr
    done = oomlab("clean", "--keep", "1", "--yes", "--format", "json")
    assert json.loads(done.stdout)["removed"] == [str(runs / "20261122-130000-a-0001")]
    assert oomlab("clean", "20261122-1305", "--yes").returncode == 0
    assert list(runs.iterdir()) == []


def test_clean_by_age(oomlab):
    """--older-than and --keep both spare; the age is that of the run's id."""
    runs = oomlab.state / "oomlab" / "runs"
    now = datetime.datetime.now(datetime.timezone.utc)
    names = {}
    for days in (40, 35, 31, 29, 1):
        names[days] = f"{now - datetime.timedelta(days=days):%Y%m%d-%H%M%S}-a-{days:04d}"
        (runs / names[days]).mkdir(parents=True)
    done = oomlab("clean", "--older-than", "30d", "--keep", "3", "--yes", "--format", "json")
    assert json.loads(done.stdout)["removed"] == [str(runs / names[40]), str(runs / names[35])]
    assert oomlab("clean", "--older-than", "720h", "--yes").returncode == 0
    assert {path.name for path in runs.iterdir()} == {names[29], names[1]}
    assert oomlab("clean", "--older-than", "0d", "--yes").returncode == 0
    assert list(runs.iterdir()) == []


def test_clean_does_not_follow_links(oomlab, tmp_path):
    run = oomlab.state / "oomlab" / "runs" / "20261122-130000-a-0001"
    run.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x", encoding="utf-8")
    (run / "link").symlink_to(outside)
    assert oomlab("clean", "--yes").returncode == 0
    assert (outside / "kept").exists() and not run.exists()


def on_terminal(oomlab, answer, *arguments):
    """Run with a terminal for standard input and error; the status and standard output."""
    master, slave = pty.openpty()
    process = subprocess.Popen([oomlab_binary(), *arguments], env=oomlab.env, stdin=slave,
                               stderr=slave, stdout=subprocess.PIPE, text=True)
    os.close(slave)
    os.write(master, answer.encode())
    out, _ = process.communicate(timeout=30)
    os.close(master)
    return process.returncode, out


def test_clean_asks_on_a_terminal(oomlab):
    run = oomlab.state / "oomlab" / "runs" / "20261122-130000-a-0001"
    run.mkdir(parents=True)
    assert oomlab("clean").returncode == 2  # nobody to ask
    status, out = on_terminal(oomlab, "n\n", "clean")
    assert status == 0 and run.exists() and "removed" not in out
    status, out = on_terminal(oomlab, "y\n", "clean")
    assert status == 0 and not run.exists() and "removed" in out


def test_export_refuses_a_terminal(oomlab):
    (oomlab.state / "oomlab" / "runs" / "20261122-130000-a-0001").mkdir(parents=True)
    master, slave = pty.openpty()
    done = subprocess.run([oomlab_binary(), "export", "last"], env=oomlab.env, stdout=slave,
                          stderr=subprocess.PIPE, text=True, check=False)
    os.close(slave)
    os.close(master)
    assert done.returncode == 2 and "nothing for a terminal" in done.stderr


# --- output that does not arrive ------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["help"], ["version"], ["doctor"], ["list"],
                                       ["completion", "bash"]])
def test_full_disk(oomlab, arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([oomlab_binary(), *arguments], env=oomlab.env, stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def test_closed_pipe(oomlab):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([oomlab_binary(), "help"], env=oomlab.env, stdout=write,
                          stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 1 and "Broken pipe" in done.stderr


def test_closed_stdout(oomlab):
    done = subprocess.run(["sh", "-c", f"exec '{oomlab_binary()}' help >&-"], env=oomlab.env,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "standard output" in done.stderr


# --- doctor, completion ---------------------------------------------------------------------------


def test_doctor(oomlab):
    done = oomlab("doctor", "--format", "json")
    report = json.loads(done.stdout)
    assert report["schema"] == "oomlab.doctor/1" and report["items"]
    assert done.returncode == (0 if report["usable"] else 4)
    for item in report["items"]:
        assert item["state"] in ("ok", "limited", "missing") and item["found"]
        assert item["state"] == "ok" or item["advice"]
    text = oomlab("doctor")
    assert text.returncode == done.returncode
    assert all(item["name"] in text.stdout for item in report["items"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_doctor_as_nobody(oomlab):
    program = Path(oomlab_binary()).resolve()
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(program),
                           "doctor", "--format", "json"], env=oomlab.env, capture_output=True,
                          text=True, check=False)
    if done.returncode == 127 or "Permission denied" in done.stderr:
        pytest.skip(f"nobody cannot execute {program}")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["usable"] else 4)


def complete(oomlab, *words):
    """What bash offers for the last of the words."""
    script = (f"source <('{oomlab_binary()}' completion bash); COMP_WORDS=(\"$@\"); "
              "COMP_CWORD=$(($# - 1)); _oomlab 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", "oomlab", *words], env=oomlab.env,
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(oomlab):
    (oomlab.state / "oomlab" / "runs" / "20261122-130000-a-0001").mkdir(parents=True)
    assert set(complete(oomlab, "")) == {*VERBS, "--help", "--version"}
    assert complete(oomlab, "comp") == ["compare", "completion"]
    assert complete(oomlab, "run", "--per") == ["--per-cycle"]
    assert {o[2:] for o in complete(oomlab, "run", "--")} == options_in_help(oomlab, "run") | {"help"}
    assert complete(oomlab, "run", "--arrival", "") == ["uniform", "poisson"]
    assert complete(oomlab, "run", "--arrival", "=", "p") == ["poisson"]
    assert complete(oomlab, "run", "--memory", "") == []
    assert complete(oomlab, "list", "--format", "j") == ["json"]
    assert complete(oomlab, "advise", "--for", "s") == ["systemd"]
    assert complete(oomlab, "show", "") == ["20261122-130000-a-0001", "last"]
    assert complete(oomlab, "help", "ver") == ["version"]
    assert complete(oomlab, "completion", "") == ["bash"]


# --- one short run, and every verb on it ----------------------------------------------------------


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    instance = Oomlab(tmp_path_factory.mktemp("state"))
    done = instance("run", "--memory", "32Mi", "--arms", "trigger", "--kills", "1", "--env",
                    "MODE=leak-per-request", "--ready", "http:/health", "--request", "GET /work",
                    "--cycles", "1", "--per-cycle", "60", "--idle", "100ms", "--cooldown", "100ms",
                    "--format", "json", "--", "oomlab", "workload")
    if done.returncode == 4:
        pytest.skip(f"this machine cannot run a lab: {done.stderr.strip()}")
    assert done.returncode in (0, 3), done.stderr
    return instance, json.loads(done.stdout)


def test_run_leaves_a_run(short_run):
    oomlab, result = short_run
    listed = json.loads(oomlab("list", "--format", "json").stdout)["runs"]
    assert len(listed) == 1
    run = listed[0]
    assert re.fullmatch(r"\d{8}-\d{6}-oomlab-[0-9a-f]{4}", run["id"])
    assert run["id"] == result["run"]["id"] and run["state"] == "complete"
    assert run["verdict"] == result["verdict"]["class"]
    assert os.stat(run["directory"]).st_mode & 0o077 == 0
    assert run["id"] in oomlab("list").stdout


@pytest.mark.parametrize("columns", [60, 80])
def test_the_summary_fits_the_terminal(short_run, columns):
    """Paragraphs, which are indented; a table is as wide as it is."""
    oomlab, _ = short_run
    wide = oomlab("report", "last").stdout
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([oomlab_binary(), "report", "last"], env={**oomlab.env, "NO_COLOR": "1"}, stdout=slave)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # as the terminal tells that nobody writes to it any more
        while data := os.read(master, 65536):
            shown += data
    os.close(master)
    assert process.wait(timeout=30) == 0
    narrow = shown.decode().replace("\r", "")
    paragraphs = [[line for line in text.splitlines() if line.startswith("  ")] for text in (wide, narrow)]
    assert max(map(len, paragraphs[0])) > columns >= max(map(len, paragraphs[1]))
    assert narrow.split() == wide.split()


def test_show(short_run):
    oomlab, result = short_run
    shown = json.loads(oomlab("show", "last", "--format", "json").stdout)
    assert shown["schema"] == "oomlab.show/1"
    assert shown["run"]["id"] == result["run"]["id"]
    assert shown["run"]["command"].endswith("-- oomlab workload")
    assert [a["name"] for a in shown["plan"]["scenarios"][0]["arms"]] == ["trigger"]
    assert {"evidence.db", "result.json", "report.md", "report.html"} <= {f["name"] for f in shown["files"]}
    text = oomlab("show", result["run"]["id"][:15]).stdout
    assert "service/trigger" in text and "32Mi" in text


def test_show_verifies_the_manifest(short_run, tmp_path):
    oomlab, _ = short_run
    source = Path(json.loads(oomlab("list", "--format", "json").stdout)["runs"][0]["directory"])
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    done = oomlab("show", copy)
    assert done.returncode == 0 and re.search(r"^manifest: all \d+ files as recorded$", done.stdout, re.MULTILINE)
    (copy / "result.json").write_text("{}", encoding="utf-8")
    (copy / "report.md").unlink()
    (copy / "more").write_text("x", encoding="utf-8")
    done = oomlab("show", copy)
    assert done.returncode == 1
    tail = done.stdout.split("manifest: ")[1].splitlines()
    assert tail[0] == "3 files are not as recorded"
    assert sorted(tail[1:]) == ["  added: more", "  altered: result.json", "  missing: report.md"]
    shown = oomlab("show", copy, "--format", "json")
    assert shown.returncode == 1 and len(json.loads(shown.stdout)["manifest"]["differ"]) == 3
    with open(copy / "evidence.db", "r+b") as evidence:
        evidence.write(b"nonsense")
    done = oomlab("show", copy)
    assert done.returncode != 0 and "not as its manifest recorded it" in done.stderr


def test_report_again_gives_the_same(short_run):
    oomlab, result = short_run
    again = oomlab("report", "last", "--format", "json")
    assert again.returncode == 0 and json.loads(again.stdout) == result
    text = oomlab("report", "last")
    assert text.returncode == 0 and "report.html" in text.stdout


def test_compare_with_itself(short_run):
    oomlab, result = short_run
    done = oomlab("compare", "last", "last", "--format", "json")
    compared = json.loads(done.stdout)
    assert compared["runs"] == {"a": result["run"]["id"], "b": result["run"]["id"]}
    values = compared["arms"][0]["values"]
    assert values["oom_kills"]["a"] == result["arms"][0]["oom_kills"] >= 1
    assert all(pair["a"] == pair["b"] for pair in values.values())
    measures = compared["arms"][0]["measures"]
    assert all(measure["difference"]["value"] in (0, None) for measure in measures.values())
    assert all(measure["outcome"] in ("open", "unknown") for measure in measures.values())
    assert re.search(r"No difference in growth per (request|hour) can be shown", oomlab("compare", "last", "last").stdout)


def unpack(archive):
    """The archive through the tools that everybody has."""
    return subprocess.run(["zstd", "-dcq", archive], capture_output=True, check=True).stdout


def export_last(oomlab, target):
    assert oomlab("export", "last", "--output", target).returncode == 0
    return target


def test_export(short_run, tmp_path):
    oomlab, result = short_run
    target = export_last(oomlab, tmp_path / "run.tar.zst")
    done = subprocess.run([oomlab_binary(), "export", "last"], env=oomlab.env, capture_output=True,
                          check=True)
    assert target.read_bytes() == done.stdout
    assert done.stdout[:4] == b"\x28\xb5\x2f\xfd"  # a zstd frame
    with tarfile.open(fileobj=io.BytesIO(unpack(target))) as archive:
        name = f"{result['run']['id']}/result.json"
        assert json.load(archive.extractfile(name)) == result
        assert f"{result['run']['id']}/evidence.db" in archive.getnames()
        archive.extractall(tmp_path / "out")
    assert subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "MANIFEST.sha256"],
                          cwd=tmp_path / "out" / result["run"]["id"], check=False).returncode == 0
    assert oomlab("export", "last", "-o", target).returncode == 2  # it exists


def test_export_can_be_verified(short_run, tmp_path):
    oomlab, result = short_run
    target = export_last(oomlab, tmp_path / "run.tar.zst")
    done = oomlab("export", "--verify", target)
    assert done.returncode == 0 and "as the manifest recorded them" in done.stdout
    verified = oomlab.result("export", "--verify", target, "--format", "json", status=0)
    assert verified["intact"] and verified["differ"] == []
    with tarfile.open(fileobj=io.BytesIO(unpack(target))) as archive:
        assert verified["files"] == len(archive.getnames()) - 1  # without the manifest itself


def repack(source, target, change):
    """Write the archive again with each (name, bytes) as `change` gives it back; None leaves it out."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(unpack(source))) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old.getmembers():
            changed = change(member.name, old.extractfile(member).read())
            for name, data in [changed] if changed else []:
                member.name, member.size = name, len(data)
                new.addfile(member, io.BytesIO(data))
    compressed = subprocess.run(["zstd", "-cq"], input=out.getvalue(), capture_output=True, check=True).stdout
    target.write_bytes(compressed)
    return target


CHANGES = {
    "altered: result.json": lambda name, data: (name, data + b" " if name.endswith("result.json") else data),
    "missing: report.md": lambda name, data: None if name.endswith("report.md") else (name, data),
    "added: new.md": lambda name, data: (name.replace("report.md", "new.md"), data),
    "holds no MANIFEST.sha256": lambda name, data: None if "MANIFEST" in name else (name, data),
    "no archive of one run": lambda name, data: (f"../{name}" if name.endswith("report.md") else name, data),
}


@pytest.mark.parametrize("expected", CHANGES)
def test_a_changed_archive_is_found(short_run, tmp_path, expected):
    oomlab, _ = short_run
    source = export_last(oomlab, tmp_path / "run.tar.zst")
    target = repack(source, tmp_path / "changed.tar.zst", CHANGES[expected])
    done = oomlab("export", "--verify", target)
    assert done.returncode == 1
    assert expected in done.stdout + done.stderr


def test_a_run_without_its_evidence_is_not_complete(short_run, tmp_path):
    oomlab, result = short_run
    other = Oomlab(tmp_path)
    runs = other.state / "oomlab" / "runs"
    for number, damage in enumerate([lambda path: None, lambda path: path.write_bytes(b"\xff" * 4096), lambda path: path.unlink()]):
        run = shutil.copytree(oomlab.state / "oomlab" / "runs" / result["run"]["id"], runs / f"20261122-130000-a-000{number}")
        damage(run / "evidence.db")
    assert [run["state"] for run in json.loads(other("list", "--format", "json").stdout)["runs"]] == ["complete", "damaged", "damaged"]


def test_a_report_made_again_vouches_for_no_change(short_run, tmp_path):
    oomlab, result = short_run
    run = shutil.copytree(oomlab.state / "oomlab" / "runs" / result["run"]["id"], tmp_path / "run")
    again = oomlab("report", run)
    assert again.returncode == 0 and again.stderr == "" and oomlab("show", run).returncode == 0
    database = sqlite3.connect(run / "evidence.db")
    database.execute("UPDATE verdict SET summary = 'Forged.'")
    database.commit()
    database.close()
    forged = oomlab("report", run)
    assert forged.returncode == 0 and "'evidence.db' is not as the run left it" in forged.stderr
    shown = oomlab("show", run)
    assert shown.returncode == 1 and "manifest: 1 file is not as recorded\n  altered: evidence.db\n" in shown.stdout
    oomlab("export", run, "--output", tmp_path / "run.tar.zst")
    verified = oomlab("export", "--verify", tmp_path / "run.tar.zst")
    assert verified.returncode == 1 and "altered: evidence.db" in verified.stdout


def test_a_damaged_archive_is_found(short_run, tmp_path):
    oomlab, _ = short_run
    source = export_last(oomlab, tmp_path / "run.tar.zst").read_bytes()
    target = tmp_path / "damaged.tar.zst"
    for data in [source[:len(source) // 2], b"", b"no archive", source[:1000] + b"\0" * 64 + source[1064:]]:
        target.write_bytes(data)
        done = oomlab("export", "--verify", target)
        assert done.returncode == 1 and f"'{target}' is damaged" in done.stderr, (len(data), done.stdout, done.stderr)
    assert oomlab("export", "--verify", tmp_path / "none").returncode == 2


def test_the_archive_says_how_each_arm_was_started(short_run, tmp_path):
    oomlab, result = short_run
    target = export_last(oomlab, tmp_path / "run.tar.zst")
    with tarfile.open(fileobj=io.BytesIO(unpack(target))) as archive:
        written = json.load(archive.extractfile(f"{result['run']['id']}/configuration.json"))
        report = archive.extractfile(f"{result['run']['id']}/report.md").read().decode()
    assert written["schema"] == "oomlab.configuration/1" and written["run"] == result["run"]["id"]
    (arm,) = written["plan"]["scenarios"][0]["arms"]
    assert arm["env"] == {"MODE": "leak-per-request"} and arm["memory_limit_bytes"] == 32 << 20
    assert arm["command"][1:] == ["workload"] and arm["differs_in"] == []
    assert written["plan"]["ready"]["path"] == "/health"
    assert "`configuration.json`" in report.split("## Reproduce it")[1].split("## ")[0]


def test_what_is_appended_to_an_archive_is_found(short_run, tmp_path):
    """tar -i and other programs unpack a second archive behind the first; so does a name that comes twice."""
    oomlab, _ = short_run
    source = export_last(oomlab, tmp_path / "run.tar.zst")
    other = repack(source, tmp_path / "other.tar.zst", CHANGES["altered: result.json"])
    target = tmp_path / "two.tar.zst"
    target.write_bytes(source.read_bytes() + other.read_bytes())
    done = oomlab("export", "--verify", target)
    assert done.returncode == 1 and "appended" in done.stderr, (done.stdout, done.stderr)
    target.write_bytes(source.read_bytes() + b"rubbish")
    done = oomlab("export", "--verify", target)
    assert done.returncode == 1 and f"'{target}' is damaged" in done.stderr, (done.stdout, done.stderr)


def test_an_archive_is_verified_from_standard_input(short_run, tmp_path):
    oomlab, _ = short_run
    data = export_last(oomlab, tmp_path / "run.tar.zst").read_bytes()
    for sent, status in ((data, 0), (data[:len(data) // 2], 1)):
        done = subprocess.run([oomlab_binary(), "export", "--verify", "-"], env=oomlab.env, input=sent,
                              capture_output=True, check=False)
        assert done.returncode == status, done


def damaged_run(short_run, tmp_path, damage):
    oomlab, _ = short_run
    source = Path(json.loads(oomlab("list", "--format", "json").stdout)["runs"][0]["directory"])
    copy = tmp_path / "damaged"
    shutil.copytree(source, copy)
    damage(copy)
    return oomlab, copy


def only_evidence(directory):
    """As a run that was killed leaves it."""
    for path in directory.iterdir():
        if not path.name.startswith("evidence.db") and not path.name.startswith("console-"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def truncated(directory):
    only_evidence(directory)
    data = (directory / "evidence.db").read_bytes()
    (directory / "evidence.db").write_bytes(data[:len(data) // 2])


def not_a_database(directory):
    only_evidence(directory)
    (directory / "evidence.db").write_bytes(b"nothing of the kind" * 100)


@pytest.mark.parametrize("damage, said", [
    (only_evidence, "lacks: result.json, report.html, report.md, events.ndjson\n"),
    (truncated, "database"),
    (not_a_database, "database cannot be read"),
])
def test_a_damaged_run_is_handed_over_with_a_word(short_run, tmp_path, damage, said):
    oomlab, directory = damaged_run(short_run, tmp_path, damage)
    target = tmp_path / "damaged.tar.zst"
    done = oomlab("export", directory, "--output", target)
    assert done.returncode == 0 and "warning" in done.stderr and said in done.stderr, done.stderr
    assert (f"oomlab report {directory}" in done.stderr) == (damage is only_evidence), done.stderr
    assert "has no MANIFEST.sha256" in done.stderr
    verified = oomlab.result("export", "--verify", target, "--format", "json", status=0)
    assert verified["intact"] and verified["files"] >= 1
    before = target.read_bytes()
    target.unlink()
    assert oomlab("export", directory, "--output", target).returncode == 0
    assert target.read_bytes() == before, "the same files give the same bytes"


def test_a_run_changed_since_is_exported_with_its_own_manifest(short_run, tmp_path):
    oomlab, directory = damaged_run(short_run, tmp_path, lambda d: (d / "report.md").write_text("other", encoding="utf-8"))
    target = tmp_path / "altered.tar.zst"
    done = oomlab("export", directory, "--output", target)
    assert done.returncode == 0 and "altered since the run ended" in done.stderr and "report.md" in done.stderr
    done = oomlab("export", "--verify", target)
    assert done.returncode == 1 and "altered: report.md" in done.stdout


def test_nothing_is_not_handed_over(oomlab, tmp_path):
    (tmp_path / "none").mkdir()
    done = oomlab("export", tmp_path / "none", "--output", tmp_path / "none.tar.zst")
    assert done.returncode == 2 and "no evidence.db" in done.stderr, done.stderr
    (oomlab.state / "oomlab" / "runs" / "20261122-131502-x-4f1a").mkdir(parents=True)
    done = oomlab("export", "last", "--output", tmp_path / "none.tar.zst")
    assert done.returncode == 2 and "nothing was recorded" in done.stderr, done.stderr
    assert not (tmp_path / "none.tar.zst").exists()


def test_a_copied_directory_is_a_run(short_run, tmp_path):
    oomlab, result = short_run
    source = Path(json.loads(oomlab("list", "--format", "json").stdout)["runs"][0]["directory"])
    copy = tmp_path / "elsewhere"
    shutil.copytree(source, copy)
    shown = json.loads(oomlab("show", copy, "--format", "json").stdout)
    assert shown["run"]["id"] == result["run"]["id"]


FAST = ["--arms", "trigger", "--cycles", "1", "--per-cycle", "1", "--idle", "0", "--cooldown", "0"]


def test_a_run_that_never_began_leaves_nothing(short_run, tmp_path):
    oomlab, _ = short_run
    target = tmp_path / "out"
    arguments = ["run", "--memory", "32Mi", *FAST, "--quiet", "--output", target, "--"]
    absent = oomlab(*arguments, "no-such-thing")
    assert absent.returncode == 2
    assert absent.stderr.startswith("oomlab: error: no-such-thing: command not found in PATH (")
    assert not target.exists()
    target.mkdir(mode=0o755)
    assert oomlab(*arguments, "no-such-thing").returncode == 2
    assert list(target.iterdir()) == []  # given, so it stays
    done = oomlab(*arguments, "oomlab", "workload")
    assert done.returncode in (0, 3), done.stderr
    before = oomlab("list").stdout
    assert oomlab("run", "--memory", "32Mi", *FAST, "--", "no-such-thing").returncode == 2
    assert oomlab("list").stdout == before


def test_a_directory_removed_while_its_run_goes_on(short_run, tmp_path):
    oomlab, _ = short_run
    target = tmp_path / "out"
    # The service itself removes it: that is surely while the run goes on.
    done = oomlab("run", "--memory", "32Mi", *FAST, "--quiet", "--output", target, "--", "sh", "-c",
                  f"rm -rf '{target}'; exec '{oomlab_binary()}' workload")
    assert done.returncode == 1
    assert f"the run's directory '{target}' was removed while it ran" in done.stderr


def test_output_takes_a_new_directory(short_run, tmp_path):
    oomlab, _ = short_run
    target = tmp_path / "out"
    done = oomlab("run", "--memory", "32Mi", "--arms", "trigger", "--cycles", "1", "--per-cycle", "1",
                  "--idle", "0", "--cooldown", "0", "--quiet", "--output", target, "--", "oomlab",
                  "workload")
    assert done.returncode in (0, 3), done.stderr
    assert done.stderr == ""
    assert f"{target}/report.html" in done.stdout
    assert (target / "result.json").exists()
    assert target.stat().st_mode & 0o777 == 0o700
    assert len(json.loads(oomlab("list", "--format", "json").stdout)["runs"]) == 1
