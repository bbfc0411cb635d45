/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP service whose memory behaves as SHAPE says: the C programs of the corpus. */
#include "service.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct shape *shape;
static unsigned long requests;
static unsigned long random_state = 88172645463325252UL;

long parameter(const char *name, long fallback)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : fallback;
}

const char *directory(const char *name)
{
    const char *path = getenv(name);
    if (!path) {
        fprintf(stderr, "%s is not set\n", name);
        exit(2);
    }
    return path;
}

char *touched(size_t bytes)
{
    char *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "malloc(%zu) failed\n", bytes);
        exit(1);
    }
    /* Not zero, so that no compiler turns the pair into calloc(), which touches nothing. */
    memset(memory, 0x5a, bytes);
    return memory;
}

void keep(void *memory)
{
    static void *volatile last;
    last = memory;
    (void)last;
}

void sleep_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0)
        ;
}

void tick(long period_ms, void (*work)(void))
{
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        due.tv_nsec += period_ms % 1000 * 1000000;
        due.tv_sec += period_ms / 1000 + due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
            ;
        work();
    }
}

unsigned long next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

unsigned long request_number(void)
{
    return requests;
}

/* Each connection has a flag: whether it carried a request yet that is no probe. Probes connect for
 * as long as it runs. */
static void track_connection(void *context, struct MHD_Connection *connection, void **state,
                             enum MHD_ConnectionNotificationCode code)
{
    (void)context;
    (void)connection;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = calloc(1, sizeof(bool));
    } else {
        free(*state);
        *state = NULL;
    }
}

static void notice_connection(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    bool *seen = info ? info->socket_context : NULL;
    if (!shape->connected || !seen || *seen)
        return;
    *seen = true;
    shape->connected();
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *body,
                              size_t *body_size, void **state)
{
    (void)context;
    (void)method;
    (void)version;
    (void)body;
    *body_size = 0;
    if (!*state) {
        *state = connection;
        return MHD_YES;
    }
    unsigned status = 200;
    if (strcmp(path, "/health") != 0) {
        requests++;
        notice_connection(connection);
        if (shape->serve)
            status = shape->serve(path);
    }
    static char words[] = "ok\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(words) - 1, words, MHD_RESPMEM_PERSISTENT);
    if (shape->connected && requests % (unsigned long)parameter("PER_CONNECTION", 1) == 0)
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static const struct shape *find_in(const struct shape *shapes, const char *name)
{
    for (; shapes->name; shapes++) {
        if (strcmp(shapes->name, name) == 0)
            return shapes;
    }
    return NULL;
}

static const struct shape *find(const char *name)
{
    const struct shape *found = find_in(leak_shapes, name);
    if (!found)
        found = find_in(leak_kernel_shapes, name);
    if (!found)
        found = find_in(innocent_shapes, name);
    return found ? found : find_in(ended_shapes, name);
}

int main(void)
{
    const char *name = getenv("SHAPE");
    shape = name ? find(name) : NULL;
    if (!shape) {
        fprintf(stderr, "SHAPE=%s is none of the shapes in this program\n", name ? name : "");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (shape->start)
        shape->start();
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)parameter("PORT", 8080)),
                                  .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, answer, NULL,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_CONNECTION, track_connection, NULL,
        MHD_OPTION_CONNECTION_LIMIT, 1000U, MHD_OPTION_END);
    if (!daemon) {
        perror("cannot listen");
        return 1;
    }
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    int signal_number;
    sigwait(&stop, &signal_number);
    return 0;
}
