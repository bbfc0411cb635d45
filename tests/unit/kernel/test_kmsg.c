/* SPDX-License-Identifier: Apache-2.0 */
/* The record format of /dev/kmsg, and whole recorded logs. */
#include "kernel/kmsg.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_record_plain(void **state)
{
    (void)state;
    struct kmsg_record record;
    assert_int_equal(
        kmsg_parse_record("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n", &record), 0);
    assert_int_equal(record.sequence, 339);
    assert_int_equal(record.boot_ns, INT64_C(5140900000));
    assert_true(record.from_kernel);
    assert_string_equal(record.text, "NET: Registered");
}

static void test_record_later_header_fields_are_ignored(void **state)
{
    (void)state;
    struct kmsg_record record;
    assert_int_equal(kmsg_parse_record("6,9,1,c,caller=T17,x=y;text; with, marks\n", &record), 0);
    assert_string_equal(record.text, "text; with, marks");
}

static void test_record_old_header_without_flags(void **state)
{
    (void)state;
    struct kmsg_record record;
    assert_int_equal(kmsg_parse_record("7,160,424069;pci_root PNP0A03:00\n", &record), 0);
    assert_string_equal(record.text, "pci_root PNP0A03:00");
}

static void test_record_from_user_space(void **state)
{
    (void)state;
    struct kmsg_record record;
    assert_int_equal(kmsg_parse_record("12,366,1849590378,-;oomlab marker\n", &record), 0);
    assert_false(record.from_kernel);
}

static void test_record_escapes(void **state)
{
    (void)state;
    struct kmsg_record record;
    assert_int_equal(kmsg_parse_record("6,1,1,-;a\\x0ab\\x5c\\xc3\\xA9\\x00\\xzz\\x4\n", &record),
                     0);
    assert_string_equal(record.text, "a\nb\\\xc3\xa9\\x00\\xzz\\x4");
}

static void test_record_is_cut_at_the_limit(void **state)
{
    (void)state;
    char raw[KMSG_TEXT_MAX * 2];
    memset(raw, 'x', sizeof(raw));
    memcpy(raw, "6,1,1,-;", 8);
    raw[sizeof(raw) - 1] = '\0';
    struct kmsg_record record;
    assert_int_equal(kmsg_parse_record(raw, &record), 0);
    assert_int_equal(strlen(record.text), KMSG_TEXT_MAX - 1);
}

static void test_record_malformed(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "",
        ";",
        "6",
        "6,",
        "6,1",
        "6,1,",
        "6,1,2",
        "6,1,2,-",
        "6,1,2,-\n;x",
        "x,1,2,-;y",
        "6,,2,-;y",
        "-6,1,2,-;y",
        "6,1,2x,-;y",
        "6,99999999999999999999999,2,-;y",
        "6,1,9223372036854775807,-;stamp does not fit in ns",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct kmsg_record record;
        if (kmsg_parse_record(broken[i], &record) != -EINVAL)
            fail_msg("accepted: '%s'", broken[i]);
    }
}

static FILE *open_fixture(const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/fixtures/kernel-log/%s", getenv("SOURCE_ROOT"), name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    return file;
}

struct counts {
    unsigned by_kind[KMSG_OOM_SELECTED + 1];
    unsigned foreign; /* records that did not come from the kernel */
    struct kmsg_oom last_summary, last_killed;
};

static void count_records(FILE *file, struct counts *counts)
{
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        struct kmsg_record record;
        struct kmsg_oom oom;
        assert_int_equal(kmsg_parse_record(line, &record), 0);
        counts->foreign += !record.from_kernel;
        counts->by_kind[kmsg_parse_oom(record.text, &oom)]++;
        if (oom.kind == KMSG_OOM_SUMMARY)
            counts->last_summary = oom;
        if (oom.kind == KMSG_OOM_KILLED)
            counts->last_killed = oom;
    }
}

static void test_recorded_v1(void **state)
{
    (void)state;
    AUTO_FCLOSE FILE *file = open_fixture("linux-6.18-cgroup-v1.kmsg");
    struct counts counts = {0};
    count_records(file, &counts);
    assert_int_equal(counts.by_kind[KMSG_OOM_INVOKED], 8);
    assert_int_equal(counts.by_kind[KMSG_OOM_SUMMARY], 8);
    assert_int_equal(counts.by_kind[KMSG_OOM_KILLED], 8);
    assert_int_equal(counts.by_kind[KMSG_OOM_GROUP], 0);
    assert_int_equal(counts.foreign, 1);
    assert_int_equal(counts.last_killed.pid, 15822);
    assert_string_equal(counts.last_killed.comm, "sub");
}

static void test_recorded_v2(void **state)
{
    (void)state;
    AUTO_FCLOSE FILE *file = open_fixture("linux-6.1-cgroup-v2.kmsg");
    struct counts counts = {0};
    count_records(file, &counts);
    assert_int_equal(counts.by_kind[KMSG_OOM_INVOKED], 2);
    assert_int_equal(counts.by_kind[KMSG_OOM_SUMMARY], 2);
    assert_int_equal(counts.by_kind[KMSG_OOM_KILLED], 3);
    assert_int_equal(counts.by_kind[KMSG_OOM_GROUP], 1);
    assert_string_equal(counts.last_summary.oom_memcg, "/oomlab-v2/in");
    assert_string_equal(counts.last_summary.task_memcg, "/oomlab-v2/in");
    assert_string_equal(counts.last_summary.comm, "gr oup");
}

/* What dmesg prints behind "[ stamp] ": it breaks names at a newline and leaves some bytes escaped.
 */
static void test_recorded_dmesg(void **state)
{
    (void)state;
    static const char *const names[] = {
        "python3", "a b,c", "(x)", ",task=z", ") score", "new", "esc\\x1b\xc3\xa9\\", "sub"};
    AUTO_FCLOSE FILE *file = open_fixture("linux-6.18-cgroup-v1.dmesg");
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    unsigned killed = 0;
    while (getline(&line, &size, file) > 0) {
        const char *text = strstr(line, "] ");
        struct kmsg_oom oom;
        if (!text || kmsg_parse_oom(text + 2, &oom) != KMSG_OOM_KILLED)
            continue;
        assert_int_equal(oom.scope, KMSG_SCOPE_MEMCG);
        assert_true(killed < sizeof(names) / sizeof(*names));
        assert_string_equal(oom.comm, names[killed++]);
    }
    assert_int_equal(killed, sizeof(names) / sizeof(*names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_plain),
        cmocka_unit_test(test_record_later_header_fields_are_ignored),
        cmocka_unit_test(test_record_old_header_without_flags),
        cmocka_unit_test(test_record_from_user_space),
        cmocka_unit_test(test_record_escapes),
        cmocka_unit_test(test_record_is_cut_at_the_limit),
        cmocka_unit_test(test_record_malformed),
        cmocka_unit_test(test_recorded_v1),
        cmocka_unit_test(test_recorded_v2),
        cmocka_unit_test(test_recorded_dmesg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
