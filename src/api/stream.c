/* SPDX-License-Identifier: Apache-2.0 */
#include "api/stream.h"

#include "api/loop_daemon.h"
#include "api/resources.h"
#include "base/clock.h"
#include "base/duration.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES  (16 << 10)
#define HEARTBEAT_NS (10 * NS_PER_S)

struct stream {
    struct stream *next;
    struct serve *serve;
    struct loop_daemon *daemon;
    struct MHD_Connection *connection;
    struct feed_cursor cursor;
    struct buffer part; /* is being sent */
    size_t sent;        /* bytes of it */
    int64_t written_ns;
    bool due; /* there may be something new */
    bool suspended, ended;
};

static void wake(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
    loop_daemon_wake(stream->daemon);
}

/* The part has been sent: the next one, if it is time. A part that was large gives its memory back.
 */
static void fill(struct stream *stream)
{
    buffer_done(&stream->part);
    stream->sent = 0;
    if (!stream->due)
        return;
    stream->due = feed_write(stream->serve, &stream->cursor, &stream->part);
    int64_t now_ns = clock_monotonic_ns();
    if (stream->part.length == 0 && now_ns - stream->written_ns >= HEARTBEAT_NS)
        buffer_puts(&stream->part, ":\n\n");
    if (stream->part.length > 0)
        stream->written_ns = now_ns;
}

static ssize_t on_read(void *context, uint64_t position, char *data, size_t size)
{
    struct stream *stream = context;
    (void)position;
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (stream->sent == stream->part.length)
        fill(stream);
    if (stream->part.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t rest = stream->part.length - stream->sent;
    if (rest == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    if (rest > size)
        rest = size;
    memcpy(data, stream->part.data + stream->sent, rest);
    stream->sent += rest;
    return (ssize_t)rest;
}

static void on_free(void *context)
{
    struct stream *stream = context;
    for (struct stream **link = &stream->serve->streams; *link; link = &(*link)->next) {
        if (*link == stream) {
            *link = stream->next;
            break;
        }
    }
    buffer_done(&stream->part);
    free(stream);
}

static unsigned count(const struct serve *serve)
{
    unsigned count = 0;
    for (const struct stream *s = serve->streams; s; s = s->next)
        count++;
    return count;
}

static void begin(struct request *request, struct reply *reply)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream) {
        stream->serve = request->serve;
        stream->daemon = request->daemon;
        stream->connection = request->connection;
        stream->due = true;
        feed_begin(request->serve, request_header(request, "Last-Event-ID"), &stream->cursor);
        stream->next = request->serve->streams;
        request->serve->streams = stream;
        reply->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read,
                                                            stream, on_free);
        if (!reply->response)
            on_free(stream);
    }
    reply->type = "text/event-stream; charset=utf-8";
    reply->status = MHD_HTTP_OK;
    if (!reply->response)
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "out of memory");
}

void stream_get(struct request *request, struct reply *reply)
{
    if (request->serve->stopping) {
        reply_error(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable",
                    "oomlab serve is being stopped");
    } else if (count(request->serve) >= STREAMS_MAX) {
        reply_header(reply, "Retry-After", "5");
        reply_error(reply, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyStreams",
                    "%d streams are open already; close a page that shows this serve", STREAMS_MAX);
    } else {
        begin(request, reply);
    }
}

void streams_tick(struct serve *serve)
{
    if (!serve->streams)
        return;
    feed_update(serve);
    for (struct stream *s = serve->streams; s; s = s->next) {
        s->due = true;
        wake(s);
    }
}

void streams_stop(struct serve *serve)
{
    for (struct stream *s = serve ? serve->streams : NULL; s; s = s->next) {
        s->ended = true;
        wake(s);
    }
}
