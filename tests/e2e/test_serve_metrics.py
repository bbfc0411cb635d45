# SPDX-License-Identifier: Apache-2.0
"""Metrics as Azure Monitor answers them: times in all their forms, grains, limits."""

import datetime
import os
import urllib.parse

import pytest
from serving import APPS, WAIT, Serve, app_body, until

DAY = "2026-11-22"
METRIC = f"{APPS}/measured/providers/Microsoft.Insights/metrics"


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("metrics") / "serve").start()
    server.prepare()
    status, value, headers = server.ask("PUT", f"{APPS}/measured", app_body(["/bin/sh", "-c", WAIT], minReplicas=2, maxReplicas=2))
    assert status == 201, value
    server.operation(headers)
    yield server
    server.stop()


def ask(serve, **query):
    query.setdefault("metricnames", "WorkingSetBytes")
    return serve.ask("GET", f"{METRIC}?{urllib.parse.urlencode(query, safe='/:')}")


def body_of(serve, **query):
    status, value, _ = ask(serve, **query)
    assert status == 200, value
    return value


def data(value):
    return value["value"][0]["timeseries"][0]["data"]


def utc(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize(("start", "end", "timespan", "points"), [
    (f"{DAY}T13:00:00Z", f"{DAY}T14:00:00Z", f"{DAY}T13:00:00Z/{DAY}T14:00:00Z", 60),
    (f"{DAY}T13:00Z", f"{DAY}T13:01Z", f"{DAY}T13:00:00Z/{DAY}T13:01:00Z", 1),
    (f"{DAY}T13Z", f"{DAY}T15Z", f"{DAY}T13:00:00Z/{DAY}T15:00:00Z", 120),
    (DAY, "2026-11-23", f"{DAY}T00:00:00Z/2026-11-23T00:00:00Z", 1440),
    (f"{DAY}T13:00:00", f"{DAY}T13:10:00", f"{DAY}T13:00:00Z/{DAY}T13:10:00Z", 10),
    (f"{DAY}T14:00:00%2B01:00", f"{DAY}T05:10:00-0800", f"{DAY}T13:00:00Z/{DAY}T13:10:00Z", 10),
    (f"{DAY}T14:00:00+01:00", f"{DAY}T14:10+01", f"{DAY}T13:00:00Z/{DAY}T13:10:00Z", 10),  # '+' came as a blank
    (f"{DAY}T13:00:00.000000Z", f"{DAY}T13:10:00.123Z", f"{DAY}T13:00:00Z/{DAY}T13:10:00Z", 11),
    (f"{DAY}T13:00:59.999Z", f"{DAY}T13:01:01Z", f"{DAY}T13:00:59Z/{DAY}T13:01:01Z", 2),  # every minute it touches
    (f"{DAY}T13:00Z", f"{DAY}T13:00Z", f"{DAY}T13:00:00Z/{DAY}T13:00:00Z", 1),
])
def test_times(serve, start, end, timespan, points):
    status, value, _ = serve.ask("GET", f"{METRIC}?metricnames=WorkingSetBytes&timespan={start}/{end}")
    assert status == 200, value
    assert value["timespan"] == timespan
    assert len(data(value)) == points
    first = utc(timespan.split("/")[0])
    assert utc(data(value)[0]["timeStamp"]) == first.replace(second=0)


def test_what_stands_around_the_values(serve):
    before = datetime.datetime.now(datetime.timezone.utc)
    value = body_of(serve)
    assert set(value) == {"cost", "timespan", "interval", "value", "namespace", "resourceregion"}
    assert (value["cost"], value["interval"], value["resourceregion"]) == (0, "PT1M", "local")
    assert value["namespace"] == "Microsoft.App/containerapps"
    # Without a timespan the last hour, with the minute that runs.
    start, end = (utc(t) for t in value["timespan"].split("/"))
    assert end - start == datetime.timedelta(hours=1)
    assert start <= before - datetime.timedelta(minutes=58)
    assert before < end


@pytest.mark.parametrize("timespan", ["yesterday", DAY, f"{DAY}/", f"/{DAY}", f"{DAY}/now", "2026-02-30/2026-03-01",
                                      f"{DAY}T25:00Z/{DAY}T26:00Z", f"{DAY}T13:00Z/{DAY}T12:00Z", "1/2"])
def test_times_that_are_none(serve, timespan):
    status, value, _ = ask(serve, timespan=timespan)
    assert (status, value["error"]["code"]) == (400, "BadRequest")
    assert "timespan is START/END" in value["error"]["message"]


@pytest.mark.parametrize(("interval", "answered", "points"), [
    ("PT1M", "PT1M", 1440), ("PT5M", "PT5M", 288), ("PT15M", "PT15M", 96), ("PT30M", "PT30M", 48), ("PT1H", "PT1H", 24),
    ("PT60M", "PT1H", 24), ("pt6h", "PT6H", 4), ("PT12H", "PT12H", 2), ("P1D", "P1D", 1), ("PT24H", "P1D", 1),
    ("P1DT", "P1D", 1), ("FULL", "FULL", 1),
])
def test_grains(serve, interval, answered, points):
    value = body_of(serve, timespan=f"{DAY}/2026-11-23", interval=interval)
    assert value["interval"] == answered
    assert len(data(value)) == points


@pytest.mark.parametrize("interval", ["PT3M", "1m", "PT0M", "P1M", "hour"])
def test_grains_that_are_none(serve, interval):
    status, value, _ = ask(serve, interval=interval)
    assert status == 400
    assert value["error"]["message"] == f"Invalid time grain duration: {interval}, supported ones are: 00:01:00,00:05:00," \
        "00:15:00,00:30:00,01:00:00,06:00:00,12:00:00,1.00:00:00"


def test_a_long_time_by_minutes(serve):
    """93 days, which is what Azure keeps; more than an answer can hold is refused."""
    value = body_of(serve, timespan="2026-08-21/2026-11-22")
    assert len(data(value)) == 93 * 1440
    status, value, _ = ask(serve, timespan="2026-08-21/2026-11-22", metricnames="WorkingSetBytes,UsageNanoCores")
    assert status == 400
    assert "choose a longer interval, a shorter timespan or fewer metrics" in value["error"]["message"]
    assert ask(serve, timespan="1970-01-01/2199-12-31")[0] == 400
    assert len(data(body_of(serve, timespan="1970-01-01/2199-12-31", interval="P1D"))) > 80000


def test_series_of_a_split(serve):
    split = {"$filter": "podName eq '*'", "aggregation": "Average"}
    until(lambda: len(body_of(serve, **split)["value"][0]["timeseries"]) == 2, "two series")
    assert len(body_of(serve, top=1, **split)["value"][0]["timeseries"]) == 1
    assert ask(serve, top=0, **split)[0] == 400
    assert ask(serve, top="x", **split)[0] == 400


def averages(value):
    """By replica, in the answer's order; over all of the time."""
    return [(series["metadatavalues"][0]["value"], series["data"][0]["average"]) for series in value["value"][0]["timeseries"]]


def test_the_order_of_series(serve):
    split = {"$filter": "podName eq '*'", "aggregation": "Average", "interval": "FULL"}
    least = serve.get(f"{APPS}/measured/revisions/measured--0000001/replicas")["value"][0]["name"]
    grow = serve.az("containerapp", "exec", "-n", "measured", "-g", "rg", "--replica", least, "--command",
                    "dd if=/dev/zero of=/dev/shm/kept bs=1M count=20")
    assert grow.returncode == 0, grow.stderr

    def differ():
        values = dict(averages(body_of(serve, **split)))
        return len(values) == 2 and values[least] > 1.2 * min(values.values())

    until(differ, "one replica has more than the other", 90)
    rising = averages(body_of(serve, orderby="average asc", **split))
    falling = averages(body_of(serve, orderby="Average desc", **split))
    assert [name for name, _ in rising] == [name for name, _ in reversed(falling)]
    assert falling[0][0] == least
    assert averages(body_of(serve, orderby="average", **split))[1][0] == least
    assert averages(body_of(serve, orderby="sum desc", top=1, **split))[0][0] == least
    assert [len(body_of(serve, orderby="maximum asc", top=1, **split)["value"][0]["timeseries"])] == [1]
    assert ask(serve, orderby="size desc", **split)[0] == 400
    assert ask(serve, orderby="average up", **split)[0] == 400


def test_aggregations_that_are_none(serve):
    assert ask(serve, aggregation="Middle")[0] == 400
    assert ask(serve, aggregation="Average,Middle")[0] == 400
    assert set(data(body_of(serve, aggregation="average,Maximum,none", interval="FULL"))[0]) <= {"timeStamp", "average", "maximum"}


def test_which_series_there_are(serve):
    value = body_of(serve, resultType="metadata", **{"$filter": "podName eq '*'"})
    series = value["value"][0]["timeseries"]
    assert [set(s) for s in series] == [{"metadatavalues"}] * 2
    assert ask(serve, resultType="Numbers")[0] == 400


@pytest.mark.parametrize(("interval", "nearest"), [("PT2M", "PT1M"), ("PT50M", "PT1H"), ("P30D", "P1D"), ("PT1S", "PT1M")])
def test_a_grain_that_is_adjusted(serve, interval, nearest):
    assert ask(serve, interval=interval)[0] == 400
    assert ask(serve, interval=interval, AutoAdjustTimegrain="false")[0] == 400
    assert body_of(serve, interval=interval, AutoAdjustTimegrain="true")["interval"] == nearest


# --- the verb ----------------------------------------------------------------------------------


def list_metrics(serve, *arguments):
    done = serve.az("monitor", "metrics", "list", "--resource", "measured", "-g", "rg", "--metric", "WorkingSetBytes",
                    *arguments, "--query", "[timespan, interval]", "-o", "tsv")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(("arguments", "timespan"), [
    (("--start-time", f"{DAY}T13:00Z"), f"{DAY}T13:00:00Z/{DAY}T14:00:00Z"),
    (("--end-time", f"{DAY}T13:00Z"), f"{DAY}T12:00:00Z/{DAY}T13:00:00Z"),
    (("--end-time", f"{DAY}T13:00:00+01:00", "--offset", "1d2h"), f"2026-11-21T10:00:00Z/{DAY}T12:00:00Z"),
    (("--start-time", f"{DAY}T13:00Z", "--offset", "PT30M"), f"{DAY}T13:00:00Z/{DAY}T13:30:00Z"),
    (("--start-time", DAY, "13:00", "+00:00", "--end-time", f"{DAY} 13:05Z"), f"{DAY}T13:00:00Z/{DAY}T13:05:00Z"),
])
def test_times_of_the_verb(serve, arguments, timespan):
    assert list_metrics(serve, *arguments) == [timespan, "PT1M"]


def test_a_time_without_an_offset_is_local(serve, monkeypatch):
    monkeypatch.setitem(os.environ, "TZ", "Asia/Kolkata")
    assert list_metrics(serve, "--start-time", DAY)[0] == "2026-11-21T18:30:00Z/2026-11-21T19:30:00Z"


@pytest.mark.parametrize(("interval", "answered"), [
    ("1m", "PT1M"), ("5m", "PT5M"), ("1h", "PT1H"), ("60m", "PT1H"), ("1d", "P1D"), ("PT5M", "PT5M"), ("full", "FULL")])
def test_intervals_of_the_verb(serve, interval, answered):
    assert list_metrics(serve, "--interval", interval, "--start-time", DAY, "--offset", "1d")[1] == answered


def test_times_of_the_verb_that_are_none(serve):
    verb = ("monitor", "metrics", "list", "--resource", "measured", "-g", "rg")
    done = serve.az(*verb, "--start-time", "yesterday")
    assert done.returncode == 1
    assert "Unable to parse: 'yesterday'. Expected format: date (yyyy-mm-dd) time (hh:mm:ss.xxxxx) timezone (+/-hh:mm)" \
        in done.stderr
    for option in ("--offset", "--interval"):
        done = serve.az(*verb, option, "soon")
        assert done.returncode == 2
        assert f"argument {option}: invalid period_type value: 'soon'" in done.stderr
    done = serve.az(*verb, "--interval", "3m")
    assert done.returncode == 1
    assert "Invalid time grain duration: PT3M" in done.stderr


def test_dimensions_of_the_verb(serve):
    done = serve.az("monitor", "metrics", "list", "--resource", "measured", "-g", "rg", "--metric", "WorkingSetBytes", "--dimension",
                    "revisionName", "podName", "--orderby", "average desc", "--metadata", "--query",
                    "value[0].timeseries[].metadatavalues[].name.value", "-o", "tsv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["revisionName", "podName"] * 2


def test_as_a_table(serve):
    """az's: a row for each point, with the dimensions that split the series between the name and the values."""
    def table(*words):
        done = serve.az("monitor", "metrics", "list", "--resource", "measured", "-g", "rg", "-o", "table", *words)
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    until(lambda: any("average" in point for point in data(body_of(serve, interval="PT1M"))), "something has been measured")
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    span = (f"{end - datetime.timedelta(minutes=5):%Y-%m-%dT%H:%M:00Z}", f"{end:%Y-%m-%dT%H:%M:00Z}")
    head, rule, *rows = table("--metrics", "WorkingSetBytes", "--start-time", span[0], "--end-time", span[1])
    assert head == ["Timestamp", "Name", "Average"]
    assert set("".join(rule)) == {"-"}
    assert len(rows) == len(data(body_of(serve, timespan="/".join(span))))
    name = body_of(serve)["value"][0]["name"]["localizedValue"].split()
    value = 2 + len(name)
    assert all(row[2:value] == name for row in rows)
    assert all(datetime.datetime.strptime(" ".join(row[:2]), "%Y-%m-%d %H:%M:%S") for row in rows)
    assert any(len(row) > value and float(row[value]) > 0 for row in rows)
    head, _, *rows = table("--metrics", "WorkingSetBytes", "--aggregation", "Maximum", "Average", "--dimension", "podName")
    assert head[:3] == ["Timestamp", "Name", "PodName"] and set(head[3:]) == {"Average", "Maximum"}
    assert len({row[value] for row in rows}) == 2
    assert table("--metrics", "WorkingSetBytes", "--query", "value[].{Unit: unit}") == [["Unit"], ["-----"], ["Bytes"]]
