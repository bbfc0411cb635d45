/* SPDX-License-Identifier: Apache-2.0 */
/* An exec while it runs: bytes between the client's connection and the command, and its end. All of
 * it in the loop, without blocking: a queue that is full stops what fills it. */
#include "api/exec.h"

#include "api/exec_internal.h"
#include "base/terms.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Output is complete when its pipe ends, which a child in the background can put off. */
#define OUTPUT_GRACE_MS 1000
#define CAUSE_WAIT_MS   3000
/* Room in `to_client` for the last frame, and for credit. */
#define CONTROL_ROOM ((size_t)4096)
#define READS_MAX    4 /* in a row, for the sake of the others in the loop */

static void update(struct exec *exec);

static struct exec_port *port_of(struct exec *exec, enum exec_port_index index)
{
    return &exec->ports[index];
}

static bool is_open(const struct exec *exec, enum exec_port_index index)
{
    return exec->ports[index].fd >= 0;
}

static enum exec_port_index input_port(const struct exec *exec)
{
    return exec->terminal ? PORT_OUTPUT : PORT_INPUT;
}

/* Nobody is there any more to tell. */
static void lose_client(struct exec *exec)
{
    for (int i = 0; i < EXEC_PORTS; i++)
        exec_port_close(exec, (enum exec_port_index)i);
    exec_process_cancel(exec);
}

static void set_result(struct exec *exec, unsigned status, const char *text)
{
    exec->status = status;
    snprintf(exec->text, sizeof(exec->text), "%s", text);
}

/* --- input ---------------------------------------------------------------------------------- */

static void feed(struct exec *exec)
{
    enum exec_port_index index = input_port(exec);
    while (is_open(exec, index) && exec->input.length > 0) {
        long n = exec_queue_drain(&exec->input, port_of(exec, index)->fd, false, EXEC_WINDOW);
        if (n == -EAGAIN)
            return;
        if (n < 0 && exec->terminal)
            return; /* its output tells the end */
        if (n < 0)
            exec_port_close(exec, PORT_INPUT); /* the command reads no more: no more credit */
        else
            exec->uncredited += (size_t)n;
    }
    if (exec->input_ended && exec->input.length == 0)
        exec_port_close(exec, PORT_INPUT);
}

static void resize(struct exec *exec)
{
    const struct winsize size = {.ws_row = exec->rows, .ws_col = exec->columns};
    if (exec->terminal && is_open(exec, PORT_OUTPUT))
        ioctl(port_of(exec, PORT_OUTPUT)->fd, TIOCSWINSZ, &size);
}

static int take_frame(struct exec *exec, const struct exec_frame *frame)
{
    switch (frame->type) {
    case EXEC_INPUT:
        exec->window_used += frame->length;
        if (exec->window_used > EXEC_WINDOW || exec->input_ended)
            return -EPROTO;
        return exec_queue_put(&exec->input, frame->payload, frame->length) ? 0 : -EPROTO;
    case EXEC_INPUT_END:
        exec->input_ended = true;
        return 0;
    case EXEC_RESIZE:
        exec->rows = (unsigned short)exec_frame_number(frame, 0);
        exec->columns = (unsigned short)exec_frame_number(frame, 1);
        resize(exec);
        return 0;
    case EXEC_CREDIT:
    case EXEC_OUTPUT:
    case EXEC_ERRORS:
    case EXEC_EXIT:
    case EXEC_FAILURE:
        break;
    }
    return -EPROTO;
}

static int take_frames(struct exec *exec)
{
    struct exec_queue *queue = &exec->from_client;
    struct exec_frame frame;
    size_t used = 0;
    int r = 0;
    while (r >= 0 &&
           (r = exec_frame_parse(exec_queue_head(queue), queue->length, &frame, &used)) == 1) {
        r = take_frame(exec, &frame);
        exec_queue_drop(queue, used);
    }
    return r;
}

static void read_client(struct exec *exec)
{
    for (int i = 0; i < READS_MAX; i++) {
        long n = exec_queue_fill(&exec->from_client, port_of(exec, PORT_CLIENT)->fd, true,
                                 EXEC_FRAME_MAX);
        if (n == -EAGAIN)
            return;
        if (n <= 0 || take_frames(exec) < 0) {
            lose_client(exec);
            return;
        }
    }
}

/* --- output --------------------------------------------------------------------------------- */

/* A terminal that is closed while its command is exiting would hang it up, and the kernel would
 * report that signal in place of the exit status: it stays open until the command has ended. */
static void end_output(struct exec *exec, enum exec_port_index index)
{
    if (exec->terminal && !exec->ended)
        exec->hung_up = true;
    else
        exec_port_close(exec, index);
}

static void collect(struct exec *exec, enum exec_port_index index)
{
    enum exec_frame_type type = index == PORT_ERRORS ? EXEC_ERRORS : EXEC_OUTPUT;
    char bytes[EXEC_PAYLOAD_MAX];
    for (int i = 0; i < READS_MAX && is_open(exec, index) && !exec->hung_up; i++) {
        if (exec_queue_room(&exec->to_client) < EXEC_FRAME_MAX + CONTROL_ROOM)
            return;
        ssize_t n = read(port_of(exec, index)->fd, bytes, sizeof(bytes));
        if (n > 0)
            exec_queue_put_frame(&exec->to_client, type, bytes, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno == EAGAIN && !exec->draining)
            return;
        else /* the end, of a terminal EIO */
            end_output(exec, index);
    }
}

static void grant_credit(struct exec *exec)
{
    bool worth =
        exec->uncredited >= EXEC_WINDOW / 4 || (exec->uncredited > 0 && exec->input.length == 0);
    if (!worth || exec_queue_room(&exec->to_client) < CONTROL_ROOM)
        return;
    exec_queue_put_number(&exec->to_client, EXEC_CREDIT, (uint32_t)exec->uncredited);
    exec->window_used -= exec->uncredited;
    exec->uncredited = 0;
}

/* The last frame, once the command has ended and its output is complete. */
static void queue_result(struct exec *exec)
{
    if (exec->result_queued || !exec->ended || exec->cause_awaited)
        return;
    if (!exec->hurried && (is_open(exec, PORT_OUTPUT) || is_open(exec, PORT_ERRORS)))
        return;
    exec->result_queued = exec->text[0] != '\0'
                              ? exec_queue_put_failure(&exec->to_client, exec->status, exec->text)
                              : exec_queue_put_number(&exec->to_client, EXEC_EXIT, exec->status);
}

static void write_client(struct exec *exec)
{
    while (is_open(exec, PORT_CLIENT) && exec->to_client.length > 0) {
        long n =
            exec_queue_drain(&exec->to_client, port_of(exec, PORT_CLIENT)->fd, true, EXEC_WINDOW);
        if (n == -EAGAIN)
            return;
        if (n < 0)
            lose_client(exec);
    }
}

/* --- what is waited for --------------------------------------------------------------------- */

static void watch(struct exec *exec, enum exec_port_index index, bool readable, bool writable)
{
    struct exec_port *port = port_of(exec, index);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (port->fd < 0 || events == port->events)
        return;
    port->events = events;
    if (events)
        uv_poll_start(&port->poll, events, exec_on_port);
    else
        uv_poll_stop(&port->poll);
}

static void watch_all(struct exec *exec)
{
    bool room = exec_queue_room(&exec->to_client) >= EXEC_FRAME_MAX + CONTROL_ROOM;
    watch(exec, PORT_CLIENT, true, exec->to_client.length > 0);
    watch(exec, PORT_INPUT, false, exec->input.length > 0);
    watch(exec, PORT_OUTPUT, room && !exec->hung_up,
          exec->terminal && exec->input.length > 0 && !exec->hung_up);
    watch(exec, PORT_ERRORS, room, false);
}

/* After anything has happened. The exec may be on its way out afterwards. */
static void update(struct exec *exec)
{
    if (exec->closing)
        return;
    feed(exec);
    if (exec->draining) {
        collect(exec, PORT_OUTPUT);
        collect(exec, PORT_ERRORS);
    }
    grant_credit(exec);
    queue_result(exec);
    write_client(exec);
    bool over = !is_open(exec, PORT_CLIENT) || exec->hurried ||
                (exec->result_queued && exec->to_client.length == 0);
    if (exec->ended && over)
        exec_close(exec);
    else
        watch_all(exec);
}

void exec_on_port(uv_poll_t *poll, int status, int events)
{
    struct exec_port *port = (struct exec_port *)((char *)poll - offsetof(struct exec_port, poll));
    struct exec *exec = poll->data;
    enum exec_port_index index = (enum exec_port_index)(port - exec->ports);
    if (status < 0) { /* the loop has stopped it: the other end of a pipe or connection is gone */
        port->events = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (index == PORT_CLIENT && status < 0)
        lose_client(exec);
    else if (index == PORT_CLIENT && (events & UV_READABLE))
        read_client(exec);
    else if (index == PORT_INPUT && status < 0)
        exec_port_close(exec, PORT_INPUT);
    else if (index >= PORT_OUTPUT && (events & UV_READABLE))
        collect(exec, index);
    update(exec);
}

/* --- the process ---------------------------------------------------------------------------- */

static void on_time(uv_timer_t *timer)
{
    struct exec *exec = timer->data;
    exec->draining = true;
    exec->cause_awaited = false;
    update(exec);
}

static void on_started(struct exec *exec, int terminal_fd)
{
    exec->started_seen = true;
    if (terminal_fd < 0)
        return;
    if (!is_open(exec, PORT_CLIENT))
        close(terminal_fd);
    else if (exec_port_open(exec, PORT_OUTPUT, terminal_fd) < 0)
        exec_process_cancel(exec);
    else
        resize(exec);
}

static unsigned failure_status(const struct error *err)
{
    if (err->kind != ERROR_USAGE)
        return 1;
    return err->code == -ENOENT ? 127 : 126; /* as shells have it */
}

static void add_cause(struct exec *exec)
{
    size_t used = strlen(exec->text);
    if (exec->cause_known)
        snprintf(exec->text + used, sizeof(exec->text) - used, ": %s", cause_name(exec->cause));
}

static void on_ended(struct exec *exec, const struct exec_news *news)
{
    char text[sizeof(exec->text)];
    exec_process_join(exec);
    exec->ended = true;
    exec->hung_up = false; /* what is left to read is read now, and then it is closed */
    if (exec->text[0] == '\0' && news->container_ended) {
        snprintf(text, sizeof(text), "the container of replica '%s' has ended", exec->replica);
        set_result(exec, 128 + SIGKILL, text);
        exec->cause_awaited = !news->failed && !exec->cause_known;
        add_cause(exec);
    } else if (exec->text[0] == '\0' && news->failed) {
        set_result(exec, failure_status(&news->error), news->error.text);
    } else if (exec->text[0] == '\0') {
        exec->status = (unsigned)news->status;
    }
    uv_timer_start(&exec->timer, on_time, exec->cause_awaited ? CAUSE_WAIT_MS : OUTPUT_GRACE_MS, 0);
}

void exec_on_news(uv_async_t *async)
{
    struct exec *exec = async->data;
    uv_mutex_lock(&exec->mutex);
    struct exec_news news = exec->news;
    uv_mutex_unlock(&exec->mutex);
    if (exec->closing)
        return;
    if (news.started && !exec->started_seen)
        on_started(exec, news.terminal_fd);
    if (news.ended && !exec->ended)
        on_ended(exec, &news);
    update(exec);
}

/* --- from the outside ----------------------------------------------------------------------- */

unsigned execs_count(const struct serve *serve, const char *replica)
{
    unsigned count = 0;
    for (const struct exec *exec = serve->execs; exec; exec = exec->next)
        count += strcmp(exec->replica, replica) == 0;
    return count;
}

void execs_replica_ended(struct serve *serve, const char *replica, enum end_cause cause)
{
    for (struct exec *exec = serve->execs; exec; exec = exec->next) {
        if (exec->closing || exec->cause_known || strcmp(exec->replica, replica) != 0)
            continue;
        exec->cause_known = true;
        exec->cause = cause;
        if (!exec->cause_awaited)
            continue;
        add_cause(exec);
        exec->cause_awaited = false;
        exec->draining = true;
        update(exec);
    }
}

void execs_stop(struct serve *serve)
{
    for (struct exec *exec = serve->execs; exec; exec = exec->next) {
        if (exec->closing)
            continue;
        if (exec->text[0] == '\0')
            set_result(exec, 1, "oomlab serve is being stopped");
        exec->hurried = true;
        exec->cause_awaited = false;
        exec_process_cancel(exec);
        update(exec);
    }
}

static int start(struct exec *exec, struct error *err)
{
    if (exec->serve->stopping)
        return error_set(err, ESHUTDOWN, "oomlab serve is being stopped");
    if (execs_count(exec->serve, exec->replica) > EXECS_PER_REPLICA)
        return error_set(err, EAGAIN, "%d commands run in replica '%s' already", EXECS_PER_REPLICA,
                         exec->replica);
    int r = exec_prepare(exec, err);
    return r == 0 ? exec_process_start(exec, err) : r;
}

void exec_begin(struct exec *exec, struct loop_daemon *daemon,
                struct MHD_UpgradeResponseHandle *upgrade, int socket, const char *extra,
                size_t extra_length)
{
    struct serve *serve = exec->serve;
    struct error err = {0};
    exec->daemon = daemon;
    exec->upgrade = upgrade;
    uv_mutex_init(&exec->mutex);
    uv_async_init(serve->loop, &exec->async, exec_on_news);
    uv_timer_init(serve->loop, &exec->timer);
    exec->async.data = exec->timer.data = exec;
    exec->handles = 2;
    exec->next = serve->execs;
    serve->execs = exec;
    int r = start(exec, &err);
    if (exec_port_open(exec, PORT_CLIENT, socket) < 0) {
        MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
        exec_process_cancel(exec);
    } else if (extra_length > 0 && (!exec_queue_put(&exec->from_client, extra, extra_length) ||
                                    take_frames(exec) < 0)) {
        lose_client(exec);
    }
    if (r < 0) {
        set_result(exec, 1, err.text);
        exec->ended = exec->hurried = true;
    }
    update(exec);
}
