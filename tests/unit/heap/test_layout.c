/* SPDX-License-Identifier: Apache-2.0 */
/* How evenly the recorder's table takes the samples, whatever the distance between objects is. */
#include "preload/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAP_BYTES  (UINT64_C(256) << 20)
#define HEAP_START  UINT64_C(0x555555559000)
#define SAMPLES     16384U /* of the default mean under that limit */
#define MOST        8U     /* of up to 32,768: by chance a bucket and the next three are full */
#define RANDOM_STEP UINT64_C(6364136223846793005)

struct table {
    uint8_t taken[HEAP_BUCKETS];
};

/* As the recorder does: in its bucket, or one of the next. */
static bool add(struct table *table, uint64_t key)
{
    uint32_t home = heap_bucket(key);
    for (uint32_t reach = 0; reach < HEAP_BUCKET_REACH; reach++) {
        uint8_t *taken = &table->taken[(home + reach) & (HEAP_BUCKETS - 1)];
        if (*taken < HEAP_BUCKET_SLOTS) {
            (*taken)++;
            return true;
        }
    }
    return false;
}

/* Samples, by chance, of objects that lie `distance` apart and fill the heap; how many find no
 * room. */
static unsigned dropped(struct table *table, uint64_t distance)
{
    uint64_t objects = HEAP_BYTES / distance, random = distance;
    uint64_t apart = objects > SAMPLES ? objects / SAMPLES : 1;
    unsigned lost = 0;
    memset(table, 0, sizeof(*table));
    for (uint64_t first = 0; first + apart <= objects; first += apart) {
        random = random * RANDOM_STEP + 1442695040888963407U;
        uint64_t object = first + (random >> 20) % apart;
        lost += !add(table, HEAP_KEY(1, HEAP_START + 16 + object * distance));
    }
    return lost;
}

static void test_every_distance_finds_room(void **state)
{
    (void)state;
    struct table *table = malloc(sizeof(*table));
    assert_non_null(table);
    for (uint64_t distance = 32; distance <= 32768; distance += 16)
        assert_in_range(dropped(table, distance), 0, MOST);
    for (uint64_t distance = 32784; distance <= 4194304; distance += 4080)
        assert_in_range(dropped(table, distance), 0, MOST);
    for (uint64_t distance = 4096; distance <= 67108864; distance *= 2)
        assert_in_range(dropped(table, distance), 0, MOST);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_distance_finds_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
