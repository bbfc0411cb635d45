# SPDX-License-Identifier: Apache-2.0
"""What `oomlab heap` and the verdict say of programs as they are met: built without debug information, with hostile
names, with memory that they asked for and never touched, with ends that are no kill."""

import gzip
import json
import os
import re
import shutil
import sqlite3
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


# --- names after the run --------------------------------------------------------------------------

KEEPS = """
#include <stdlib.h>
#include <string.h>
static char text[SIZE];
static inline __attribute__((always_inline)) char *copy(void) { return memcpy(malloc(sizeof(text)), text, sizeof(text)); }
__attribute__((noinline)) char *NAME(void) { char *kept = copy(); __asm__ volatile("" : "+r"(kept)); return kept; }
int main(void) { memset(text, 1, sizeof(text)); for (;;) if (!NAME()[0]) abort(); }
"""


def frames_of(heap):
    return [[(frame["function"], frame["file"], frame["line"], frame["inlined"]) for frame in stack["frames"]]
            for stack in heap["stacks"]]


def built_twice(oomlab, tmp_path):
    """Two builds of one program at one path, each run under the profile."""
    shown = {}
    for name in ("before", "after"):
        program = build(tmp_path, "keeps.c", KEEPS.replace("NAME", f"keep_{name}").replace(
            "SIZE", "4096" if name == "before" else "5000"), "-g")
        killed(oomlab, tmp_path / name, program)
        shown[name] = frames_of(profile(oomlab, tmp_path / name))
        flat = [frame for stack in shown[name] for frame in stack]
        assert any(function == "copy" and inlined for function, _, _, inlined in flat), flat
    return program, shown


def test_names_stay_when_the_program_is_rebuilt_or_gone(oomlab, tmp_path):
    program, shown = built_twice(oomlab, tmp_path)
    for gone in (False, True):
        if gone:
            program.unlink()
        difference = oomlab("heap", "--diff", tmp_path / "before", tmp_path / "after").stdout
        assert "keep_before" in difference and "keep_after" in difference and "program+0x" not in difference
        for name in ("before", "after"):
            assert frames_of(profile(oomlab, tmp_path / name)) == shown[name]
            assert f"keep_{name}" in oomlab("heap", tmp_path / name, "--collapsed").stdout
    oomlab("heap", tmp_path / "before", "--pprof", tmp_path / "out.pb.gz", "--flamegraph", tmp_path / "out.svg")
    assert b"keep_before" in gzip.decompress((tmp_path / "out.pb.gz").read_bytes())
    assert "keep_before" in (tmp_path / "out.svg").read_text(encoding="utf-8")


def test_damaged_names_come_from_the_files(oomlab, tmp_path):
    program = build(tmp_path, "keeps.c", KEEPS.replace("NAME", "keep").replace("SIZE", "4096"), "-g")
    run = tmp_path / "run"
    killed(oomlab, run, program)
    shown = frames_of(profile(oomlab, run))
    known = sqlite3.connect(run / "evidence.db").execute(
        "SELECT names FROM heap_names WHERE path = ?", (str(program),)).fetchone()[0]
    entry = json.loads(known)[0]
    for damaged in ("", "{", "[]", "{}", "[[1]]", '[["1", ["f", null, 1, true]]]', '[[-1, ["f", null, 1, true]]]',
                    '[[1, ["f", null, -1, true]]]', '[[1, ["f", null, 3000000000, true]]]', '[[1, ["f", 1, 1, true]]]',
                    '[[1, ["", null, 1, true]]]', '[[1, ["f", null, 1]]]', '[[1, ["f", null, 1, 1]]]',
                    json.dumps([[entry[0]] + entry[1:2] * 65])):
        with sqlite3.connect(run / "evidence.db") as evidence:
            evidence.execute("UPDATE heap_names SET names = ?", (damaged,))
        said = oomlab("heap", run)
        assert said.returncode == 0 and "names that were kept with the run are damaged" in said.stderr, damaged
        assert frames_of(profile(oomlab, run)) == shown
    with sqlite3.connect(run / "evidence.db") as evidence:
        evidence.execute("DROP TABLE heap_names")
        evidence.execute("PRAGMA user_version = 8")  # a run from before they were kept
    said = oomlab("heap", run)
    assert said.returncode == 0 and said.stderr == "" and frames_of(profile(oomlab, run)) == shown


def test_names_of_every_lifetime_are_kept(oomlab, tmp_path):
    """Also of one that the report does not tell of, with code that no other lifetime ran."""
    code = """
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#define KEEP(name) __attribute__((noinline)) char *name(void) { char *kept = memset(malloc(4096), 1, 4096); \\
    __asm__ volatile("" : "+r"(kept)); return kept; }
KEEP(keep_first) KEEP(keep_second)
int main(int count, char **words)
{
    int is_first = count > 1 && open(words[1], O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0;
    for (;;) if (!(is_first ? keep_first() : keep_second())) abort();
}
"""
    run, program = tmp_path / "run", build(tmp_path, "twice.c", code)
    done = oomlab("run", "--quiet", "--memory", "32Mi", "--arms", "trigger", "--kills", "2", "--ready", "none", "--cycles",
                  "1", "--per-cycle", "1", "--cooldown", "90s", "--backoff", "fast", "--heap", "--output", run, "--",
                  program, tmp_path / "was-here")
    assert done.returncode in (0, 3), done.stderr
    program.unlink()
    assert "keep_first" in oomlab("heap", run, "--lifetime", "1").stdout
    assert "keep_second" in oomlab("heap", run, "--lifetime", "2").stdout


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


# Counts what it touched in a file that outlives it: of its heap, or of a mapping that it shares; with a file read before.
TOUCHES = """
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **words)
{
    static char block[65536];
    int file = open(words[1], O_RDWR), read_file = count > 3 ? open(words[3], O_RDONLY) : -1;
    volatile long *touched = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *shared = words[2][0] == 's' ? mmap(NULL, 1L << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) : NULL;
    while (read_file >= 0 && read(read_file, block, sizeof(block)) > 0)
        ;
    for (;;) {
        memset(shared ? shared + *touched : malloc(4096), 1, 4096);
        *touched += 4096;
        if (*touched % (1 << 20) == 0)
            usleep(3000);
    }
}
"""


@pytest.mark.parametrize("words", [("malloc",), ("shared",), ("malloc", "file")])
def test_memory_at_a_kill_is_what_the_program_had(oomlab, tmp_path, words):
    """Whether of its own or shared; and what the kernel kept of files, which it gave back for it, is no part of it."""
    program, touched, run = build(tmp_path, "touches.c", TOUCHES), tmp_path / "touched", tmp_path / "run"
    touched.write_bytes(bytes(4096))
    (tmp_path / "file").write_bytes(os.urandom(24 << 20))
    done = oomlab(*sites.run_arguments(run, "48Mi", "--heap"), program, touched, words[0],
                  *[tmp_path / word for word in words[1:]])
    assert done.returncode in (0, 3), done.stderr
    assert sites.check_kill(run)
    truth = int.from_bytes(touched.read_bytes()[:8], sys.byteorder)
    assert profile(oomlab, run)["memory_bytes"] == pytest.approx(truth, rel=0.1 if len(words) > 1 else 0.05)


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


def test_no_bound_of_nothing_is_given(oomlab, tmp_path):
    """Eight places of 128 KiB beside 48 MiB of .bss: the leading one has an eighth of 2 %."""
    places = [f"__attribute__((noinline)) void *place{i}(void) {{ void *new = memset(malloc(1 << 17), 1, 1 << 17); "
              f"__asm__ volatile(\"\" : \"+r\"(new)); return new; }}" for i in range(8)]
    code = HOLDS.replace("static void *held;", "static void *held; static char fixed[48 << 20];" + "\n".join(places)).replace(
        "memset(held, 1, touched);", "memset(held, 1, touched); memset(fixed, count, sizeof(fixed));" + "".join(
            f"place{i}();" for i in range(8))).replace("held = hold", "if (touched) held = hold")
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", code, "-fno-builtin-memset"), "0", "0")
    assert 0.015 < heap["coverage"] < 0.05, heap["coverage"]
    sentence = result_of(run)["verdict"]["leading_stack"]["sentence"]
    assert "which covers 2 % of the container's memory, is place" in sentence and "at least" not in sentence, sentence


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


# --- programs that cannot be profiled -------------------------------------------------------------

def reports(run):
    return {name: (run / name).read_text(encoding="utf-8").replace("\\", "") for name in ("report.md", "report.html")}


def test_what_a_shell_executes_and_cannot_be_profiled_is_said_everywhere(oomlab, tmp_path):
    program, run = build(tmp_path, "holds.c", HOLDS, "-static"), tmp_path / "run"
    heap = stopped(oomlab, run, "/bin/sh", "-c", f"exec '{program}' 24 0")
    assert heap["total_bytes"] == 0 and heap["coverage"] == 0
    assert str(program) in heap["unprofiled"] and "is statically linked" in heap["unprofiled"]
    text = oomlab("heap", run).stdout
    assert f"Not all of it was profiled: {heap['unprofiled']}.\n" in text and "PYTHONMALLOC" not in text, text
    for report in reports(run).values():
        assert "Which code kept the memory" in report and "is statically linked" in report


def test_child_processes_that_cannot_be_profiled_are_said_everywhere(oomlab, tmp_path):
    """Each program once, however many processes run it."""
    program, run = build(tmp_path, "holds.c", HOLDS, "-static"), tmp_path / "run"
    other = shutil.copy(program, tmp_path / "other")
    shell = f"'{program}' 8 0 & PORT=0 '{other}' 8 0 & PORT=0 '{other}' 8 0 & wait"
    done = oomlab("run", "--quiet", "--memory", "96Mi", "--arms", "trigger", "--ready", "tcp", "--rate", "50/s", "--cycles", "1",
                  "--per-cycle", "20", "--idle", "1s", "--cooldown", "1s", "--heap", "--output", run, "--", "/bin/sh", "-c", shell)
    assert done.returncode in (0, 3), done.stderr
    said = [line for line in done.stderr.splitlines() if "runs without a heap profile of all of it: " in line]
    assert len(said) == 2 and len(done.stderr.splitlines()) == 2, done.stderr
    unprofiled = profile(oomlab, run)["unprofiled"]
    for path in (program, other):
        assert sum(f"'{path}', which a child process runs, is statically linked" in line for line in said) == 1, said
        assert unprofiled.count(f"'{path}', which a child process runs, is statically linked") == 1, unprofiled
    assert unprofiled.count("; and '") == 1 and f"Not all of it was profiled: {unprofiled}.\n" in oomlab("heap", run).stdout
    for report in reports(run).values():
        assert report.count("which a child process runs, is statically linked") >= 2, report


@pytest.mark.parametrize("how, who", [
    ("exec env -i PORT=$PORT '{}' 24 0", "the command executed"), ("LD_PRELOAD= '{}' 24 0 & wait", "a child process runs"),
])
def test_a_program_that_was_started_without_the_recorder_is_said_to_be(oomlab, tmp_path, how, who):
    program, run = build(tmp_path, "holds.c", HOLDS, "-g"), tmp_path / "run"
    heap = stopped(oomlab, run, "/bin/sh", "-c", how.format(program))
    assert f"'{program}', which {who}, was started without the recorder: " in heap["unprofiled"], heap["unprofiled"]
    # Not so of the shell, nor where the same program is profiled.
    assert "/sh" not in heap["unprofiled"] and "dash" not in heap["unprofiled"]
    assert stopped(oomlab, tmp_path / "other", "/bin/sh", "-c", f"'{program}' 24 0 & wait")["unprofiled"] is None


def test_the_report_says_why_there_is_no_profile(oomlab, tmp_path):
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "40Mi", "--heap"), build(tmp_path, "copies.c", COPIES, "-static"))
    assert done.returncode in (0, 3), done.stderr
    for report in reports(run).values():
        assert "Which code kept the memory" in report and "there is no heap profile: " in report
        assert "is statically linked" in report
    done = oomlab(*sites.run_arguments(tmp_path / "other", "40Mi"), build(tmp_path, "copies.c", COPIES, "-static"))
    assert done.returncode in (0, 3), done.stderr
    assert not any("Which code kept the memory" in report for report in reports(tmp_path / "other").values())


@pytest.mark.parametrize("options, said", [((), True), (("--env", "PYTHONMALLOC=malloc"), False)])
def test_pythons_variable_is_not_advised_where_it_is_set(oomlab, tmp_path, options, said):
    """The program's own .bss is in no profile."""
    code = HOLDS.replace("static void *held;", "static void *held; static char fixed[40 << 20];").replace(
        "memset(held, 1, touched);", "memset(held, 1, touched); memset(fixed, count, sizeof(fixed));")
    run, program = tmp_path / "run", build(tmp_path, "holds.c", code, "-fno-builtin-memset")
    done = oomlab("run", "--quiet", "--memory", "64Mi", "--arms", "trigger", "--ready", "tcp", "--rate", "50/s", "--cycles",
                  "1", "--per-cycle", "10", "--cooldown", "200ms", "--heap", *options, "--output", run, "--",
                  program, "4", "0")
    assert done.returncode in (0, 3), done.stderr
    text = oomlab("heap", run).stdout
    assert "Less than half of the container's memory" in text and ("PYTHONMALLOC" in text) is said, text


def test_processes_without_room_are_said_to_be(oomlab, tmp_path):
    """300 children that live at once, each with half a MiB, where 255 have room."""
    code = HOLDS.replace("held = hold(touched", """
    int ready[2];
    (void)!pipe(ready);
    for (int i = 0; i < 300; i++) {
        if (fork() == 0) {
            for (int k = 0; k < 8; k++)
                memset(hold(1 << 16), 1, 1 << 16);
            (void)!write(ready[1], "r", 1);
            for (;;)
                pause();
        }
    }
    for (int i = 0; i < 300; i++)
        (void)!read(ready[0], request, 1);
    held = hold(touched""")
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "384Mi", "--arms", "trigger", "--ready", "tcp", "--rate", "50/s", "--cycles",
                  "1", "--per-cycle", "10", "--cooldown", "200ms", "--heap", "--output", run, "--",
                  build(tmp_path, "holds.c", code), "64", "0")
    assert done.returncode in (0, 3), done.stderr
    heap, text = profile(oomlab, run), oomlab("heap", run).stdout
    assert 64 << 20 in [stack["bytes"] for stack in heap["stacks"]]  # the main process always has room
    assert 45 <= heap["dropped_process"] <= heap["dropped"], heap["dropped_process"]
    assert f"{heap['dropped_process']} of them of processes that found no room" in text
    assert "Of at most 255 processes at once" in text and "PYTHONMALLOC" not in text


# --- which place leads ----------------------------------------------------------------------------

ROUTES = """
#include <stdlib.h>
#include <string.h>
#define APART __attribute__((noinline))
static void *volatile kept;
APART void cache_put(size_t size) { kept = memset(malloc(size), 1, size); }
APART void handle_order(void) { cache_put(10000); __asm__ volatile(""); }
APART void audit(void) { kept = memset(malloc(13000), 1, 13000); }
#define ROUTE(n) APART void route_##n(void) { handle_order(); __asm__ volatile(""); }
ROUTE(1) ROUTE(2) ROUTE(3) ROUTE(4)
APART void descend(int depth) { if (depth > 0) descend(depth - 1); else cache_put(10000); __asm__ volatile(""); }
int main(int count, char **words)
{
    for (int i = 0;; i++) {
        if (count > 1) {
            descend(i % 5);
        } else {
            route_1(); route_2(); route_3(); route_4();
        }
        audit();
    }
}
"""


@pytest.mark.parametrize("words, called, share, stacks", [((), "handle_order", 40 / 53, 4), (("deep",), None, 13 / 23, 1)])
def test_a_place_leads_with_all_of_its_stacks(oomlab, tmp_path, words, called, share, stacks):
    """No single stack of cache_put holds as much as that of audit."""
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "64Mi", "--heap"), build(tmp_path, "routes.c", ROUTES, "-g"), *words)
    assert done.returncode in (0, 3), done.stderr
    leading = result_of(run)["arms"][0]["verdict"]["leading_stack"]
    heap = profile(oomlab, run)
    assert heap["stacks_total"] == len(heap["stacks"]) > stacks and heap["lost_mappings"] == 0
    assert "audit" in [frame["function"] for frame in profile(oomlab, run, "--size")["stacks"][0]["frames"]]
    if called:
        assert (leading["function"], leading["called_from"]) == ("cache_put", called)
        assert f", called from {called}, in {stacks} stacks (Observed)." in leading["sentence"]
    else:  # called from descend by descend: five stacks of 2 KB a round each, and audit's 13
        assert leading["function"] == "audit" and " stacks" not in leading["sentence"]
    assert leading["share"] == pytest.approx(share, abs=0.03)


def test_a_function_that_calls_itself_is_not_its_own_caller(oomlab, tmp_path):
    code = ROUTES.replace("if (depth > 0) descend(depth - 1); else cache_put(10000);",
                          "if (depth > 0) descend(depth - 1); else kept = memset(malloc(16000), 1, 16000);")
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "64Mi", "--heap"), build(tmp_path, "routes.c", code, "-g"), "deep")
    assert done.returncode in (0, 3), done.stderr
    leading = result_of(run)["arms"][0]["verdict"]["leading_stack"]
    assert (leading["function"], leading["called_from"]) == ("descend", "main") and ", in 5 stacks (" in leading["sentence"]
    assert leading["share"] == pytest.approx(16 / 29, abs=0.03)


# --- what a signal interrupted ------------------------------------------------------------------------

INTERRUPTED = """
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#define APART __attribute__((noinline))
static void *volatile kept;
static volatile long turns;
APART void leak(void) { kept = memset(malloc(100000), 1, 100000); }
APART void handler(int number) { (void)number; leak(); __asm__ volatile(""); }
APART void leaf(void) { for (;;) turns++; }
APART void outer(void) { leaf(); __asm__ volatile(""); }
int main(void)
{
    struct itimerval often = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, handler);
    setitimer(ITIMER_REAL, &often, NULL);
    outer();
}
"""


def test_the_callers_of_what_a_signal_interrupted(oomlab, tmp_path):
    """A leaf has no frame but its return address."""
    killed(oomlab, tmp_path / "run", build(tmp_path, "interrupted.c", INTERRUPTED, "-g"))
    names = [frame["function"] for frame in profile(oomlab, tmp_path / "run", "--size")["stacks"][0]["frames"]]
    assert names[:2] == ["leak", "handler"] and names[3:6] == ["leaf", "outer", "main"], names


# --- mappings cut to size -------------------------------------------------------------------------

CHUNKS = """
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define CHUNK 65536UL
int main(int count, char **words)
{
    for (long i = 0, all = atol(words[count - 1]);; i++) {
        char *got = i < all ? mmap(NULL, 2 * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : malloc(CHUNK);
        char *start = i < all ? (char *)(((uintptr_t)got + CHUNK - 1) & ~(CHUNK - 1)) : got;
        if (i < all && start > got)
            munmap(got, start - got);
        if (i < all && got + 2 * CHUNK > start + CHUNK)
            munmap(start + CHUNK, got + CHUNK - start);
        memset(start, 1, CHUNK);
    }
}
"""


@pytest.mark.parametrize("chunks, followed", [(900, True), (1500, False)])
def test_mappings_that_were_not_followed_are_said_to_be(oomlab, tmp_path, chunks, followed):
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "128Mi", "--heap"), build(tmp_path, "chunks.c", CHUNKS), str(chunks))
    assert done.returncode in (0, 3), done.stderr
    heap, text = profile(oomlab, run), oomlab("heap", run).stdout
    assert (heap["lost_mappings"] == 0) is followed and ("not followed: where a part was unmapped" in text) is not followed, text
    if followed:
        assert 0.95 < heap["coverage"] < 1.05


# --- objects at a regular distance ----------------------------------------------------------------

EVEN = """
#include <stdlib.h>
#include <string.h>
static void *volatile kept;
int main(int count, char **words)
{
    size_t size = (size_t)atoi(words[count - 1]);
    for (;;)
        kept = memset(malloc(size), 1, size);
}
"""


@pytest.mark.parametrize("size", [980, 3620, 7250])
def test_objects_of_one_size_are_all_seen(oomlab, tmp_path, size):
    """They lie at one distance: such as a simple hash puts into few buckets."""
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "64Mi", "--heap"), build(tmp_path, "even.c", EVEN), str(size))
    assert done.returncode in (0, 3), done.stderr
    heap = profile(oomlab, run)
    assert heap["dropped"] == 0 and 0.95 < heap["coverage"] < 1.05, heap["coverage"]


def test_tiny_objects_are_said_to_be(oomlab, tmp_path):
    """glibc sets 32 bytes apart for each."""
    run = tmp_path / "run"
    done = oomlab(*sites.run_arguments(run, "32Mi", "--heap"), build(tmp_path, "even.c", EVEN), "8")
    assert done.returncode in (0, 3), done.stderr
    text = oomlab("heap", run).stdout
    assert profile(oomlab, run)["coverage"] < 0.3 and "Its objects have 8 bytes on average" in text
    assert "Less than half" not in text


GREEDY = """
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *volatile kept;
static volatile sig_atomic_t stopped;
static void on_stop(int number) { stopped = number; }
int main(void)
{
    signal(SIGTERM, on_stop);
    kept = memset(malloc(24 << 20), 1, 24 << 20);
    while (!stopped)
        pause();
    for (;;)
        kept = memset(malloc(1 << 16), 1, 1 << 16);
}
"""


def test_killed_while_it_was_being_stopped(oomlab, tmp_path):
    """The profile is of the moment before: it is compared with the memory of that one."""
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "64Mi", "--arms", "trigger", "--ready", "none", "--kills", "1", "--cycles", "1",
                  "--per-cycle", "1", "--idle", "1s", "--cooldown", "1s", "--heap", "--output", run, "--",
                  build(tmp_path, "greedy.c", GREEDY))
    assert done.returncode in (0, 3), done.stderr
    end = result_of(run)["arms"][0]["lifetimes"][0]["end"]
    assert (end["platform_kill"], end["cause"]) == ("stop", "oom-container-limit"), end
    heap = profile(oomlab, run)
    assert heap["total_bytes"] == pytest.approx(24 << 20, rel=0.02) and 0.9 < heap["coverage"] < 1.1, heap["coverage"]


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


def test_what_is_as_it_was_is_no_row(oomlab, tmp_path):
    """Held before readiness, and not touched since."""
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", HOLDS), "24", "0")
    since = profile(oomlab, run, "--since", "2")
    assert "hold" in [frames[0][0] for frames in frames_of(heap)]
    assert "hold" not in [frames[0][0] for frames in frames_of(since)]
    assert not re.search(r"hold \d", oomlab("heap", run, "--since", "2", "--collapsed").stdout)
    assert re.search(r"hold \d{8}\n", oomlab("heap", run, "--collapsed").stdout)


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


def test_a_profile_that_was_asked_for_is_not_advised(oomlab, tmp_path):
    """A run whose oomlab was killed has the plan and no file."""
    program = build(tmp_path, "copies.c", COPIES)
    for name, options, said in (("with", ["--heap"], "it was recorded with --heap, but"),
                                ("without", [], "record one with 'oomlab run --heap'")):
        run = tmp_path / name
        done = oomlab(*sites.run_arguments(run, "40Mi", *options), program)
        assert done.returncode in (0, 3), done.stderr
        shutil.rmtree(run / "heap", ignore_errors=True)
        failed = oomlab("heap", run)
        assert failed.returncode == 2 and said in failed.stderr, failed.stderr
        assert ("record one" in failed.stderr) is not bool(options)
        failed = oomlab("heap", run, "--arm", "trigger")
        assert failed.returncode == 2 and ("record one" in failed.stderr) is not bool(options)


def test_the_reason_is_the_arms_own(oomlab, tmp_path):
    program, run = build(tmp_path, "copies.c", COPIES), tmp_path / "run"
    program.rename(tmp_path / "dynamic")
    static = build(tmp_path, "copies.c", COPIES, "-static")
    done = oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger,patch", "--kills", "1", "--ready", "none",
                  "--cycles", "1", "--per-cycle", "1", "--cooldown", "90s", "--heap", "--patch-command", static,
                  "--output", run, "--", tmp_path / "dynamic")
    assert done.returncode in (0, 3), done.stderr
    assert profile(oomlab, run)["unprofiled"] is None
    failed = oomlab("heap", run, "--arm", "patch")
    assert failed.returncode == 2 and "the arm 'patch' has no heap profile: " in failed.stderr, failed.stderr
    assert "is statically linked" in failed.stderr
    report = reports(run)["report.md"]
    assert "service/patch`: there is no heap profile: " in report and "service/trigger`: there is no" not in report


def test_an_arm_that_did_not_run_is_told_from_none(oomlab, tmp_path):
    """Without a failure there is nothing to raise the limit for."""
    run = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "64Mi", "--arms", "trigger,raise", "--ready", "tcp", "--rate", "50/s",
                  "--cycles", "2", "--per-cycle", "20", "--gap", "200ms", "--cooldown", "200ms", "--heap", "--output", run, "--",
                  build(tmp_path, "holds.c", HOLDS), "8", "0")
    assert done.returncode in (0, 3), done.stderr
    assert [arm["name"] for arm in result_of(run)["arms"]] == ["trigger"]
    for name in ("raise", "service/raise"):
        failed = oomlab("heap", run, "--arm", name)
        assert failed.returncode == 2 and f"'{name}' has no heap profile: it was planned, but did not run" in failed.stderr
    failed = oomlab("heap", run, "--arm", "rise")
    assert failed.returncode == 2 and "no profile of an arm 'rise'; the names are as in" in failed.stderr


# --- how it was sampled ---------------------------------------------------------------------------

def test_the_range_of_the_means_is_shown(oomlab, tmp_path):
    """Nearly all of the first place's objects go, so that it is sampled less; those that stay say so."""
    code = """
#include <stdlib.h>
#include <string.h>
static void *kept[3000];
__attribute__((noinline)) char *make(size_t size)
{ char *new = memset(malloc(size), 1, size); __asm__ volatile("" : "+r"(new)); return new; }
int main(void)
{
    for (int i = 0; i < 400000; i++)
        free(make(8192));
    for (int i = 0; i < 3000; i++)
        kept[i] = make(8192);
    for (;;)
        if (!make(4096))
            abort();
}
"""
    run = tmp_path / "run"
    killed(oomlab, run, build(tmp_path, "means.c", code))
    heap, text = profile(oomlab, run), oomlab("heap", run).stdout
    least, most = heap["sample_rates_bytes"]
    assert least == heap["rate_bytes"] == 4096 and most > least
    assert re.match(r"[^\n]*\nOne sample in 4.0 KiB to \d+.0 KiB, ", text), text


# --- words ----------------------------------------------------------------------------------------

def test_one_is_singular(oomlab, tmp_path):
    run = tmp_path / "run"
    heap = stopped(oomlab, run, build(tmp_path, "holds.c", HOLDS), "24", "0")
    assert any(round(stack["objects"]) == 1 for stack in heap["stacks"])
    for top in ("0", str(len(heap["stacks"]) - 1)):
        text = oomlab("heap", run, "--top", top).stdout
        assert re.search(r"  1 (object|mapping)\n", text) and not re.search(r"(?<![\d.])1 [a-z]+s\b", text), text
