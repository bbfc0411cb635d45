/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/exec_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- frames --------------------------------------------------------------------------------- */

static void test_frames_there_and_back(void **state)
{
    (void)state;
    struct exec_queue queue;
    struct exec_frame frame;
    size_t used = 0;
    assert_int_equal(exec_queue_init(&queue, 4096), 0);
    assert_true(exec_queue_put_frame(&queue, EXEC_OUTPUT, "hello", 5));
    assert_true(exec_queue_put_frame(&queue, EXEC_INPUT_END, NULL, 0));
    assert_true(exec_queue_put_number(&queue, EXEC_EXIT, 0x01020304));
    assert_true(exec_queue_put_failure(&queue, 127, "not found"));

    assert_int_equal(exec_frame_parse(exec_queue_head(&queue), queue.length, &frame, &used), 1);
    assert_int_equal(frame.type, EXEC_OUTPUT);
    assert_int_equal(frame.length, 5);
    assert_memory_equal(frame.payload, "hello", 5);
    exec_queue_drop(&queue, used);
    assert_int_equal(exec_frame_parse(exec_queue_head(&queue), queue.length, &frame, &used), 1);
    assert_int_equal(frame.type, EXEC_INPUT_END);
    exec_queue_drop(&queue, used);
    assert_int_equal(exec_frame_parse(exec_queue_head(&queue), queue.length, &frame, &used), 1);
    assert_int_equal(frame.type, EXEC_EXIT);
    assert_int_equal(exec_frame_number(&frame, 0), 0x01020304);
    exec_queue_drop(&queue, used);
    assert_int_equal(exec_frame_parse(exec_queue_head(&queue), queue.length, &frame, &used), 1);
    assert_int_equal(frame.type, EXEC_FAILURE);
    assert_int_equal(exec_frame_number(&frame, 0), 127);
    assert_memory_equal(frame.payload + 4, "not found", 9);
    exec_queue_drop(&queue, used);
    assert_int_equal(queue.length, 0);
    exec_queue_done(&queue);
}

/* Every beginning of a frame asks for more, and touches nothing. */
static void test_a_frame_in_pieces(void **state)
{
    (void)state;
    static const char whole[] = "i\0\0\0\0\0\0\3abc";
    struct exec_frame frame = {.type = EXEC_EXIT};
    size_t used = 4711;
    for (size_t i = 0; i < sizeof(whole) - 1; i++) {
        char *part = malloc(i + 1);
        assert_non_null(part);
        memcpy(part, whole, i);
        assert_int_equal(exec_frame_parse(part, i, &frame, &used), 0);
        free(part);
    }
    assert_int_equal(frame.type, EXEC_EXIT);
    assert_int_equal(used, 4711);
    assert_int_equal(exec_frame_parse(whole, sizeof(whole) - 1, &frame, &used), 1);
    assert_int_equal(used, 11);
}

static void assert_no_frame(const char *header)
{
    struct exec_frame frame;
    size_t used = 0;
    assert_int_equal(exec_frame_parse(header, EXEC_FRAME_HEADER, &frame, &used), -EPROTO);
}

static void test_what_is_no_frame(void **state)
{
    (void)state;
    assert_no_frame("?\0\0\0\0\0\0\1");
    assert_no_frame("\0\0\0\0\0\0\0\0");
    assert_no_frame("i\0\0\0\0\0\0\0"); /* no bytes of input */
    assert_no_frame("i\1\0\0\0\0\0\1");
    assert_no_frame("i\0\0\1\0\0\0\1");
    assert_no_frame("i\0\0\0\0\0\x80\1"); /* one byte too many */
    assert_no_frame("i\0\0\0\xff\xff\xff\xff");
    assert_no_frame("z\0\0\0\0\0\0\1");
    assert_no_frame("w\0\0\0\0\0\0\7");
    assert_no_frame("x\0\0\0\0\0\0\5");
    assert_no_frame("f\0\0\0\0\0\0\3");
}

/* --- queues --------------------------------------------------------------------------------- */

static void test_a_queue_cannot_grow(void **state)
{
    (void)state;
    struct exec_queue queue;
    assert_int_equal(exec_queue_init(&queue, 10), 0);
    assert_true(exec_queue_put(&queue, "12345678", 8));
    assert_false(exec_queue_put(&queue, "abc", 3));
    assert_false(exec_queue_put_frame(&queue, EXEC_INPUT_END, NULL, 0));
    assert_int_equal(queue.length, 8);
    exec_queue_drop(&queue, 5);
    assert_int_equal(exec_queue_room(&queue), 7);
    assert_true(exec_queue_put(&queue, "abcdefg", 7)); /* what is free stands in two places */
    assert_int_equal(queue.length, 10);
    assert_memory_equal(exec_queue_head(&queue), "678abcdefg", 10);
    exec_queue_drop(&queue, 10);
    assert_int_equal(exec_queue_room(&queue), 10);
    exec_queue_done(&queue);
}

static void test_a_long_failure_is_cut(void **state)
{
    (void)state;
    struct exec_queue queue;
    struct exec_frame frame;
    size_t used = 0;
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(exec_queue_init(&queue, 2048), 0);
    assert_true(exec_queue_put_failure(&queue, 1, text));
    assert_int_equal(exec_frame_parse(exec_queue_head(&queue), queue.length, &frame, &used), 1);
    assert_int_equal(frame.length, 1024);
    exec_queue_done(&queue);
}

/* Through a pipe that takes a part at a time, and nothing at the end. */
static void test_nothing_blocks(void **state)
{
    (void)state;
    struct exec_queue from;
    struct exec_queue to;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(exec_queue_init(&from, 200000), 0);
    assert_int_equal(exec_queue_init(&to, 200000), 0);
    for (uint32_t i = 0; i < 50000; i++)
        assert_true(exec_queue_put(&from, &i, sizeof(i)));
    assert_int_equal(exec_queue_fill(&to, ends[0], false, 1000), -EAGAIN);
    while (from.length > 0) {
        long n = exec_queue_drain(&from, ends[1], false, 30000);
        assert_true(n > 0 || n == -EAGAIN);
        while ((n = exec_queue_fill(&to, ends[0], false, 777)) > 0)
            assert_true(n <= 777);
        assert_int_equal(n, -EAGAIN);
    }
    close(ends[1]);
    assert_int_equal(to.length, 200000);
    for (uint32_t i = 0; i < 50000; i++)
        assert_memory_equal(exec_queue_head(&to) + 4 * (size_t)i, &i, 4);
    assert_int_equal(exec_queue_fill(&to, ends[0], false, 1000), -EAGAIN); /* no room */
    exec_queue_drop(&to, 100);
    assert_int_equal(exec_queue_fill(&to, ends[0], false, 1000), 0); /* the end */
    close(ends[0]);
    exec_queue_done(&from);
    exec_queue_done(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_there_and_back), cmocka_unit_test(test_a_frame_in_pieces),
        cmocka_unit_test(test_what_is_no_frame),      cmocka_unit_test(test_a_queue_cannot_grow),
        cmocka_unit_test(test_a_long_failure_is_cut), cmocka_unit_test(test_nothing_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
