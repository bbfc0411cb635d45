/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/plan.h"
#include "lab/plan_machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_meminfo(void **state)
{
    (void)state;
    struct machine_memory memory = {0};
    assert_true(machine_memory_parse("MemTotal:  1000 kB\nMemFree: 5 kB\nMemAvailable:   400 kB\n",
                                     &memory));
    assert_int_equal(memory.total_bytes, 1000 * 1024);
    assert_int_equal(memory.available_bytes, 400 * 1024);
    assert_false(machine_memory_parse("MemTotal: 1000 kB\nXMemAvailable: 400 kB\n", &memory));
    assert_false(machine_memory_parse("MemTotal: 1000 kB\nMemAvailable: kB\n", &memory));
    assert_false(machine_memory_parse("", &memory));
}

static void put(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_cgroup_limits(void **state)
{
    (void)state;
    char mount[] = "/tmp/oomlab-test-XXXXXX";
    char outer[64], inner[64];
    assert_non_null(mkdtemp(mount));
    snprintf(outer, sizeof(outer), "%s/a", mount);
    snprintf(inner, sizeof(inner), "%s/a/b", mount);
    assert_int_equal(mkdir(outer, 0700) | mkdir(inner, 0700), 0);
    /* The inner level has no limit; the outer one leaves 600 - (300 - 100). */
    put(inner, "memory.max", "max\n");
    put(inner, "memory.current", "1\n");
    put(outer, "memory.max", "600\n");
    put(outer, "memory.current", "300\n");
    put(outer, "memory.stat", "anon 200\ninactive_file 100\n");
    struct machine_memory memory = {.available_bytes = 1000};
    machine_memory_limit(CGROUP_V2, mount, inner, &memory);
    assert_int_equal(memory.available_bytes, 400);
    assert_true(memory.limited_by_cgroup);

    /* Used up altogether. */
    put(inner, "memory.max", "1\n");
    put(inner, "memory.current", "5\n");
    machine_memory_limit(CGROUP_V2, mount, inner, &memory);
    assert_int_equal(memory.available_bytes, 0);

    /* The other version's files do not count. */
    memory = (struct machine_memory){.available_bytes = 1000};
    machine_memory_limit(CGROUP_V1, mount, inner, &memory);
    assert_int_equal(memory.available_bytes, 1000);
    assert_false(memory.limited_by_cgroup);
    static const char *const names[] = {"a/b/memory.max", "a/b/memory.current", "a/memory.max",
                                        "a/memory.current", "a/memory.stat"};
    for (size_t i = 0; i < 5; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", mount, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(inner) | rmdir(outer) | rmdir(mount), 0);
}

static void test_too_large(void **state)
{
    (void)state;
    const char *const command[] = {"x", NULL};
    struct error err = {0};
    struct plan *plan = NULL;
    struct plan_options options = {.command = command, .memory = "64Mi", .raise = "1Pi"};
    assert_int_equal(plan_new(&options, &plan, &err), 0);
    assert_true(plan_check_machine(plan, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the arm 'raise' may use 1.0 PiB, but only"));
    assert_int_equal(strncmp(err.text, "--raise: ", 9), 0);
    plan_free(plan);

    const char *text = "command: x\nmemory: 900Ti\n";
    assert_int_equal(plan_from_text("lab.yaml", text, strlen(text), &plan, &err), 0);
    assert_true(plan_check_machine(plan, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(strncmp(err.text, "lab.yaml:2:9: memory: the arm", 29), 0);
    plan_free(plan);

    options = (struct plan_options){.command = command, .memory = "8Mi", .cpu = "4000"};
    assert_int_equal(plan_new(&options, &plan, &err), 0);
    assert_true(plan_check_machine(plan, &err) < 0);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "4000 CPU cores"));
    plan_free(plan);

    options = (struct plan_options){.command = command, .memory = "8Mi"};
    assert_int_equal(plan_new(&options, &plan, &err), 0);
    assert_int_equal(plan_check_machine(plan, &err), 0);
    plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meminfo),
        cmocka_unit_test(test_cgroup_limits),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
