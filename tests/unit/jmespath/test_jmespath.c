/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "jmespath/jmespath.h"

#include <stdlib.h>
#include <string.h>

static int search(const char *document, const char *text, json_t **ret, struct error *err)
{
    struct jmespath *expression = NULL;
    json_t *json = json_loads(document, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    int r = jmespath_compile(text, &expression, err);
    if (r == 0)
        r = jmespath_search(expression, json, ret, err);
    jmespath_free(expression);
    json_decref(json);
    return r;
}

static void assert_result(const char *document, const char *text, const char *expected)
{
    struct error err = {0};
    json_t *result = NULL;
    if (search(document, text, &result, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    char *found = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
    if (strcmp(found, expected) != 0)
        fail_msg("%s is %s, not %s", text, found, expected);
    free(found);
    json_decref(result);
}

static void assert_refused(const char *text, const char *expected)
{
    struct error err = {0};
    json_t *result = NULL;
    if (search("{\"a\":[1,\"x\"],\"s\":\"t\"}", text, &result, &err) == 0)
        fail_msg("%s was taken", text);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (strncmp(err.text, expected, strlen(expected)) != 0)
        fail_msg("%s: '%s' does not begin with '%s'", text, err.text, expected);
}

/* What is typed after --query in the lab. */
static void test_as_with_az(void **state)
{
    (void)state;
    static const char revisions[] =
        "[{\"name\":\"a--1\",\"properties\":{\"active\":false,\"healthState\":\"Unhealthy\","
        "\"trafficWeight\":0}},"
        "{\"name\":\"a--2\",\"properties\":{\"active\":true,\"healthState\":\"Healthy\","
        "\"trafficWeight\":100}}]";
    assert_result(revisions, "[0].properties.healthState", "\"Unhealthy\"");
    assert_result(revisions, "[?properties.active].name | [0]", "\"a--2\"");
    assert_result(revisions, "[].{Name:name, Health:properties.healthState}",
                  "[{\"Name\":\"a--1\",\"Health\":\"Unhealthy\"},"
                  "{\"Name\":\"a--2\",\"Health\":\"Healthy\"}]");
    assert_result(revisions, "[?properties.trafficWeight > `0` && name != 'x'].[name]",
                  "[[\"a--2\"]]");
    assert_result(revisions, "sort_by(@, &properties.trafficWeight)[-1].name", "\"a--2\"");
    assert_result(revisions, "length([?properties.active == `true`])", "1");
    assert_result(revisions, "[?name > 'a--1'].name", "[\"a--2\"]");
    assert_result(revisions, "[::-1].name", "[\"a--2\",\"a--1\"]");
    assert_result(revisions, "missing.thing", "null");
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("a[", "syntax");
    assert_refused("a = 'b'", "syntax: '=' compares nothing (use '==') at column 3");
    assert_refused("", "syntax");
    assert_refused("a.'b'", "syntax");
    assert_refused("'unfinished", "syntax");
    assert_refused("a[1:2:0:3]", "syntax");
    assert_refused("-", "syntax: a number is missing after '-'");
    assert_refused("a[- 1]", "syntax: a number is missing after '-'");
    assert_refused("\"length\"(a)", "syntax");
    assert_refused("a[::0]", "invalid-value");
    assert_refused("group_by(a, &b)", "unknown-function: group_by()");
    assert_refused("length()", "invalid-arity: length() takes 1 argument, not 0");
    assert_refused("length(`1`)", "invalid-type: length(): argument 1 is a number");
    assert_refused("sort(a)", "invalid-type");
    assert_refused("sort_by(a, &@)", "invalid-type");
    assert_refused("sum(s)", "invalid-type: sum(): argument 1 is a string");
}

/* Neither a deep nor a long expression may exhaust the stack. */
static void test_depth(void **state)
{
    (void)state;
    char deep[4096];
    memset(deep, '(', sizeof(deep));
    deep[sizeof(deep) - 1] = '\0';
    assert_refused(deep, "syntax: the expression is nested too deeply");
    char *longest = malloc(200001);
    for (size_t i = 0; i < 200000; i += 2)
        memcpy(longest + i, "a.", 2);
    longest[200000] = '\0';
    assert_refused(longest, "syntax: the expression is too long");
    free(longest);
}

/* Each step doubles the result: 2^60 values by 60 short steps. */
static void test_doubling(void **state)
{
    (void)state;
    static const char *const STEPS[] = {"[@, @]",
                                        "[@, @][]",
                                        "join('', [@, @])",
                                        "[@, @][::1][]",
                                        "map(&[@, @], [@, @])",
                                        "[@, @] | [@ == @, @, @]"};
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        AUTO_BUFFER text = {0};
        buffer_printf(&text, "'0123456789abcdef'");
        for (size_t step = 0; step < 60; step++)
            buffer_printf(&text, " | %s", STEPS[i]);
        assert_refused(buffer_text(&text), "too-large: ");
    }
}

static void test_document_is_untouched(void **state)
{
    (void)state;
    struct error err = {0};
    json_t *document = json_loads("{\"b\":[3,1,2],\"o\":{\"x\":1}}", 0, NULL);
    json_t *copy = json_deep_copy(document);
    struct jmespath *expression = NULL;
    json_t *result = NULL;
    assert_int_equal(
        jmespath_compile("[sort(b), reverse(b), merge(o, {x: `2`}), b[]]", &expression, &err), 0);
    assert_int_equal(jmespath_search(expression, document, &result, &err), 0);
    assert_true(json_equal(document, copy));
    json_decref(result);
    json_decref(document);
    json_decref(copy);
    jmespath_free(expression);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_with_az),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_doubling),
        cmocka_unit_test(test_document_is_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
