# SPDX-License-Identifier: Apache-2.0
"""What the recorder's functions do where an object changes its place: the map against what the program holds."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import PYTHON, TREE
from test_heap_programs import BUILD, RECORDER, Recorder

CHECK_MAP = BUILD / "tests" / "heap" / "check-heap-map"

pytestmark = pytest.mark.usefixtures("no_leftovers")


def compiled(directory, source, *options, compiler="gcc", name=None):
    program = directory / (name or source.rsplit(".", 1)[0])
    subprocess.run([compiler, "-O1", "-g", "-fno-builtin", "-o", program, TREE / "tests" / "heap" / source, *options],
                   check=True)
    return program


def recorded(tmp_path, command, behind=(), rate=4096, status=-signal.SIGKILL, **env):
    """What the map says after the end, and what the command printed; `behind`: libraries preloaded after the recorder."""
    recorder = Recorder(tmp_path, rate)
    env = {**os.environ, **recorder.env, **env, "LD_PRELOAD": ":".join(map(str, (RECORDER, *behind)))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    found = json.loads(subprocess.run([CHECK_MAP, recorder.path], check=True, capture_output=True, text=True).stdout)
    assert found["torn"] == found["dropped"] == found["broken_stacks"] == 0, found
    return found, done.stdout


def without_recorder(command, behind):
    """The status and what it prints."""
    env = {**os.environ, "LD_PRELOAD": ":".join(map(str, behind))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout


# --- resizing -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def resizing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("resizing")
    return compiled(directory, "resized.c"), compiled(directory, "resizing.c", "-shared", "-fPIC", "-ldl")


def test_killed_while_an_object_is_copied(tmp_path, resizing):
    """The old object is held then: nearly all of what a growing buffer's program has."""
    program, library = resizing
    found, _ = recorded(tmp_path, [program, "keep"], [library], RESIZING="kill")
    assert 1000000 <= found["bytes"] < 1050000, found


@pytest.mark.parametrize("then, held", [("keep", 4000000), ("free", 3000000)])
def test_the_old_address_is_used_again_at_once(tmp_path, resizing, then, held):
    """By an object that is sampled while the old one's sample still counts: neither is lost, none is counted twice."""
    program, library = resizing
    found, printed = recorded(tmp_path, [program, then], [library], RESIZING="reuse")
    assert printed == "again\n"
    assert held <= found["bytes"] < held + 50000, found


def test_resizing_that_fails_leaves_the_sample(tmp_path, resizing):
    found, _ = recorded(tmp_path, [resizing[0], "fail"])
    assert 1000000 <= found["bytes"] < 1050000, found


def is_about(found, truth):
    """By chance one in 500 million is beyond 6 standard deviations."""
    spread = 6 * found["variance"] ** 0.5
    assert abs(found["bytes"] - truth) <= spread + 8192, (found, truth)
    assert spread < 0.5 * truth


# --- C++'s operators ----------------------------------------------------------------------------------

ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc.so.4", "mimalloc": "libmimalloc.so.2"}


def library_of(allocator):
    """None: the C library's own."""
    if allocator == "glibc":
        return None
    path = Path("/usr/lib/x86_64-linux-gnu") / ALLOCATORS[allocator]
    if not path.exists():
        pytest.skip(f"{path.name} is not installed (scripts/deps test)")
    return path


@pytest.fixture(scope="module")
def operators(tmp_path_factory):
    """The program, linked with an allocator or with none."""
    directory = tmp_path_factory.mktemp("operators")

    def build(library):
        name = f"operators-{library.name if library else 'plain'}"
        if not (directory / name).exists():
            links = ["-Wl,--no-as-needed", library] if library else []
            compiled(directory, "operators.cc", "-std=c++17", "-pthread", *links, compiler="g++", name=name)
        return directory / name
    return build


HOW = [("glibc", "preloaded"), *((name, how) for name in ALLOCATORS for how in ("preloaded", "linked"))]


@pytest.mark.parametrize("allocator, how", HOW)
def test_every_form_of_new_and_delete(tmp_path, operators, allocator, how):
    """Every allocation is sampled at this rate: a form that is not seen, or seen twice, or of which a delete is missed, is
    a twentieth of the truth or more."""
    library = library_of(allocator)
    program = operators(library if how == "linked" else None)
    behind = [library] if library and how == "preloaded" else []
    found, printed = recorded(tmp_path, [program, "leak"], behind)
    assert int(printed) <= found["bytes"] < 1.01 * int(printed) + 100000, found
    assert recorded(tmp_path, [program, "freed"], behind)[0]["bytes"] < 100000
    # mimalloc's, built as C, cannot throw and aborts.
    status, printed = without_recorder([program, "failing"], behind)
    assert (status, printed) == ((-signal.SIGABRT, "") if allocator == "mimalloc" else (-signal.SIGKILL, "1 3 1\n"))
    assert recorded(tmp_path, [program, "failing"], behind, status=status)[1] == printed


@pytest.mark.parametrize("form", range(8))
@pytest.mark.parametrize("allocator, how", HOW)
def test_each_form_of_new_counts_once(tmp_path, operators, allocator, how, form):
    """At a rate where what is counted twice has twice the chance, not the same sample."""
    library = library_of(allocator)
    program = operators(library if how == "linked" else None)
    found, printed = recorded(tmp_path, [program, f"form{form}"], [library] if library and how == "preloaded" else [],
                              rate=524288)
    is_about(found, int(printed))


def test_pvalloc_counts_whole_pages(tmp_path):
    found, printed = recorded(tmp_path, [compiled(tmp_path, "pages.c")], rate=1024)
    is_about(found, int(printed))


def test_a_plugin_in_cxx_of_a_program_in_c(tmp_path):
    host = compiled(tmp_path, "host.c", "-ldl")
    plugin = compiled(tmp_path, "plugin.cc", "-shared", "-fPIC", compiler="g++")
    found, printed = recorded(tmp_path, [host, plugin])
    assert printed == "1\n"
    assert 6000000 <= found["bytes"] < 6200000, found


# --- mappings -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", [1024, 16384])
@pytest.mark.parametrize("sharing, what", [
    *((sharing, what) for sharing in ("private", "shared") for what in ("cut", "several", "grown", "forked")),
    ("shared", "again"), ("private", "broken"),
])
def test_mappings_in_part(tmp_path, sharing, what, rate):
    """Nearly all sampled, and a part of them."""
    found, printed = recorded(tmp_path, [compiled(tmp_path, "mappings.c"), sharing, what], rate=rate)
    is_about(found, int(printed))


def test_mappings_that_python_makes(tmp_path):
    """They are shared unless it is told otherwise."""
    code = ("import mmap, os, signal\n"
            "kept = [mmap.mmap(-1, 1 << 20) for _ in range(40)] + [mmap.mmap(-1, 10 << 20, flags=mmap.MAP_PRIVATE)]\n"
            "os.kill(os.getpid(), signal.SIGKILL)")
    for name in "ab":
        (tmp_path / name).mkdir()
    without, _ = recorded(tmp_path / "a", [PYTHON, "-c", code.replace("range(40)", "range(0)").replace("10 <<", "1 <<")])
    found, _ = recorded(tmp_path / "b", [PYTHON, "-c", code])
    assert abs(found["bytes"] - without["bytes"] - (49 << 20)) < 2 << 20, (found, without)


@pytest.mark.parametrize("allocator", ["glibc", *ALLOCATORS])
def test_the_program_break_beside_an_allocator(tmp_path, allocator):
    """The allocator's own growth, of which some goes by sbrk(), is no mapping of the program's."""
    library = library_of(allocator)
    found, printed = recorded(tmp_path, [compiled(tmp_path, "mappings.c"), "private", "broken"], [library] if library else [],
                              rate=1024)
    is_about(found, int(printed))
