/* SPDX-License-Identifier: Apache-2.0 */
/* `dmesg --json` (util-linux 2.38): an object a record, in one list. */
#include "import/formats.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "import/json_list.h"
#include "import/kernel_kills.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FACILITY_SHIFT 3
#define BOOT_S_MAX     9e9

bool import_kernel_dmesg_json_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    return head_first(head) == '{' && json_list_in_head(head, "dmesg", 1);
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

/* "pri": 12, or decoded (-x): "fac": "user", "pri": "warn". Only the kernel writes as the kernel.
 */
static bool is_from_kernel(const json_t *record)
{
    const char *facility = json_text_at(record, "fac");
    double priority = json_number_at(record, "pri");
    if (facility)
        return strcmp(facility, "kern") == 0;
    return !(priority >= 1 << FACILITY_SHIFT);
}

static int take_record(struct kernel_kills *kills, const json_t *record, uint64_t number,
                       const struct fact_sink *sink, struct error *err)
{
    const json_t *seconds = json_object_get(record, "time");
    double boot_s = json_number_value(seconds);
    struct kernel_log_line line = {
        .form = KERNEL_LOG_RAW,
        .at_ns = fact_time(json_string_value(seconds)),
        .boot_ns = FACT_TIME_UNKNOWN,
        .text = json_text_at(record, "msg"),
    };
    if (!line.text || !is_from_kernel(record))
        return 0;
    if (json_is_number(seconds) && boot_s >= 0 && boot_s < BOOT_S_MAX)
        line.boot_ns = llround(boot_s * 1e6) * NS_PER_US;
    return kernel_kills_line(kills, &line, number, sink, err);
}

int import_kernel_dmesg_json_read(struct input *input, const struct fact_sink *sink,
                                  struct error *err)
{
    struct kernel_kills kills;
    kernel_kills_init(&kills);
    int r = json_list_enter(input, "dmesg", 1, err);
    while (r > 0) {
        CLEANUP(cleanup_json) json_t *record = NULL;
        uint64_t number;
        r = json_list_next(input, &record, &number, err);
        int taken = r > 0 ? take_record(&kills, record, number, sink, err) : 0;
        if (taken < 0)
            return taken;
    }
    return r < 0 ? r : kernel_kills_end(&kills, sink, err);
}
