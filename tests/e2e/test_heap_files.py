# SPDX-License-Identifier: Apache-2.0
"""Programs and libraries whose files are gone, or others, when the names of a heap profile are looked up."""

import os
import subprocess

import pytest

from test_heap_reader import build, profile, result_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

LEAK = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) void %s(void)
{
    char *new = memset(malloc(65536), 1, 65536);
    __asm__ volatile("" : : "r"(new) : "memory");
}
%s
"""
MAIN = "int main(void) { sleep(1); for (;;) { %s(); usleep(2000); } }\n"


def killed(oomlab, run, *command):
    done = oomlab("run", "--quiet", "--memory", "40Mi", "--arms", "trigger", "--kills", "1", "--ready", "none", "--idle", "0s", "--cycles",
                  "1", "--per-cycle", "1", "--cooldown", "60s", "--heap", "--output", run, "--", *command)
    assert done.returncode in (0, 3), done.stderr
    return done


def leading(oomlab, run):
    stack = profile(oomlab, run)["stacks"][0]
    return next((frame["function"], frame["line"]) for frame in stack["frames"] if "program" in (frame["module"] or "")
                or "libkept" in (frame["module"] or ""))


@pytest.mark.parametrize("what", ["rm {0}", "cp {1} {0}.new && mv {0}.new {0}"], ids=["deleted", "replaced"])
def test_a_program_that_is_gone_has_names(oomlab, tmp_path, what):
    """It goes while it runs; what stands in its place is another."""
    other = build(tmp_path, "other.c", LEAK % ("other_function", MAIN % "other_function"), "-g").rename(tmp_path / "other")
    program = build(tmp_path, "kept.c", LEAK % ("kept_function", MAIN % "kept_function"), "-g")
    killed(oomlab, tmp_path / "run", "/bin/sh", "-c",
           f"(sleep 0.6; {what.format(program, other)}) & exec {program}")
    assert leading(oomlab, tmp_path / "run") == ("kept_function", 7)
    assert result_of(tmp_path / "run")["verdict"]["leading_stack"]["function"] == "kept_function"
    assert not list((tmp_path / "run" / "heap").glob("module-*"))  # their names are kept
    assert oomlab("show", tmp_path / "run").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open what another process has mapped")
def test_a_library_that_is_gone_has_names(oomlab, tmp_path):
    library = tmp_path / "libkept.so"
    (tmp_path / "kept.c").write_text(LEAK % ("kept_function", ""), encoding="utf-8")
    subprocess.run(["gcc", "-O1", "-g", "-shared", "-fPIC", "-o", library, tmp_path / "kept.c"], check=True)
    program = build(tmp_path, "main.c", "#include <dlfcn.h>\n#include <unistd.h>\nint main(int count, char **words)\n{\n"
                    "    void (*leak)(void) = (void (*)(void))dlsym(dlopen(words[count - 1], RTLD_NOW), \"kept_function\");\n"
                    "    leak();\n    sleep(1);\n    unlink(words[count - 1]);\n    for (;;) {\n        leak();\n        usleep(2000);\n"
                    "    }\n}\n")
    killed(oomlab, tmp_path / "run", program, library)
    assert not library.exists() and leading(oomlab, tmp_path / "run") == ("kept_function", 7)
