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
/* Addresses so far apart share word and bit: the hash takes 32 bits of what is above the word. */
#define ALIAS_BYTES (UINT64_C(1) << 42)

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
    assert_false(filter_may_hold(address(0x5555deadbe20)));
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
        worker->missed += !filter_may_hold(worker->object);
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
        cmocka_unit_test(test_threads_that_share_a_bit_miss_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
