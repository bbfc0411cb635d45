/* SPDX-License-Identifier: Apache-2.0 */
/* The prefixes of dmesg (util-linux), journalctl, and syslog files in the forms of RFC 3164, RFC
 * 5424 and rsyslog's. A prefix is taken off piece by piece: priority, dmesg's "kern :info :", the
 * time, host and tag, and the kernel's own "[ 12.345678]" behind it. */
#include "import/kernel_log_line.h"

#include "base/duration.h"
#include "import/facts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FACILITY_SHIFT 3
#define DAY_NS         (INT64_C(86400) * NS_PER_S)
#define STAMP_MAX      48
/* Beyond these, nanoseconds since 1970 do not fit. */
#define EPOCH_S_MAX INT64_C(9000000000)
#define YEAR_END    2200

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_digits(const char **at, int most, int64_t *ret)
{
    const char *p = *at;
    int64_t value = 0;
    int count = 0;
    for (; is_digit(*p) && count < most; p++, count++)
        value = 10 * value + (*p - '0');
    if (count == 0)
        return false;
    *at = p;
    *ret = value;
    return true;
}

/* "[ 1849.635219] ": the kernel's clock. */
static bool take_boot_stamp(const char **at, int64_t *ret_ns)
{
    const char *p = *at;
    int64_t seconds, micros;
    if (*p++ != '[')
        return false;
    p += strspn(p, " ");
    if (!take_digits(&p, 9, &seconds) || *p++ != '.')
        return false;
    const char *fraction = p;
    if (!take_digits(&p, 6, &micros) || p - fraction != 6 || *p++ != ']')
        return false;
    *at = p + (*p == ' ');
    *ret_ns = seconds * NS_PER_S + micros * NS_PER_US;
    return true;
}

/* "[  T123] " or "[   C0] ": CONFIG_PRINTK_CALLER. */
static void skip_caller(const char **at)
{
    const char *p = *at;
    if (*p++ != '[')
        return;
    p += strspn(p, " ");
    int64_t number;
    if ((*p != 'T' && *p != 'C') || !(p++, take_digits(&p, 9, &number)) || *p++ != ']')
        return;
    *at = p + (*p == ' ');
}

static int month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (strncmp(text, names + (ptrdiff_t)3 * i, 3) == 0)
            return i;
    }
    return -1;
}

/* "14:39:41" and ".411104". */
static bool take_clock(const char **at, struct tm *tm, int64_t *ret_fraction_ns)
{
    const char *p = *at;
    int64_t hour, minute, second, scale = NS_PER_S;
    if (!take_digits(&p, 2, &hour) || *p++ != ':' || !take_digits(&p, 2, &minute) || *p++ != ':' ||
        !take_digits(&p, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    tm->tm_hour = (int)hour;
    tm->tm_min = (int)minute;
    tm->tm_sec = (int)second;
    *ret_fraction_ns = 0;
    if (*p == '.' && is_digit(p[1])) {
        for (p++; is_digit(*p); p++) {
            scale /= 10;
            *ret_fraction_ns += (*p - '0') * scale;
        }
    }
    *at = p;
    return true;
}

/* "Nov 22 14:39:41": month, day and time of day; the year is left alone. */
static bool take_month_day(const char **at, struct tm *tm, int64_t *ret_fraction_ns)
{
    const char *p = *at;
    int64_t day;
    tm->tm_mon = month_of(p);
    if (tm->tm_mon < 0 || p[3] != ' ')
        return false;
    p += 4;
    p += strspn(p, " ");
    if (!take_digits(&p, 2, &day) || day < 1 || day > 31 || *p++ != ' ' ||
        !take_clock(&p, tm, ret_fraction_ns))
        return false;
    tm->tm_mday = (int)day;
    *at = p;
    return true;
}

/* RFC 3164: "Nov 22 14:39:41 ". */
static bool take_bsd_stamp(const char **at, int64_t now_ns, struct kernel_log_line *ret)
{
    struct tm tm = {0}, now;
    const char *p = *at;
    int64_t fraction_ns;
    if (!take_month_day(&p, &tm, &fraction_ns) || *p++ != ' ')
        return false;
    time_t now_s = (time_t)(now_ns / NS_PER_S);
    gmtime_r(&now_s, &now);
    struct tm copy = tm;
    copy.tm_year = now.tm_year;
    int64_t at_ns = (int64_t)timegm(&copy) * NS_PER_S;
    if (at_ns > now_ns + DAY_NS) {
        copy = tm;
        copy.tm_year = now.tm_year - 1;
        at_ns = (int64_t)timegm(&copy) * NS_PER_S;
    }
    ret->at_ns = at_ns + fraction_ns;
    ret->no_year = true;
    *at = p;
    return true;
}

/* dmesg -T: "[Sun Nov 22 14:39:41 2026] ". */
static bool take_ctime(const char **at, struct kernel_log_line *ret)
{
    const char *p = *at;
    struct tm tm = {0};
    int64_t fraction_ns, year;
    if (*p++ != '[' || !isalpha((unsigned char)p[0]) || strnlen(p, 4) < 4 || p[3] != ' ')
        return false;
    p += 4;
    if (!take_month_day(&p, &tm, &fraction_ns) || *p++ != ' ' || !take_digits(&p, 4, &year) ||
        *p++ != ']' || year < 1970 || year >= YEAR_END)
        return false;
    tm.tm_year = (int)year - 1900;
    ret->at_ns = (int64_t)timegm(&tm) * NS_PER_S + fraction_ns;
    *at = p + (*p == ' ');
    return true;
}

/* "2026-11-22T14:39:41,411104+00:00 " (dmesg), with a point or without fraction elsewhere;
 * "2026-11-22 14:39:41 " as some syslog daemons write it. */
static bool take_iso_stamp(const char **at, struct kernel_log_line *ret)
{
    const char *p = *at;
    if (strnlen(p, 20) < 20 || !is_digit(p[0]) || p[4] != '-' || p[13] != ':')
        return false;
    size_t length = 11 + strcspn(p + 11, " ");
    if (length > STAMP_MAX || p[length] != ' ' || !fact_time_parse(p, length, &ret->at_ns))
        return false;
    *at = p + length + 1;
    return true;
}

/* journalctl -o short-full: "Sun 2026-11-22 14:39:41 UTC ". */
static bool take_full_stamp(const char **at, struct kernel_log_line *ret)
{
    const char *p = *at;
    if (strnlen(p, 28) < 28 || !isalpha((unsigned char)p[0]) || p[3] != ' ' || !is_digit(p[4]))
        return false;
    p += 4;
    size_t day = 11 + strcspn(p + 11, " ");
    if (p[day] != ' ')
        return false;
    size_t length = day + 1 + strcspn(p + day + 1, " ");
    if (length > STAMP_MAX || p[length] != ' ')
        return false;
    bool utc = strncmp(p + day + 1, "UTC", 3) == 0;
    if (!fact_time_parse(p, utc ? length : day, &ret->at_ns))
        return false;
    *at = p + length + 1;
    return true;
}

/* journalctl -o short-unix: "1795358381.411104 ". */
static bool take_unix_stamp(const char **at, struct kernel_log_line *ret)
{
    const char *p = *at;
    int64_t seconds, micros;
    if (!take_digits(&p, 10, &seconds) || p - *at != 10 || seconds > EPOCH_S_MAX || *p++ != '.' ||
        !take_digits(&p, 6, &micros) || *p++ != ' ')
        return false;
    ret->at_ns = seconds * NS_PER_S + micros * NS_PER_US;
    *at = p;
    return true;
}

/* "<3>" or "<3>1 ": false when the facility is not the kernel's. */
static bool skip_priority(const char **at)
{
    const char *p = *at;
    int64_t priority;
    if (*p++ != '<' || !take_digits(&p, 3, &priority) || *p++ != '>')
        return true;
    if (p[0] == '1' && p[1] == ' ')
        p += 2;
    *at = p;
    return priority >> FACILITY_SHIFT == 0;
}

/* dmesg -x: "kern  :info  : ". */
static bool skip_facility(const char **at)
{
    static const char *const facilities[] = {"kern", "user", "mail", "daemon", "auth",     "syslog",
                                             "lpr",  "news", "uucp", "cron",   "authpriv", "ftp"};
    for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++) {
        size_t length = strlen(facilities[i]);
        if (strncmp(*at, facilities[i], length) != 0)
            continue;
        const char *p = *at + length;
        p += strspn(p, " ");
        if (*p++ != ':')
            continue;
        p += strcspn(p, ": ");
        p += strspn(p, " ");
        if (*p++ != ':' || *p++ != ' ')
            continue;
        *at = p;
        return i == 0;
    }
    return true;
}

/* RFC 5424's PROCID, MSGID and structured data behind the tag: " - - - ", " 0 ID [a b=\"c\"] ". */
static bool skip_rfc5424_fields(const char **at)
{
    const char *p = *at;
    for (int i = 0; i < 2; i++) {
        size_t length = *p == ' ' ? strcspn(p + 1, " ") : 0;
        if (length == 0)
            return false;
        p += 1 + length;
    }
    if (*p++ != ' ' || (*p != '-' && *p != '['))
        return false;
    if (*p == '-')
        p++;
    while (*p == '[') {
        for (bool quoted = false; *p && (quoted || *p != ']'); p++) {
            if (quoted && *p == '\\' && p[1])
                p++;
            else if (*p == '"')
                quoted = !quoted;
        }
        if (*p++ != ']')
            return false;
    }
    if (*p != ' ')
        return false;
    *at = p;
    return true;
}

/* "HOST kernel: ", RFC 5424's "HOST kernel - - - "; `ret_tagged` says whether there is a host and
 * a tag of any kind. */
static bool skip_kernel_tag(const char **at, bool *ret_tagged)
{
    const char *p = *at;
    size_t host = strcspn(p, " :[");
    *ret_tagged = false;
    if (host == 0 || p[host] != ' ')
        return false;
    p += host + 1;
    size_t tag = strcspn(p, " :[");
    *ret_tagged = tag > 0 && (p[tag] == ':' || p[tag] == '[' || strncmp(p + tag, " - ", 3) == 0);
    if (tag != strlen("kernel") || strncmp(p, "kernel", tag) != 0)
        return false;
    p += tag;
    if (p[0] == ':')
        p += 1;
    else if (!skip_rfc5424_fields(&p))
        return false;
    *at = p + (*p == ' ');
    *ret_tagged = true;
    return true;
}

/* "HOST systemd-oomd[226]: ", "HOST earlyoom: ", RFC 5424's "HOST earlyoom 202 - - ". */
static enum killer skip_killer_tag(const char **at)
{
    const char *p = *at;
    size_t host = strcspn(p, " :[");
    if (host == 0 || p[host] != ' ')
        return KILLER_NONE;
    p += host + 1;
    size_t tag = strcspn(p, " :[");
    enum killer killer = killer_of_name(p, tag);
    p += tag;
    if (killer == KILLER_NONE)
        return KILLER_NONE;
    if (*p == '[') {
        p += 1 + strspn(p + 1, "0123456789");
        if (*p++ != ']')
            return KILLER_NONE;
    }
    if (*p == ':')
        p++;
    else if (!skip_rfc5424_fields(&p))
        return KILLER_NONE;
    *at = p + (*p == ' ');
    return killer;
}

static bool take_stamp(const char **at, int64_t now_ns, struct kernel_log_line *ret)
{
    return take_boot_stamp(at, &ret->boot_ns) || take_ctime(at, ret) || take_iso_stamp(at, ret) ||
           take_full_stamp(at, ret) || take_bsd_stamp(at, now_ns, ret) || take_unix_stamp(at, ret);
}

static bool read_raw(const char *line, struct kernel_log_line *ret)
{
    if (!is_digit(line[0]) || kmsg_parse_record(line, &ret->record) < 0)
        return false;
    ret->form = ret->record.from_kernel ? KERNEL_LOG_RAW : KERNEL_LOG_FOREIGN;
    ret->boot_ns = ret->record.boot_ns;
    ret->text = ret->record.text;
    return true;
}

/* Behind the time. dmesg has nothing there, its ISO form with a comma in the time neither; anything
 * else needs a tag, or a user's line would pass for the kernel's. */
static enum kernel_log_form form_of(const char **at, const char *stamp)
{
    bool tagged;
    if (skip_kernel_tag(at, &tagged))
        return KERNEL_LOG_SYSLOG;
    if (stamp[0] == '[') {
        struct kmsg_oom oom; /* "oom-kill:...": no tag, though it looks like one */
        bool words = kmsg_parse_oom(*at, &oom) != KMSG_NOT_OOM;
        return tagged && !words ? KERNEL_LOG_FOREIGN : KERNEL_LOG_STAMPED;
    }
    bool dmesg_iso = is_digit(stamp[0]) && stamp[10] == 'T' && stamp[19] == ',';
    return dmesg_iso ? KERNEL_LOG_STAMPED : KERNEL_LOG_FOREIGN;
}

void kernel_log_line_read(const char *line, int64_t now_ns, struct kernel_log_line *ret)
{
    ret->form = KERNEL_LOG_BARE;
    ret->at_ns = ret->boot_ns = FACT_TIME_UNKNOWN;
    ret->no_year = false;
    ret->killer = KILLER_NONE;
    ret->text = line;
    if (read_raw(line, ret))
        return;
    const char *at = line;
    bool kernel = skip_priority(&at);
    kernel = skip_facility(&at) && kernel;
    const char *stamp = at;
    if (!take_stamp(&at, now_ns, ret)) {
        ret->form = kernel ? KERNEL_LOG_BARE : KERNEL_LOG_FOREIGN;
        ret->text = at;
        return;
    }
    ret->form = kernel ? form_of(&at, stamp) : KERNEL_LOG_FOREIGN;
    if (ret->form == KERNEL_LOG_SYSLOG)
        take_boot_stamp(&at, &ret->boot_ns);
    if (ret->form == KERNEL_LOG_FOREIGN && (ret->killer = skip_killer_tag(&at)) != KILLER_NONE)
        ret->form = KERNEL_LOG_KILLER;
    else
        skip_caller(&at);
    ret->text = at;
}
