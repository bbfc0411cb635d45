# SPDX-License-Identifier: Apache-2.0
"""What `oomlab heap` and the verdict say of programs as they are met: built without debug information, with hostile
names, with memory that they asked for and never touched, with ends that are no kill."""

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

from conftest import TREE, oomlab_binary

sys.path.insert(0, str(TREE / "tests" / "heap"))

import sites  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_leftovers")


def build(directory, name, code, *options):
    compiler = "g++" if name.endswith(".cc") else "gcc"
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    (directory / name).write_text(code, encoding="utf-8")
    subprocess.run([compiler, "-O1", *options, "-o", directory / "program", directory / name], check=True)
    return directory / "program"


def result_of(run):
    return json.loads((run / "result.json").read_text(encoding="utf-8"))


def killed(oomlab, run, program, memory="40Mi"):
    done = oomlab(*sites.run_arguments(run, memory, "--heap"), program)
    assert done.returncode in (0, 3), done.stderr
    assert sites.check_kill(run)
    return result_of(run)["arms"][0]["verdict"]["leading_stack"]


def profile(oomlab, run, *options):
    return oomlab.result("heap", run, "--top", "0", "--format", "json", *options, status=0)


# --- whose code it is -----------------------------------------------------------------------------

STRINGS = """
#include <string>
#include <vector>
std::vector<std::string> kept;
__attribute__((noinline)) void cache_put(const char *from, size_t size) { kept.emplace_back(from, size); }
int main() { std::vector<char> text(4096, 'x'); for (;;) cache_put(text.data(), text.size()); }
"""

COPIES = """
#include <string.h>
#include <stdlib.h>
static char text[4096];
__attribute__((noinline)) char *store(void) { char *copy = strdup(text); copy[0] = 'y'; return copy; }
int main(void) { memset(text, 'x', sizeof(text) - 1); for (;;) if (!store()) abort(); }
"""


@pytest.mark.parametrize("name, code, options, function", [
    ("strings.cc", STRINGS, (), "cache_put(char const*, unsigned long)"),
    ("copies.c", COPIES, (), "store"),
    ("copies.c", COPIES, ("-s",), r"program+0x"),
])
def test_without_debug_information_the_programs_own_code_is_named(oomlab, tmp_path, name, code, options, function):
    leading = killed(oomlab, tmp_path / "run", build(tmp_path, name, code, *options))
    assert leading["function"].startswith(function), leading
    assert leading["file"] is None


# --- names that nobody checked --------------------------------------------------------------------

NAMED = """
#include <string.h>
#include <stdlib.h>
__attribute__((noinline)) void keep_XXXXXXXX(size_t size)
{
    char *new = memset(malloc(size), 1, size);
    __asm__ volatile("" : : "r"(new) : "memory");
}
int main(void) { for (;;) keep_XXXXXXXX(4096); }
"""


def test_names_give_no_orders_to_the_terminal(oomlab, tmp_path):
    program = build(tmp_path, "named.c", NAMED)
    program.write_bytes(program.read_bytes().replace(b"keep_XXXXXXXX", b"keep_\x1b[2J\x9b\nzy"))
    leading = killed(oomlab, tmp_path / "run", program)
    shown = r"keep_\x1b[2J\x9b\x0azy"
    assert leading["function"] == shown
    for options in ((), ("--collapsed",), ("--flamegraph", "-")):
        text = oomlab("heap", tmp_path / "run", *options).stdout
        assert shown in text and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), options
    text = oomlab("heap", "--diff", tmp_path / "run", tmp_path / "run").stdout
    assert shown in text and "\x1b" not in text
    frames = [frame["function"] for frame in profile(oomlab, tmp_path / "run")["stacks"][0]["frames"]]
    assert "keep_\x1b[2J\\x9b\nzy" in frames


# --- where the files go ---------------------------------------------------------------------------

def test_files_are_written_where_they_are_said_to_be(oomlab, tmp_path):
    run = tmp_path / "run"
    killed(oomlab, run, build(tmp_path, "copies.c", COPIES))
    # Through links: not even a wrong program, run by root, replaces the machine's own device.
    for option in ("--flamegraph", "--pprof"):
        target, link, full = tmp_path / "target", tmp_path / "link", tmp_path / "full"
        for path in (target, link, full):
            path.unlink(missing_ok=True)
        target.write_bytes(b"old" * 100000)
        link.symlink_to(target)
        full.symlink_to("/dev/full")
        assert oomlab("heap", run, option, link).returncode == 0
        assert link.is_symlink() and b"oldold" not in target.read_bytes()
        failed = oomlab("heap", run, option, full)
        assert failed.returncode == 1 and "No space left" in failed.stderr and str(full) in failed.stderr
        assert full.is_symlink() and stat.S_ISCHR(os.stat("/dev/full").st_mode)
        printed = subprocess.run(
            [oomlab_binary(), "heap", run, option, "-"], env=oomlab.env, stdout=subprocess.PIPE, check=True).stdout
        kind = gzip.decompress if option == "--pprof" else bytes
        assert kind(printed) == kind(target.read_bytes())
    assert not (tmp_path / "-").exists() and oomlab("heap", run, "--pprof", "-", "--collapsed").returncode == 2


# --- ends that are no kill, memory that nobody touched --------------------------------------------

# Holds `touched` MiB, asks for `more` without touching it, answers requests, and gives all back when it is stopped.
HOLDS = """
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void *held;
static void on_stop(int number) { (void)number; free(held); usleep(700000); _exit(0); }
__attribute__((noinline)) void *hold(size_t size) { void *new = malloc(size); __asm__ volatile("" : "+r"(new)); return new; }
int main(int count, char **words)
{
    const char answer[] = "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    size_t touched = (size_t)atoi(words[1]) << 20;
    char request[4096];
    held = hold(touched + ((size_t)atoi(words[2]) << 20));
    memset(held, 1, touched);
    if (count > 3)
        signal(SIGTERM, on_stop);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 64))
        return 1;
    for (;;) {
        int client = accept(server, NULL, NULL);
        (void)!read(client, request, sizeof(request));
        (void)!write(client, answer, sizeof(answer) - 1);
        close(client);
    }
}
"""


def stopped(oomlab, run, program, *words):
    done = oomlab("run", "--quiet", "--memory", "64Mi", "--arms", "trigger", "--ready", "tcp", "--rate", "50/s", "--cycles",
                  "2", "--per-cycle", "20", "--gap", "200ms", "--cooldown", "200ms", "--heap", "--output", run, "--",
                  program, *words)
    assert done.returncode in (0, 3), done.stderr
    return profile(oomlab, run)


def test_memory_is_that_before_the_stop(oomlab, tmp_path):
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", HOLDS, "-g"), "24", "0", "frees")
    assert heap["memory_bytes"] == pytest.approx(24 << 20, rel=0.2)
    assert heap["coverage"] == pytest.approx(1, abs=0.15)  # not what was left after it had given all back
    text = oomlab("heap", run).stdout
    assert "nan" not in text and "inf" not in text


def test_memory_that_was_not_touched_is_said_to_be(oomlab, tmp_path):
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", HOLDS, "-g"), "24", "300")
    assert heap["coverage"] > 8 and heap["memory_bytes"] == pytest.approx(24 << 20, rel=0.2)
    leading = result_of(run)["verdict"]["leading_stack"]
    assert leading["level"] == "Inferred"
    assert "that was asked for" in leading["sentence"] and "not all of it was touched" in leading["sentence"]
    assert "not all of it was touched" in oomlab("heap", run).stdout


def test_memory_that_the_profile_did_not_see_is_said_to_be_there(oomlab, tmp_path):
    """Anonymous memory without the allocator: the program's own .bss is in no profile."""
    code = HOLDS.replace("static void *held;", "static void *held; static char fixed[16 << 20];").replace(
        "memset(held, 1, touched);", "memset(held, 1, touched); memset(fixed, count, sizeof(fixed));")
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", code, "-g", "-fno-builtin-memset"), "24", "0")
    assert heap["coverage"] == pytest.approx(24 / 40, abs=0.05)
    leading = result_of(run)["verdict"]["leading_stack"]
    sentence = re.match(r"(\d+) % of the memory held at the end that the heap profile saw, which covers (\d+) % of the "
                        r"container's memory, so at least (\d+) % of all of it, is hold at holds.c:\d+, called from main ",
                        leading["sentence"])
    assert sentence, leading["sentence"]
    share, covers, least = map(int, sentence.groups())
    assert abs(share * covers / 100 - least) <= 2 and leading["level"] == "Observed"


def test_a_profile_of_almost_nothing_is_said_to_be_one(oomlab, tmp_path):
    """No share of a share, "0 % of the memory, so at least 0 % of all of it": what it saw is next to nothing, and why."""
    code = HOLDS.replace("static void *held;", "static void *held; static char fixed[48 << 20];").replace(
        "memset(held, 1, touched);", "memset(held, 1, touched); memset(fixed, count, sizeof(fixed));")
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", code.replace("words[2]) << 20", "words[2]) << 18"), "-g", "-fno-builtin-memset"), "0", "1")
    assert heap["coverage"] < 0.01, heap["coverage"]
    sentence = result_of(run)["verdict"]["leading_stack"]["sentence"]
    assert "almost nothing of the container's memory (the rest did not come from malloc()" in sentence, sentence
    assert "at least" not in sentence and "0 % of the container" not in sentence, sentence


# --- runtimes with a heap of their own ------------------------------------------------------------

NODE = "require('http').createServer((q, s) => s.end('ok')).listen(process.env.PORT)"
JAVA = """
import java.net.*;
public class Serve {
    public static void main(String[] words) throws Exception {
        ServerSocket server = new ServerSocket(Integer.parseInt(System.getenv("PORT")));
        while (true) {
            Socket client = server.accept();
            client.getInputStream().read(new byte[4096]);
            client.getOutputStream().write("HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n".getBytes());
            client.close();
        }
    }
}
"""


@pytest.mark.parametrize("program, option, name, code, tool", [
    ("node", "", "serve.js", NODE, "--heapsnapshot-near-heap-limit"),
    ("java", "-XX:+UseSerialGC", "Serve.java", JAVA, "GC.class_histogram"),
])
def test_a_runtimes_own_tool_is_pointed_to(oomlab, tmp_path, program, option, name, code, tool):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    (tmp_path / name).write_text(code, encoding="utf-8")
    run = tmp_path / "run"
    words = [word for word in (option, tmp_path / name) if word]
    done = oomlab("run", "--quiet", "--memory", "400Mi", "--arms", "trigger", "--ready", "tcp", "--rate", "50/s", "--cycles",
                  "2", "--per-cycle", "10", "--gap", "200ms", "--cooldown", "200ms", "--heap", "--output", run, "--",
                  program, *words)
    assert done.returncode in (0, 3), done.stderr
    assert tool in oomlab("heap", run).stdout and profile(oomlab, run)["runtime"] in ("Java", "Node.js")
    for report in ("report.md", "report.html"):
        assert tool in (run / report).read_text(encoding="utf-8").replace("\\", ""), report


# --- since a cycle --------------------------------------------------------------------------------

def of_one_size(heap):
    """The workload's cache of templates: one of 77 KiB a request here, so that hardly one is not sampled."""
    return next(stack for stack in heap["stacks"] if stack["frames"][0]["function"] == "template_cache_put")


def test_since_is_a_difference(oomlab, tmp_path):
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger", "--kills", "1", "--ready", "http:/health",
                  "--rate", "100/s", "--cycles", "3", "--per-cycle", "30", "--request", "GET /leak?bytes=262144", "--heap",
                  "--heap-rate", "16Ki", "--output", run, "--", TREE / "build" / "oomlab", "workload")
    assert done.returncode in (0, 3), done.stderr
    heap, since = profile(oomlab, run), profile(oomlab, run, "--since", "2")
    assert since["since_cycle"] == 2 and heap["since_cycle"] is None
    assert since["coverage"] is None and all(stack["ci95_bytes"] == [None, None] for stack in since["stacks"])
    ratio = since["total_bytes"] / heap["total_bytes"]
    assert ratio == pytest.approx(2 / 3, abs=0.1)
    first, whole = of_one_size(since), of_one_size(heap)  # bytes and objects go down together
    assert first["objects"] < whole["objects"]
    assert first["bytes"] / first["objects"] == pytest.approx(whole["bytes"] / whole["objects"], rel=0.15)
    text = oomlab("heap", run, "--since", "2").stdout
    assert "added since cycle 2 began" in text and "held at the end" not in text and "95 %" not in text
    assert "Less than half" not in text
    failed = oomlab("heap", run, "--since", "9")
    assert failed.returncode == 2 and "cycle 9 did not begin in it; 1, 2 and 3 did" in failed.stderr


# --- what is missing ------------------------------------------------------------------------------

def test_a_missing_lifetime_is_said(oomlab, tmp_path):
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "32Mi", "--arms", "trigger", "--kills", "2", "--ready", "none", "--cycles", "1",
                  "--per-cycle", "1", "--cooldown", "90s", "--backoff", "fast", "--heap", "--output", run, "--",
                  build(tmp_path, "copies.c", COPIES))
    assert done.returncode in (0, 3), done.stderr
    assert profile(oomlab, run)["lifetime"] == 2 and "missing" not in oomlab("heap", run).stderr
    (run / "heap" / "lifetime-2.heap.gz").unlink()
    shown = oomlab("heap", run)
    assert "lifetime 1: " in shown.stdout and "the profile of lifetime 2 is missing" in shown.stderr
    failed = oomlab("heap", run, "--lifetime", "0")
    assert failed.returncode == 2 and "from 1" in failed.stderr
