/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/reference.h"

#include <limits.h>
#include <string.h>

static void assert_parsed(const char *text, bool archive, const char *path, const char *tag)
{
    struct image_reference reference;
    struct error err = {0};
    assert_true(image_is_reference(text));
    if (image_reference_parse(text, &reference, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(reference.archive, archive);
    assert_string_equal(reference.path, path);
    if (tag)
        assert_string_equal(reference.tag, tag);
    else
        assert_null(reference.tag);
    image_reference_done(&reference);
    assert_null(reference.path);
}

static void test_parse(void **state)
{
    (void)state;
    assert_parsed("oci:/images/app", false, "/images/app", NULL);
    assert_parsed("oci:/images/app:v1.2", false, "/images/app", "v1.2");
    assert_parsed("oci:/a:docker.io/library/app:v1@x", false, "/a", "docker.io/library/app:v1@x");
    assert_parsed("oci-archive:/images/app.tar", true, "/images/app.tar", NULL);
    assert_parsed("oci-archive:/images/app.tar:v1", true, "/images/app.tar", "v1");
    assert_parsed("oci:/with space/..hidden/a..b", false, "/with space/..hidden/a..b", NULL);
}

static void test_refuse(void **state)
{
    static const char *const texts[] = {
        "oci:",     "oci:a",    "oci:/a/",    "oci:/a//b", "oci:/./a",     "oci:/a/..",
        "oci:/../", "oci:/a:",  "oci:/a:b c", "oci:/a:\n", "oci-archive:", "oci-archive:x.tar",
        "oci:/",    "oci::tag",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct image_reference reference = {0};
        struct error err = {0};
        if (image_reference_parse(texts[i], &reference, &err) == 0)
            fail_msg("'%s' was taken", texts[i]);
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_null(reference.path);
    }
    assert_false(image_is_reference("ocidir:/a"));
    assert_false(image_is_reference("docker-archive:/a"));
}

static void test_long(void **state)
{
    char path[PATH_MAX + 16];
    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[PATH_MAX - 1] = '\0';
    assert_true(image_path_is_plain(path));
    path[PATH_MAX - 1] = 'a';
    path[PATH_MAX] = '\0';
    assert_false(image_path_is_plain(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
