/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values: a negative errno plus a message chain in a fixed buffer.
 *
 * Nothing here allocates, because oomlab works where memory runs out. Functions that can fail
 * return 0 or -errno and take a caller-owned `struct error *` as their last argument, never NULL.
 * Libraries fill it in and neither print nor exit; src/cli prints it and turns its kind into the
 * exit status. */
#pragma once

#define ERROR_TEXT_BYTES 768

/* What the error means for the person who runs oomlab; src/cli maps it to the exit status. */
enum error_kind {
    ERROR_FAILED = 0, /* the tool failed (exit status 1) */
    ERROR_USAGE,      /* an input is wrong: an option, a lab file, a file to read (exit status 2) */
    ERROR_UNAVAILABLE, /* this machine cannot run it; the text says what is missing and the fix (4)
                        */
};

struct error {
    int code; /* negative errno, 0 while unset */
    enum error_kind kind;
    char text[ERROR_TEXT_BYTES]; /* "outer context: inner context: cause", always terminated */
};

/* Set the message (replacing any other) and return -errnum. `errnum` is a positive errno value. */
int error_set(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(), and ": " with the text of `errnum` is added: for failed system calls. */
int error_errno(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set() with EINVAL and the kind ERROR_USAGE. */
int error_usage(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set() with ENOTSUP and the kind ERROR_UNAVAILABLE: one sentence on what is missing, one
 * on what to do. */
int error_unavailable(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "context: " in front of the message; keeps kind and code and returns the code. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
