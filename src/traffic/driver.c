/* SPDX-License-Identifier: Apache-2.0 */
/* The traffic thread: one epoll loop over curl's sockets and one absolute timer, so that a request
 * leaves within microseconds of its due time however the server fares. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "traffic/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NEVER      INT64_MAX
#define BATCH_MAX  32 /* overdue requests sent before the sockets are served again */
#define EVENTS_MAX 64

struct traffic {
    const struct traffic_plan *plan;
    struct pool pool;
    struct ring *outcomes;
    uint32_t arm_id;
    int64_t start_ns;
    void (*on_done)(void *context);
    void *context;

    pthread_t thread;
    bool started, curl_ready;
    int epoll_fd, timer_fd, stop_fd;
    bool stopping; /* the thread saw stop_fd */

    size_t next, total;  /* the next request to send */
    int64_t end_ns;      /* of the cool-down */
    int64_t curl_due_ns; /* when curl wants to be called; NEVER */
    int64_t armed_ns;    /* what timer_fd is set to */
    uint32_t flying;

    _Atomic unsigned last_cycle; /* as was asked for; 0: all of the plan */
    _Atomic uint32_t due, completed, failed, in_flight, late_max_us;
};

static void count(_Atomic uint32_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void report(struct traffic *traffic, struct traffic_outcome *outcome)
{
    outcome->done_ns = clock_monotonic_ns();
    bool completed = outcome->status > 0 && outcome->status < 500;
    count(completed ? &traffic->completed : &traffic->failed);
    if (traffic->outcomes)
        ring_push(traffic->outcomes, outcome);
}

static void set_flying(struct traffic *traffic, uint32_t flying)
{
    traffic->flying = flying;
    atomic_store_explicit(&traffic->in_flight, flying, memory_order_relaxed);
}

static void finish(struct traffic *traffic, struct transfer *transfer, CURLcode result)
{
    struct traffic_outcome outcome = pool_finish(&traffic->pool, transfer, result);
    set_flying(traffic, traffic->flying - 1);
    report(traffic, &outcome);
}

/* Let curl act on a socket (or on its own timeouts) and collect what that finished. */
static void act(struct traffic *traffic, curl_socket_t socket, int events)
{
    int running;
    if (socket == CURL_SOCKET_TIMEOUT)
        traffic->curl_due_ns = NEVER; /* curl sets the next one from inside the call */
    curl_multi_socket_action(traffic->pool.multi, socket, events, &running);

    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(traffic->pool.multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result; /* the message dies with the next call */
        finish(traffic, pool_find(message->easy_handle), result);
    }
}

static void note_lateness(struct traffic *traffic, int64_t late_ns)
{
    int64_t late_us = late_ns / NS_PER_US;
    uint32_t value = late_us < 0 ? 0 : late_us > UINT32_MAX ? UINT32_MAX : (uint32_t)late_us;
    if (value > atomic_load_explicit(&traffic->late_max_us, memory_order_relaxed))
        atomic_store_explicit(&traffic->late_max_us, value, memory_order_relaxed);
}

static void send_next(struct traffic *traffic, const struct traffic_planned *planned)
{
    struct traffic_outcome outcome = {
        .arm_id = traffic->arm_id,
        .seq = (uint32_t)traffic->next++,
        .cycle = planned->cycle,
        .due_ns = traffic->start_ns + planned->due_ns,
    };
    count(&traffic->due);
    struct transfer *transfer = pool_start(&traffic->pool, planned->kind, &outcome);
    if (!transfer) {
        report(traffic, &outcome);
        return;
    }
    set_flying(traffic, traffic->flying + 1);
    transfer->outcome.sent_ns = clock_monotonic_ns();
    note_lateness(traffic, transfer->outcome.sent_ns - outcome.due_ns);
    act(traffic, CURL_SOCKET_TIMEOUT, 0);
}

/* Cut the plan at the end of the cycle that is to be the last. */
static void heed_last_cycle(struct traffic *traffic)
{
    const struct traffic_plan *plan = traffic->plan;
    unsigned last = atomic_exchange_explicit(&traffic->last_cycle, 0, memory_order_relaxed);
    if (last == 0)
        return;
    unsigned cycles = traffic_plan_cycles_at(plan, traffic->total);
    unsigned begun = traffic_plan_cycles_at(plan, traffic->next);
    last = last < begun ? begun : last;
    if (last >= cycles)
        return;
    traffic->total = traffic->total / cycles * last;
    traffic->end_ns = traffic->start_ns + traffic_plan_prefix_ns(plan, last);
}

/* Send what is due. Returns when the next request is due, NEVER after the last. */
static int64_t send_due(struct traffic *traffic)
{
    heed_last_cycle(traffic);
    for (int i = 0; traffic->next < traffic->total; i++) {
        struct traffic_planned planned = traffic_plan_at(traffic->plan, traffic->next);
        int64_t due_ns = traffic->start_ns + planned.due_ns;
        if (i == BATCH_MAX || due_ns > clock_monotonic_ns())
            return due_ns;
        send_next(traffic, &planned);
    }
    return NEVER;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *known)
{
    (void)easy;
    struct traffic *traffic = context;
    struct epoll_event event = {.data.fd = socket};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(traffic->epoll_fd, EPOLL_CTL_DEL, socket, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    epoll_ctl(traffic->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
    curl_multi_assign(traffic->pool.multi, socket, traffic);
    return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct traffic *traffic = context;
    traffic->curl_due_ns =
        timeout_ms < 0 ? NEVER : clock_monotonic_ns() + (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* Wake up at `at_ns`, or at once when that has passed. */
static void arm(struct traffic *traffic, int64_t at_ns)
{
    if (at_ns == traffic->armed_ns)
        return;
    traffic->armed_ns = at_ns;
    struct itimerspec when = {0}; /* all zero: off */
    if (at_ns != NEVER) {
        int64_t ns = at_ns > 0 ? at_ns : 1;
        when.it_value.tv_sec = (time_t)(ns / NS_PER_S);
        when.it_value.tv_nsec = (long)(ns % NS_PER_S);
    }
    timerfd_settime(traffic->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void handle_event(struct traffic *traffic, const struct epoll_event *event)
{
    int fd = event->data.fd;
    if (fd == traffic->stop_fd) {
        traffic->stopping = true;
    } else if (fd == traffic->timer_fd) {
        uint64_t times;
        if (read(fd, &times, sizeof(times)) > 0)
            traffic->armed_ns = NEVER;
    } else {
        int events = 0;
        if (event->events & EPOLLIN)
            events |= CURL_CSELECT_IN;
        if (event->events & EPOLLOUT)
            events |= CURL_CSELECT_OUT;
        if (event->events & (EPOLLERR | EPOLLHUP))
            events |= CURL_CSELECT_ERR;
        act(traffic, fd, events);
    }
}

static void wait_and_handle(struct traffic *traffic)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(traffic->epoll_fd, events, EVENTS_MAX, -1);
    for (int i = 0; i < n && !traffic->stopping; i++) {
        handle_event(traffic, &events[i]);
        send_due(traffic); /* a burst of answers must not make the next request late */
    }
}

static void abandon_in_flight(struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->pool.size; i++) {
        struct transfer *transfer = &traffic->pool.transfers[i];
        if (!transfer->busy)
            continue;
        struct traffic_outcome outcome = pool_finish(&traffic->pool, transfer, CURLE_OK);
        outcome_fail(&outcome, "stopped");
        set_flying(traffic, traffic->flying - 1);
        report(traffic, &outcome);
    }
}

/* Be on time although every processor is busy: the lowest real-time priority, else a better nice
 * value, else neither. Threads that curl starts (to look up names) do not inherit it. */
static void take_priority(void)
{
    const struct sched_param lowest = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) < 0)
        setpriority(PRIO_PROCESS, 0, -10);
}

static void *run(void *context)
{
    struct traffic *traffic = context;
    take_priority();
    while (!traffic->stopping) {
        int64_t due_ns = send_due(traffic);
        int64_t now_ns = clock_monotonic_ns();
        if (traffic->curl_due_ns <= now_ns)
            act(traffic, CURL_SOCKET_TIMEOUT, 0);
        if (due_ns == NEVER && traffic->flying == 0) {
            if (now_ns >= traffic->end_ns)
                break;
            due_ns = traffic->end_ns;
        }
        arm(traffic, due_ns < traffic->curl_due_ns ? due_ns : traffic->curl_due_ns);
        wait_and_handle(traffic);
    }
    if (traffic->stopping)
        abandon_in_flight(traffic);
    else if (traffic->on_done)
        traffic->on_done(traffic->context);
    return NULL;
}

static int watch(struct traffic *traffic, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(traffic->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_descriptors(struct traffic *traffic, struct error *err)
{
    traffic->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    traffic->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    traffic->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (traffic->epoll_fd < 0 || traffic->timer_fd < 0 || traffic->stop_fd < 0 ||
        watch(traffic, traffic->timer_fd) < 0 || watch(traffic, traffic->stop_fd) < 0)
        return error_errno(err, errno, "preparing the traffic");
    return 0;
}

static int start_thread(struct traffic *traffic, struct error *err)
{
    int r = thread_start(&traffic->thread, NULL, run, traffic);
    if (r < 0)
        return error_errno(err, -r, "starting the traffic thread");
    traffic->started = true;
    pthread_setname_np(traffic->thread, "oomlab-traffic");
    return 0;
}

static int prepare(struct traffic *traffic, const struct traffic_options *options,
                   struct error *err)
{
    int r = open_descriptors(traffic, err);
    if (r < 0)
        return r;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, EIO, "libcurl cannot be initialised");
    traffic->curl_ready = true;
    r = pool_init(&traffic->pool, traffic->plan, options, err);
    if (r < 0)
        return r;
    CURLM *multi = traffic->pool.multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, traffic);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, traffic);
    return 0;
}

static void free_traffic_pointer(struct traffic **traffic)
{
    traffic_free(*traffic);
}

int traffic_start(const struct traffic_plan *plan, const struct traffic_options *options,
                  int64_t start_ns, struct traffic **ret, struct error *err)
{
    size_t total = traffic_plan_requests(plan);
    if (options->outcomes && options->outcomes->capacity < total)
        return error_set(err, EINVAL, "a ring of %zu outcomes cannot hold the plan's %zu requests",
                         options->outcomes->capacity, total);
    struct traffic *traffic CLEANUP(free_traffic_pointer) = calloc(1, sizeof(*traffic));
    if (!traffic)
        return error_errno(err, ENOMEM, "starting the traffic");
    traffic->plan = plan;
    traffic->outcomes = options->outcomes;
    traffic->arm_id = options->arm_id;
    traffic->start_ns = start_ns;
    traffic->on_done = options->on_done;
    traffic->context = options->context;
    traffic->total = total;
    traffic->end_ns = start_ns + traffic_plan_duration_ns(plan);
    traffic->curl_due_ns = traffic->armed_ns = NEVER;
    traffic->epoll_fd = traffic->timer_fd = traffic->stop_fd = -1;
    int r = prepare(traffic, options, err);
    if (r == 0)
        r = start_thread(traffic, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&traffic);
    return 0;
}

void traffic_end_after(struct traffic *traffic, unsigned cycle)
{
    atomic_store_explicit(&traffic->last_cycle, cycle, memory_order_relaxed);
}

void traffic_progress(const struct traffic *traffic, struct traffic_progress *ret)
{
    *ret = (struct traffic_progress){
        .due = atomic_load_explicit(&traffic->due, memory_order_relaxed),
        .completed = atomic_load_explicit(&traffic->completed, memory_order_relaxed),
        .failed = atomic_load_explicit(&traffic->failed, memory_order_relaxed),
        .in_flight = atomic_load_explicit(&traffic->in_flight, memory_order_relaxed),
        .late_max_us = atomic_load_explicit(&traffic->late_max_us, memory_order_relaxed),
    };
}

void traffic_free(struct traffic *traffic)
{
    if (!traffic)
        return;
    if (traffic->started) {
        eventfd_write(traffic->stop_fd, 1);
        pthread_join(traffic->thread, NULL);
    }
    pool_done(&traffic->pool);
    if (traffic->curl_ready)
        curl_global_cleanup();
    close_fd(&traffic->epoll_fd);
    close_fd(&traffic->timer_fd);
    close_fd(&traffic->stop_fd);
    free(traffic);
}
