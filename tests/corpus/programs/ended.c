/* SPDX-License-Identifier: Apache-2.0 */
/* Services that end, again and again, and not for want of memory. */
#include "service.h"

#include <stdlib.h>
#include <unistd.h>

static bool its_turn(void)
{
    return request_number() % (unsigned long)parameter("EVERY", 60) == 0;
}

static unsigned scratch(void)
{
    free(touched((size_t)parameter("SIZE", 262144)));
    return 200;
}

static unsigned serve_crash(const char *path)
{
    (void)path;
    if (its_turn())
        *(volatile int *)parameter("ADDRESS", 8) = 1;
    return scratch();
}

/* What a wrapper script makes of a killed child: 128 + 9, and no kill at all. */
static unsigned serve_exit(const char *path)
{
    (void)path;
    if (its_turn())
        _exit((int)parameter("CODE", 137));
    return scratch();
}

/* Deadlocked: the probe restarts it. */
static unsigned serve_hang(const char *path)
{
    (void)path;
    if (its_turn())
        sleep_ms(3600000);
    return scratch();
}

static void fail_to_start(void)
{
    sleep_ms(300);
    _exit(1);
}

const struct shape ended_shapes[] = {
    {.name = "c-crash", .serve = serve_crash},
    {.name = "c-exit", .serve = serve_exit},
    {.name = "c-hang", .serve = serve_hang},
    {.name = "c-no-start", .start = fail_to_start},
    {0},
};
