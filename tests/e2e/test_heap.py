# SPDX-License-Identifier: Apache-2.0
"""The heap profile against the truth: programs that know what they hold, killed by the kernel."""

import contextlib
import gzip
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from conftest import TREE

sys.path.insert(0, str(TREE / "tests" / "heap"))

import sites  # noqa: E402
from sites import SITES  # noqa: E402

LIMIT = 256 << 20

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture(scope="module")
def sites_program(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    return sites.build(tmp_path_factory.mktemp("sites"))


def killed_run(oomlab, directory, command, *options, memory="256Mi"):
    """One kill of the command; the run's directory."""
    done = oomlab(*sites.run_arguments(directory, memory, *options), *command)
    assert done.returncode in (0, 3), done.stderr
    assert sites.check_kill(directory)["arms"][0]["oom_kills"] == 1
    return done


def sites_run(oomlab, tmp_path, program, name, *options, memory="256Mi"):
    counters = tmp_path / f"{name}.counters"
    sites.new_counters(counters)
    killed_run(oomlab, tmp_path / name, [program, counters], *options, memory=memory)
    return sites.read_counters(counters)


def profile(oomlab, run, *options):
    return oomlab.result("heap", run, "--top", "0", "--format", "json", *options, status=0)


def test_every_site_against_the_truth(oomlab, tmp_path, sites_program):
    truth = sites_run(oomlab, tmp_path, sites_program, "heap", "--heap")
    heap = profile(oomlab, tmp_path / "heap")
    total = sum(truth.values())
    assert total > 0.9 * LIMIT
    assert heap["rate_bytes"] == LIMIT // 16384 and heap["dropped"] == 0 and heap["lost_stacks"] == 0
    found = sites.by_site(heap)  # no stack of `churn` or `freed`
    assert set(found) == set(SITES)
    for site, stack in found.items():
        # By chance one run in 2,000 has a site of which the estimate is beyond 4 standard deviations.
        low, high = stack["ci95_bytes"]
        assert abs(stack["bytes"] - truth[site]) <= 4 * (high - low) / (2 * 1.96) + 1, (site, stack, truth[site])
    # Mean 1.7 %, deviation 0.5 % over many runs; the sum of the sites is much closer than each.
    assert sites.summed_error(found, truth) < sites.ERROR_MOST
    assert abs(heap["total_bytes"] / total - 1) < 0.04
    assert 0.85 < heap["coverage"] < 1.02 and heap["memory_bytes"] <= LIMIT


def test_the_container_is_not_charged(oomlab, tmp_path, sites_program):
    """What the program holds when it is killed is what it holds without the profile."""
    plain = sum(sites_run(oomlab, tmp_path, sites_program, "plain").values())
    profiled = sum(sites_run(oomlab, tmp_path, sites_program, "profiled", "--heap").values())
    assert profiled >= 0.995 * plain
    assert plain - profiled < 1 << 20


# One place keeps every 32nd object and frees the others, of sizes that lie on both sides of the sampling mean.
MOSTLY_FREED = """
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static void *ring[64];
__attribute__((noinline)) void place(uint64_t number, size_t size, volatile uint64_t *held)
{
    char *pointer = malloc(size);
    if (number % 32 == 0) {
        *held += size;
    } else {
        free(ring[number % 64]);
        ring[number % 64] = pointer;
    }
    memset(pointer, 1, size);
}
int main(int count, char **words)
{
    volatile uint64_t *held = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(words[count - 1], O_RDWR), 0);
    for (uint64_t number = 0;; number++)
        place(number, (number * 40503 >> 7) % 4 == 0 ? 20000 : 100 + number * 7919 % 3000, held);
}
"""


def test_what_is_mostly_freed_is_sampled_less_and_stays_unbiased(oomlab, tmp_path):
    (tmp_path / "freed.c").write_text(MOSTLY_FREED, encoding="utf-8")
    subprocess.run(["gcc", "-O1", "-g", "-o", "freed", "freed.c"], cwd=tmp_path, check=True)
    ratios = []
    for number in range(4):
        held = tmp_path / "held"
        held.write_bytes(bytes(4096))
        killed_run(oomlab, tmp_path / str(number), [tmp_path / "freed", held], "--heap", memory="64Mi")
        heap = profile(oomlab, tmp_path / str(number))
        truth = int.from_bytes(held.read_bytes()[:8], "little")
        assert truth > 50 << 20
        (stack,) = heap["stacks"]
        low, high = stack["ci95_bytes"]
        deviation = (high - low) / (2 * 1.96)
        # One of 4 KiB each would be far more; by chance one run in 15,000 is beyond 4 standard deviations.
        assert heap["rate_bytes"] == 4096 and heap["samples"] < truth / 4096 / 4
        assert abs(stack["bytes"] - truth) < 4 * deviation, (stack, truth)
        ratios.append((stack["bytes"] - truth) / deviation)
    assert abs(sum(ratios)) / len(ratios) ** 0.5 < 4, ratios


def test_formats_agree(oomlab, tmp_path, sites_program):
    sites_run(oomlab, tmp_path, sites_program, "heap", "--heap", memory="64Mi")
    heap = profile(oomlab, tmp_path / "heap")
    folded = oomlab("heap", tmp_path / "heap", "--collapsed")
    lines = [line.rsplit(" ", 1) for line in folded.stdout.splitlines()]
    assert len(lines) == len(heap["stacks"])
    assert sum(int(size) for _, size in lines) == pytest.approx(heap["total_bytes"], abs=len(lines))
    assert any(line.split(";")[-2:] == ["leak_round", "site_small"] for line, _ in lines)
    pprof, svg = tmp_path / "heap.pb.gz", tmp_path / "heap.svg"
    done = oomlab("heap", tmp_path / "heap", "--pprof", pprof, "--flamegraph", svg)
    assert done.returncode == 0 and done.stdout == ""
    strings, values, functions = decode_pprof(pprof.read_bytes())
    assert sum(value[1] for value in values) == pytest.approx(heap["total_bytes"], abs=len(lines))
    assert {"inuse_space", "inuse_objects", "site_small"} <= set(strings) and strings[0] == ""
    assert "site_mapping" in {strings[name] for name in functions}
    text = svg.read_text(encoding="utf-8")
    assert text.startswith("<svg ") and "site_small" in text
    assert oomlab("heap", tmp_path / "heap", "--size", "--top", "3").stdout.count("% of the container  ") == 3


def test_difference_of_two_runs(oomlab, tmp_path, sites_program):
    sites_run(oomlab, tmp_path, sites_program, "a", "--heap", memory="48Mi")
    sites_run(oomlab, tmp_path, sites_program, "b", "--heap", memory="96Mi")
    difference = oomlab.result("heap", "--diff", tmp_path / "a", tmp_path / "b", "--top", "0", "--format", "json",
                               status=0)
    assert difference["schema"] == "oomlab.heap-diff/1"
    large = [stack for stack in difference["stacks"] if stack["frames"][0]["function"] == "site_large"]
    assert len(large) == 1 and large[0]["after_bytes"] > large[0]["before_bytes"] > 0
    changes = sum(stack["change_bytes"] for stack in difference["stacks"])
    sides = difference["after"]["total_bytes"] - difference["before"]["total_bytes"]
    assert changes == pytest.approx(sides, rel=1e-6)
    assert oomlab("heap", "--diff", tmp_path / "a", tmp_path / "b").stdout.startswith("service/trigger")
    # An arm with its run, as for 'oomlab compare'.
    same = oomlab("heap", "--diff", f"{tmp_path}/a:trigger", f"{tmp_path}/b:service/trigger")
    assert same.returncode == 0 and same.stdout == oomlab("heap", "--diff", tmp_path / "a", tmp_path / "b").stdout
    for words, reason in ((("--diff", f"{tmp_path}/a:patch", tmp_path / "b"), "no profile of an arm 'patch'"),
                          ((f"{tmp_path}/a:trigger", "--arm", "trigger"), "names an arm, and so does --arm")):
        done = oomlab("heap", *words)
        assert done.returncode == 2 and reason in done.stderr, done.stderr


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """The fields of a protocol buffer message: (number, integer or bytes)."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at:at + value]
            at += value
        else:
            assert key & 7 == 0
            yield key >> 3, value


def decode_pprof(data):
    """Strings, each sample's values, each function's name. Every reference must lead somewhere."""
    strings, values, names, functions, locations, used = [], [], [], set(), set(), set()
    for number, value in fields(gzip.decompress(data)):
        if number == 6:
            strings.append(value.decode())
        elif number == 2:
            sample = dict(fields(value))
            numbers = {key: packed(sample[key]) for key in (1, 2)}
            values.append(numbers[2])
            used |= set(numbers[1])
        elif number == 4:
            location = list(fields(value))
            locations.add(dict(location)[1])
            functions |= {dict(fields(line))[1] for key, line in location if key == 4}
        elif number == 5:
            names.append(dict(fields(value))[2])
    assert used == locations and functions == set(range(1, len(names) + 1))
    return strings, values, names


def packed(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


# --- growth with the requests ---------------------------------------------------------------------


def test_growth_per_request(oomlab, tmp_path):
    """The built-in server retains what each request asks for, in many pieces of its own."""
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger", "--kills", "1", "--ready",
                  "http:/health", "--rate", "100/s", "--cycles", "4", "--per-cycle", "50", "--request",
                  "GET /leak?bytes=262144", "--heap", "--heap-rate", "16Ki", "--output", run, "--",
                  TREE / "build" / "oomlab", "workload")
    assert done.returncode in (0, 3), done.stderr
    heap = profile(oomlab, run)
    grown = sum(stack["growth"]["bytes_per_request"] for stack in heap["stacks"])
    assert grown == pytest.approx(262144, rel=0.05)
    first = heap["stacks"][0]
    assert first["growth"]["bytes_per_cycle"] == pytest.approx(50 * first["growth"]["bytes_per_request"])
    since = profile(oomlab, run, "--since", "3")
    assert heap["total_bytes"] - since["total_bytes"] == pytest.approx(100 * 262144, rel=0.1)
    order = [stack["growth"]["bytes_per_request"] for stack in heap["stacks"]]
    assert order == sorted(order, reverse=True)


# --- the verdict names the code -------------------------------------------------------------------

# A server whose every request keeps 192 KiB in one place and 24 KiB in another; `held` is filled before the first.
NAMED_LEAK = """
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define KEEP __attribute__((noinline, noclone)) void
KEEP cache_put(void) { for (int i = 0; i < 48; i++) memset(malloc(4096), 1, 4096); }
KEEP log_append(void) { for (int i = 0; i < 6; i++) memset(malloc(4096), 1, 4096); }
KEEP warm_up(void) { for (int i = 0; i < 2400; i++) memset(malloc(4096), 1, 4096); }
KEEP handle_order(void) { cache_put(); log_append(); __asm__ volatile(""); }
int main(int count, char **words)
{
    const char answer[] = "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    char request[4096];
    (void)words;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    warm_up();
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 64))
        return 1;
    for (;;) {
        int client = accept(server, NULL, NULL);
        if (read(client, request, sizeof(request)) > 0 && count == 1)
            handle_order();
        (void)!write(client, answer, sizeof(answer) - 1);
        close(client);
    }
}
"""


@pytest.fixture(scope="module")
def store_program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("store")
    (directory / "store.c").write_text(NAMED_LEAK, encoding="utf-8")
    subprocess.run(["gcc", "-O1", "-g", "-o", "store", "store.c"], cwd=directory, check=True)
    return directory / "store"


def store_run(oomlab, run, program, *arguments):
    return oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger", "--kills", "2", "--ready", "tcp", "--rate",
                  "100/s", "--cycles", "5", "--per-cycle", "50", "--gap", "500ms", "--heap", "--heap-rate", "16Ki",
                  "--output", run, "--", program, *arguments)


def beginning(oomlab, run, leading):
    """Of the leading stack's sentence: what its share is a share of, which depends on how much the profile covers
    (docs/heap.md), and that on how much the threads of a busy machine needed."""
    heap = oomlab.result("heap", run, "--lifetime", str(leading["lifetime"]), "--top", "0", "--format", "json", status=0)
    covers, what = heap["coverage"], {"growth": "growth", "held": "memory held at the end"}[leading["of"]]
    assert 0.8 < covers <= 1.1
    least = f", so at least {math.floor(100 * covers * leading['share'])} % of all of it" if leading["of"] == "held" else ""
    base = f" that the heap profile saw, which covers {100 * covers:.0f} % of the container's memory{least}," if covers < 0.9 else ""
    return f"{100 * leading['share']:.0f} % of the {what}{base} is "


def test_the_verdict_names_the_leading_stack(oomlab, tmp_path, store_program):
    done = store_run(oomlab, tmp_path / "run", store_program)
    assert done.returncode == 3, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["verdict"]["class"] == "leak"
    leading = result["verdict"]["leading_stack"]
    assert (leading["function"], leading["file"], leading["called_from"]) == ("cache_put", "store.c", "handle_order")
    assert leading["line"] == 1 + NAMED_LEAK.split("\n").index(next(
        line for line in NAMED_LEAK.split("\n") if line.startswith("KEEP cache_put")))
    # 8 parts of 9 of the growth, whatever was held before it.
    assert leading["of"] == "growth" and leading["share"] == pytest.approx(8 / 9, abs=0.04)
    assert leading["level"] == "Correlated" and leading["arm"] == "service/trigger"
    sentence = (beginning(oomlab, tmp_path / "run", leading) +
                f"cache_put at store.c:{leading['line']}, called from handle_order (Correlated).")
    assert leading["sentence"] == sentence and sentence in result["verdict"]["summary"]
    assert result["arms"][0]["verdict"]["leading_stack"] == leading
    evidence = [item for item in result["evidence"] if item["source"]["table"] == "heap_stack"]
    assert len(evidence) == 1 and sentence in evidence[0]["statement"]
    assert evidence[0]["id"] in result["verdict"]["because"]
    assert sentence in " ".join(done.stdout.split())
    assert sentence in oomlab("show", tmp_path / "run").stdout
    assert oomlab.result("show", tmp_path / "run", "--format", "json", status=0)["verdict"]["leading_stack"] == leading
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert sentence in " ".join(report.replace("\\", "").split())
    # The growth table in the order of the growth, with what the profile says of each stack.
    rows = [line for line in report.splitlines() if line.startswith("| `") and "| malloc |" in line]
    assert rows[0].startswith(f"| `cache_put` at store.c:{leading['line']} | `handle_order` | malloc | +")
    assert rows[1].startswith("| `log_append` at store.c:") and any("`warm_up`" in row for row in rows)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    graph = page[page.index('<g class="flame">'):]
    assert re.search(r"<title>cache_put: [0-9.]+ MiB, [0-9.]+ %</title>", graph[:graph.index("</svg>")])
    flame = [path for path in (tmp_path / "run").glob("figure-*.svg")
             if '<g class="flame">' in path.read_text(encoding="utf-8")]
    assert len(flame) == 1 and ElementTree.parse(flame[0]).getroot().tag.endswith("svg")


def test_the_growth_table_fits(oomlab, tmp_path, store_program, browser):
    """At 1280 px, its last column too, with names as long as those of C++."""
    run, name = tmp_path / "run", "acme::cache::LruCache<std::string,acme::Order>::put_or_replace_with_lock"
    assert store_run(oomlab, run, store_program).returncode == 3
    with contextlib.closing(sqlite3.connect(run / "evidence.db")) as evidence:
        evidence.execute("UPDATE heap_stack SET function = ?, caller = ?", (name, name.replace("put", "hold")))
        evidence.commit()
    assert oomlab("report", run).returncode in (0, 3)
    browser.look(1280, 800)
    browser.open((tmp_path / "run" / "report.html").as_uri())
    over = browser.ask("""[...document.querySelectorAll('.wide')].filter(
        box => box.querySelector('th:last-child')?.textContent === 'Share').map(box => [box.scrollWidth, box.clientWidth])""")
    assert len(over) == 1 and over[0][0] <= over[0][1], over


def test_without_growth_the_verdict_names_what_was_held(oomlab, tmp_path, store_program):
    done = store_run(oomlab, tmp_path / "run", store_program, "keeps-nothing")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    leading = result["verdict"]["leading_stack"]
    assert leading["of"] == "held" and leading["level"] == "Observed" and leading["share"] > 0.9
    assert leading["sentence"].startswith(beginning(oomlab, tmp_path / "run", leading) + "warm_up at")
    assert leading["called_from"] == "main"


# --- what cannot be profiled ----------------------------------------------------------------------

C_LEAK = """
#include <stdlib.h>
#include <string.h>
int main(void) { for (;;) memset(malloc(1 << 16), 1, 1 << 16); }
"""


@pytest.fixture(scope="module")
def leak(tmp_path_factory):
    directory = tmp_path_factory.mktemp("leak")
    (directory / "leak.c").write_text(C_LEAK, encoding="utf-8")
    for name, option in (("dynamic", "-O0"), ("static", "-static")):
        subprocess.run(["gcc", option, "-o", directory / name, directory / "leak.c"], check=True)
    return directory


def test_static_program_runs_unprofiled_and_says_so(oomlab, tmp_path, leak):
    done = killed_run(oomlab, tmp_path / "run", [leak / "static"], "--heap", memory="32Mi")
    assert done.stderr.count("runs without a heap profile") == 1
    assert "is statically linked" in done.stderr
    assert not (tmp_path / "run" / "heap").exists()
    shown = oomlab("heap", tmp_path / "run")
    assert shown.returncode == 2 and "has no heap profile: " in shown.stderr and "is statically linked" in shown.stderr


def test_the_child_of_a_shell_is_profiled(oomlab, tmp_path, leak):
    """The leaking process is not the main one, which tells of its end by exiting, if it lives on."""
    command = ["sh", "-c", f"'{leak}/dynamic'; exit $?"]
    done = oomlab("run", "--quiet", "--memory", "32Mi", "--arms", "trigger", "--kills", "1", "--ready", "none",
                  "--cycles", "1", "--per-cycle", "1", "--heap", "--output", tmp_path / "run", "--", *command)
    assert done.returncode in (0, 3), done.stderr
    heap = profile(oomlab, tmp_path / "run", "--lifetime", "1")
    assert "main" in [frame["function"] for frame in heap["stacks"][0]["frames"]]
    assert heap["stacks"][0]["bytes"] > 28 << 20


@pytest.mark.parametrize("how", ["exec", "fork"])
def test_only_what_is_there_counts(oomlab, tmp_path, leak, how):
    """Memory of a program that was replaced, or of a child that ended, is not held at the kill."""
    code = ("import os, sys; x = [bytearray(1 << 16) for _ in range(200)]\n"
            "sys.argv[1] == 'exec' and os.execv(sys.argv[2], ['x'])\n"
            "p = os.fork()\n"
            "if p == 0: y = [bytearray(1 << 16) for _ in range(100)]; os._exit(0)\n"
            "os.waitpid(p, 0); del x; z = []\n"
            "while True: z.append(bytearray(1 << 16))")
    command = ["/usr/bin/python3", "-c", code, how, leak / "dynamic"]
    killed_run(oomlab, tmp_path / "run", command, "--heap", memory="48Mi")
    heap = profile(oomlab, tmp_path / "run")
    # 12.5 MiB of the replaced program, or 6.25 MiB of the child, would be beyond the limit.
    assert 40 << 20 < heap["total_bytes"] < 49 << 20
    frames = heap["stacks"][0]["frames"]
    if how == "exec":
        assert "dynamic" in {(frame["module"] or "").rsplit("/", 1)[-1] for frame in frames}
    else:
        assert (frames[0]["language"], frames[0]["file"], frames[0]["line"]) == ("python", "<string>", 6)


# Workers of 12 MiB that end one way or another, and then a main process that leaks; it says nothing of their end. The
# pause is the program's own: it works on for longer than two looks at its processes take.
WORKERS = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static void hold(int pieces)
{
    for (int i = 0; i < pieces; i++)
        memset(malloc(65536), 1, 65536);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            hold(192);
            kill(getpid(), atoi(argv[1]));
            quick_exit(0);
        }
        if (argc < 3)
            wait(NULL);
    }
    for (int i = 0; i < 30; i++)
        usleep(100000);
    for (;;)
        hold(1);
}
"""


@pytest.mark.parametrize("how", [["9"], ["15"], ["11"], ["0"], ["9", "zombies"]], ids=lambda how: "-".join(how))
def test_children_that_were_killed_hold_nothing(oomlab, tmp_path, how):
    (tmp_path / "workers.c").write_text(WORKERS, encoding="utf-8")
    subprocess.run(["gcc", "-g", "-o", tmp_path / "workers", tmp_path / "workers.c"], check=True)
    killed_run(oomlab, tmp_path / "run", [tmp_path / "workers", *how], "--heap", memory="64Mi")
    heap = profile(oomlab, tmp_path / "run")
    # One worker's 12 MiB more would be beyond the limit.
    assert 56 << 20 < heap["total_bytes"] < 66 << 20


CXX_LEAK = """
#include <cstdlib>
#include <cstring>
extern "C" __attribute__((noinline)) void by_new() { memset(new char[60000], 1, 60000); }
extern "C" __attribute__((noinline)) void by_malloc() { memset(malloc(60000), 1, 60000); }
int main()
{
    for (unsigned i = 0;; i++)
        i % 4 == 3 ? by_malloc() : by_new();
}
"""


def test_new_of_an_allocator_leads(oomlab, tmp_path):
    """jemalloc's operator new does not call malloc: three quarters of the leak."""
    library = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
    if not library.exists():
        pytest.skip("libjemalloc.so.2 is not installed (scripts/deps test)")
    (tmp_path / "leak.cc").write_text(CXX_LEAK, encoding="utf-8")
    subprocess.run(["g++", "-O1", "-g", "-fno-builtin", "-o", "leak", "leak.cc", "-Wl,--no-as-needed", library],
                   cwd=tmp_path, check=True)
    killed_run(oomlab, tmp_path / "run", [tmp_path / "leak"], "--heap", memory="64Mi")
    heap = profile(oomlab, tmp_path / "run")
    first, second = heap["stacks"][:2]
    # No frame of the recorder's own.
    assert [frame["function"] for frame in first["frames"]][:2] == ["by_new", "main"]
    assert "by_malloc" in [frame["function"] for frame in second["frames"]]
    assert first["bytes"] / (first["bytes"] + second["bytes"]) == pytest.approx(0.75, abs=0.03)
    assert heap["total_bytes"] > 56 << 20


# A root of its own with a FIFO where the kernel says how a process is: whoever opens it to read waits for ever.
ELSEWHERE = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) || mkdir("proc", 0755) || mkdir("proc/1", 0755) || mkfifo("proc/1/stat", 0644) ||
        chroot("."))
        return 1;
    for (int i = 0; i < 10; i++)
        usleep(100000);
    for (;;)
        memset(malloc(65536), 1, 65536);
}
"""


def test_a_container_that_shows_another_proc_holds_nothing_up(oomlab, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("chroot(2) takes root")
    (tmp_path / "elsewhere.c").write_text(ELSEWHERE, encoding="utf-8")
    subprocess.run(["gcc", "-o", tmp_path / "elsewhere", tmp_path / "elsewhere.c"], check=True)
    root = tmp_path / "root"
    root.mkdir()
    killed_run(oomlab, tmp_path / "run", [tmp_path / "elsewhere", root], "--heap", memory="32Mi")
    assert profile(oomlab, tmp_path / "run")["total_bytes"] > 28 << 20
