/* SPDX-License-Identifier: Apache-2.0 */
/* A container's stdout and stderr: captured without loss into a log file in the format that
 * container runtimes write (CRI): "<RFC 3339 time> stdout F <line>", P instead of F for a line
 * without its end.
 *
 * Pipes, not files, so that the log's page cache is not charged to the container. A container that
 * writes faster than the disk takes it is slowed down by its pipe, as under any runtime. */
#pragma once

#include "base/error.h"
#include "base/redact.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define CONSOLE_TAIL_BYTES 4096

/* A log file that outlives the lifetimes of its replica. */
struct console_log {
    int fd;
    uint64_t written_bytes;
    uint64_t max_bytes; /* nothing is written beyond it; counted in lost_bytes */
    uint64_t lost_bytes;
    uint64_t checked_bytes; /* written_bytes when the disk's free space was last looked at */
    const struct redactor *redactor; /* secrets are masked before anything is written; NULL: by
                                        name alone; borrowed */
    int write_error;                 /* errno of the first failed write; 0 none */
};

/* Create (or append to) DIRECTORY/NAME. `max_bytes` bounds the file. */
int console_log_open(const char *directory, const char *name, uint64_t max_bytes,
                     struct console_log *ret, struct error *err);
void console_log_close(struct console_log *log);

struct console; /* both streams of one lifetime */

/* Make the pipes and start reading in `loop`. `ret_stdout` and `ret_stderr` are the writing ends,
 * the caller's to close once the container has them. `on_eof` is called once, when both streams
 * have ended and everything is written. */
int console_open(uv_loop_t *loop, struct console_log *log, void (*on_eof)(void *context),
                 void *context, struct console **ret, int *ret_stdout, int *ret_stderr,
                 struct error *err);
/* The last bytes of both streams in the order in which they came, whole lines; terminated.
 * Borrowed. */
const char *console_tail(struct console *console);
/* Stop reading and free (in the loop, once the handles are closed). NULL is fine. */
void console_close(struct console *console);
