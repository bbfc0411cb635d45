/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the connection of an exec once it is upgraded: frames, the same for the server
 * and the client, and queues of bytes that cannot grow.
 *
 * A frame is a type (1 byte), 3 bytes of zero, the payload's length (4 bytes, big-endian) and the
 * payload. The client may send EXEC_WINDOW bytes of input, and then as many as CREDIT frames grant:
 * the server therefore always reads, whether the command does or not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXEC_PROTOCOL     "oomlab-exec.1" /* in the header Upgrade */
#define EXEC_FRAME_HEADER 8
#define EXEC_PAYLOAD_MAX  ((size_t)32 << 10)
#define EXEC_FRAME_MAX    (EXEC_FRAME_HEADER + EXEC_PAYLOAD_MAX)
#define EXEC_WINDOW       ((size_t)256 << 10)
#define EXEC_COMMAND_MAX  ((size_t)64 << 10) /* bytes of all words, each with its end */
#define EXEC_WORDS_MAX    1024

enum exec_frame_type {
    /* From the client. */
    EXEC_INPUT = 'i',
    EXEC_INPUT_END = 'z',
    EXEC_RESIZE = 'w', /* two numbers: rows, columns */
    /* From the server. */
    EXEC_CREDIT = 'c', /* a number: so many bytes of input have been taken */
    EXEC_OUTPUT = 'o',
    EXEC_ERRORS = 'e',  /* standard error */
    EXEC_EXIT = 'x',    /* a number: the command's exit status. The last frame */
    EXEC_FAILURE = 'f', /* a number and a text: the exit status and why. The last frame */
};

struct exec_frame {
    enum exec_frame_type type;
    const char *payload; /* borrowed */
    size_t length;
};

/* 1: a whole frame stands at `data` and is `ret_used` bytes long. 0: more is needed. -EPROTO: it is
 * none, or its payload's length does not fit its type. */
int exec_frame_parse(const char *data, size_t size, struct exec_frame *ret, size_t *ret_used);
void exec_frame_header(char header[static EXEC_FRAME_HEADER], enum exec_frame_type type,
                       size_t length);
/* The number at index `i` of a payload that is long enough. */
uint32_t exec_frame_number(const struct exec_frame *frame, unsigned i);

/* Bytes on their way, at most `capacity`. */
struct exec_queue {
    char *data; /* owned */
    size_t start, length, capacity;
};

int exec_queue_init(struct exec_queue *queue, size_t capacity); /* 0 or -ENOMEM */
void exec_queue_done(struct exec_queue *queue);
size_t exec_queue_room(const struct exec_queue *queue);
/* False, and nothing changes, when there is no room for all of it. */
bool exec_queue_put(struct exec_queue *queue, const void *data, size_t length);
bool exec_queue_put_frame(struct exec_queue *queue, enum exec_frame_type type, const void *payload,
                          size_t length);
bool exec_queue_put_number(struct exec_queue *queue, enum exec_frame_type type, uint32_t number);
bool exec_queue_put_failure(struct exec_queue *queue, unsigned status, const char *text);
const char *exec_queue_head(const struct exec_queue *queue);
void exec_queue_drop(struct exec_queue *queue, size_t length);

/* Move bytes without blocking. read(2) or write(2) of up to `most` bytes on a descriptor that does
 * not block, or is ready; `is_socket`: with MSG_DONTWAIT and MSG_NOSIGNAL. The number of bytes, 0
 * at the end of the file (fill alone), -EAGAIN when it would block, or -errno. */
long exec_queue_fill(struct exec_queue *queue, int fd, bool is_socket, size_t most);
long exec_queue_drain(struct exec_queue *queue, int fd, bool is_socket, size_t most);
