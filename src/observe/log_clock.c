/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/log_clock.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALIBRATION_NS  100000000 /* NTP may slew by 500 ppm: 50 us in that time */
#define RESOLUTION_NS   1000      /* of the stamps in /dev/kmsg */
#define CALIBRATE_TRIES 3
#define RECORD_MAX      64

/* A bound gets stale as the clocks drift apart; forget it after this long. */
#define BOUND_NS INT64_C(60000000000)

static int open_perf(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof(attr),
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_TIME,
        .comm = 1,
        .sample_id_all = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void log_clock_open(struct log_clock *clock)
{
    *clock = (struct log_clock){.perf_fd = -1, .area = MAP_FAILED, .error_ns = -1};
    AUTO_CLOSE int fd = open_perf();
    if (fd < 0)
        return;
    clock->area_bytes = 2 * (size_t)sysconf(_SC_PAGESIZE);
    clock->area = mmap(NULL, clock->area_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (clock->area != MAP_FAILED)
        clock->perf_fd = steal_fd(&fd);
}

void log_clock_close(struct log_clock *clock)
{
    if (clock->area != MAP_FAILED)
        munmap(clock->area, clock->area_bytes);
    clock->area = MAP_FAILED;
    close_fd(&clock->perf_fd);
}

/* The time of the newest record in the buffer, which is emptied; 0 without. The time stamp is the
 * record's last field. */
static int64_t take_record_time(struct perf_event_mmap_page *page)
{
    uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    uint64_t tail = page->data_tail;
    const unsigned char *data = (const unsigned char *)page + page->data_offset;
    int64_t time_ns = 0;
    while (tail < head) {
        unsigned char record[RECORD_MAX];
        struct perf_event_header header;
        for (size_t i = 0; i < sizeof(header); i++)
            record[i] = data[(tail + i) % page->data_size];
        memcpy(&header, record, sizeof(header));
        if (header.size < sizeof(header) + sizeof(time_ns))
            break;
        for (size_t i = 0; i < sizeof(time_ns); i++)
            record[i] = data[(tail + header.size - sizeof(time_ns) + i) % page->data_size];
        memcpy(&time_ns, record, sizeof(time_ns));
        tail += header.size;
    }
    __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
    return time_ns;
}

void log_clock_calibrate(struct log_clock *clock, const char *thread_name)
{
    if (clock->perf_fd < 0)
        return;
    if (clock->known && clock_monotonic_ns() - clock->calibrated_ns < CALIBRATION_NS)
        return;
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < CALIBRATE_TRIES; i++) {
        take_record_time(clock->area);
        int64_t before_ns = clock_monotonic_ns();
        prctl(PR_SET_NAME, thread_name);
        int64_t after_ns = clock_monotonic_ns();
        int64_t log_ns = take_record_time(clock->area);
        if (log_ns <= 0 || after_ns - before_ns >= best_ns)
            continue;
        best_ns = after_ns - before_ns;
        clock->offset_ns = before_ns + best_ns / 2 - log_ns;
        clock->error_ns = best_ns / 2 + RESOLUTION_NS;
        clock->calibrated_ns = after_ns;
        clock->known = true;
    }
    if (best_ns == INT64_MAX) /* no record came: perf is there but not of use */
        log_clock_close(clock);
}

void log_clock_observe(struct log_clock *clock, int64_t stamp_ns, int64_t now_ns)
{
    if (clock->perf_fd >= 0)
        return;
    bool stale = now_ns - clock->calibrated_ns > BOUND_NS;
    if (clock->known && !stale && now_ns - stamp_ns >= clock->offset_ns)
        return;
    clock->offset_ns = now_ns - stamp_ns;
    clock->error_ns = -1;
    clock->calibrated_ns = now_ns;
    clock->known = true;
}

int64_t log_clock_to_monotonic(const struct log_clock *clock, int64_t stamp_ns)
{
    return clock->known ? stamp_ns + clock->offset_ns : 0;
}
