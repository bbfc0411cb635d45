/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define BLOCK     512
#define BYTES_MAX (UINT64_C(1) << 33) /* 11 octal digits */
#define FILE_MODE 0644u

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], modified[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static void put_octal(char *field, size_t size, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, value);
    memcpy(field, text, size - 1);
}

/* Up to 100 bytes go into `name`; longer ones are split at a slash, the front into `prefix`. */
static int put_name(struct header *header, const char *name, struct error *err)
{
    size_t length = strlen(name);
    if (length <= sizeof(header->name)) {
        memcpy(header->name, name, length);
        return 0;
    }
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t front = (size_t)(slash - name);
        size_t back = length - front - 1;
        if (front > sizeof(header->prefix) || back > sizeof(header->name) || back == 0)
            continue;
        memcpy(header->prefix, name, front);
        memcpy(header->name, slash + 1, back);
        return 0;
    }
    return error_set(err, ENAMETOOLONG, "the name '%s' is too long for a tar archive", name);
}

static void put_checksum(struct header *header)
{
    unsigned sum = 0;
    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((const unsigned char *)header)[i];
    put_octal(header->checksum, 7, sum);
    header->checksum[6] = '\0';
}

static int copy(FILE *out, const char *name, int fd, uint64_t bytes, struct error *err)
{
    char chunk[65536];
    while (bytes > 0) {
        size_t wanted = bytes < sizeof(chunk) ? (size_t)bytes : sizeof(chunk);
        ssize_t n = read(fd, chunk, wanted);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading '%s'", name);
        if (n == 0)
            return error_set(err, EIO, "'%s' became shorter while it was read", name);
        if (fwrite(chunk, 1, (size_t)n, out) != (size_t)n)
            return error_errno(err, errno, "writing the archive");
        bytes -= (uint64_t)n;
    }
    return 0;
}

static void pad(FILE *out, uint64_t bytes)
{
    static const char zeros[BLOCK];
    if (bytes % BLOCK != 0)
        fwrite(zeros, 1, (size_t)(BLOCK - bytes % BLOCK), out);
}

int tar_add(FILE *out, const char *name, int fd, uint64_t bytes, int64_t modified_s,
            struct error *err)
{
    struct header header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    if (bytes >= BYTES_MAX)
        return error_set(err, EFBIG, "'%s' is too large for a tar archive", name);
    int r = put_name(&header, name, err);
    if (r < 0)
        return r;
    put_octal(header.mode, sizeof(header.mode), FILE_MODE);
    put_octal(header.uid, sizeof(header.uid), 0);
    put_octal(header.gid, sizeof(header.gid), 0);
    put_octal(header.size, sizeof(header.size), bytes);
    put_octal(header.modified, sizeof(header.modified), modified_s > 0 ? (uint64_t)modified_s : 0);
    put_checksum(&header);
    if (fwrite(&header, 1, BLOCK, out) != BLOCK)
        return error_errno(err, errno, "writing the archive");
    r = copy(out, name, fd, bytes, err);
    if (r == 0)
        pad(out, bytes);
    return r;
}

void tar_finish(FILE *out)
{
    static const char zeros[2 * BLOCK];
    fwrite(zeros, 1, sizeof(zeros), out);
}
