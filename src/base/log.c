/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/panel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    max_level = level;
}

void log_print(enum log_level level, const char *format, ...)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
    if (level > max_level)
        return;

    char line[2048];
    int used = snprintf(line, sizeof(line), "oomlab: %s", words[level]);
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    size_t length = strnlen(line, sizeof(line) - 2);
    if (text < 0)
        length = (size_t)used;
    line[length++] = '\n';
    panel_write_above(line, length);
}
