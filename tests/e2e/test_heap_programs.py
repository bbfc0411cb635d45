# SPDX-License-Identifier: Apache-2.0
"""Real programs under the heap recorder: what they print, write and return is what they print, write and return without.
And those that cannot be profiled: one line, and they run."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PYTHON, TREE, oomlab_binary

BUILD = next((path for path in Path(oomlab_binary()).resolve().parents if (path / "build.ninja").exists()),
             TREE / "build")
RECORDER = BUILD / "preload" / "liboomlab-heap.so"
MAKE_MAP = BUILD / "tests" / "heap" / "make-heap-map"
HEADER = struct.Struct("<QII4Q16x8Q4I")  # struct heap_header of preload/layout.h

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Recorder:
    """A map for the recorder, as a container has one; a sample in 4 KiB, to take as many as it can."""

    def __init__(self, directory, rate=4096):
        for needed in (RECORDER, MAKE_MAP):
            if not needed.exists():
                pytest.skip(f"{needed.name} was not built: it needs x86-64 and glibc 2.35")
        self.path = Path(directory) / "map"
        subprocess.run([MAKE_MAP, self.path, str(rate)], check=True)
        self.env = {"LD_PRELOAD": str(RECORDER), "OOMLAB_HEAP": str(self.path)}

    def header(self):
        names = ("magic version bytes limit initial rate raised seeds taken replaced dropped_table dropped_bit dropped_process "
                 "lost live frames stacks modules attached").split()
        return dict(zip(names, HEADER.unpack_from(self.path.read_bytes())))


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def plain_env():
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def same_with_and_without(tmp_path, run, least_samples):
    """run(directory, env) gives what must not differ."""
    recorder = Recorder(tmp_path)
    results = []
    for more in ({}, recorder.env):
        directory = tmp_path / "work"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        results.append(run(directory, {**plain_env(), **more}))
    assert results[0] == results[1]
    header = recorder.header()
    assert header["magic"] == 0x3170616568626C6F and header["attached"] >= 1
    assert header["taken"] >= least_samples, header
    assert header["dropped_table"] == header["dropped_process"] == header["lost"] == 0, header
    return results[0]


def execute(command, directory, env, text=None):
    done = subprocess.run(command, cwd=directory, env=env, input=text, capture_output=True, text=True, check=False,
                          timeout=300)
    return done.returncode, done.stdout, done.stderr


# --- programs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc"])
def test_cpython_test_json(tmp_path, allocator):
    """CPython's own suite of json."""
    if subprocess.run([PYTHON, "-c", "import test.test_json"], capture_output=True, check=False).returncode != 0:
        pytest.skip("CPython's test suite is not installed (libpython3.11-testsuite on Debian 12)")

    def run(directory, env):
        env = {**env, "PYTHONMALLOC": allocator, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        status, out, err = execute([PYTHON, "-m", "unittest", "-v", "test.test_json"], directory, env)
        # How long it took, and where objects were.
        return status, out, re.sub(r"in [0-9.]+s|0x[0-9a-f]+", "-", err)

    status, _, err = same_with_and_without(tmp_path, run, 500)
    assert status == 0 and "\nOK" in err and int(re.search(r"Ran (\d+) tests", err).group(1)) > 100


SQL = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
  INSERT INTO item SELECT i, 'name ' || (i * 7919 % 30000), (i * 31 % 1000) / 7.0, zeroblob(i % 300) FROM n;
CREATE INDEX by_name ON item (name);
SELECT substr(name, -2), count(*), round(sum(price), 6), sum(length(body)) FROM item GROUP BY 1 ORDER BY 1;
SELECT a.id, b.id FROM item a JOIN item b ON b.name = a.name AND b.id > a.id ORDER BY 1, 2 LIMIT 50;
DELETE FROM item WHERE id % 3 = 0;
SELECT json_group_array(name) FROM (SELECT name FROM item ORDER BY name LIMIT 500);
SELECT group_concat(hex(body), '') FROM item WHERE id < 100;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), total(price) FROM item;
SELECT no_such_function(1);
"""


def test_sqlite(tmp_path):
    need("sqlite3")

    def run(directory, env):
        result = execute(["sqlite3", "-batch", "data.db"], directory, env, SQL)
        return *result, (directory / "data.db").read_bytes()

    _, out, err, _ = same_with_and_without(tmp_path, run, 1000)
    assert "\nok\n" in out and "20000|" in out and "no such function" in err


GIT = r"""
set -e
git init -q -b main .
for i in $(seq 1 30); do
    mkdir -p d$((i % 5))
    seq $i 37 $((i * 400)) > d$((i % 5))/file$i
    git add .
    GIT_COMMITTER_DATE="2026-01-01T00:00:$i" git commit -q --date "2026-01-01T00:00:$i" -m "commit $i"
done
git gc -q --prune=now
git clone -q . ../clone
cd ../clone
git log --stat --format='%H %s'
git blame d1/file1 | head -50
git grep -n 111 | head -50
git fsck --full --strict
git diff HEAD~10 | git apply -R --stat
git rev-parse no-such-revision || echo "status $?"
git repack -q -a -d -f
# Which deltas several threads find hangs on how they share the work.
git -c pack.threads=1 repack -q -a -d -f
git verify-pack -v .git/objects/pack/*.idx | sort | head -100
"""


def test_git(tmp_path):
    """Many short processes, forks and threads: each finds the map, and none is in the way."""
    need("git")

    def run(directory, env):
        (directory / "origin").mkdir()
        env = {**env, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
               "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_NOSYSTEM": "1"}
        return execute(["sh", "-c", GIT], directory / "origin", env)

    status, out, err = same_with_and_without(tmp_path, run, 1000)
    assert status == 0 and "commit 30" in out and "no-such-revision" in err


PERL = r"""
use strict; use warnings; use JSON::PP; use Storable qw(dclone freeze thaw); use Digest::SHA qw(sha256_hex);
use List::Util qw(sum shuffle); use Encode;
my %table;
for my $i (1 .. 40000) { $table{"key $i"} = { id => $i, list => [map { $i * $_ } 1 .. 5], name => "\x{e9}" x ($i % 7) } }
my $copy = thaw(freeze(\%table));
delete $table{"key $_"} for grep { $_ % 3 } 1 .. 40000;
my $json = JSON::PP->new->canonical->utf8;
print sha256_hex($json->encode({ map { $_ => $copy->{$_} } (sort keys %$copy)[0 .. 999] })), "\n";
print scalar(keys %table), " ", sum(map { $_->{id} } values %table), "\n";
my $text = join ' ', map { "word$_" } 1 .. 20000;
my %count; $count{length $1}++ while $text =~ /\b(\w+?\d+)\b/g;
print join(',', map { "$_=$count{$_}" } sort { $a <=> $b } keys %count), "\n";
(my $turned = $text) =~ s/(\w+?)(\d+)/$2$1/g;
print sha256_hex($turned), "\n";
my $decoded = $json->decode($json->encode([map { { a => $_, b => "x" x $_ } } 1 .. 300]));
print length(join '', map { $_->{b} } @$decoded), "\n";
for my $child (1 .. 4) {
    my $pid = fork // die; if (!$pid) { my @list = map { "$child $_" } 1 .. 20000; exit(scalar(@list) == 20000 ? $child : 99) }
    waitpid $pid, 0; print "child $child: ", $? >> 8, "\n";
}
local $SIG{ALRM} = sub { print "alarm\n" }; kill ALRM => $$;
print `echo from a shell`; exec 'sh', '-c', 'echo executed; exit 3';
"""


def test_perl(tmp_path):
    need("perl")

    def run(directory, env):
        return execute(["perl", "-e", PERL], directory, {**env, "PERL_HASH_SEED": "0"})

    status, out, _ = same_with_and_without(tmp_path, run, 1000)
    assert status == 3 and "child 4: 4" in out and out.endswith("from a shell\nexecuted\n")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def redis_commands():
    for i in range(4000):
        yield f"SET key:{i} {'v' * (i % 700)}"
        yield f"RPUSH list:{i % 50} {i} {i * 7}"
        yield f"HSET hash:{i % 100} field:{i} {i * i}"
        yield f"ZADD sorted {i * 7919 % 4000} member:{i}"
    for i in range(0, 4000, 3):
        yield f"DEL key:{i}"
    for i in range(50):
        yield f"LRANGE list:{i} 0 20"
        yield f"SORT list:{i} LIMIT 0 10 DESC"
    yield from ("ZRANGE sorted 0 100 WITHSCORES", "DBSIZE", "STRLEN key:1", "HGETALL hash:7", "LPUSH key:1 x",
                "EVAL \"local t = {} for i = 1, 1000 do t[i] = tostring(i) end return #table.concat(t)\" 0",
                "SAVE", "DBSIZE", "FLUSHALL", "DBSIZE")


def test_redis(tmp_path):
    """Redis brings jemalloc along and threads of its own; it saves, and frees everything."""
    need("redis-server", "redis-cli")

    def run(directory, env):
        port = str(free_port())
        with open(directory / "log", "w", encoding="utf-8") as log:
            server = subprocess.Popen(["redis-server", "--port", port, "--save", ""],
                                      cwd=directory, env=env, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while execute(["redis-cli", "-p", port, "ping"], directory, plain_env())[1] != "PONG\n":
                assert time.monotonic() < end and server.poll() is None, (directory / "log").read_text("utf-8")
            result = execute(["redis-cli", "-p", port], directory, plain_env(), "\n".join(redis_commands()) + "\n")
        finally:
            server.terminate()
        return *result, server.wait(timeout=60)

    status, out, _, ended = same_with_and_without(tmp_path, run, 300)
    assert status == ended == 0 and out.endswith("OK\n0\n") and "WRONGTYPE" in out


# --- what cannot be profiled ------------------------------------------------------------------------

LEAK = """
#include <stdlib.h>
#include <string.h>
int main(void) { for (;;) memset(malloc(1 << 16), 1, 1 << 16); }
"""
GO_LEAK = """
package main
var kept [][]byte
func main() {
    for {
        block := make([]byte, 1<<16)
        for i := range block { block[i] = 1 }
        kept = append(kept, block)
    }
}
"""


def compile_leak(directory, how):
    program = directory / "program"
    (directory / "leak.c").write_text(LEAK, encoding="utf-8")
    (directory / "leak.go").write_text(GO_LEAK, encoding="utf-8")
    if how.startswith("go"):
        need("go")
        env = {**os.environ, "GOCACHE": str(directory / "cache"), "GO111MODULE": "off", "HOME": str(directory),
               "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "-o", program, "leak.go"], cwd=directory, env=env, check=True)
    else:
        compiler = {"static": ["gcc", "-static"], "musl": ["musl-gcc"], "musl-static": ["musl-gcc", "-static"]}[how]
        need(compiler[0])
        subprocess.run([*compiler, "-o", program, "leak.c"], cwd=directory, check=True)
    return program


@pytest.mark.parametrize("how, reason", [
    ("static", "is statically linked"), ("musl", "is linked to musl"), ("musl-static", "is statically linked"),
    ("go", "is written in Go"),
])
def test_what_cannot_be_profiled_is_said_once_and_runs(oomlab, tmp_path, how, reason):
    program = compile_leak(tmp_path, how)
    done = oomlab("run", "--quiet", "--memory", "32Mi", "--arms", "trigger", "--kills", "2", "--ready", "none", "--cycles",
                  "1", "--per-cycle", "1", "--cooldown", "90s", "--backoff", "fast", "--heap", "--output",
                  tmp_path / "run", "--", program)
    assert done.returncode in (0, 3), done.stderr
    said = [line for line in done.stderr.splitlines() if "heap profile" in line]
    assert len(said) == 1 and reason in said[0], done.stderr
    (arm,) = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["arms"]
    assert arm["oom_kills"] == 2 and arm["lifetimes"][0]["end"]["cause"] == "oom-container-limit"
    assert not (tmp_path / "run" / "heap").exists()


def test_a_setuid_program_is_profiled_without_its_privileges(oomlab, tmp_path):
    """A container cannot gain privileges, so the loader does not distrust what is preloaded."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a program that is setuid to someone else")
    program = tmp_path / "program"
    (tmp_path / "leak.c").write_text(LEAK, encoding="utf-8")
    subprocess.run(["gcc", "-g", "-o", program, "leak.c"], cwd=tmp_path, check=True)
    os.chown(program, 65534, 65534)
    os.chmod(program, 0o6755)
    done = oomlab("run", "--quiet", "--memory", "32Mi", "--arms", "trigger", "--kills", "1", "--ready", "none", "--cycles",
                  "1", "--per-cycle", "1", "--cooldown", "90s", "--heap", "--output", tmp_path / "run", "--", program)
    assert done.returncode in (0, 3), done.stderr
    assert "without a heap profile" not in done.stderr
    heap = oomlab.result("heap", tmp_path / "run", "--format", "json", status=0)
    assert heap["stacks"][0]["frames"][0]["function"] == "main" and heap["coverage"] > 0.8
