/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/console.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#define CHUNK_BYTES (64UL * 1024)
#define HELD_BYTES  4096

/* A chatty container must not fill the host's disk: this much stays free, looked at so often. */
#define DISK_RESERVE_BYTES (UINT64_C(256) << 20)
#define DISK_CHECK_BYTES   (UINT64_C(8) << 20)

struct stream {
    struct console *console;
    const char *name;
    uv_pipe_t pipe;
    bool open; /* the handle is to be closed */
    bool ended;
    char held[HELD_BYTES]; /* may be the beginning of a secret: waits for the rest */
    size_t held_length;
};

struct console {
    struct console_log *log;
    void (*on_eof)(void *context);
    void *context;
    struct stream streams[2];
    unsigned closing;
    bool closed; /* console_close() was called: free after the last handle */
    char tail[CONSOLE_TAIL_BYTES + 1];
    size_t tail_length;
    char chunk[CHUNK_BYTES];
};

int console_log_open(const char *directory, const char *name, uint64_t max_bytes,
                     struct console_log *ret, struct error *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
        return error_errno(err, ENAMETOOLONG, "opening the console log of '%s'", name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", path);
    *ret = (struct console_log){.fd = fd, .max_bytes = max_bytes};
    return 0;
}

void console_log_close(struct console_log *log)
{
    close_fd(&log->fd);
}

/* True while the disk has room beyond the reserve. The first megabytes are always written. */
static bool disk_has_room(struct console_log *log)
{
    struct statvfs disk;
    if (log->written_bytes - log->checked_bytes < DISK_CHECK_BYTES)
        return true;
    log->checked_bytes = log->written_bytes;
    return fstatvfs(log->fd, &disk) < 0 ||
           (uint64_t)disk.f_bavail * disk.f_frsize >= DISK_RESERVE_BYTES;
}

/* Write everything or count it as lost; a full disk must not stop the container or the lab. */
static void log_write(struct console_log *log, struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (log->write_error == 0 && !disk_has_room(log))
        log->write_error = ENOSPC;
    if (log->write_error != 0 || log->written_bytes + total > log->max_bytes) {
        log->lost_bytes += total;
        return;
    }
    while (total > 0) {
        ssize_t n = writev(log->fd, parts, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            log->write_error = errno;
            log->lost_bytes += total;
            return;
        }
        log->written_bytes += (size_t)n;
        total -= (size_t)n;
        for (; count > 0 && (size_t)n >= parts->iov_len; parts++, count--)
            n -= (ssize_t)parts->iov_len;
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
}

static void tail_append(struct console *console, const char *data, size_t length)
{
    if (length > CONSOLE_TAIL_BYTES) {
        data += length - CONSOLE_TAIL_BYTES;
        length = CONSOLE_TAIL_BYTES;
    }
    size_t keep = CONSOLE_TAIL_BYTES - length;
    if (console->tail_length > keep) {
        memmove(console->tail, console->tail + console->tail_length - keep, keep);
        console->tail_length = keep;
    }
    memcpy(console->tail + console->tail_length, data, length);
    console->tail_length += length;
}

static void log_lines(struct stream *stream, char *data, size_t length)
{
    enum { LINES_PER_WRITE = 64 };
    char stamp[TIMESTAMP_TEXT_MAX];
    char full[64];
    char partial[64];
    timestamp_format(clock_realtime_ns(), stamp);
    size_t head = (size_t)snprintf(full, sizeof(full), "%s %s F ", stamp, stream->name);
    snprintf(partial, sizeof(partial), "%s %s P ", stamp, stream->name);
    char newline[] = "\n";

    while (length > 0) {
        struct iovec parts[3 * LINES_PER_WRITE];
        int count = 0;
        while (length > 0 && count < 3 * LINES_PER_WRITE) {
            char *end = memchr(data, '\n', length);
            size_t line = end ? (size_t)(end - data) : length;
            parts[count++] = (struct iovec){end ? full : partial, head};
            parts[count++] = (struct iovec){data, line};
            parts[count++] = (struct iovec){newline, 1};
            size_t used = end ? line + 1 : line;
            data += used;
            length -= used;
        }
        log_write(stream->console->log, parts, count);
    }
}

static void stream_write(struct stream *stream, char *data, size_t length)
{
    if (length == 0)
        return;
    tail_append(stream->console, data, length);
    log_lines(stream, data, length);
}

static void stream_end(struct stream *stream)
{
    redactor_mask(stream->console->log->redactor, stream->held, stream->held_length, false);
    stream_write(stream, stream->held, stream->held_length);
    stream->held_length = 0;
    struct console *console = stream->console;
    stream->ended = true;
    uv_read_stop((uv_stream_t *)&stream->pipe);
    if (console->streams[0].ended && console->streams[1].ended && console->on_eof)
        console->on_eof(console->context);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct stream *stream = handle->data;
    memcpy(stream->console->chunk, stream->held, stream->held_length);
    *ret = uv_buf_init(stream->console->chunk + stream->held_length,
                       (unsigned)(CHUNK_BYTES - stream->held_length));
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buf)
{
    struct stream *stream = handle->data;
    if (count == 0)
        return;
    if (count < 0) {
        stream_end(stream);
        return;
    }
    (void)buf; /* lies behind what was held back, in the same chunk */
    char *data = stream->console->chunk;
    size_t length = stream->held_length + (size_t)count;
    size_t held = redactor_mask(stream->console->log->redactor, data, length, true);
    held = held > HELD_BYTES ? HELD_BYTES : held;
    stream_write(stream, data, length - held);
    memcpy(stream->held, data + length - held, held);
    stream->held_length = held;
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    struct console *console = stream->console;
    console->closing--;
    if (console->closing == 0 && console->closed)
        free(console);
}

void console_close(struct console *console)
{
    if (!console)
        return;
    console->closed = true;
    console->on_eof = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (!console->streams[i].open)
            continue;
        console->closing++;
        uv_close((uv_handle_t *)&console->streams[i].pipe, on_closed);
    }
    if (console->closing == 0)
        free(console);
}

static int stream_open(uv_loop_t *loop, struct stream *stream, int *ret_write_fd, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, errno, "making the pipe for %s", stream->name);
    AUTO_CLOSE int read_end = ends[0];
    AUTO_CLOSE int write_end = ends[1];
    /* A large pipe lets a chatty container run on while the log is being written; best effort. */
    fcntl(write_end, F_SETPIPE_SZ, 1 << 20);
    int r = uv_pipe_init(loop, &stream->pipe, 0);
    if (r < 0)
        return error_errno(err, -r, "preparing %s", stream->name);
    stream->pipe.data = stream;
    stream->open = true;
    r = uv_pipe_open(&stream->pipe, read_end);
    if (r < 0)
        return error_errno(err, -r, "opening %s", stream->name);
    steal_fd(&read_end);
    r = uv_read_start((uv_stream_t *)&stream->pipe, on_alloc, on_read);
    if (r < 0)
        return error_errno(err, -r, "reading %s", stream->name);
    *ret_write_fd = steal_fd(&write_end);
    return 0;
}

int console_open(uv_loop_t *loop, struct console_log *log, void (*on_eof)(void *context),
                 void *context, struct console **ret, int *ret_stdout, int *ret_stderr,
                 struct error *err)
{
    struct console *console = calloc(1, sizeof(*console));
    if (!console)
        return error_errno(err, ENOMEM, "opening the console");
    console->log = log;
    console->on_eof = on_eof;
    console->context = context;
    console->streams[0] = (struct stream){.console = console, .name = "stdout"};
    console->streams[1] = (struct stream){.console = console, .name = "stderr"};

    AUTO_CLOSE int out = -1;
    AUTO_CLOSE int error_out = -1;
    int r = stream_open(loop, &console->streams[0], &out, err);
    if (r == 0)
        r = stream_open(loop, &console->streams[1], &error_out, err);
    if (r < 0) {
        console_close(console);
        return r;
    }
    *ret = console;
    *ret_stdout = steal_fd(&out);
    *ret_stderr = steal_fd(&error_out);
    return 0;
}

const char *console_tail(struct console *console)
{
    console->tail[console->tail_length] = '\0';
    if (console->tail_length < CONSOLE_TAIL_BYTES)
        return console->tail;
    /* The oldest line was cut: start at the first whole one. */
    const char *line = strchr(console->tail, '\n');
    return line && line[1] != '\0' ? line + 1 : console->tail;
}
