/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/schema.h"

#include <stdio.h>
#include <string.h>

static json_t *json(const char *text)
{
    char copy[1024];
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *at = copy; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *parsed = json_loads(copy, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed);
    return parsed;
}

typedef int (*checker)(json_t *json, struct error *err);

static void assert_refused(checker check, const char *text, const char *expected)
{
    struct error err = {0};
    json_t *value = json(text);
    if (check(value, &err) == 0)
        fail_msg("%s was taken", text);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (!strstr(err.text, expected))
        fail_msg("'%s' does not hold '%s'", err.text, expected);
    json_decref(value);
}

/* What becomes of it, with its keys sorted. */
static void assert_taken(checker check, const char *text, const char *expected)
{
    struct error err = {0};
    json_t *value = json(text);
    json_t *wanted = json(expected);
    if (check(value, &err) != 0)
        fail_msg("%s was refused: %s", text, err.text);
    char *shown = json_dumps(value, JSON_COMPACT);
    if (!json_equal(value, wanted))
        fail_msg("%s became %s", text, shown);
    free(shown);
    json_decref(value);
    json_decref(wanted);
}

static void test_resources(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(schema_check_resource(NULL, &err), 0);
    assert_taken(schema_check_resource, "{}", "{}");
    assert_taken(schema_check_resource, "{'location':'x','tags':{'a':'b','c':null},'kind':1}",
                 "{'location':'x','tags':{'a':'b','c':null},'kind':1}");
    assert_taken(schema_check_resource, "{'properties':null,'tags':null}",
                 "{'tags':null}"); /* a PATCH takes them away with it */
    assert_refused(schema_check_resource, "{'propertes':{}}",
                   "Could not find member 'propertes'. Path: $.propertes");
    assert_refused(schema_check_resource, "[]", "an object. Path: $");
    assert_refused(schema_check_resource, "'x'", "an object. Path: $");
    assert_refused(schema_check_resource, "null", "an object. Path: $");
    assert_refused(schema_check_resource, "{'location':1}", "a string. Path: $.location");
    assert_refused(schema_check_resource, "{'tags':{'a':1}}", "a string. Path: $.tags['a']");
    assert_refused(schema_check_resource, "{'tags':[]}", "an object of strings. Path: $.tags");
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const container =
        "{'template':{'containers':[{'resources':{'cpu':%s}}],'scale':{'minReplicas':%s}}}";
    static const char *const taken[][3] = {
        {"0.25", "0.25", "1"}, {"'0.25'", "0.25", "1"}, {"'2.5e-1'", "0.25", "1"},
        {"'1'", "1.0", "1"},   {"1", "1", "1"},         {"null", "null", "null"},
    };
    static const char *const refused[] = {"''",      "'0,25'", "'nan'",   "'inf'",
                                          "'1e999'", "'0x1'",  "' 0.25'", "'0.25 '",
                                          "'1 2'",   "true",   "{}",      "'-'"};
    char text[256];
    char expected[256];
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        snprintf(text, sizeof(text), container, taken[i][0], taken[i][2]);
        snprintf(expected, sizeof(expected), container, taken[i][1], taken[i][2]);
        assert_taken(schema_check_app, text, expected);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(text, sizeof(text), container, refused[i], "1");
        assert_refused(schema_check_app, text,
                       "a number. Path: $.properties.template.containers[0].resources.cpu");
        snprintf(text, sizeof(text), container, "1", refused[i]);
        assert_refused(schema_check_app, text,
                       "a whole number. Path: $.properties.template.scale.minReplicas");
    }
    assert_refused(schema_check_app, "{'template':{'scale':{'minReplicas':'1.5'}}}",
                   "a whole number");
    assert_refused(schema_check_app, "{'template':{'scale':{'minReplicas':1.0}}}",
                   "a whole number");
    assert_refused(schema_check_app,
                   "{'template':{'scale':{'minReplicas':'99999999999999999999'}}}",
                   "a whole number");
}

/* What is misspelt is refused with its path; what clients send back of what they were shown goes.
 */
static void test_members(void **state)
{
    (void)state;
    static const char *const unknown[][2] = {
        {"{'foo':1}", "'foo'. Path: $.properties.foo"},
        {"{'template':{'scale':{'minReplica':1}}}", "Path: $.properties.template.scale.minReplica"},
        {"{'configuration':{'ingres':null}}", "Path: $.properties.configuration.ingres"},
        {"{'template':{'containers':[{'resources':{'Cpu':1}}]}}",
         "Path: $.properties.template.containers[0].resources.Cpu"},
        {"{'configuration':{'ingress':{'traffic':[{'percent':1}]}}}",
         "Path: $.properties.configuration.ingress.traffic[0].percent"},
    };
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_refused(schema_check_app, unknown[i][0], unknown[i][1]);
    assert_taken(schema_check_app,
                 "{'provisioningState':'Failed','runningStatus':5,'outboundIpAddresses':['x'],"
                 "'configuration':{'ingress':{'fqdn':'x','corsPolicy':null},'runtime':{'java':{}}},"
                 "'template':{'containers':[{'oomlab':{},'imageType':null,"
                 "'resources':{'cpu':1,'ephemeralStorage':'4Gi'}}]}}",
                 "{'configuration':{'ingress':{'corsPolicy':null},'runtime':{'java':{}}},"
                 "'template':{'containers':[{'imageType':null,'resources':{'cpu':1}}]}}");
}

static void test_nesting(void **state)
{
    (void)state;
    assert_taken(schema_check_app, "{'template':null,'configuration':{'ingress':null,'dapr':null}}",
                 "{'configuration':{'ingress':null}}");
    assert_refused(schema_check_app, "{'template':{'containers':[{},null]}}",
                   "an object. Path: $.properties.template.containers[1]");
    assert_refused(schema_check_app, "{'template':{'containers':[{'command':['a',5]}]}}",
                   "a string. Path: $.properties.template.containers[0].command[1]");
    assert_refused(schema_check_app,
                   "{'template':{'initContainers':[{'probes':[{'httpGet':{'httpHeaders':[{'name':"
                   "1}]}}]}]}}",
                   "Path: $.properties.template.initContainers[0].probes[0].httpGet.httpHeaders[0]"
                   ".name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
