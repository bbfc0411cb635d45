/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/template.h"
#include "base/duration.h"
#include "base/size.h"

#include <string.h>

static const char CONTAINER[] = "{'template':{'containers':[{'name':'c','image':'host','command':"
                                "['/bin/true'],'resources':{'cpu':0.25,'memory':'0.5Gi'}}]}}";

static json_t *json(const char *text)
{
    char copy[2048];
    json_t *parsed = NULL;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *at = copy; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    parsed = json_loads(copy, 0, NULL);
    assert_non_null(parsed);
    return parsed;
}

static int check_size(double cpu, const char *memory, bool any_size)
{
    const struct template_options options = {.any_size = any_size};
    struct error err = {0};
    const char *code = NULL;
    json_t *properties = json(CONTAINER);
    json_t *container = template_container(json_object_get(properties, "template"));
    json_object_set_new(container, "resources",
                        json_pack("{s:f, s:s}", "cpu", cpu, "memory", memory));
    int r = template_check(properties, &options, &code, &err);
    if (r < 0) {
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_string_equal(code, "ContainerAppInvalidResourceTotal");
        assert_non_null(strstr(err.text, "[cpu: 0.25, memory: 0.5Gi]; [cpu: 0.5, memory: 1.0Gi]"));
    }
    json_decref(properties);
    return r;
}

/* The Consumption plan: a quarter of a core and half a GiB, and multiples of that up to 4 cores. */
static void test_pairs(void **state)
{
    (void)state;
    for (int i = 1; i <= 16; i++) {
        char memory[32];
        snprintf(memory, sizeof(memory), "%gGi", i * 0.5);
        assert_int_equal(check_size(i * 0.25, memory, false), 0);
        snprintf(memory, sizeof(memory), "%gGi", i * 0.5 + 0.5);
        assert_true(check_size(i * 0.25, memory, false) < 0);
    }
    assert_int_equal(check_size(0.25, "512Mi", false), 0);
    assert_true(check_size(4.25, "8.5Gi", false) < 0);
    assert_true(check_size(0.3, "0.6Gi", false) < 0);
    assert_true(check_size(0, "0Gi", false) < 0);
    assert_true(check_size(0.25, "many", false) < 0);
    assert_int_equal(check_size(0.1, "64Mi", true), 0);
    assert_true(check_size(0.1, "0", true) < 0);
}

static void assert_refused(const char *properties_text, const char *expected)
{
    const struct template_options options = {0};
    struct error err = {0};
    const char *code = NULL;
    json_t *properties = json(properties_text);
    if (template_check(properties, &options, &code, &err) == 0)
        fail_msg("%s was taken", properties_text);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (!strstr(err.text, expected))
        fail_msg("'%s' does not hold '%s'", err.text, expected);
    json_decref(properties);
}

static void test_what_is_not_supported_is_named(void **state)
{
    (void)state;
    assert_refused("{}", "properties.template is missing");
    assert_refused("{'template':{}}", "must hold one container, not 0");
    assert_refused("{'template':{'containers':[{},{}]}}", "side cars");
    assert_refused("{'template':{'containers':[{'image':'nginx'}]}}", "nothing is pulled");
    assert_refused("{'template':{'containers':[{'image':'host'}]}}", "give a command");
    assert_refused("{'template':{'containers':[{'image':'host','command':'x'}]}}",
                   "command must be an array");
    assert_refused("{'template':{'containers':[{'image':'host','command':['x'],'env':[{'name':"
                   "'A','secretRef':'s'}]}]}}",
                   "secretRef is not supported");
    assert_refused("{'template':{'containers':[{'image':'host','command':['x'],'env':[{'name':"
                   "'A=B','value':'s'}]}]}}",
                   "env[0]");
    assert_refused("{'template':{'initContainers':[{}],'containers':[{'image':'host','command':"
                   "['x']}]}}",
                   "initContainers");
    assert_refused("{'configuration':{'ingress':{'targetPort':70000}},'template':{'containers':"
                   "[{'image':'host','command':['x']}]}}",
                   "targetPort");
    assert_refused("{'template':{'scale':{'minReplicas':3,'maxReplicas':2},'containers':"
                   "[{'image':'host','command':['x']}]}}",
                   "minReplicas");
    assert_refused("{'configuration':{'ingress':{'targetPort':80}},'template':{'containers':"
                   "[{'image':'host','command':['x'],'probes':[{'type':'Liveness','httpGet':"
                   "{'path':'/','port':81}}]}]}}",
                   "port 81 is not the ingress's target port");
}

static void test_making(void **state)
{
    (void)state;
    const struct template_options options = {.backoff = {.first_ns = 7}};
    struct error err = {0};
    struct app_template *made = NULL;
    json_t *template =
        json("{'containers':[{'image':'builtin/leaky','args':['--mode','leak'],'env':[{'name':'A',"
             "'value':'1 2'},{'name':'B'}],'resources':{'cpu':0.5,'memory':'1Gi'},'probes':["
             "{'type':'Liveness','httpGet':{'path':'/health','port':80},'periodSeconds':5,"
             "'failureThreshold':2},{'type':'readiness','tcpSocket':{'port':80},"
             "'successThreshold':3,'initialDelaySeconds':7,'timeoutSeconds':9}]}],'scale':"
             "{'minReplicas':2,'maxReplicas':5}}");
    json_t *configuration = json("{'ingress':{'targetPort':80}}");
    assert_int_equal(
        template_new("app", "s1", template, configuration, 4711, &options, NULL, &made, &err), 0);
    const struct revision_template *t = &made->revision;
    assert_string_equal(t->app, "app");
    assert_string_equal(t->suffix, "s1");
    assert_string_equal(t->command[1], "workload");
    assert_string_equal(t->command[3], "leak");
    assert_null(t->command[4]);
    assert_string_equal(t->env[0], "A=1 2");
    assert_string_equal(t->env[1], "B=");
    assert_null(t->env[2]);
    assert_int_equal(t->memory_bytes, GIB);
    assert_int_equal(t->port, 4711);
    assert_int_equal(t->backoff.first_ns, 7);
    assert_int_equal(t->readiness.kind, READY_TCP);
    assert_int_equal(t->liveness.kind, READY_HTTP);
    assert_string_equal(t->liveness.path, "/health");
    assert_int_equal(t->liveness.period_ns, 5 * NS_PER_S);
    assert_int_equal(t->liveness.failure_threshold, 2);
    assert_int_equal(t->readiness.success_threshold, 3);
    assert_int_equal(t->readiness.failure_threshold, 3);
    assert_int_equal(t->readiness.period_ns, 10 * NS_PER_S);
    assert_int_equal(t->readiness.initial_delay_ns, 7 * NS_PER_S);
    assert_int_equal(t->readiness.timeout_ns, 9 * NS_PER_S);
    assert_int_equal(t->stop_grace_ns, 30 * NS_PER_S);
    assert_int_equal(t->startup.kind, READY_NONE);
    assert_int_equal(made->replicas, 2);
    assert_int_equal(made->replicas_max, 5);
    template_free(made);
    json_decref(template);
    json_decref(configuration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_what_is_not_supported_is_named),
        cmocka_unit_test(test_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
