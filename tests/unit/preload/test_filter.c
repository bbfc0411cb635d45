/* SPDX-License-Identifier: Apache-2.0 */
/* A sample is never missed: while an object is in the filter, free() must be told to look, whatever
 * other threads do with objects that share its bit. */
#include "preload/recorder.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  200000U
/* Addresses so far apart share word and bit: the hash takes 32 bits of what is above 2 KiB. */
#define ALIAS_BYTES (UINT64_C(1) << 43)

static const void *address(uint64_t value)
{
    return (const void *)(uintptr_t)value;
}

static void test_an_address_is_held_until_it_is_removed(void **state)
{
    (void)state;
    const void *object = address(0x5555deadbe10);
    assert_false(filter_may_hold(object));
    assert_true(filter_add(object));
    assert_true(filter_may_hold(object));
    assert_false(filter_may_hold(address(0x5555deadbe30)));
    filter_remove(object);
    assert_false(filter_may_hold(object));
}

static void test_two_that_share_a_bit_are_counted(void **state)
{
    (void)state;
    const void *first = address(0x1000), *second = address(0x1000 + ALIAS_BYTES);
    assert_int_equal(filter_word(first), filter_word(second));
    filter_add(first);
    filter_add(second);
    filter_remove(first);
    assert_true(filter_may_hold(second));
    filter_remove(second);
    assert_false(filter_may_hold(second));
    filter_remove(second); /* once too often: nothing to take */
    assert_true(filter_add(second));
    assert_true(filter_may_hold(second));
    filter_remove(second);
}

static void test_a_full_count_stays(void **state)
{
    (void)state;
    const void *object = address(0x7000);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(filter_add(object));
    for (unsigned i = 0; i < 1000; i++)
        filter_remove(object);
    assert_true(filter_may_hold(object));
}

static void test_others_that_share_a_bit_are_told_apart(void **state)
{
    (void)state;
    const void *object = address(0x4000);
    unsigned shared = 0, known = 0;
    assert_true(filter_add(object));
    assert_true(filter_knows(object));
    for (uint64_t at = 0x4000 + 4096; shared < 4096; at += 4096) {
        if (filter_word(address(at)) != filter_word(object))
            continue;
        shared++;
        known += filter_knows(address(at));
    }
    /* One in 256 has the same tag. */
    assert_in_range(known, 1, 64);
    filter_remove(object);
    assert_false(filter_knows(object));
}

static void test_samples_that_share_a_bit_are_all_known(void **state)
{
    (void)state;
    enum { OBJECTS = 9 };
    const void *objects[OBJECTS] = {address(0x40000)};
    for (unsigned i = 1; i < OBJECTS; i++) { /* in one place, of various tags */
        uint64_t at = (uint64_t)(uintptr_t)objects[i - 1] + 4096;
        while (filter_word(address(at)) != filter_word(objects[0]))
            at += 4096;
        objects[i] = address(at);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        assert_true(filter_add(objects[i]));
    for (unsigned left = OBJECTS; left > 0; left--) {
        for (unsigned i = OBJECTS - left; i < OBJECTS; i++)
            assert_true(filter_knows(objects[i]));
        filter_remove(objects[OBJECTS - left]);
    }
    assert_false(filter_may_hold(objects[0]));
}

struct worker {
    pthread_t id;
    const void *object;
    uint64_t missed;
};
static atomic_uint ready;

static void *work(void *argument)
{
    struct worker *worker = argument;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS)
        ;
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (!filter_add(worker->object))
            sched_yield(); /* who clears the bit may have been put off the processor */
        worker->missed += !filter_may_hold(worker->object) || !filter_knows(worker->object);
        filter_remove(worker->object);
    }
    return NULL;
}

static void test_threads_that_share_a_bit_miss_nothing(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].object = address(0x9990 + i * ALIAS_BYTES);
        assert_int_equal(pthread_create(&workers[i].id, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].id, NULL);
        assert_int_equal(workers[i].missed, 0);
    }
    assert_false(filter_may_hold(workers[0].object));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_held_until_it_is_removed),
        cmocka_unit_test(test_two_that_share_a_bit_are_counted),
        cmocka_unit_test(test_a_full_count_stays),
        cmocka_unit_test(test_others_that_share_a_bit_are_told_apart),
        cmocka_unit_test(test_samples_that_share_a_bit_are_all_known),
        cmocka_unit_test(test_threads_that_share_a_bit_miss_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
