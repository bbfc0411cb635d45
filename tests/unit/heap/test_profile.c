/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/profile.h"

#include "heap/runtime.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_near(value, expected, by) assert_true(fabs((value) - (expected)) <= (by))

/* A file with one stack of two frames, one sample of it, and one stamp. */
struct saved {
    struct heap_saved_header header;
    struct heap_stamp stamp; /* written behind the map */
    struct heap_stamped stamped;
};

static unsigned char *bytes;
static struct heap_map *map; /* not aligned in the bytes: copied in */
static struct saved saved;

#define TAIL_BYTES (sizeof(struct heap_stamp) + sizeof(struct heap_stamped))
#define ALL_BYTES  (sizeof(struct heap_saved_header) + sizeof(struct heap_map) + TAIL_BYTES)

static int set_up(void **state)
{
    (void)state;
    bytes = malloc(ALL_BYTES);
    map = aligned_alloc(4096, sizeof(*map));
    assert_non_null(bytes);
    assert_non_null(map);
    memset(map, 0, sizeof(*map));
    map->header = (struct heap_header){
        .magic = HEAP_MAGIC, .version = HEAP_VERSION, .header_bytes = sizeof(*map)};
    map->processes[1] = (struct heap_process){.state = HEAP_PROCESS_LIVE, .pid = 1};
    map->modules[1] = (struct heap_module){.state = HEAP_STATE_COMPLETE, .path = "/bin/true"};
    map->frames[10] = HEAP_FRAME(1, 0x1234);
    map->frames[11] = HEAP_FRAME(0, 0x7f0012345678);
    map->stacks[9] =
        (struct heap_stack){.hash = 1, .first_frame = 10, .depth = 2, .state = HEAP_STATE_COMPLETE};
    map->keys[0] = HEAP_KEY(1, 0x1000);
    map->samples[0] = (struct heap_sample){.size_bytes = 1U << 30, .rate_bytes = 1024, .stack = 9};
    saved = (struct saved){
        .header = {.magic = HEAP_SAVED_MAGIC, .map_bytes = sizeof(*map), .stamps = 1},
        .stamp = {.at_ns = 77, .cycle = 2, .stacks = 1},
        .stamped = {.stack = 9, .samples = 1, .bytes = 500, .objects = 1},
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bytes);
    free(map);
    return 0;
}

static int parse(size_t length, struct heap_profile **ret)
{
    struct error err;
    unsigned char *at = bytes;
    memcpy(at, &saved.header, sizeof(saved.header));
    memcpy(at += sizeof(saved.header), map, sizeof(*map));
    memcpy(at += sizeof(*map), &saved.stamp, sizeof(saved.stamp));
    memcpy(at + sizeof(saved.stamp), &saved.stamped, sizeof(saved.stamped));
    int r = heap_profile_parse(bytes, length, ret, &err);
    if (r < 0)
        assert_int_equal(err.kind, ERROR_USAGE);
    return r;
}

static void test_round_trip(void **state)
{
    struct heap_profile *profile = NULL;
    uint32_t depth;
    (void)state;
    assert_int_equal(parse(ALL_BYTES, &profile), 0);
    const uint64_t *frames = heap_profile_frames(profile, 9, &depth);
    assert_int_equal(depth, 2);
    assert_string_equal(heap_profile_module(profile, frames[0])->path, "/bin/true");
    assert_int_equal(HEAP_FRAME_ADDRESS(frames[0]), 0x1234);
    assert_null(heap_profile_module(profile, frames[1]));
    assert_int_equal(HEAP_FRAME_ADDRESS(frames[1]), 0x7f0012345678);
    assert_near(profile->totals->stacks[9].bytes, 1U << 30, 1);
    assert_int_equal(profile->stamp_count, 1);
    assert_int_equal(profile->stamps[0].head.cycle, 2);
    assert_near(heap_profile_stamped_bytes(&profile->stamps[0], 9), 500, 0);
    assert_near(heap_profile_stamped_bytes(&profile->stamps[0], 8), 0, 0);
    heap_profile_free(profile);
}

static void test_cut_off(void **state)
{
    static const size_t lengths[] = {0, 8, sizeof(struct heap_saved_header), 5000, 1000000};
    struct heap_profile *profile = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        assert_int_equal(parse(lengths[i], &profile), -EINVAL);
    assert_int_equal(parse(ALL_BYTES - 1, &profile), -EINVAL);
    assert_int_equal(parse(ALL_BYTES - TAIL_BYTES, &profile), -EINVAL);
    assert_null(profile);
}

static void test_another_version(void **state)
{
    struct heap_profile *profile = NULL;
    (void)state;
    map->header.version++;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    map->header.version--;
    saved.header.map_bytes--;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    saved.header.map_bytes++;
    saved.header.stamps = HEAP_STAMPS_MAX + 1;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    saved.header.stamps = 1;
    saved.stamp.stacks = UINT32_MAX;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    saved.stamp.stacks = 1;
    saved.stamped.bytes = NAN;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    saved.stamped.bytes = 1;
    saved.stamped.stack = HEAP_STACKS;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
}

/* What was being written when the process was killed, and what no recorder writes. */
static void test_torn_stacks_and_modules(void **state)
{
    struct heap_profile *profile = NULL;
    uint32_t depth = 7;
    (void)state;
    memset(map->modules[1].path, 'x', HEAP_PATH_MAX);
    map->modules[2] = map->modules[1];
    map->modules[2].state = HEAP_STATE_EMPTY;
    map->stacks[10] = map->stacks[9];
    map->stacks[10].state = HEAP_STATE_EMPTY;
    map->stacks[11] = map->stacks[9];
    map->stacks[11].first_frame = HEAP_FRAMES - 1;
    map->stacks[12] = map->stacks[9];
    map->stacks[12].depth = HEAP_STACK_DEPTH + 1;
    assert_int_equal(parse(ALL_BYTES, &profile), 0);
    for (uint32_t stack = 10; stack <= 12; stack++) {
        assert_null(heap_profile_frames(profile, stack, &depth));
        assert_int_equal(depth, 0);
    }
    assert_null(heap_profile_frames(profile, 0, &depth));
    assert_null(heap_profile_frames(profile, HEAP_STACKS, &depth));
    assert_int_equal(strlen(heap_profile_module(profile, HEAP_FRAME(1, 0))->path),
                     HEAP_PATH_MAX - 1);
    assert_null(heap_profile_module(profile, HEAP_FRAME(2, 0)));
    assert_null(heap_profile_module(profile, HEAP_FRAME(HEAP_MODULES + 1, 0)));
    heap_profile_free(profile);
}

/* Sizes and means that no recorder writes are torn, not "8.0 EiB held". */
static void test_implausible_samples(void **state)
{
    struct heap_profile *profile = NULL;
    (void)state;
    map->header.rate_bytes = 1024;
    for (uint32_t i = 1; i <= 3; i++) {
        map->keys[i] = HEAP_KEY(1, 0x1000 * (i + 1));
        map->samples[i] = map->samples[0];
    }
    map->samples[1].size_bytes = UINT64_C(1) << 62;
    map->samples[2].rate_bytes = UINT64_C(1) << 62;
    map->samples[3].rate_bytes = 512U << 10; /* a place of which nothing stays */
    assert_int_equal(parse(ALL_BYTES, &profile), 0);
    assert_int_equal(profile->totals->torn, 2);
    assert_int_equal(profile->totals->samples, 2);
    assert_near(profile->totals->bytes, 2.0 * (1U << 30), 1);
    heap_profile_free(profile);
    map->header.rate_bytes = UINT64_MAX;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    map->header.rate_bytes = 1024;
    saved.stamped.bytes = 1e19;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
    saved.stamped.bytes = -1;
    assert_int_equal(parse(ALL_BYTES, &profile), -EINVAL);
}

/* The runtime is that of a process which counts, and a name that only begins alike is another. */
static void test_runtime(void **state)
{
    static const struct {
        const char *path, *name;
    } paths[] = {
        {"/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", "Java"},
        {"/usr/local/bin/node", "Node.js"},
        {"/usr/lib/x86_64-linux-gnu/libnode.so.108", "Node.js"},
        {"/usr/bin/nodetool", NULL},
        {"/node/app", NULL},
    };
    struct heap_profile *profile = NULL;
    (void)state;
    map->modules[1].process = 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        snprintf(map->modules[1].path, HEAP_PATH_MAX, "%s", paths[i].path);
        assert_int_equal(parse(ALL_BYTES, &profile), 0);
        const struct heap_runtime *runtime = heap_runtime_find(profile);
        assert_int_equal(runtime != NULL, paths[i].name != NULL);
        if (runtime)
            assert_string_equal(runtime->name, paths[i].name);
        heap_profile_free(profile);
    }
    snprintf(map->modules[1].path, HEAP_PATH_MAX, "%s", paths[0].path);
    map->processes[1].state = HEAP_PROCESS_REPLACED;
    assert_int_equal(parse(ALL_BYTES, &profile), 0);
    assert_null(heap_runtime_find(profile));
    heap_profile_free(profile);
}

static void put_code(uint32_t index, uint32_t text, uint16_t file_bytes, uint8_t name_bytes)
{
    map->codes[index] = (struct heap_code){.hash = index,
                                           .text = text,
                                           .file_bytes = file_bytes,
                                           .name_bytes = name_bytes,
                                           .state = HEAP_STATE_COMPLETE};
}

/* Frames of Python, and what the kill or a damaged file left of them. */
static void test_python_frames(void **state)
{
    struct heap_profile *profile = NULL;
    struct heap_python_frame frame;
    (void)state;
    memcpy(&map->texts[8], "app.py\0keep", 12);
    put_code(1, 8, 6, 4);
    put_code(2, 8, 6, 4);
    map->codes[2].state = HEAP_STATE_EMPTY;
    put_code(3, 8, 5, 4);                           /* ends within a text */
    put_code(4, HEAP_TEXT_BYTES - 12, 6, 5);        /* beyond the end */
    put_code(5, UINT32_MAX, UINT16_MAX, UINT8_MAX); /* and round */
    assert_int_equal(parse(ALL_BYTES, &profile), 0);
    assert_false(heap_profile_python(profile, HEAP_FRAME(1, 0x1234), &frame));
    assert_false(heap_profile_python(profile, HEAP_FRAME(0, 0x7f0012345678), &frame));
    assert_true(heap_profile_python(profile, HEAP_FRAME_PYTHON(1, 42), &frame));
    assert_string_equal(frame.function, "keep");
    assert_string_equal(frame.file, "app.py");
    assert_true(frame.line == 42 && !frame.arena);
    static const uint32_t lost[] = {0, 2, 3, 4, 5, HEAP_CODES, HEAP_CODE_ARENA};
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        assert_true(heap_profile_python(profile, HEAP_FRAME_PYTHON(lost[i], 42), &frame));
        assert_true(!frame.function && !frame.file && frame.line == 0);
        assert_int_equal(frame.arena, lost[i] == HEAP_CODE_ARENA);
    }
    assert_null(heap_profile_module(profile, HEAP_FRAME_PYTHON(1, 42)));
    heap_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_stacks_and_modules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_implausible_samples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runtime, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_python_frames, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
