/* SPDX-License-Identifier: Apache-2.0 */
/* An exec from the inside, shared by exec.c (its connection), exec_make.c (its life as an object)
 * and exec_process.c (its thread). */
#pragma once

#include "api/exec.h"
#include "api/exec_stream.h"

enum exec_port_index {
    PORT_CLIENT, /* the connection */
    PORT_INPUT,
    PORT_OUTPUT, /* with a terminal: its other end, both ways */
    PORT_ERRORS,
    EXEC_PORTS
};

struct exec_port {
    uv_poll_t poll;
    struct exec *exec;
    int fd; /* -1: closed, or never open */
    int events;
};

/* What the thread tells the loop. */
struct exec_news {
    bool started, ended;
    int terminal_fd;
    bool failed; /* `error` says why it did not start */
    struct error error;
    int status;
    bool container_ended; /* and the command with it */
};

struct exec {
    struct exec *next;
    struct serve *serve;
    struct loop_daemon *daemon;
    struct MHD_UpgradeResponseHandle *upgrade;
    char replica[192];

    /* What is started; the thread's, from its start to its end. */
    struct entrance *entrance;
    char **command, **env;
    char *directory, *root;
    struct sandbox_user user;
    bool has_user, terminal;
    unsigned short rows, columns;
    int child_fd[3]; /* the child's ends of the pipes */
    int cancel_fd;   /* eventfd: end it */

    uv_thread_t thread;
    bool has_thread;
    uv_async_t async;
    uv_timer_t timer;
    uv_mutex_t mutex; /* of the news */
    struct exec_news news;
    unsigned handles; /* that are not closed yet */
    bool closing;

    struct exec_port ports[EXEC_PORTS];
    struct exec_queue from_client, input, to_client;
    size_t uncredited;  /* bytes of input that were taken and not told yet */
    size_t window_used; /* bytes of input that came and were not credited */
    bool input_ended;   /* by the client */

    bool started_seen, ended;
    bool hung_up;       /* nobody in the container has the terminal open */
    bool draining;      /* what the pipes hold now is all */
    bool cause_awaited; /* the container has ended; why is not known yet */
    bool cause_known;   /* which may be told first */
    enum end_cause cause;
    bool hurried;                /* serve stops: no patience with the client */
    bool result_queued;          /* the last frame */
    unsigned status;             /* of the last frame */
    char text[ERROR_TEXT_BYTES]; /* "": EXEC_EXIT, else EXEC_FAILURE */
};

/* exec_make.c: close all that is open; the memory goes once the loop has closed the handles. */
void exec_close(struct exec *exec);
/* exec_make.c: watch a descriptor, which becomes the exec's. */
int exec_port_open(struct exec *exec, enum exec_port_index index, int fd);
void exec_port_close(struct exec *exec, enum exec_port_index index);
/* exec_make.c: handles and pipes. */
int exec_prepare(struct exec *exec, struct error *err);

/* exec_process.c: start the process in a thread of its own, and join that after its end. */
int exec_process_start(struct exec *exec, struct error *err);
void exec_process_join(struct exec *exec);
void exec_process_cancel(struct exec *exec);

/* exec.c: callbacks of the handles. */
void exec_on_port(uv_poll_t *poll, int status, int events);
void exec_on_news(uv_async_t *async);
