/* SPDX-License-Identifier: Apache-2.0 */
/* Error rates under repeated looks: those of the sequential tests, and, to show that there is
 * something to control, those of the same tests taken as if each look were the only one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/sequential.h"
#include "analysis/statistics.h"
#include "analysis/stopping.h"
#include "simulate.h"

#include <math.h>
#include <stdlib.h>

#define ERROR      (1 - STOPPING_CONFIDENCE)
#define SEQUENCES  5000
#define KILLS_MAX  200
#define CYCLES_MAX 40

static unsigned seeds(void)
{
    const char *text = getenv("OOMLAB_TEST_SEEDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : 20;
}

/* --- kills that agree ----------------------------------------------------------------------------
 */

static bool ratio_settles(unsigned agree, unsigned repeats)
{
    return sequential_ratio(agree, repeats) >= 1 / ERROR;
}

/* Of sequences whose kills show a pattern with that probability, the share that is ever settled. */
static double settled_share(double shown, bool (*settles)(unsigned, unsigned), double *ret_kills)
{
    struct random random = {42};
    unsigned settled = 0, kills = 0;
    for (unsigned i = 0; i < SEQUENCES; i++) {
        unsigned agree = 0;
        for (unsigned n = 1; n <= KILLS_MAX; n++) {
            agree += random_unit(&random) < shown;
            if (!settles(agree, n))
                continue;
            settled++;
            kills += n;
            break;
        }
    }
    *ret_kills = settled ? (double)kills / settled : NAN;
    return (double)settled / SEQUENCES;
}

static void test_chance_seldom_settles_kills(void **state)
{
    (void)state;
    double kills;
    double wrong = settled_share(0.5, ratio_settles, &kills);
    print_message("a chance, settled at any of %d kills: %.1f %% (at most %.0f %%)\n", KILLS_MAX,
                  100 * wrong, 100 * ERROR);
    assert_true(wrong <= ERROR);
    assert_true(wrong > 0.1); /* else it asks for more kills than it must */
    /* A real pattern is settled, and soon. */
    double right = settled_share(0.9, ratio_settles, &kills);
    print_message("a pattern that nine in ten show: %.1f %%, after %.1f kills\n", 100 * right,
                  kills);
    assert_true(right > 0.99 && kills < 5);
}

/* Each of two patterns as often as the other: neither is settled more often than a chance may. */
static void test_rarer_patterns_settle_more_seldom(void **state)
{
    (void)state;
    double kills, last = 1;
    for (int tenths = 5; tenths > 0; tenths--) {
        double shown = tenths / 10.0;
        double wrong = settled_share(shown, ratio_settles, &kills);
        assert_true(wrong <= last && wrong <= ERROR);
        last = wrong;
    }
}

static void test_confidence_asks_for_kills(void **state)
{
    (void)state;
    assert_false(ratio_settles(2, 2));
    assert_true(ratio_settles(3, 3));
    assert_false(ratio_settles(5, 6));
    assert_true(ratio_settles(6, 7));
    assert_true(sequential_ratio(5, 5) < 20 && sequential_ratio(6, 6) >= 20);
    assert_true(fabs(sequential_ratio(0, 0) - 1) < 1e-12);
    assert_true(fabs(sequential_ratio(3, 4) - 1.8 * 1.8 * 1.8 * 0.2) < 1e-12);
}

static void test_shares_never_sum_beyond_the_error(void **state)
{
    (void)state;
    double sum = 0;
    for (unsigned look = 1; look <= 100000; look++) {
        double share = sequential_share(ERROR, look);
        assert_true(share > 0);
        sum += share;
    }
    assert_true(sum < ERROR && sum > 0.9999 * ERROR);
    assert_true(sequential_share(ERROR, 0) <= 0);
}

/* --- growth of note ------------------------------------------------------------------------------
 */

struct tally {
    unsigned runs, looks;
    unsigned first, naive, spent; /* wrongly settled: at the first look, as if each were the only
                                     one, with what each may spend */
};

static double planned_s(const struct sim *sim)
{
    return sim->idle_s + sim->cycles * sim->per_cycle / sim->rate + (sim->cycles - 1) * sim->gap_s +
           sim->cooldown_s;
}

/* It grows by exactly what is no longer level: the hardest case that must not be called level. */
static void look_at_the_boundary(const struct sim *sim, struct tally *tally)
{
    struct arm_series arm = sim_run(sim);
    struct lifetime_series cut;
    bool naive = false, spent = false;
    unsigned look = 0;
    double growth = STOPPING_LEVEL_SHARE * sim->limit / planned_s(sim);
    for (unsigned cycle = stopping_next_look(0); cycle < sim->cycles;
         cycle = stopping_next_look(cycle)) {
        struct arm_series seen = sim_cut(&arm, cycle, &cut);
        double p;
        assert_int_equal(sequential_growth_p(seen.lifetimes, growth, &p), 0);
        assert_true(!isnan(p));
        look++;
        tally->first += look == 1 && p <= ERROR;
        naive |= p <= ERROR;
        spent |= p <= sequential_share(STOPPING_SPENT_SHARE * ERROR, look);
    }
    tally->runs++;
    tally->looks = look;
    tally->naive += naive;
    tally->spent += spent;
    sim_done(&arm);
}

struct boundary {
    const char *name;
    enum model model;
    bool by_time;
    double wander_s;
};

static struct tally look_at(const struct boundary *boundary)
{
    struct tally tally = {0};
    for (unsigned seed = 1; seed <= seeds(); seed++) {
        struct sim sim = sim_draw(boundary->model, seed);
        sim.cycles = CYCLES_MAX;
        sim.spread = 0;
        sim.wander_s = boundary->wander_s;
        double growth = STOPPING_LEVEL_SHARE * sim.limit / planned_s(&sim);
        if (boundary->by_time)
            sim.per_second = growth;
        else
            sim.per_request =
                growth * (sim.per_cycle / sim.rate + sim.gap_s) / (double)sim.per_cycle;
        look_at_the_boundary(&sim, &tally);
    }
    print_message("%-32s %2u looks: wrong at the first %4.1f %%, at any without spending %4.1f %%, "
                  "with spending %4.1f %%\n",
                  boundary->name, tally.looks, 100.0 * tally.first / tally.runs,
                  100.0 * tally.naive / tally.runs, 100.0 * tally.spent / tally.runs);
    return tally;
}

static void test_error_of_growth_holds_over_all_looks(void **state)
{
    (void)state;
    static const struct boundary boundaries[] = {
        {"leak per request", MODEL_LEAK_SLOW, false, 0.5},
        {"leak by time", MODEL_LEAK_SLOW_TIME, true, 0.5},
        {"leak in AR(1) noise of 0.5 s", MODEL_NOISE, true, 0.5},
        {"leak in AR(1) noise of 2 s", MODEL_NOISE, true, 2},
        {"leak in AR(1) noise of 10 s", MODEL_NOISE, true, 10},
        {"leak under a collector", MODEL_COLLECTOR, true, 0.5},
    };
    for (size_t i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++) {
        struct tally tally = look_at(&boundaries[i]);
        assert_true(tally.spent <= ERROR * tally.runs);
        /* Without spending the looks add up, which is what it is for. */
        assert_true(tally.naive > ERROR * tally.runs);
    }
}

static void test_level_process_excludes_growth(void **state)
{
    (void)state;
    struct sim sim = sim_draw(MODEL_HEALTHY, 3);
    struct arm_series arm = sim_run(&sim);
    double p;
    assert_int_equal(sequential_growth_p(arm.lifetimes, 0.1 * sim.limit / 60, &p), 0);
    assert_true(p < 0.01);
    /* A loss is no growth either; a growth that it does not have even less. */
    assert_int_equal(sequential_growth_p(arm.lifetimes, -0.1 * sim.limit / 60, &p), 0);
    assert_true(p > 0.99);
    sim_done(&arm);
}

static void test_too_few_cycles_tell_nothing(void **state)
{
    (void)state;
    struct lifetime_series none = {.ready_s = 0}, cut;
    double p;
    assert_int_equal(sequential_growth_p(&none, 1, &p), 0);
    assert_true(isnan(p));
    struct sim sim = sim_draw(MODEL_HEALTHY, 3);
    struct arm_series arm = sim_run(&sim);
    sim_cut(&arm, SEQUENTIAL_FLOORS_MIN - 1, &cut);
    assert_int_equal(sequential_growth_p(&cut, 1, &p), 0);
    assert_true(isnan(p));
    sim_cut(&arm, SEQUENTIAL_FLOORS_MIN, &cut);
    assert_int_equal(sequential_growth_p(&cut, 1, &p), 0);
    assert_true(!isnan(p));
    sim_done(&arm);
}

/* A process whose memory does not move by a page: no error to divide by. */
static void test_memory_that_stands_still(void **state)
{
    (void)state;
    struct point points[200];
    struct span spans[8];
    for (size_t i = 0; i < 200; i++)
        points[i] = (struct point){.t_s = 0.05 * (double)i,
                                   .working_set = 4096 * 100,
                                   .anon = 4096 * 100,
                                   .file = 0,
                                   .inactive_file = 0};
    for (size_t i = 0; i < 8; i++)
        spans[i] = (struct span){.kind = i % 2 ? SPAN_GAP : SPAN_CYCLE,
                                 .cycle = 1 + (unsigned)i / 2,
                                 .start_s = (double)i,
                                 .end_s = (double)i + 1};
    struct lifetime_series life = {
        .points = points, .count = 200, .spans = spans, .span_count = 8, .uptime_s = 10};
    double p;
    assert_int_equal(sequential_growth_p(&life, 1, &p), 0);
    assert_true(p <= 0);
    assert_int_equal(sequential_growth_p(&life, -1, &p), 0);
    assert_true(p >= 1);
}

/* Closed forms: 1/2 - atan(t)/pi with one degree of freedom, 1/2 - t / (2 sqrt(2 + t^2)) with two,
 * and the published 95 % quantile of ten. */
static void test_student_tail(void **state)
{
    (void)state;
    for (int i = 0; i <= 43; i++) {
        double t = -8 + 0.37 * i;
        assert_true(fabs(student_upper(t, 1) - (0.5 - atan(t) / M_PI)) < 1e-12);
        assert_true(fabs(student_upper(t, 2) - (0.5 - t / (2 * sqrt(2 + t * t)))) < 1e-12);
        assert_true(student_upper(t, 1.5) < fmax(student_upper(t, 1), student_upper(t, 2)) + 1e-12);
    }
    assert_true(fabs(student_upper(1.812461, 10) - 0.05) < 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chance_seldom_settles_kills),
        cmocka_unit_test(test_rarer_patterns_settle_more_seldom),
        cmocka_unit_test(test_confidence_asks_for_kills),
        cmocka_unit_test(test_shares_never_sum_beyond_the_error),
        cmocka_unit_test(test_error_of_growth_holds_over_all_looks),
        cmocka_unit_test(test_level_process_excludes_growth),
        cmocka_unit_test(test_too_few_cycles_tell_nothing),
        cmocka_unit_test(test_memory_that_stands_still),
        cmocka_unit_test(test_student_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
