/* SPDX-License-Identifier: Apache-2.0 */
#include "api/exec_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void put_number(char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(number >> (24 - 8 * i));
}

static uint32_t get_number(const char *at)
{
    uint32_t number = 0;
    for (int i = 0; i < 4; i++)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

/* --- frames --------------------------------------------------------------------------------- */

static bool fits(unsigned char type, size_t length)
{
    switch (type) {
    case EXEC_INPUT:
    case EXEC_OUTPUT:
    case EXEC_ERRORS:
        return length > 0 && length <= EXEC_PAYLOAD_MAX;
    case EXEC_INPUT_END:
        return length == 0;
    case EXEC_RESIZE:
        return length == 8;
    case EXEC_CREDIT:
    case EXEC_EXIT:
        return length == 4;
    case EXEC_FAILURE:
        return length >= 4 && length <= EXEC_PAYLOAD_MAX;
    default:
        return false;
    }
}

int exec_frame_parse(const char *data, size_t size, struct exec_frame *ret, size_t *ret_used)
{
    if (size < EXEC_FRAME_HEADER)
        return 0;
    size_t length = get_number(data + 4);
    if (data[1] != 0 || data[2] != 0 || data[3] != 0 || !fits((unsigned char)data[0], length))
        return -EPROTO;
    if (size - EXEC_FRAME_HEADER < length)
        return 0;
    *ret = (struct exec_frame){
        .type = (enum exec_frame_type)data[0],
        .payload = data + EXEC_FRAME_HEADER,
        .length = length,
    };
    *ret_used = EXEC_FRAME_HEADER + length;
    return 1;
}

void exec_frame_header(char header[static EXEC_FRAME_HEADER], enum exec_frame_type type,
                       size_t length)
{
    memset(header, 0, EXEC_FRAME_HEADER);
    header[0] = (char)type;
    put_number(header + 4, (uint32_t)length);
}

uint32_t exec_frame_number(const struct exec_frame *frame, unsigned i)
{
    return get_number(frame->payload + 4 * (size_t)i);
}

/* --- queues --------------------------------------------------------------------------------- */

int exec_queue_init(struct exec_queue *queue, size_t capacity)
{
    *queue = (struct exec_queue){.data = malloc(capacity), .capacity = capacity};
    return queue->data ? 0 : -ENOMEM;
}

void exec_queue_done(struct exec_queue *queue)
{
    free(queue->data);
    *queue = (struct exec_queue){0};
}

size_t exec_queue_room(const struct exec_queue *queue)
{
    return queue->capacity - queue->length;
}

const char *exec_queue_head(const struct exec_queue *queue)
{
    return queue->data + queue->start;
}

void exec_queue_drop(struct exec_queue *queue, size_t length)
{
    queue->length -= length;
    queue->start = queue->length > 0 ? queue->start + length : 0;
}

/* Bring all room together at the end; returns where it begins. */
static char *open_end(struct exec_queue *queue)
{
    if (queue->start > 0)
        memmove(queue->data, queue->data + queue->start, queue->length);
    queue->start = 0;
    return queue->data + queue->length;
}

bool exec_queue_put(struct exec_queue *queue, const void *data, size_t length)
{
    if (exec_queue_room(queue) < length)
        return false;
    char *end = queue->data + queue->start + queue->length;
    if (queue->capacity - queue->start - queue->length < length)
        end = open_end(queue);
    if (length > 0)
        memcpy(end, data, length);
    queue->length += length;
    return true;
}

bool exec_queue_put_frame(struct exec_queue *queue, enum exec_frame_type type, const void *payload,
                          size_t length)
{
    char header[EXEC_FRAME_HEADER];
    if (exec_queue_room(queue) < EXEC_FRAME_HEADER + length)
        return false;
    exec_frame_header(header, type, length);
    return exec_queue_put(queue, header, sizeof(header)) && exec_queue_put(queue, payload, length);
}

bool exec_queue_put_number(struct exec_queue *queue, enum exec_frame_type type, uint32_t number)
{
    char payload[4];
    put_number(payload, number);
    return exec_queue_put_frame(queue, type, payload, sizeof(payload));
}

bool exec_queue_put_failure(struct exec_queue *queue, unsigned status, const char *text)
{
    char payload[1024];
    size_t length = strnlen(text, sizeof(payload) - 4);
    put_number(payload, status);
    memcpy(payload + 4, text, length);
    return exec_queue_put_frame(queue, EXEC_FAILURE, payload, 4 + length);
}

long exec_queue_fill(struct exec_queue *queue, int fd, bool is_socket, size_t most)
{
    size_t room = exec_queue_room(queue);
    if (room > most)
        room = most;
    if (room == 0)
        return -EAGAIN;
    char *end = open_end(queue);
    ssize_t n;
    do
        n = is_socket ? recv(fd, end, room, MSG_DONTWAIT) : read(fd, end, room);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        queue->length += (size_t)n;
    return n < 0 ? -errno : n;
}

long exec_queue_drain(struct exec_queue *queue, int fd, bool is_socket, size_t most)
{
    size_t length = queue->length < most ? queue->length : most;
    if (length == 0)
        return 0;
    ssize_t n;
    do
        n = is_socket ? send(fd, exec_queue_head(queue), length, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : write(fd, exec_queue_head(queue), length);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        exec_queue_drop(queue, (size_t)n);
    return n < 0 ? -errno : n;
}
