/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/manifest.h"

#include <errno.h>

static void make_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool made_is_made(const char *name)
{
    return strcmp(name, "made") == 0;
}

static char *manifest_of(struct fixture *fixture)
{
    struct error err = {0};
    if (manifest_write(fixture->directory, NULL, made_is_made, &err) < 0)
        fail_msg("%s", err.text);
    return fixture_read(fixture, MANIFEST_FILE);
}

/* The sums are those of sha256sum(1): FIPS 180-4's "abc", and of nothing. */
static void test_sums_and_order(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/heap", fixture->directory);
    mkdir(path, 0700);
    make_file(fixture, "z", "abc");
    make_file(fixture, "heap/a", "");
    make_file(fixture, "evidence.db-wal", "passing");
    char *manifest = manifest_of(fixture);
    assert_string_equal(manifest,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  heap/a\n"
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  z\n");
    free(manifest);
    manifest = manifest_of(fixture); /* it does not list itself the second time */
    assert_lacks(manifest, MANIFEST_FILE);
    free(manifest);
}

static void test_hostile_names_are_checked_by_sha256sum(void **state)
{
    struct fixture *fixture = *state;
    char command[256];
    make_file(fixture, "new\nline", "1");
    make_file(fixture, "back\\slash", "2");
    make_file(fixture, " blank \xFF", "3");
    free(manifest_of(fixture));
    snprintf(command, sizeof(command), "cd %s && sha256sum --strict --quiet -c MANIFEST.sha256",
             fixture->directory);
    assert_int_equal(system(command), 0);
    make_file(fixture, "new\nline", "changed");
    strcat(command, " >/dev/null 2>&1");
    assert_int_not_equal(system(command), 0);
}

static size_t differences(const struct fixture *fixture)
{
    struct error err = {0};
    json_t *differ = NULL;
    bool found = false;
    size_t files = 0;
    assert_int_equal(manifest_verify(fixture->directory, &found, &files, &differ, &err), 0);
    assert_true(found);
    size_t count = json_array_size(differ);
    json_decref(differ);
    return count;
}

/* What was altered, or removed, after it was recorded stays so, whatever is made again. */
static void test_a_second_manifest_vouches_for_no_change(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    make_file(fixture, "evidence", "1");
    make_file(fixture, "gone\\ \xFF", "2");
    make_file(fixture, "made", "3");
    free(manifest_of(fixture));
    assert_int_equal(differences(fixture), 0);
    make_file(fixture, "evidence", "forged");
    snprintf(path, sizeof(path), "%s/gone\\ \xFF", fixture->directory);
    assert_int_equal(unlink(path), 0);
    make_file(fixture, "made", "again");
    make_file(fixture, "new", "4");
    assert_int_equal(differences(fixture), 4);
    free(manifest_of(fixture));
    assert_int_equal(differences(fixture), 2);
}

/* A sum from the thread stands where that of the file would. */
static void test_a_sum_that_was_begun_early(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct manifest_early *early = NULL;
    make_file(fixture, "a", "abc");
    make_file(fixture, "b", "");
    char *plain = manifest_of(fixture);
    assert_int_equal(manifest_begin(fixture->directory, "a", &early, &err), 0);
    assert_int_equal(manifest_write(fixture->directory, early, made_is_made, &err), 0);
    char *manifest = fixture_read(fixture, MANIFEST_FILE);
    assert_string_equal(manifest, plain);
    manifest_early_free(early);
    free(manifest);
    free(plain);
}

/* Whatever the thread met is the manifest's error; a sum that nobody asks for is none. */
static void test_an_early_sum_that_fails(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct manifest_early *early = NULL;
    assert_int_equal(manifest_begin(fixture->directory, "late", &early, &err), 0);
    assert_int_equal(manifest_write(fixture->directory, early, made_is_made, &err), 0);
    make_file(fixture, "late", "abc");
    assert_int_equal(manifest_write(fixture->directory, early, made_is_made, &err), -ENOENT);
    assert_contains(err.text, "late");
    manifest_early_free(early);
    assert_int_equal(manifest_begin("/nonexistent/oomlab", "a", &early, &err), -ENOENT);
}

static void test_links_are_not_followed(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/link", fixture->directory);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    char *manifest = manifest_of(fixture);
    assert_string_equal(manifest, "");
    free(manifest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sums_and_order),
        TEST(test_hostile_names_are_checked_by_sha256sum),
        TEST(test_a_second_manifest_vouches_for_no_change),
        TEST(test_a_sum_that_was_begun_early),
        TEST(test_an_early_sum_that_fails),
        TEST(test_links_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
