/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/program.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/oomlab-test-program-XXXXXX";
static char path[64];
static char reason[512];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/program", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void write_file(const void *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
}

/* The beginning of an executable: a loader's name or none, a note or none. */
static void write_elf(uint16_t machine, const char *loader, const char *note_name, uint32_t note)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[2];
        char loader[64];
        Elf64_Nhdr note;
        char name[4], body[4];
    } file = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                   .e_type = ET_EXEC,
                   .e_machine = machine,
                   .e_version = EV_CURRENT,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .note = {.n_namesz = 4, .n_descsz = 4, .n_type = note},
    };
    if (loader) {
        snprintf(file.loader, sizeof(file.loader), "%s", loader);
        file.segments[0] = (Elf64_Phdr){.p_type = PT_INTERP,
                                        .p_offset = (uint64_t)((char *)file.loader - (char *)&file),
                                        .p_filesz = strlen(loader) + 1};
    }
    if (note_name) {
        memcpy(file.name, note_name, strlen(note_name) < 4 ? strlen(note_name) : 4);
        file.segments[1] = (Elf64_Phdr){.p_type = PT_NOTE,
                                        .p_offset = (uint64_t)((char *)&file.note - (char *)&file),
                                        .p_filesz = 20};
    }
    write_file(&file, sizeof(file));
}

static bool examine(void)
{
    reason[0] = '\0';
    return heap_program_can_be_profiled(path, "/usr/bin:/bin", reason, sizeof(reason));
}

static void test_executables(void **state)
{
    (void)state;
    write_elf(EM_X86_64, "/lib64/ld-linux-x86-64.so.2", "GNU", 3);
    assert_true(examine());
    write_elf(EM_X86_64, NULL, NULL, 0);
    assert_false(examine());
    assert_non_null(strstr(reason, "program' is statically linked"));
    write_elf(EM_X86_64, "/lib/ld-musl-x86_64.so.1", NULL, 0);
    assert_false(examine());
    assert_non_null(strstr(reason, "musl"));
    write_elf(EM_X86_64, NULL, "Go", 4);
    assert_false(examine());
    assert_non_null(strstr(reason, "Go"));
    write_elf(EM_AARCH64, "/lib/ld-linux-aarch64.so.1", NULL, 0);
    assert_false(examine());
    assert_non_null(strstr(reason, "not for x86-64"));
}

static void test_scripts(void **state)
{
    (void)state;
    write_file("#!/bin/sh\nexit 0\n", 17);
    assert_true(examine());
    write_file("#!/usr/bin/env sh\nexit\n", 23);
    assert_true(examine());
    write_file("#!", 2);
    assert_true(examine()); /* it will fail by itself */
    char line[128];
    int length = snprintf(line, sizeof(line), "#!%s\n", path); /* of itself */
    write_file(line, (size_t)length);
    assert_true(examine());
}

static void test_damaged(void **state)
{
    (void)state;
    write_elf(EM_X86_64, "/lib64/ld-linux-x86-64.so.2", NULL, 0);
    assert_int_equal(truncate(path, 70), 0);
    examine(); /* whatever it says, it does not read beyond the end */
    write_file("", 0);
    assert_true(examine());
    unlink(path);
    assert_true(examine());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_executables),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
