/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files, relative to a directory descriptor (AT_FDCWD for the working directory). */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read at most size - 1 bytes from the start of the open file with pread(2) and terminate them.
 * No allocation. Returns the length or -errno. */
ssize_t file_pread_text(int fd, char *text, size_t size);

/* Read at most size - 1 bytes of the named file and terminate them. Returns the length or -errno.
 */
ssize_t file_read_text(int dir_fd, const char *name, char *text, size_t size);

/* Append the whole file to `buffer`; more than `max_bytes` is -EFBIG. Sets `err`. */
int file_read_all(int dir_fd, const char *name, size_t max_bytes, struct buffer *buffer,
                  struct error *err);

/* Write `text` to an existing file with a single write(2), as kernel files want it. Returns 0 or
 * -errno. */
int file_write_text(int dir_fd, const char *name, const char *text);

/* Create or replace a file atomically (temporary name, fsync, rename), mode 0644. Sets `err`. */
int file_replace(int dir_fd, const char *name, const void *data, size_t length, struct error *err);

/* Write to the path that a user gave: "-" is standard output; a symbolic link is followed; what is
 * there already (a device, a FIFO, /dev/stdout) stays what it is, and a regular file is emptied
 * first. A short write, as to a full device, is an error. Sets `err`. */
int file_write_output(const char *path, const void *data, size_t length, struct error *err);

/* SHA-256 (FIPS 180-4) as 64 hexadecimal digits. */
#define SHA256_TEXT_MAX 65
void sha256_hex(const void *data, size_t length, char text[static SHA256_TEXT_MAX]);
int sha256_hex_file(int dir_fd, const char *name, char text[static SHA256_TEXT_MAX],
                    struct error *err);
