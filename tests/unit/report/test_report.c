/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/document.h"
#include "report/report.h"

static const char *const SECTIONS[] = {"Question",
                                       "Setup",
                                       "Hypothesis",
                                       "Prediction",
                                       "Experiment",
                                       "Execution",
                                       "Observation",
                                       "Measurement",
                                       "Analysis",
                                       "Conclusion",
                                       "Falsification",
                                       "Evidence",
                                       "Solution",
                                       "Prevention",
                                       "Takeaway",
                                       "Support takeaway",
                                       "Limits of the method",
                                       "Reproduce it",
                                       "Clean up"};
#define SECTION_COUNT (sizeof(SECTIONS) / sizeof(SECTIONS[0]))

static char *read_prose(struct fixture *fixture, const char *name)
{
    return fixture_as_prose(fixture_read(fixture, name));
}

static const char *const FILES[] = {"result.json", "events.ndjson", "configuration.json",
                                    "report.md",   "report.html",   "MANIFEST.sha256"};

static void write_all(struct fixture *fixture)
{
    struct error err = {0};
    if (report_write_all(fixture->store, fixture->directory, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

/* Blank out what is quoted literally, where foreign lines may look like anything: fenced blocks,
 * and the kernel's own "nodemask=(null)". */
static void blank_quoted(char *markdown)
{
    bool fenced = false;
    for (char *line = markdown; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        bool fence = strncmp(line, "```", 3) == 0;
        if (fenced && !fence)
            memset(line, ' ', strcspn(line, "\n"));
        fenced = fenced != fence;
    }
}

static void blank_nodemask(char *text)
{
    for (char *at = strstr(text, "nodemask=(null)"); at; at = strstr(at, "nodemask=(null)"))
        memset(at, ' ', strlen("nodemask=(null)"));
}

/* Exactly the sections of the contract, in order. */
static void assert_sections(const char *markdown)
{
    size_t found = 0;
    for (const char *at = strstr(markdown, "\n## "); at; at = strstr(at + 1, "\n## ")) {
        assert_true(found < SECTION_COUNT);
        size_t length = strlen(SECTIONS[found]);
        assert_memory_equal(at + 4, SECTIONS[found], length);
        assert_int_equal(at[4 + length], '\n');
        found++;
    }
    assert_int_equal(found, SECTION_COUNT);
}

static void test_every_kind_of_run_has_every_section(void **state)
{
    struct fixture *fixture = *state;
    for (enum run_kind kind = 0; kind < RUN_KINDS; kind++) {
        fixture_run(fixture, kind);
        write_all(fixture);
        char *markdown = read_prose(fixture, "report.md");
        char *html = fixture_read(fixture, "report.html");
        blank_nodemask(html);
        blank_quoted(markdown);
        assert_sections(markdown);
        assert_lacks(markdown, "(null)");
        assert_lacks(markdown, "nan");
        assert_lacks(html, "(null)");
        assert_lacks(html, ">nan");
        assert_lacks(html, "\"nan");
        assert_true(strlen(html) < 1000000);
        for (const char *at = html; *at; at++)
            assert_true((unsigned char)*at >= 0x20 || *at == '\n');
        free(markdown);
        free(html);
        fixture_clear(fixture);
    }
}

static void execute(struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    char path[128];
    snprintf(path, sizeof(path), "%s/evidence.db", fixture->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_what_else_happened_is_told(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    execute(fixture,
            "UPDATE run SET lab_json = '{\"port\": 8080, \"ready\": {\"kind\": \"http\","
            " \"path\": \"/healthz\"}}';"
            "UPDATE lifetime SET ready_ns = NULL WHERE arm_id = 1;"
            "UPDATE lifetime_end SET cause = 'exited';"
            "INSERT INTO event (arm_id, at_ns, type, msg, reason, event_source, count) VALUES"
            " (1, 1, 'Warning', 'Container x failed liveness probe, will be restarted',"
            "  'ProbeFailed', 'x', 2),"
            " (1, 2, 'Warning', 'A child process of container ''x'' was killed by the OOM killer:"
            " sort (pid 7)', 'OOMKilledChild', 'x', 1),"
            " (1, 3, 'Warning', 'The console log of replica ''x'' lacks its last 5 bytes',"
            "  'ConsoleLogTruncated', 'x', 1),"
            " (1, 4, 'Warning', 'Probe of Readiness failed with status code: 503', 'ProbeFailed',"
            "  'x', 1);"
            "UPDATE lifetime_end SET platform_kill = 'stop', cause = 'killed-by-platform',"
            " wait_code = 2, wait_status = 9 WHERE lifetime_id ="
            " (SELECT max(id) FROM lifetime WHERE arm_id = 1);"
            "UPDATE request SET status = 0, error = 'too many in flight' WHERE arm_id = 1 AND"
            " seq = 0");
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "### What else happened");
    assert_contains(markdown, "became ready; what was asked for: HTTP /healthz on port 8080. Probe "
                              "of Readiness failed with status code: 503");
    assert_contains(markdown, "the liveness probe failed and the container was restarted for it "
                              "2 times");
    assert_contains(markdown, "killed by the OOM killer: sort (pid 7)");
    assert_contains(markdown, "lacks its last 5 bytes");
    assert_contains(markdown, "SIGTERM did not end it within its grace");
    assert_contains(markdown, "### What the requests met");
    assert_contains(markdown, "the load generator gave up on 1 requests (too many in flight)");
    free(markdown);
}

/* Of an arm that was planned and has no row. */
static void test_arms_that_were_not_run_are_told(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    execute(fixture, "UPDATE run SET exit_status = 3, lab_json = '{\"scenarios\": [{\"name\": "
                     "\"service\", \"arms\": [{\"name\": \"trigger\"}, {\"name\": \"later\"}]}]}';"
                     "UPDATE arm SET scenario = 'service', name = 'trigger' WHERE id = 1;"
                     "UPDATE lifetime_end SET cause = 'exited'");
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "`service/later` was not run: the kernel killed nothing in the "
                              "trigger");
    assert_lacks(markdown, "`service/trigger` was not run");
    free(markdown);
    execute(fixture, "UPDATE lifetime_end SET cause = 'runtime-out-of-memory'");
    write_all(fixture);
    markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "`service/later` was not run: the runtime's own limit ended");
    free(markdown);
}

/* The counter knows of all of them, the events of those whose lines were seen. */
static void test_killed_children_are_counted_by_the_kernel(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    execute(fixture, "INSERT INTO event (arm_id, at_ns, type, msg, reason, event_source, count) "
                     "VALUES (1, 2, 'Warning', 'A child process: sort (pid 7)', "
                     "'OOMKilledChild', 'x', 2);"
                     "UPDATE lifetime_end SET cause = 'exited', oom_kill_start = 1,"
                     " oom_kill_end = 1, oom_group_kill_start = 0, oom_group_kill_end = 0;"
                     "UPDATE lifetime_end SET oom_kill_end = 258 WHERE lifetime_id ="
                     " (SELECT min(id) FROM lifetime WHERE arm_id = 1)");
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "257 child processes were killed for memory while the container went "
                              "on; one of the lines about that: A child process: sort (pid 7)");
    assert_contains(markdown, "The kernel killed 257 child processes for memory");
    free(markdown);
}

/* Not all of them in each arm. */
static void test_kills_of_all_arms_are_a_sum(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    execute(fixture, "UPDATE lifetime_end SET cause = 'oom-container-limit'");
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, " arms together");
    assert_lacks(markdown, "in each of");
    free(markdown);
}

/* What a service's gates check was taken from its trigger. */
static void test_gates_of_a_service_commit_nobody(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "This lab commits itself to the following");
    assert_contains(markdown, "**All gates hold:** 5 of 5.");
    free(markdown);
    execute(fixture, "UPDATE arm SET scenario = 'service'");
    write_all(fixture);
    markdown = read_prose(fixture, "report.md");
    assert_lacks(markdown, "commits itself");
    assert_contains(markdown, "These gates follow from what its trigger showed");
    free(markdown);
}

static void test_nothing_else_happened(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_lacks(markdown, "What else happened");
    free(markdown);
}

/* Every table stands in a box that scrolls, and the box shows that there is more. */
static void test_wide_tables_scroll(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    char *html = fixture_read(fixture, "report.html");
    size_t tables = 0;
    for (const char *at = html; (at = strstr(at, "<table>")); at++, tables++)
        assert_int_equal(strncmp(at - 2, "\">", 2), 0);
    assert_true(tables > 5);
    size_t named = 0;
    for (const char *at = html;
         (at = strstr(at, "<div class=\"wide\" tabindex=\"0\" role=\"region\" "
                          "aria-label=\"Table "));
         at++, named++)
        continue;
    assert_int_equal(named, tables);
    assert_contains(html, ".wide { overflow-x: auto;");
    assert_contains(html, "100% no-repeat local");
    free(html);
}

/* "80 %" in two lines is hard to read; a command stays what can be typed. */
static void test_numbers_and_units_stay_together(void **state)
{
    struct fixture *fixture = *state;
    static const char *const files[] = {"report.md", "report.html"};
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    for (size_t i = 0; i < 2; i++) {
        char *text = fixture_read(fixture, files[i]);
        assert_contains(text, "10" DOCUMENT_NO_BREAK_SPACE "s became");
        assert_contains(text, "98" DOCUMENT_NO_BREAK_SPACE "%");
        assert_contains(text, "14 kills for memory");
        free(text);
    }
    static const char code[] = "8 samples";
    assert_false(document_is_bound(code, code + 1));
}

static void test_same_evidence_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char *before[5];
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    for (size_t i = 0; i < 5; i++)
        before[i] = fixture_read(fixture, FILES[i]);
    store_close(fixture->store);
    assert_int_equal(store_open(fixture->directory, &fixture->store, &err), 0);
    write_all(fixture);
    for (size_t i = 0; i < 5; i++) {
        char *after = fixture_read(fixture, FILES[i]);
        assert_string_equal(before[i], after);
        free(before[i]);
        free(after);
    }
}

/* After closing the store the checksums still hold: the file had been sealed before. */
static void test_manifest_holds(void **state)
{
    struct fixture *fixture = *state;
    char command[256];
    fixture_run(fixture, RUN_SERVICE);
    write_all(fixture);
    store_close(fixture->store);
    fixture->store = NULL;
    char *manifest = fixture_read(fixture, "MANIFEST.sha256");
    assert_contains(manifest, "  evidence.db\n");
    assert_contains(manifest, "  console-ca-oom--r1-6d8f-x2x.log\n");
    assert_contains(manifest, "  report.html\n");
    assert_lacks(manifest, "MANIFEST");
    assert_lacks(manifest, "-wal");
    free(manifest);
    snprintf(command, sizeof(command), "cd %s && sha256sum --strict --quiet -c MANIFEST.sha256",
             fixture->directory);
    assert_int_equal(system(command), 0);
}

static void test_lab_report(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "128 + 9");
    assert_contains(markdown, "14 kills for memory in 5 of 11 arms, proven by the kernel");
    assert_contains(markdown, "5 of 5 gates hold. **PASS**");
    assert_contains(markdown, "Restart delays are scaled.");
    assert_contains(markdown, "10 s became 500 ms");
    assert_contains(markdown, "| 110.2 to 140.9 | 126 | **holds**");
    assert_contains(markdown, "| not killed | killed | **refuted**");
    assert_contains(markdown, "the failure came back (3 kills)");
    assert_contains(markdown, "No memory size is suggested: no size is enough for a leak.");
    assert_contains(markdown, "CrashLoopBackOff then never shows");
    assert_contains(markdown, "limit [E12] (Measured)");
    free(markdown);
}

static void test_service_report_admits_what_was_not_done(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "Not done: no arm of this run took a cure back");
    assert_contains(markdown, "No fix was tried in this run.");
    assert_contains(markdown, "nothing was expected of this service beforehand");
    free(markdown);
}

static void test_interrupted_report_says_so(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_INTERRUPTED);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "This run was interrupted");
    assert_contains(markdown, "The run took not measured");
    assert_contains(markdown, "1 of 4 processes is not on record");
    free(markdown);
}

static void test_hostile_text_stays_text(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_HOSTILE);
    write_all(fixture);
    char *html = fixture_read(fixture, "report.html");
    char *markdown = read_prose(fixture, "report.md");
    assert_lacks(html, "<img");
    assert_lacks(html, "<script");
    assert_lacks(html, "</script");
    assert_contains(html, "&lt;/script&gt;");
    blank_quoted(markdown);
    assert_lacks(markdown, "\n# h");
    assert_contains(markdown, "\\<img src=x onerror=alert(1)> \\| \\`a\\`"); /* in a table */
    assert_lacks(markdown, "\033");
    free(html);
    free(markdown);
}

/* Two stacks of the first process, which the arm's and the run's verdict name; names are foreign.
 */
static void add_profile(struct fixture *fixture)
{
    execute(
        fixture,
        "INSERT INTO heap_stack (id, lifetime_id, rank, kind, bytes, low_bytes, high_bytes,"
        " objects, share, bytes_per_request, bytes_per_cycle, function, file, line, caller,"
        " frames) VALUES (7, 1, 1, 'malloc', 104857600, 94371840, 115343360, 25600, 0.5, 3145728,"
        " 188743680, 'cache_put<img src=x>', 'store.c', 88, 'handle_order', '[]'),"
        " (8, 1, 2, 'mmap', 4096, 0, 9000, 1, NULL, NULL, NULL, 'libx.so+0x12', NULL, NULL,"
        " NULL, '[]');"
        "INSERT INTO heap_profile (lifetime_id, rate_bytes, samples, dropped, total_bytes,"
        " memory_bytes, stacks, folded, leading_stack, moment, leading_of, share, level, sentence)"
        " VALUES (1, 65536, 1600, 1, 104861696, 209715200, 2,"
        " 'main;handle_order;cache_put<img src=x> 104857600' || char(10) ||"
        " 'main;libx.so+0x12 4096' || char(10), 7, 'end', 'growth', 0.94, 'Correlated',"
        " '94 % of the growth is cache_put<img src=x> at store.c:88, called from handle_order"
        " (Correlated).');"
        "INSERT INTO evidence (id, level, statement, arm_id, source_table, source_row) VALUES"
        " ('E90', 'Correlated', 'the heap profile', 1, 'heap_stack', '7');"
        "UPDATE verdict SET because = '[\"E1\",\"E90\"]' WHERE arm_id IS NULL OR arm_id = 1");
}

static void test_which_code_kept_it(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    add_profile(fixture);
    write_all(fixture);
    char *result = fixture_read(fixture, "result.json");
    char *markdown = read_prose(fixture, "report.md");
    char *html = fixture_read(fixture, "report.html");
    assert_contains(result, "\"called_from\": \"handle_order\"");
    assert_contains(markdown, "### Which code kept the memory");
    assert_contains(markdown, "- `service/trigger`, process 1: 94 % of the growth is "
                              "cache\\_put\\<img src=x> at store.c:88");
    assert_contains(markdown, "explains 100.0 MiB of 200.0 MiB of anonymous and shared memory");
    assert_contains(markdown, "1600 samples of one in 64.0 KiB where memory stays; 1 was dropped.");
    assert_contains(markdown,
                    "| `cache_put<img src=x>` at store.c:88 | `handle_order` | malloc | "
                    "+3.0 MiB | +180.0 MiB | 100.0 MiB (90.0 MiB to 110.0 MiB) | 50.0 % |");
    assert_contains(markdown, "| `libx.so+0x12` | - | mmap | not known | not known | 4.0 KiB "
                              "(0 B to 8.8 KiB) | not known |");
    assert_contains(html, "<title>cache_put&#60;img src=x&#62;: 100.0 MiB, 100.0 %");
    assert_lacks(html, "<img");
    free(result);
    free(markdown);
    free(html);
}

static void test_without_a_profile_nothing_is_said_of_code(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_SERVICE);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    char *result = fixture_read(fixture, "result.json");
    assert_lacks(markdown, "Which code kept");
    assert_lacks(result, "leading_stack");
    free(markdown);
    free(result);
}

/* A container that lived for more than ten minutes (in scaled time) before its kill. */
static void test_reset_backoff_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *store = fixture_run(fixture, RUN_SERVICE);
    assert_int_equal(store_update(store, "lifetime", &(struct store_value)STORE_INT("id", 1),
                                  (struct store_value[]){
                                      STORE_INT("started_ns", -INT64_C(40000000000)), STORE_END},
                                  &err),
                     0);
    write_all(fixture);
    char *markdown = read_prose(fixture, "report.md");
    assert_contains(markdown, "CrashLoopBackOff hides here.");
    assert_contains(markdown, "10 minutes (30.00 s in this run's time)");
    free(markdown);
}

static void test_events(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, RUN_LAB);
    write_all(fixture);
    char *events = fixture_read(fixture, "events.ndjson");
    json_t *first = json_loads(events, JSON_DISABLE_EOF_CHECK, NULL);
    assert_int_equal(json_object_size(first), 9); /* Azure's fields alone */
    assert_string_equal(json_string_value(json_object_get(first, "TimeStamp")),
                        "2026-11-22T13:01:59.373456Z");
    assert_string_equal(json_string_value(json_object_get(first, "Reason")), "ContainerStarted");
    json_decref(first);
    assert_contains(events,
                    "\"Count\":1,\"oomlab\":{\"cause\":\"oom-container-limit\",\"oom_kill\":1}}\n");
    free(events);
}

static void test_unwritable_directory(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    fixture_run(fixture, RUN_EMPTY);
    assert_true(report_write_all(fixture->store, "/nonexistent/oomlab", NULL, &err) < 0);
    assert_contains(err.text, "/nonexistent/oomlab");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind_of_run_has_every_section),
        TEST(test_what_else_happened_is_told),
        TEST(test_arms_that_were_not_run_are_told),
        TEST(test_killed_children_are_counted_by_the_kernel),
        TEST(test_kills_of_all_arms_are_a_sum),
        TEST(test_gates_of_a_service_commit_nobody),
        TEST(test_nothing_else_happened),
        TEST(test_wide_tables_scroll),
        TEST(test_numbers_and_units_stay_together),
        TEST(test_same_evidence_same_bytes),
        TEST(test_manifest_holds),
        TEST(test_lab_report),
        TEST(test_service_report_admits_what_was_not_done),
        TEST(test_interrupted_report_says_so),
        TEST(test_hostile_text_stays_text),
        TEST(test_which_code_kept_it),
        TEST(test_without_a_profile_nothing_is_said_of_code),
        TEST(test_reset_backoff_is_told),
        TEST(test_events),
        TEST(test_unwritable_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
