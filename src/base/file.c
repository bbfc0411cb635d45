/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t file_pread_text(int fd, char *text, size_t size)
{
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t n = pread(fd, text + used, size - 1 - used, (off_t)used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return (ssize_t)used;
}

ssize_t file_read_text(int dir_fd, const char *name, char *text, size_t size)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t n = read(fd, text + used, size - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return (ssize_t)used;
}

int file_read_all(int dir_fd, const char *name, size_t max_bytes, struct buffer *buffer,
                  struct error *err)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", name);
    char chunk[65536];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading '%s'", name);
        if (n == 0)
            return 0;
        total += (size_t)n;
        if (total > max_bytes)
            return error_set(err, EFBIG, "'%s' is larger than the %zu bytes taken here", name,
                             max_bytes);
        if (buffer_append(buffer, chunk, (size_t)n) < 0)
            return error_errno(err, ENOMEM, "reading '%s'", name);
    }
}

int file_write_text(int dir_fd, const char *name, const char *text)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t length = strlen(text);
    ssize_t n = write(fd, text, length);
    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EIO;
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

int file_replace(int dir_fd, const char *name, const void *data, size_t length, struct error *err)
{
    char temporary[512];
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp%d", name, getpid()) >=
        sizeof(temporary))
        return error_errno(err, ENAMETOOLONG, "writing '%s'", name);
    AUTO_CLOSE int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "creating '%s'", temporary);
    int r = write_all(fd, data, length);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dir_fd, temporary, 0);
        return error_errno(err, -r, "writing '%s'", name);
    }
    return 0;
}

/* Nothing of a replacement by rename(2): that would put a file in a device's place. */
int file_write_output(const char *path, const void *data, size_t length, struct error *err)
{
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s' for writing", path);
    int r = write_all(fd, data, length);
    if (close(fd) < 0 && r == 0)
        r = -errno; /* NFS and quotas tell it only now */
    return r < 0 ? error_errno(err, -r, "writing '%s'", path) : 0;
}

static void to_hex(struct sha256_ctx *context, char text[static SHA256_TEXT_MAX])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

void sha256_hex(const void *data, size_t length, char text[static SHA256_TEXT_MAX])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, length, data);
    to_hex(&context, text);
}

int sha256_hex_file(int dir_fd, const char *name, char text[static SHA256_TEXT_MAX],
                    struct error *err)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", name);
    struct sha256_ctx context;
    sha256_init(&context);
    uint8_t chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading '%s'", name);
        if (n == 0)
            break;
        sha256_update(&context, (size_t)n, chunk);
    }
    to_hex(&context, text);
    return 0;
}
