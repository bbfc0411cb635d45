# SPDX-License-Identifier: Apache-2.0
"""oomlab compare: real runs of the built-in workload, leaking and healthy, against each other."""

import json
import re
import shutil
import sqlite3
import statistics

import pytest

from conftest import Oomlab

LEAK = 256 << 10
FAST = ("--quiet", "--sample-rate", "100/s", "--idle", "200ms", "--gap", "100ms", "--cooldown", "200ms", "--rate", "200/s", "--ready",
        "http:/health", "--request", "GET /work")
LEAKING = ("--env", "MODE=leak-per-request", "--env", f"LEAK_BYTES_PER_REQUEST={LEAK}")
WORKLOAD = ("--", "oomlab", "workload")


def run(oomlab, *arguments):
    done = oomlab("run", "--format", "json", *FAST, *arguments, *WORKLOAD)
    if done.returncode == 4:
        pytest.skip(f"this machine cannot run a lab: {done.stderr.strip()}")
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A leak with its patch, a healthy run under another limit with other requests, and two leaks that are killed."""
    oomlab = Oomlab(tmp_path_factory.mktemp("compare"))
    patched = run(oomlab, "--memory", "64Mi", "--arms", "trigger,patch", "--kills", "1", "--cycles", "2",
                  "--per-cycle", "200", *LEAKING, "--patch-env", "MODE=healthy")
    healthy = run(oomlab, "--memory", "48Mi", "--arms", "trigger", "--kills", "1", "--cycles", "2", "--per-cycle", "150")
    killed = run(oomlab, "--memory", "32Mi", "--arms", "trigger,patch", "--kills", "2", "--cycles", "2",
                 "--per-cycle", "500", *LEAKING, "--patch-env", f"LEAK_BYTES_PER_REQUEST={LEAK // 2}")
    return oomlab, patched, healthy, killed


def compare(oomlab, a, b):
    done = oomlab("compare", a, b, "--format", "json")
    assert done.returncode == 0, done.stderr
    compared = json.loads(done.stdout)
    assert compared["schema"] == "oomlab.compare/1"
    return compared["arms"]


def of(result, arm=""):
    return result["run"]["id"] + arm


def test_a_patch_keeps_less_than_the_trigger(runs):
    oomlab, patched, _, _ = runs
    (arm,) = compare(oomlab, of(patched, ":trigger"), of(patched, ":service/patch"))
    assert (arm["a"]["name"], arm["b"]["name"]) == ("trigger", "patch")
    growth = arm["measures"]["growth_per_request"]
    assert growth["outcome"] == "less" and growth["level"] == "Correlated" and growth["unit"] == "bytes/request"
    low, high = growth["difference"]["ci95"]
    assert low <= growth["difference"]["value"] <= high < 0
    assert growth["difference"]["value"] == pytest.approx(-LEAK, rel=0.2)
    assert growth["difference"]["value"] == pytest.approx(growth["b"]["value"] - growth["a"]["value"])
    assert arm["same"] == {"requests": True, "memory_limit": True} and arm["caveat"] is None
    assert arm["differs_in"] == ["env MODE: leak-per-request -> healthy"]
    assert "Set differently: env MODE: leak-per-request -> healthy.\n" in oomlab(
        "compare", of(patched, ":trigger"), of(patched, ":patch")).stdout
    between = r"\(95 % -?[\d.]+ to [\d.]+ (B|KiB)"
    assert re.fullmatch(rf"patch keeps nothing measurable per request {between}\) where trigger keeps 2\d\d\.\d KiB "
                        rf"{between}\): 2\d\d\.\d KiB less {between}; Correlated\)\.", arm["sentences"][0])
    assert arm["sentences"][1] == (f"trigger was killed once, after {requests_to_kill(patched['arms'][0])[0]} requests; patch "
                                   "was not killed within 400 requests, but one kill has no interval to be beyond.")


def test_the_other_way_round_says_the_opposite(runs):
    oomlab, patched, _, _ = runs
    (there,) = compare(oomlab, of(patched, ":trigger"), of(patched, ":patch"))
    (back,) = compare(oomlab, of(patched, ":patch"), of(patched, ":trigger"))
    said = back["sentences"][0]
    there, back = (arm["measures"]["growth_per_request"] for arm in (there, back))
    assert back["outcome"] == "more" and " KiB more (95 % " in said
    assert back["difference"]["value"] == pytest.approx(-there["difference"]["value"])
    assert back["difference"]["ci95"] == pytest.approx([-end for end in reversed(there["difference"]["ci95"])])


def test_runs_with_other_requests_and_limits_are_not_alike(runs):
    oomlab, patched, healthy, _ = runs
    arms = compare(oomlab, of(patched), of(healthy))
    assert [arm["name"] for arm in arms] == ["trigger", "patch"]
    trigger, patch = arms
    assert trigger["same"] == {"requests": False, "memory_limit": False}
    assert "the request sequences differ" in trigger["caveat"] and "the memory limits differ" in trigger["caveat"]
    growth = trigger["measures"]["growth_per_request"]
    assert growth["outcome"] == "less" and growth["level"] == "Strongly Suggested"
    assert patch["b"] is None and "measures" not in patch
    text = oomlab("compare", of(patched), of(healthy)).stdout
    words = " ".join(text.split())
    assert trigger["sentences"][0] in words and trigger["caveat"] in words and "Only A has this arm." in text
    cells = re.findall(r"[+-]?[\d.]+( [KMGT]?i?B)? \(-?[\d.]+ to -?[\d.]+( [KMGT]?i?B)?\)", text)
    assert cells and all(own == its for own, its in cells), text  # a figure has its interval's unit
    assert trigger["sentences"][0].startswith("B keeps ")  # both arms have one name


def test_what_was_set_differently_is_named(runs):
    oomlab, patched, healthy, _ = runs
    (arm,) = compare(oomlab, of(patched, ":trigger"), of(healthy, ":trigger"))
    assert arm["differs_in"] == ["memory: 64Mi -> 48Mi", f"env LEAK_BYTES_PER_REQUEST: {LEAK} -> (unset)",
                                 "env MODE: leak-per-request -> (unset)", "per-cycle: 200 -> 150"]
    assert "4 settings differ at once, and which of them matters is not shown" in arm["caveat"]


def test_another_length_of_one_sequence_is_the_same_requests(runs):
    """An arm takes a prefix of its sequence: twice the cycles begin with the same requests."""
    oomlab, _, _, _ = runs
    short, long = (run(oomlab, "--memory", "64Mi", "--arms", "trigger", "--kills", "1", "--cycles", str(cycles), "--seed", "7",
                       "--per-cycle", "100", "--request", "GET /other", *LEAKING) for cycles in (2, 4))
    assert short["arms"][0]["requests"]["sequence_sha256"] != long["arms"][0]["requests"]["sequence_sha256"]
    (arm,) = compare(oomlab, of(short, ":trigger"), of(long, ":trigger"))
    assert arm["same"]["requests"] and arm["caveat"] is None
    assert arm["differs_in"] == ["cycles: 2 -> 4"]
    (arm,) = compare(oomlab, of(short, ":trigger"), of(short, ":trigger"))
    assert arm["differs_in"] == []
    assert "Nothing was set differently" in oomlab("compare", of(short, ":trigger"), of(short, ":trigger")).stdout


def test_two_healthy_arms_do_not_differ(runs):
    oomlab, patched, healthy, _ = runs
    (arm,) = compare(oomlab, of(patched, ":patch"), of(healthy, ":trigger"))
    growth = arm["measures"]["growth_per_request"]
    assert growth["outcome"] == "open" and growth["level"] == "Not Proven"
    assert arm["sentences"][0].startswith("No difference in growth per request can be shown: B - A is ")
    assert arm["sentences"][1] == "Neither main process was killed for memory."
    assert arm["measures"]["requests_to_kill"]["a"]["value"] is None
    peak = arm["measures"]["peak_working_set"]  # of one lifetime each
    assert peak["outcome"] == "unknown" and peak["difference"]["ci95"] == [None, None]


def requests_to_kill(arm):
    return [life["requests_completed"] for life in arm["lifetimes"] if life["end"]["cause"].startswith("oom-")]


def test_requests_to_kill_are_compared(runs):
    oomlab, _, _, killed = runs
    a, b = map(requests_to_kill, killed["arms"])
    assert len(a) >= 2 and len(b) >= 2
    (arm,) = compare(oomlab, of(killed, ":trigger"), of(killed, ":patch"))
    measure = arm["measures"]["requests_to_kill"]
    assert measure["a"]["value"] == pytest.approx(statistics.mean(a))
    assert measure["difference"]["value"] == pytest.approx(statistics.mean(b) - statistics.mean(a))
    low, high = measure["difference"]["ci95"]
    # At least as wide as the normal distribution has it, for Student's t is wider.
    error = (statistics.variance(a) / len(a) + statistics.variance(b) / len(b)) ** 0.5
    assert (high - low) / 2 >= max(1.96 * error, 2 ** 0.5 - 1e-9)
    assert measure["outcome"] == ("more" if low > 0 else "less" if high < 0 else "open")
    shown = rf"patch is killed after \d+ requests where trigger is killed after \d+ requests: [\d.]+ requests "
    expected = {"more": shown + "later", "less": shown + "sooner", "open": "No difference in requests to kill"}
    assert re.match(expected[measure["outcome"]], arm["sentences"][1])
    assert arm["measures"]["kills"]["difference"]["value"] == len(b) - len(a)


def test_one_kill_against_many_claims_nothing(runs):
    oomlab, patched, _, killed = runs
    (arm,) = compare(oomlab, of(patched, ":trigger"), of(killed, ":trigger"))
    assert len(requests_to_kill(patched["arms"][0])) == 1
    assert arm["measures"]["requests_to_kill"]["outcome"] == "unknown"
    assert arm["sentences"][1] == ("No difference in requests to kill can be shown: "
                                   "one kill has no spread, and A had no more.")


def test_survival_counts_only_beyond_the_interval(runs):
    oomlab, patched, _, killed = runs
    (arm,) = compare(oomlab, of(killed, ":trigger"), of(patched, ":patch"))
    _, high = arm["measures"]["requests_to_kill"]["a"]["ci95"]
    assert arm["measures"]["requests_to_kill"]["a"]["ci95"][0] >= 0
    assert arm["sentences"][1].endswith(
        "within 400 requests, " + ("which is beyond that." if high < 400 else "which is too little to show more."))


def test_a_leak_by_time_is_compared_by_time(tmp_path):
    oomlab = Oomlab(tmp_path)
    result = run(oomlab, "--gap", "300ms", "--memory", "64Mi", "--arms", "trigger,patch", "--kills", "1",
                 "--cycles", "6", "--per-cycle", "80", "--env", "MODE=leak", "--env", "LEAK_MB_PER_TICK=1",
                 "--env", "LEAK_INTERVAL_SECONDS=0.05", "--patch-env", "MODE=healthy")
    (arm,) = compare(oomlab, of(result, ":trigger"), of(result, ":patch"))
    assert result["arms"][0]["verdict"]["driver"] == "time"
    seconds = result["arms"][0]["lifetimes"][0]["uptime_s"]
    assert arm["measures"]["seconds_to_kill"]["a"]["value"] == pytest.approx(seconds, abs=0.1)
    growth = arm["measures"]["growth_per_second"]
    assert growth["outcome"] == "less" and growth["a"]["value"] == pytest.approx(20 << 20, rel=0.3)
    assert re.match(r"patch keeps nothing measurable per hour .* where trigger keeps [\d.]+ GiB ", arm["sentences"][0])
    assert re.match(r"trigger was killed once, after [\d.]+ s; patch was not killed within [\d.]+ s, ", arm["sentences"][1])
    assert "growth per hour" in oomlab("compare", of(result), of(result)).stdout


@pytest.mark.parametrize(("a", "b", "message"), [
    (":trigger", "", "names an arm and"),
    ("", ":trigger", "names an arm and"),
    ("-none", "", "there is no run "),
    (":other", ":trigger", "has no arm 'other'; it has service/trigger, service/patch"),
    (":other/trigger", ":trigger", "has no arm 'other/trigger'"),
    (":", ":trigger", "has no arm ''"),
])
def test_what_is_not_there(runs, a, b, message):
    oomlab, patched, _, _ = runs
    done = oomlab("compare", of(patched, a), of(patched, b))
    assert done.returncode == 2 and done.stdout == "" and message in done.stderr


def test_a_directory_with_a_colon(runs, tmp_path):
    oomlab, patched, _, _ = runs
    copy = tmp_path / "a:b"
    shutil.copytree(oomlab.state / "oomlab" / "runs" / of(patched), copy)
    (arm,) = compare(oomlab, f"{copy}:patch", of(patched, ":patch"))
    assert arm["measures"]["growth_per_request"]["difference"]["value"] == 0
    assert len(compare(oomlab, copy, copy)) == 2


def test_a_result_without_rows_says_what_to_do(runs, tmp_path):
    oomlab, patched, _, _ = runs
    old = tmp_path / "old"
    shutil.copytree(oomlab.state / "oomlab" / "runs" / of(patched), old)
    result = json.loads((old / "result.json").read_text())
    for arm in result["arms"]:
        del arm["row"]
    (old / "result.json").write_text(json.dumps(result))
    done = oomlab("compare", old, old)
    assert done.returncode == 2 and "its growth has no interval" in done.stderr and "oomlab report" in done.stderr


def test_growth_is_kept_as_every_sample_gives_it(runs, tmp_path):
    oomlab, patched, _, killed = runs
    for result in (patched, killed):
        copy = tmp_path / of(result)
        shutil.copytree(oomlab.state / "oomlab" / "runs" / of(result), copy)
        kept = compare(oomlab, f"{copy}:trigger", f"{copy}:patch")
        with sqlite3.connect(copy / "evidence.db") as database:
            assert database.execute("DELETE FROM arm_growth").rowcount == 2
        assert compare(oomlab, f"{copy}:trigger", f"{copy}:patch") == kept


def test_samples_that_are_gone_give_no_interval(runs, tmp_path):
    oomlab, patched, _, _ = runs
    thin = tmp_path / "thin"
    shutil.copytree(oomlab.state / "oomlab" / "runs" / of(patched), thin)
    with sqlite3.connect(thin / "evidence.db") as database:
        database.execute("DELETE FROM arm_growth")  # as in a run from before growth was kept
        database.execute("DELETE FROM sample")
    (arm,) = compare(oomlab, f"{thin}:trigger", of(patched, ":trigger"))
    assert arm["measures"]["growth_per_request"]["outcome"] == "unknown"
    assert "too few samples" in arm["sentences"][0] and "in A." in arm["sentences"][0]
