/* SPDX-License-Identifier: Apache-2.0 */
/* One poll() over everything, and nothing that blocks: whoever of the three (we, the server, the
 * command) reads no more must not keep the others from ending. */
#include "cli/exec_relay.h"

#include "api/exec_stream.h"
#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { WATCH_SOCKET, WATCH_INPUT, WATCH_OUTPUT, WATCH_ERRORS, WATCH_SIGNALS, WATCHED };

struct relay {
    int socket;
    const struct exec_terminal *terminal;
    struct own input, output, errors;
    struct exec_queue from_server, to_server, out, out_err;
    size_t credit;
    bool input_open, resized;
    bool sending; /* the server still takes what we send */
    bool over;    /* the last frame has come */
    int status;
    char failure[ERROR_TEXT_BYTES]; /* "": the command itself ended */
};

static bool is_terminal(const struct relay *relay)
{
    return relay->terminal->signal_fd >= 0;
}

/* --- from the server ------------------------------------------------------------------------ */

static bool has_room(const struct relay *relay)
{
    return exec_queue_room(&relay->out) >= EXEC_PAYLOAD_MAX &&
           exec_queue_room(&relay->out_err) >= EXEC_PAYLOAD_MAX;
}

static int take_frame(struct relay *relay, const struct exec_frame *frame)
{
    switch (frame->type) {
    case EXEC_CREDIT:
        relay->credit += exec_frame_number(frame, 0);
        return relay->credit <= EXEC_WINDOW ? 0 : -EPROTO;
    case EXEC_OUTPUT:
        exec_queue_put(&relay->out, frame->payload, frame->length);
        return 0;
    case EXEC_ERRORS:
        exec_queue_put(&relay->out_err, frame->payload, frame->length);
        return 0;
    case EXEC_FAILURE:
        snprintf(relay->failure, sizeof(relay->failure), "%.*s", (int)frame->length - 4,
                 frame->payload + 4);
        /* fall through */
    case EXEC_EXIT:
        relay->over = true;
        relay->status = (int)(exec_frame_number(frame, 0) & 0xff);
        return 0;
    case EXEC_INPUT:
    case EXEC_INPUT_END:
    case EXEC_RESIZE:
        break;
    }
    return -EPROTO;
}

static int take_frames(struct relay *relay, struct error *err)
{
    struct exec_queue *queue = &relay->from_server;
    while (!relay->over && has_room(relay)) {
        struct exec_frame frame;
        size_t used = 0;
        int r = exec_frame_parse(exec_queue_head(queue), queue->length, &frame, &used);
        if (r == 1) {
            r = take_frame(relay, &frame);
            exec_queue_drop(queue, used);
        } else if (r == 0) {
            return 0;
        }
        if (r < 0)
            return error_set(err, EPROTO, "this is not the protocol of oomlab serve's exec");
    }
    return 0;
}

static int read_socket(struct relay *relay, struct error *err)
{
    long n = exec_queue_fill(&relay->from_server, relay->socket, true, EXEC_FRAME_MAX);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return error_set(
            err, ECONNRESET,
            "the connection to oomlab serve is lost, and the command is ended with it");
    return take_frames(relay, err);
}

/* --- to the server -------------------------------------------------------------------------- */

/* A server that takes no more has something to tell, which is read to its end. */
static void write_socket(struct relay *relay)
{
    long n = exec_queue_drain(&relay->to_server, relay->socket, true, EXEC_FRAME_MAX);
    if (n < 0 && n != -EAGAIN)
        relay->sending = relay->input_open = false;
}

static void end_input(struct relay *relay)
{
    relay->input_open = false;
    exec_queue_put_frame(&relay->to_server, EXEC_INPUT_END, NULL, 0);
}

/* Returns the signal that our terminal's end amounts to, or 0. */
static int read_input(struct relay *relay)
{
    char bytes[EXEC_PAYLOAD_MAX];
    struct exec_queue taken = {.data = bytes, .capacity = sizeof(bytes)};
    size_t most = relay->credit < relay->input.most ? relay->credit : relay->input.most;
    long n = exec_queue_fill(&taken, relay->input.fd, relay->input.is_socket, most);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0 && is_terminal(relay))
        return SIGHUP;
    if (n <= 0) {
        end_input(relay);
        return 0;
    }
    relay->credit -= (size_t)n;
    exec_queue_put_frame(&relay->to_server, EXEC_INPUT, bytes, (size_t)n);
    return 0;
}

static void tell_size(struct relay *relay)
{
    unsigned size[2];
    char payload[8];
    exec_terminal_size(&size[0], &size[1]);
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)(size[i / 4] >> (24 - 8 * (i % 4)));
    relay->resized = !exec_queue_put_frame(&relay->to_server, EXEC_RESIZE, payload, 8);
}

/* --- the loop ------------------------------------------------------------------------------- */

static void watch(struct pollfd *watched, int fd, short events)
{
    *watched = (struct pollfd){.fd = events ? fd : -1, .events = events};
}

static void watch_all(const struct relay *relay, struct pollfd *watched)
{
    bool sending = relay->sending && !relay->over;
    bool wanted = sending && relay->input_open && relay->credit > 0 &&
                  exec_queue_room(&relay->to_server) >= EXEC_FRAME_MAX + 64;
    int socket_events = !relay->over && has_room(relay) ? POLLIN : 0;
    if (sending && relay->to_server.length > 0)
        socket_events |= POLLOUT;
    watch(&watched[WATCH_SOCKET], relay->socket, (short)socket_events);
    watch(&watched[WATCH_INPUT], relay->input.fd, wanted ? POLLIN : 0);
    watch(&watched[WATCH_OUTPUT], relay->output.fd, relay->out.length > 0 ? POLLOUT : 0);
    watch(&watched[WATCH_ERRORS], relay->errors.fd, relay->out_err.length > 0 ? POLLOUT : 0);
    watch(&watched[WATCH_SIGNALS], relay->terminal->signal_fd, POLLIN);
}

static int write_own(struct exec_queue *queue, const struct own *own, const char *name,
                     struct error *err)
{
    long n = exec_queue_drain(queue, own->fd, own->is_socket, own->most);
    return n < 0 && n != -EAGAIN ? error_errno(err, (int)-n, "writing to %s", name) : 0;
}

/* 0, -errno, or the number of a signal to end with. */
static int handle(struct relay *relay, const struct pollfd *watched, struct error *err)
{
    int r = 0;
    if (watched[WATCH_SIGNALS].revents) {
        int number = exec_terminal_signal(relay->terminal);
        if (number != 0 && number != SIGWINCH)
            return number;
        relay->resized |= number == SIGWINCH;
    }
    if (watched[WATCH_OUTPUT].revents)
        r = write_own(&relay->out, &relay->output, "standard output", err);
    if (r == 0 && watched[WATCH_ERRORS].revents)
        r = write_own(&relay->out_err, &relay->errors, "standard error", err);
    if (r == 0 && (watched[WATCH_SOCKET].revents & POLLOUT))
        write_socket(relay);
    if (r == 0 && (watched[WATCH_SOCKET].revents & ~POLLOUT))
        r = read_socket(relay, err);
    if (r == 0 && watched[WATCH_INPUT].revents)
        r = read_input(relay);
    if (r == 0)
        r = take_frames(relay, err); /* those that had no room */
    if (r == 0 && relay->resized)
        tell_size(relay);
    return r;
}

static int run(struct relay *relay, struct error *err)
{
    int r = 0;
    while (r == 0 && !(relay->over && relay->out.length == 0 && relay->out_err.length == 0)) {
        struct pollfd watched[WATCHED];
        watch_all(relay, watched);
        if (poll(watched, WATCHED, -1) < 0) {
            if (errno != EINTR)
                r = error_errno(err, errno, "waiting");
            continue;
        }
        r = handle(relay, watched, err);
    }
    return r;
}

static int open_relay(struct relay *relay, struct error *err)
{
    own_open(STDIN_FILENO, false, &relay->input);
    own_open(STDOUT_FILENO, true, &relay->output);
    own_open(STDERR_FILENO, true, &relay->errors);
    if (exec_queue_init(&relay->from_server, 2 * EXEC_FRAME_MAX) < 0 ||
        exec_queue_init(&relay->to_server, 2 * EXEC_FRAME_MAX) < 0 ||
        exec_queue_init(&relay->out, 4 * EXEC_PAYLOAD_MAX) < 0 ||
        exec_queue_init(&relay->out_err, 4 * EXEC_PAYLOAD_MAX) < 0)
        return error_errno(err, ENOMEM, "preparing the command");
    return 0;
}

static void close_relay(struct relay *relay)
{
    own_close(&relay->input);
    own_close(&relay->output);
    own_close(&relay->errors);
    exec_queue_done(&relay->from_server);
    exec_queue_done(&relay->to_server);
    exec_queue_done(&relay->out);
    exec_queue_done(&relay->out_err);
}

int exec_relay(int socket, const struct exec_terminal *terminal, int *ret_status, struct error *err)
{
    struct relay relay = {
        .socket = socket,
        .terminal = terminal,
        .credit = EXEC_WINDOW,
        .input_open = true,
        .resized = terminal->signal_fd >= 0, /* it may have been since the request */
        .sending = true,
    };
    int r = open_relay(&relay, err);
    if (r == 0)
        r = run(&relay, err);
    close_relay(&relay);
    *ret_status = 0;
    if (r != 0)
        return r < 0 ? r : 128 + r;
    if (relay.failure[0] == '\0')
        return relay.status;
    *ret_status = relay.status;
    return error_set(err, EREMOTEIO, "%s", relay.failure);
}
