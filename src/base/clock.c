/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/duration.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boottime_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_realtime_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

const char *timestamp_format(int64_t realtime_ns, char text[static TIMESTAMP_TEXT_MAX])
{
    time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    int64_t rest = realtime_ns % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
        seconds--;
    }
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char date[24];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, TIMESTAMP_TEXT_MAX, "%s.%06dZ", date, (int)(rest / 1000));
    return text;
}
