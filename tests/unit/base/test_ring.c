/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

static void test_order_and_bounds(void **state)
{
    (void)state;
    struct ring ring;
    uint32_t value = 0;
    assert_int_equal(ring_init(&ring, sizeof(value), 4), 0);
    assert_false(ring_pop(&ring, &value));
    for (uint32_t i = 0; i < 4; i++)
        assert_true(ring_push(&ring, &i));
    value = 99;
    assert_false(ring_push(&ring, &value));
    assert_false(ring_push(&ring, &value));
    assert_int_equal(ring_dropped(&ring), 2);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(ring_pop(&ring, &value));
        assert_int_equal(value, i);
    }
    assert_false(ring_pop(&ring, &value));
    ring_done(&ring);
    ring_done(&ring);
}

static void test_wraps(void **state)
{
    (void)state;
    struct ring ring;
    assert_int_equal(ring_init(&ring, sizeof(uint64_t), 3), 0);
    assert_int_equal(ring.capacity, 4);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t next = i + 1;
        uint64_t got = 0;
        assert_true(ring_push(&ring, &i));
        assert_true(ring_push(&ring, &next));
        assert_true(ring_pop(&ring, &got));
        assert_true(got == i);
        assert_true(ring_pop(&ring, &got));
        assert_true(got == i + 1);
    }
    assert_int_equal(ring_dropped(&ring), 0);
    ring_done(&ring);
}

static void test_records_of_an_odd_size(void **state)
{
    (void)state;
    struct ring ring;
    assert_int_equal(ring_init(&ring, 3, 2), 0);
    assert_true(ring_push(&ring, "abc"));
    assert_true(ring_push(&ring, "def"));
    char got[4] = {0};
    assert_true(ring_pop(&ring, got));
    assert_string_equal(got, "abc");
    assert_true(ring_pop(&ring, got));
    assert_string_equal(got, "def");
    ring_done(&ring);
}

static void test_impossible_sizes(void **state)
{
    (void)state;
    struct ring ring;
    assert_int_equal(ring_init(&ring, SIZE_MAX / 2, 8), -ENOMEM);
    assert_int_equal(ring_init(&ring, 1, SIZE_MAX), -ENOMEM);
    ring_done(&ring);
}

#define RECORDS 200000

struct record {
    uint64_t number;
    uint64_t check; /* ~number: a torn copy would show */
};

static void *produce(void *argument)
{
    struct ring *ring = argument;
    for (uint64_t i = 0; i < RECORDS;) {
        struct record record = {.number = i, .check = ~i};
        if (ring_push(ring, &record))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct ring ring;
    assert_int_equal(ring_init(&ring, sizeof(struct record), 64), 0);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &ring), 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < RECORDS;) {
        struct record record;
        if (!ring_pop(&ring, &record)) {
            sched_yield();
            continue;
        }
        wrong += record.number != i || record.check != ~i;
        i++;
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    struct record none;
    assert_false(ring_pop(&ring, &none));
    ring_done(&ring);
}

static void *produce_without_waiting(void *argument)
{
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct record record = {.number = i, .check = ~i};
        ring_push(argument, &record);
    }
    return NULL;
}

static void test_dropped_records_are_counted(void **state)
{
    (void)state;
    struct ring ring;
    assert_int_equal(ring_init(&ring, sizeof(struct record), 16), 0);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce_without_waiting, &ring), 0);
    uint64_t received = 0;
    uint64_t wrong = 0;
    uint64_t last = 0;
    struct record record;
    while (received + ring_dropped(&ring) < RECORDS) {
        if (!ring_pop(&ring, &record))
            continue;
        wrong += record.check != ~record.number || (received > 0 && record.number <= last);
        last = record.number;
        received++;
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    assert_false(ring_pop(&ring, &record));
    assert_int_equal(received + ring_dropped(&ring), RECORDS);
    ring_done(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bounds),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_records_of_an_odd_size),
        cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_dropped_records_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
