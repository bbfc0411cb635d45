/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/kmsg: opening it, and its record format (Documentation/ABI/testing/dev-kmsg). What a line
 * means is kmsg_oom.c's business. */
#include "kernel/kmsg.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The largest record that any kernel hands out (PRINTKRB_RECORD_MAX, formerly CONSOLE_EXT_LOG_MAX).
 * A smaller buffer would get EINVAL for ever: the reader would not advance. */
#define RAW_RECORD_MAX 8192

/* The low three bits of a record's first number are the level, the rest the facility. The kernel
 * forces a facility other than 0 upon whatever comes through /dev/kmsg. */
#define FACILITY_SHIFT 3

int kmsg_open(void)
{
    AUTO_CLOSE int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (lseek(fd, 0, SEEK_END) < 0)
        return -errno;
    return steal_fd(&fd);
}

int kmsg_read(int fd, struct kmsg_record *ret)
{
    char raw[RAW_RECORD_MAX + 1];
    ssize_t n;
    do {
        n = read(fd, raw, RAW_RECORD_MAX);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return 0;
    raw[n] = '\0';
    int r = kmsg_parse_record(raw, ret);
    return r < 0 ? r : 1;
}

/* Decimal digits at *cursor, moved behind them; false when there is none or they overflow. */
static bool take_number(const char **cursor, uint64_t *ret)
{
    const char *p = *cursor;
    uint64_t value = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    *cursor = p;
    *ret = value;
    return true;
}

static bool take_comma(const char **cursor)
{
    if (**cursor != ',')
        return false;
    ++*cursor;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte of "\xNN" at `p`, or -1 where there is no such escape or it stands for NUL. */
static int escaped_byte(const char *p)
{
    if (p[0] != '\\' || p[1] != 'x')
        return -1;
    int high = hex_digit(p[2]);
    int low = high < 0 ? -1 : hex_digit(p[3]);
    if (low < 0 || high * 16 + low == 0)
        return -1;
    return high * 16 + low;
}

/* The text ends at the first real newline; the dictionary behind it is not wanted. */
static void unescape(const char *p, char text[static KMSG_TEXT_MAX])
{
    size_t n = 0;
    while (*p && *p != '\n' && n + 1 < KMSG_TEXT_MAX) {
        int byte = escaped_byte(p);
        if (byte >= 0) {
            text[n++] = (char)byte;
            p += 4;
        } else {
            text[n++] = *p++;
        }
    }
    text[n] = '\0';
}

int kmsg_parse_record(const char *raw, struct kmsg_record *ret)
{
    const char *p = raw;
    uint64_t priority, sequence, stamp_us;
    if (!take_number(&p, &priority) || !take_comma(&p) || !take_number(&p, &sequence) ||
        !take_comma(&p) || !take_number(&p, &stamp_us) || stamp_us > INT64_MAX / 1000)
        return -EINVAL;
    if (*p != ',' && *p != ';')
        return -EINVAL;
    /* Flags and whatever later kernels put behind them (caller=T1). */
    p += strcspn(p, ";\n");
    if (*p != ';')
        return -EINVAL;
    ret->sequence = sequence;
    ret->boot_ns = (int64_t)stamp_us * 1000;
    ret->from_kernel = priority >> FACILITY_SHIFT == 0;
    unescape(p + 1, ret->text);
    return 0;
}
