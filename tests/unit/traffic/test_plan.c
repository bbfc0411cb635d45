/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/file.h"
#include "traffic/traffic.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct traffic_request kinds[] = {
    {.method = "GET", .path = "/work", .weight = 3},
    {.method = "POST", .path = "/items", .body = "{\"a\":1}", .body_bytes = 7, .weight = 1},
    {.method = "GET", .path = "/leak?bytes=4096", .weight = 0.5},
};

static struct traffic_spec make_spec(enum traffic_arrival arrival)
{
    return (struct traffic_spec){
        .requests = kinds,
        .request_count = 3,
        .cycles = 4,
        .per_cycle = 90,
        .rate_per_s = 30,
        .arrival = arrival,
        .idle_ns = 2 * NS_PER_S,
        .gap_ns = 500 * NS_PER_MS,
        .cooldown_ns = NS_PER_S,
        .seed = 7,
    };
}

static void free_plan(struct traffic_plan **plan)
{
    traffic_plan_free(*plan);
}
#define AUTO_PLAN CLEANUP(free_plan) struct traffic_plan

static struct traffic_plan *make_plan(const struct traffic_spec *spec)
{
    struct traffic_plan *plan = NULL;
    struct error err = {0};
    if (traffic_plan_new(spec, &plan, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static char *plan_text(const struct traffic_spec *spec)
{
    AUTO_PLAN *plan = make_plan(spec);
    char *text = traffic_plan_text(plan);
    assert_non_null(text);
    return text;
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_POISSON);
    AUTO_FREE char *first = plan_text(&spec);
    AUTO_FREE char *second = plan_text(&spec);
    assert_string_equal(first, second);
    spec.seed = 8;
    AUTO_FREE char *other = plan_text(&spec);
    assert_string_not_equal(first, other);
}

/* These digests hold on every machine: a change of them breaks the comparison of stored runs. */
static void test_sequence_never_changes(void **state)
{
    (void)state;
    static const char *const digests[] = {
        [TRAFFIC_UNIFORM] = "b607cb873481adb628ecd094d90dff94dd8c3d08e38f7964aec35d2b4263eb61",
        [TRAFFIC_POISSON] = "94049db0785f14c84648b82e9e4770d6db843769ba052e19bedeb6d06e5775ee",
    };
    for (enum traffic_arrival arrival = TRAFFIC_UNIFORM; arrival <= TRAFFIC_POISSON; arrival++) {
        struct traffic_spec spec = make_spec(arrival);
        AUTO_FREE char *text = plan_text(&spec);
        char digest[SHA256_TEXT_MAX];
        sha256_hex(text, strlen(text), digest);
        assert_string_equal(digest, digests[arrival]);
    }
}

static void test_cycles_are_identical(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_POISSON);
    AUTO_PLAN *plan = make_plan(&spec);
    assert_int_equal(traffic_plan_requests(plan), 360);
    for (size_t i = 0; i < 360; i++) {
        struct traffic_planned first = traffic_plan_at(plan, i % 90);
        struct traffic_planned planned = traffic_plan_at(plan, i);
        assert_int_equal(planned.cycle, i / 90 + 1);
        assert_int_equal(planned.kind, first.kind);
        int64_t shift_ns = (int64_t)(i / 90) * 3500 * NS_PER_MS; /* 90 / 30 s and the gap */
        assert_true(planned.due_ns == first.due_ns + shift_ns);
    }
}

static void test_shares_are_exact(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_UNIFORM);
    AUTO_PLAN *plan = make_plan(&spec);
    unsigned counts[3] = {0};
    unsigned changes = 0;
    for (size_t i = 0; i < 90; i++) {
        counts[traffic_plan_at(plan, i).kind]++;
        changes += i > 0 && traffic_plan_at(plan, i).kind != traffic_plan_at(plan, i - 1).kind;
    }
    assert_int_equal(counts[0], 60);
    assert_int_equal(counts[1], 20);
    assert_int_equal(counts[2], 10);
    assert_in_range(changes, 20, 60); /* mixed; in blocks it would be 2 */
}

static void test_shares_that_do_not_divide(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_UNIFORM);
    struct traffic_request thirds[] = {kinds[0], kinds[1], kinds[2]};
    for (size_t i = 0; i < 3; i++)
        thirds[i].weight = 0.1;
    spec.requests = thirds;
    spec.per_cycle = 11;
    AUTO_PLAN *plan = make_plan(&spec);
    unsigned counts[3] = {0};
    for (size_t i = 0; i < 11; i++)
        counts[traffic_plan_at(plan, i).kind]++;
    assert_int_equal(counts[0], 4);
    assert_int_equal(counts[1], 4);
    assert_int_equal(counts[2], 3);
}

static void test_uniform_spacing(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_UNIFORM);
    AUTO_PLAN *plan = make_plan(&spec);
    for (size_t i = 0; i < 90; i++)
        assert_true(traffic_plan_at(plan, i).due_ns ==
                    2 * NS_PER_S + 3 * NS_PER_S * (int64_t)i / 90);
}

/* Kolmogorov and Smirnov: the gaps of a Poisson process are exponential. */
static void test_poisson_gaps(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct traffic_spec spec = make_spec(TRAFFIC_POISSON);
    spec.per_cycle = COUNT;
    spec.rate_per_s = 1000;
    spec.idle_ns = 0;
    AUTO_PLAN *plan = make_plan(&spec);
    AUTO_FREE unsigned *histogram = calloc(1001, sizeof(*histogram)); /* of gaps, 10 us each */
    assert_non_null(histogram);
    int64_t before_ns = 0;
    for (size_t i = 0; i < COUNT; i++) {
        int64_t due_ns = traffic_plan_at(plan, i).due_ns;
        assert_true(due_ns >= before_ns && due_ns < COUNT / 1000 * NS_PER_S);
        int64_t bin = (due_ns - before_ns) / (10 * NS_PER_US);
        histogram[bin < 1000 ? bin : 1000]++;
        before_ns = due_ns;
    }
    double worst = 0, below = 0;
    for (unsigned bin = 0; bin < 1000; bin++) {
        below += histogram[bin];
        double distance = fabs(below / COUNT - (1 - exp(-(double)(bin + 1) / 100)));
        worst = distance > worst ? distance : worst;
    }
    assert_true(worst < 1.63 / sqrt(COUNT)); /* the 1 % bound */
}

static void test_phases(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_UNIFORM);
    spec.cycles = 2;
    AUTO_PLAN *plan = make_plan(&spec);
    static const struct {
        const char *name;
        unsigned cycle;
        int64_t start_ms, end_ms;
    } expected[] = {
        {"idle", 0, 0, 2000},     {"cycle", 1, 2000, 5000},    {"gap", 1, 5000, 5500},
        {"cycle", 2, 5500, 8500}, {"cooldown", 0, 8500, 9500},
    };
    size_t count = 0;
    const struct traffic_phase_span *spans = traffic_plan_phases(plan, &count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(traffic_phase_name(spans[i].phase), expected[i].name);
        assert_int_equal(spans[i].cycle, expected[i].cycle);
        assert_true(spans[i].start_ns == expected[i].start_ms * NS_PER_MS);
        assert_true(spans[i].end_ns == expected[i].end_ms * NS_PER_MS);
    }
    assert_true(traffic_plan_duration_ns(plan) == 9500 * NS_PER_MS);
}

static void test_empty_phases_are_left_out(void **state)
{
    (void)state;
    struct traffic_spec spec = make_spec(TRAFFIC_UNIFORM);
    spec.idle_ns = spec.gap_ns = spec.cooldown_ns = 0;
    AUTO_PLAN *plan = make_plan(&spec);
    size_t count = 0;
    const struct traffic_phase_span *spans = traffic_plan_phases(plan, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(spans[i].phase, TRAFFIC_CYCLE);
}

static void test_no_requests(void **state)
{
    (void)state;
    struct traffic_spec spec = {.idle_ns = NS_PER_S, .cooldown_ns = NS_PER_S};
    AUTO_PLAN *plan = make_plan(&spec);
    assert_int_equal(traffic_plan_requests(plan), 0);
    assert_true(traffic_plan_duration_ns(plan) == 2 * NS_PER_S);
    AUTO_FREE char *text = traffic_plan_text(plan);
    assert_string_equal(text, "");
}

static void test_text(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Tenant: 7", NULL};
    const struct traffic_request request = {.method = "PUT",
                                            .path = "/a",
                                            .body = "abc",
                                            .body_bytes = 3,
                                            .headers = headers,
                                            .weight = 1};
    struct traffic_spec spec = {
        .requests = &request, .request_count = 1, .cycles = 1, .per_cycle = 2, .rate_per_s = 4};
    AUTO_FREE char *text = plan_text(&spec);
    /* SHA-256 of "abc" is FIPS 180-2's first example; that of "X-Tenant: 7\n" is sha256sum's. */
    assert_string_equal(
        text, "0 PUT /a ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
              "1083b0d110986c64a87d892d43607139a5db2d631cf493108d23b58f7acc5d64\n"
              "250000000 PUT /a ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
              "1083b0d110986c64a87d892d43607139a5db2d631cf493108d23b58f7acc5d64\n");
}

/* The plan must not depend on the spec's memory. */
static void test_plan_owns_its_copy(void **state)
{
    (void)state;
    char path[] = "/first";
    struct traffic_request request = {.method = "GET", .path = path, .weight = 1};
    struct traffic_spec spec = {
        .requests = &request, .request_count = 1, .cycles = 1, .per_cycle = 1, .rate_per_s = 1};
    AUTO_PLAN *plan = make_plan(&spec);
    strcpy(path, "/other");
    AUTO_FREE char *text = traffic_plan_text(plan);
    assert_string_equal(text, "0 GET /first -\n");
}

static void check_refused(struct traffic_spec spec, const char *words)
{
    struct traffic_plan *plan = NULL;
    struct error err = {0};
    assert_true(traffic_plan_new(&spec, &plan, &err) < 0);
    assert_null(plan);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void test_refused(void **state)
{
    (void)state;
    const struct traffic_spec good = make_spec(TRAFFIC_UNIFORM);
    struct traffic_spec spec = good;
    spec.request_count = 0;
    check_refused(spec, "no request");
    spec = good;
    spec.per_cycle = 0;
    check_refused(spec, "at least 1 request");
    spec = good;
    spec.rate_per_s = 0;
    check_refused(spec, "rate must be above 0");
    spec.rate_per_s = NAN;
    check_refused(spec, "rate must be above 0");
    spec.rate_per_s = 1e-300;
    check_refused(spec, "100 years");
    spec = good;
    spec.cycles = spec.per_cycle = UINT32_MAX;
    check_refused(spec, "more than the 10000000");
    spec = good;
    spec.gap_ns = -1;
    check_refused(spec, "negative");
    spec = good;
    spec.cycles = 0;
    spec.idle_ns = INT64_MAX;
    check_refused(spec, "100 years");
    spec = good;
    struct traffic_request weightless = kinds[0];
    weightless.weight = 0;
    spec.requests = &weightless;
    spec.request_count = 1;
    check_refused(spec, "weight of 'GET /work'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_sequence_never_changes),
        cmocka_unit_test(test_cycles_are_identical),
        cmocka_unit_test(test_shares_are_exact),
        cmocka_unit_test(test_shares_that_do_not_divide),
        cmocka_unit_test(test_uniform_spacing),
        cmocka_unit_test(test_poisson_gaps),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_empty_phases_are_left_out),
        cmocka_unit_test(test_no_requests),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_plan_owns_its_copy),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
