# SPDX-License-Identifier: Apache-2.0
"""What the recorder meets when a program is loaded: another C library, segments with room between them, a sandbox that
forbids system calls, a root without /proc."""

import json
import os
import sqlite3
import subprocess

import pytest

from test_heap_programs import Recorder, compile_leak, need, plain_env

pytestmark = pytest.mark.usefixtures("no_leftovers")


def compile_program(directory, source, *options, compiler="gcc", name="program"):
    need(compiler)
    (directory / f"{name}.c").write_text(source, encoding="utf-8")
    subprocess.run([compiler, "-o", name, f"{name}.c", *options], cwd=directory, check=True)
    return directory / name


def run(oomlab, directory, *command, memory="32Mi", ready=("--ready", "none"), kills="1"):
    done = oomlab("run", "--quiet", "--memory", memory, "--arms", "trigger", "--kills", kills, *ready, "--cycles", "1",
                  "--per-cycle", "1", "--cooldown", "90s", "--heap", "--output", directory, "--", *command)
    assert done.returncode in (0, 3), done.stderr
    (arm,) = json.loads((directory / "result.json").read_text(encoding="utf-8"))["arms"]
    return done, arm


def functions(oomlab, directory):
    heap = oomlab.result("heap", directory, "--top", "0", "--format", "json", status=0)
    return {frame["function"] for stack in heap["stacks"] for frame in stack["frames"]}, heap


# --- other C libraries ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["musl", "static", "go"])
def test_what_a_shell_executes_runs(oomlab, tmp_path, how):
    program = compile_leak(tmp_path, how)
    done, arm = run(oomlab, tmp_path / "run", "/bin/sh", "-c", f"exec '{program}'")
    assert arm["oom_kills"] == 1 and arm["lifetimes"][0]["end"]["cause"] == "oom-container-limit"
    console = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "run").rglob("console-*.log"))
    assert "Error relocating" not in console and "cannot be preloaded" not in console, console


# Fills its limit once somebody has connected to it, so that it is there when readiness is.
SERVER = """
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    char request[4096];
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 64))
        return 1;
    for (;;) {
        int client = accept(server, NULL, NULL);
        if (recv(client, request, sizeof(request), 0) > 0)
            for (;;)
                memset(malloc(1 << 16), 1, 1 << 16);
    }
}
"""


@pytest.mark.parametrize("compiler, options, reason", [
    ("musl-gcc", [], "is linked to musl"), ("gcc", ["-static"], "is statically linked"),
])
def test_what_a_shell_executes_is_said_once(oomlab, tmp_path, compiler, options, reason):
    program = compile_program(tmp_path, SERVER, *options, compiler=compiler)
    done, arm = run(oomlab, tmp_path / "run", "/bin/sh", "-c", f"exec '{program}'", ready=("--ready", "tcp"))
    assert arm["oom_kills"] == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if "heap profile" in line]
    assert len(said) == 1 and reason in said[0] and str(program) in said[0], done.stderr


def guarded_entry(oomlab, tmp_path):
    """LD_PRELOAD as a container has it."""
    run(oomlab, tmp_path / "entry", "/bin/sh", "-c", f"printf %s \"$LD_PRELOAD\" > '{tmp_path}/preload'; exit 1")
    return (tmp_path / "preload").read_text(encoding="utf-8")


PLAIN = "#include <stdio.h>\nint main(void) { puts(\"ran\"); return 0; }\n"


@pytest.mark.parametrize("place", ["near", "deep", "linked", "deleted", "without proc"])
def test_glibc_finds_the_entry_and_musl_passes_it_over(oomlab, tmp_path, place):
    need("musl-gcc")
    entry = guarded_entry(oomlab, tmp_path)
    recorder = Recorder(tmp_path)
    directory = tmp_path / "/".join(["d" * 50] * 20) if place == "deep" else tmp_path / "near"
    directory.mkdir(parents=True)
    if place == "linked":
        (tmp_path / "link").symlink_to(directory)
        directory = tmp_path / "link"
    for number, compiler in enumerate(("gcc", "musl-gcc")):
        program = compile_program(directory, PLAIN, compiler=compiler, name=f"plain{number}")
        command = [program]
        if place == "deleted":
            command = ["sh", "-c", 'exec 3<"$1"; rm "$1"; exec /proc/self/fd/3', "sh", program]
        elif place == "without proc":
            if os.geteuid() != 0:
                pytest.skip("only root can unmount /proc")
            command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$1"', "sh", program]
        before = recorder.header()["attached"]
        done = subprocess.run(command, env={**plain_env(), "LD_PRELOAD": entry, "OOMLAB_HEAP": str(recorder.path)},
                              capture_output=True, text=True, check=False)
        shells = 0 if len(command) == 1 else recorder.header()["attached"] - before - (compiler == "gcc")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
        assert recorder.header()["attached"] - before - shells == (compiler == "gcc")


# --- segments with room between them ----------------------------------------------------------------

GAPS = """
#include <stdlib.h>
#include <string.h>
#define FAR __attribute__((section(".textB"), noinline))
FAR void *far_keep(void) { return memset(malloc(1 << 16), 1, 1 << 16); }
void *volatile kept;
FAR void never_called(void) { abort(); }
__attribute__((noinline)) void *near_keep(void) { return memset(malloc(1 << 16), 1, 1 << 16); }
int main(int count, char **words)
{
    if (count > 5)
        never_called();
    for (;;) {
        kept = far_keep();
        kept = near_keep();
    }
}
"""
LAYOUTS = {
    "fixed": ["-no-pie", "-Wl,-z,noseparate-code"],
    "fixed, in separate segments": ["-no-pie", "-Wl,-z,separate-code"],
    "fixed, without a build-id": ["-no-pie", "-Wl,-z,noseparate-code", "-Wl,--build-id=none"],
    "anywhere": ["-fPIE", "-pie", "-Wl,-z,noseparate-code"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_of_a_program_with_room_between_its_segments(oomlab, tmp_path, layout):
    program = compile_program(tmp_path, GAPS, "-O1", "-g", "-Wl,--section-start=.textB=0x800000", *LAYOUTS[layout])
    run(oomlab, tmp_path / "run", program)
    names, heap = functions(oomlab, tmp_path / "run")
    assert {"far_keep", "near_keep", "main"} <= names and "never_called" not in names
    for stack in heap["stacks"]:
        if "far_keep" in [frame["function"] for frame in stack["frames"]]:
            assert [frame["function"] for frame in stack["frames"][:2]] == ["far_keep", "main"]


def test_a_file_that_was_replaced_gives_no_names(oomlab, tmp_path):
    """Of a program without a build-id, by one with another layout and a build-id. Those that the run kept stay."""
    program = compile_program(tmp_path, GAPS, "-O1", "-g", "-Wl,--build-id=none")
    run(oomlab, tmp_path / "run", program)
    assert "far_keep" in functions(oomlab, tmp_path / "run")[0]
    compile_program(tmp_path, GAPS.replace("int main", "static char room[1 << 20] = {1}; int main").replace(
        "count > 5", "count > 5 + room[count]"), "-O2", "-g", "-Wl,--build-id=sha1")
    assert {"far_keep", "near_keep", "main"} <= functions(oomlab, tmp_path / "run")[0]
    with sqlite3.connect(tmp_path / "run" / "evidence.db") as evidence:
        evidence.execute("DELETE FROM heap_names")
    assert not {"far_keep", "near_keep", "main", "never_called"} & functions(oomlab, tmp_path / "run")[0]


# --- libraries by a relative path -----------------------------------------------------------------------

PLUGIN = """
#include <stdlib.h>
#include <string.h>
static void *volatile kept;
void fill_plugin(int pieces)
{
    for (int i = 0; i < pieces; i++)
        kept = memset(malloc(1 << 16), 1, 1 << 16);
}
"""
# The pause is the program's own: it works on for longer than two looks at it take.
LOADING = """
#include <dlfcn.h>
#include <unistd.h>
void fill_plugin(int pieces);
int main(void)
{
#ifdef LINKED
    void (*fill)(int) = fill_plugin;
#else
    void *plugin = dlopen("./libplug.so", RTLD_NOW);
    void (*fill)(int) = plugin ? (void (*)(int))dlsym(plugin, "fill_plugin") : NULL;
#endif
    if (!fill || chdir("/"))
        return 2;
    fill(64);
    for (int i = 0; i < 10; i++)
        usleep(100000);
    for (;;)
        fill(1);
}
"""


@pytest.mark.parametrize("how", ["opened", "linked"])
def test_names_in_a_library_that_was_loaded_by_a_relative_path(oomlab, tmp_path, how):
    """By dlopen("./...") or LD_LIBRARY_PATH=., and the program's working directory is another one then."""
    directory = tmp_path / "with a blank"
    directory.mkdir()
    compile_program(directory, PLUGIN, "-O1", "-g", "-shared", "-fPIC", "-o", "libplug.so", name="plugin")
    linked = ["-DLINKED", "-L.", "-lplug"] if how == "linked" else []
    compile_program(directory, LOADING, "-O1", "-g", *linked, name="loading")
    run(oomlab, tmp_path / "run", "/bin/sh", "-c", f"cd '{directory}' && LD_LIBRARY_PATH=. exec ./loading", memory="64Mi")
    _, heap = functions(oomlab, tmp_path / "run")
    frame = heap["stacks"][0]["frames"][0]
    assert (frame["function"], frame["line"], frame["module"]) == ("fill_plugin", 8, str(directory / "libplug.so")), heap


# --- a sandbox that forbids system calls, another root ----------------------------------------------

# What a program needs that allocates and ends, and nothing else: the first other call ends it.
SANDBOX = """
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dlfcn.h>
#include <pthread.h>
static void *kept[256];
static void keep(void) { for (int i = 0; i < 256; i++) kept[i] = memset(malloc(1 << 16), 1, 1 << 16); }
static void *run(void *nothing) { keep(); return nothing; }
int main(int count, char **words)
{
    static const int allowed[] = {SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
        SCMP_SYS(mprotect), SCMP_SYS(write), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clone), SCMP_SYS(clone3),
        SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(wait4), SCMP_SYS(futex), SCMP_SYS(newfstatat),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(sched_getaffinity), SCMP_SYS(openat), SCMP_SYS(read), SCMP_SYS(close),
        SCMP_SYS(rt_sigaction)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (seccomp_load(filter) < 0)
        return 2;
    keep();
    if (count > 1 && strcmp(words[1], "thread") == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL))
            return 4;
    }
    if (count > 1 && strcmp(words[1], "fork") == 0) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            keep();
            exit(7);
        }
        if (child < 0 || wait(&status) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
            return 3;
    }
    puts("whole");
    return 5;
}
"""


@pytest.mark.parametrize("how", ["alone", "thread", "fork"])
def test_a_sandbox_that_forbids_other_system_calls(tmp_path, how):
    if not os.path.exists("/usr/include/seccomp.h"):
        pytest.skip("libseccomp's headers are not installed")
    program = compile_program(tmp_path, SANDBOX, "-lseccomp")
    recorder = Recorder(tmp_path)
    results = [subprocess.run([program, how], env={**plain_env(), **more}, capture_output=True, text=True, check=False)
               for more in ({}, recorder.env)]
    assert [(done.returncode, done.stdout, done.stderr) for done in results] == [(5, "whole\n", "")] * 2
    assert recorder.header()["taken"] > 200 * (1 if how == "alone" else 2)


CHROOT = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) void keep(void) { memset(malloc(1 << 16), 1, 1 << 16); }
int main(int count, char **words)
{
    if (chroot(words[1]) || chdir("/"))
        return 2;
    for (;;)
        keep();
}
"""


def test_a_program_that_changed_its_root_is_known_by_its_path(oomlab, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can change the root")
    program = compile_program(tmp_path, CHROOT, "-O0", "-g")
    (tmp_path / "empty").mkdir()
    run(oomlab, tmp_path / "run", program, tmp_path / "empty")
    names, heap = functions(oomlab, tmp_path / "run")
    assert {"keep", "main"} <= names
    assert heap["stacks"][0]["frames"][0]["module"] == str(program)


# --- AddressSanitizer, whose allocator wants to come first -----------------------------------------------------------

SANITIZED = """
#include <stdlib.h>
#include <string.h>
static void *volatile kept;
__attribute__((noinline)) static void keep(void) { kept = memset(malloc(10000), 1, 10000); }
int main(int count, char **words)
{
    for (int i = 0; i < 1000 || strcmp(words[1], "fill") == 0; i++)
        keep();
    if (strcmp(words[1], "leak") == 0)
        return 0;
    free(kept);
    return *(char *volatile)kept;
}
"""


def compile_sanitized(directory):
    program = compile_program(directory, SANITIZED, "-O1", "-g", "-fsanitize=address")
    if "libasan" not in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the compiler links AddressSanitizer statically")
    return program


@pytest.mark.parametrize("how", ["directly", "by a shell"])
def test_a_program_with_address_sanitizer_is_profiled(oomlab, tmp_path, how):
    program = compile_sanitized(tmp_path)
    command = [program, "fill"] if how == "directly" else ["/bin/sh", "-c", f"exec '{program}' fill"]
    done, arm = run(oomlab, tmp_path / "run", *command, memory="64Mi")
    assert arm["oom_kills"] == 1 and "without a heap profile" not in done.stderr, done.stderr
    names, heap = functions(oomlab, tmp_path / "run")
    assert {"keep", "main"} <= names and heap["total_bytes"] > 30 << 20


@pytest.mark.parametrize("fault, said", [
    ("leak", "9990000 byte(s) leaked in 999 allocation(s)"), ("freed", "AddressSanitizer: heap-use-after-free"),
])
def test_address_sanitizer_says_what_it_says_without_the_recorder(tmp_path, fault, said):
    program = compile_sanitized(tmp_path)
    recorder = Recorder(tmp_path)
    results = [subprocess.run([program, fault], env={**plain_env(), **more}, capture_output=True, text=True, check=False)
               for more in ({}, {**recorder.env, "ASAN_OPTIONS": "verify_asan_link_order=0"})]
    assert [(done.returncode, done.stdout, said in done.stderr) for done in results] == [(results[0].returncode, "", True)] * 2
    assert results[0].returncode != 0 and recorder.header()["taken"] > 500


# --- a container that lays hands on the profile ---------------------------------------------------


@pytest.mark.parametrize("harm", [
    ": > /dev/shm/.oomlab-heap",
    "truncate -s 4096 /dev/shm/.oomlab-heap",
    "size=$(stat -c %s /dev/shm/.oomlab-heap); : > /dev/shm/.oomlab-heap; truncate -s $size /dev/shm/.oomlab-heap",
    "head -c 4096 /dev/zero | dd of=/dev/shm/.oomlab-heap conv=notrunc status=none",
], ids=["emptied", "cut off", "emptied and grown again", "overwritten"])
def test_a_container_may_spoil_its_profile_and_nothing_else(oomlab, tmp_path, harm):
    directory = tmp_path / "run"
    done = oomlab("run", "--quiet", "--memory", "48Mi", "--arms", "trigger", "--kills", "1", "--ready", "none", "--idle", "0s",
                  "--cycles", "1", "--per-cycle", "1", "--cooldown", "1s", "--heap", "--output", directory, "--", "/bin/sh", "-c",
                  f"{harm}; exec sleep 20")
    assert done.returncode in (0, 3), (done.returncode, done.stderr)
    assert "the container overwrote its heap profile ('/dev/shm/.oomlab-heap'), which is lost" in done.stderr
    assert json.loads((directory / "result.json").read_text(encoding="utf-8"))["arms"][0]["lifetimes"]
    asked = oomlab("heap", directory)
    assert asked.returncode == 2 and "the container overwrote its heap profile" in asked.stderr


# --- programs that others replace -------------------------------------------------------------------

# The pauses are the program's own: it works on for longer than two looks at its processes take.
IMAGES = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile kept;
__attribute__((noinline)) static void before(void)
{
    for (int i = 0; i < 320; i++)
        kept = memset(malloc(1 << 16), 1, 1 << 16);
}
__attribute__((noinline)) static void after(void) { kept = memset(malloc(1 << 16), 1, 1 << 16); }
static void leak(void)
{
    for (int i = 0; i < 30; i++)
        usleep(100000);
    for (;;)
        after();
}
static void leak_in_namespace(const char *program)
{
    if (fork() == 0)
        execlp("unshare", "unshare", "--user", "--map-root-user", "--fork", "--pid", program, "leak", NULL);
    wait(NULL);
    _exit(1);
}
int main(int count, char **words)
{
    const char *how = words[1], *other = words[count - 1];
    char *nothing[] = {NULL};
    if (strcmp(how, "leak") == 0)
        leak();
    if (strcmp(how, "pause") == 0)
        return pause();
    if (strcmp(how, "fork") != 0 && strcmp(how, "child") != 0)
        before();
    if (strcmp(how, "exec") == 0)
        execl(other, other, "leak", NULL);
    if (strcmp(how, "clear") == 0)
        execle(words[0], words[0], "leak", NULL, nothing);
    if (strcmp(how, "vfork") == 0 && vfork() == 0)
        execl(other, other, "pause", NULL);
    if (strcmp(how, "nested") == 0)
        leak_in_namespace(words[0]);
    if ((strcmp(how, "fork") == 0 || strcmp(how, "child") == 0) && fork() == 0) {
        before();
        if (strcmp(how, "child") == 0)
            execl(other, other, "pause", NULL);
        pause();
    }
    leak();
}
"""


@pytest.mark.parametrize("how, addresses, held", [
    ("exec", "random", set()), ("exec", "fixed", set()), ("clear", "random", set()), ("child", "random", {"after"}),
    ("fork", "random", {"before", "after"}), ("vfork", "random", {"before", "after"}),
    ("nested", "random", {"before", "after"}),
])
def test_what_was_replaced_by_a_program_without_the_recorder_holds_nothing(oomlab, tmp_path, how, addresses, held):
    """In a nested pid namespace it has the main process's pid, and replaces nothing."""
    program = compile_program(tmp_path, IMAGES, "-O1", "-g", name="images")
    other = compile_program(tmp_path, IMAGES, "-O1", "-g", "-static", name="other")
    run(oomlab, tmp_path / "run", *(["setarch", "-R"] if addresses == "fixed" else []), program, how, other, memory="64Mi")
    _, heap = functions(oomlab, tmp_path / "run")
    sums = {}
    for stack in heap["stacks"]:
        for name in {"before", "after"} & {frame["function"] for frame in stack["frames"]}:
            sums[name] = sums.get(name, 0) + stack["bytes"]
    assert set(sums) == held, heap
    assert sums.get("before", 20 << 20) == pytest.approx(20 << 20, rel=0.15)
