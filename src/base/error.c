/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void set_text(struct error *err, int errnum,
                                                           const char *format, va_list args)
{
    err->code = -errnum;
    err->kind = ERROR_FAILED;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

int error_set(struct error *err, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(err, errnum, format, args);
    va_end(args);
    return err->code;
}

int error_errno(struct error *err, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(err, errnum, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    const char *name = strerrordesc_np(errnum);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", name ? name : "unknown error");
    return err->code;
}

int error_usage(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(err, EINVAL, format, args);
    va_end(args);
    err->kind = ERROR_USAGE;
    return err->code;
}

int error_unavailable(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(err, ENOTSUP, format, args);
    va_end(args);
    err->kind = ERROR_UNAVAILABLE;
    return err->code;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_BYTES];
    memcpy(inner, err->text, sizeof(inner));

    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    return err->code;
}
