/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/recorder.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Lifetimes that are alive at the same time differ in these low bits: there are at most
 * OBSERVER_TARGETS_MAX of them, and ids are given out in order. */
#define REASON_SLOTS 1024

/* Deliveries that the control loop may be behind by. Room for one END of every target is kept free,
 * so that an end always arrives; kernel log lines of a flood may not (the store has them all the
 * same). */
#define DELIVERIES 1024

struct delivery {
    struct observation observation;
    int64_t committed_ns;
};

struct recorder {
    struct store *store;
    struct observer *observer;
    uv_async_t wake;
    uv_poll_t notices;
    unsigned handles; /* of the two, that the loop has not closed */
    recorder_deliver deliver;
    recorder_notice notice;
    void *context;
    struct ring deliveries; /* from the writer thread to the loop */
    _Atomic int reasons[REASON_SLOTS];
};

static struct store_value metric_value(const struct metrics *metrics, enum metric metric,
                                       const char *column)
{
    if (!metrics_has(metrics, metric))
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, metrics->value[metric]);
}

static int insert_sample(struct store_batch *batch, const struct observation *o, struct error *err)
{
    struct store_value values[2 + METRIC_COUNT + 1] = {
        STORE_INT("lifetime_id", o->lifetime_id),
        STORE_INT("at_ns", o->at_ns),
    };
    for (size_t i = 0; i < METRIC_COUNT; i++)
        values[2 + i] = metric_value(&o->metrics, (enum metric)i, metric_name((enum metric)i));
    return store_batch_insert(batch, "sample", values, NULL, err);
}

static int insert_kill(struct store_batch *batch, const struct observation *o, struct error *err)
{
    const struct store_value kernel =
        o->kill.kernel_ns != 0 ? (struct store_value)STORE_INT("kernel_ns", o->kill.kernel_ns)
                               : (struct store_value)STORE_NIL("kernel_ns");
    const struct store_value values[] = {
        STORE_INT("lifetime_id", o->lifetime_id),
        STORE_INT("kills", o->kill.kills),
        kernel,
        STORE_INT("noticed_ns", o->at_ns),
        STORE_INT("recorded_ns", o->recorded_ns),
        metric_value(&o->kill.metrics, METRIC_USAGE, "usage_bytes"),
        metric_value(&o->kill.metrics, METRIC_OOM, "oom"),
        metric_value(&o->kill.metrics, METRIC_OOM_KILL, "oom_kill"),
        STORE_END,
    };
    return store_batch_insert(batch, "kill", values, NULL, err);
}

static const char *kmsg_kind_name(enum kmsg_oom_kind kind)
{
    switch (kind) {
    case KMSG_OOM_SUMMARY:
        return "summary";
    case KMSG_OOM_KILLED:
        return "killed";
    case KMSG_OOM_GROUP:
        return "group";
    case KMSG_OOM_REAPED:
        return "reaped";
    case KMSG_OOM_INVOKED:
        return "invoked";
    case KMSG_OOM_SELECTED:
        return "selected";
    case KMSG_NOT_OOM:
        break;
    }
    return "other";
}

static struct store_value text_or_null(const char *column, const char *text)
{
    if (text[0] == '\0')
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_STR(column, text);
}

static int insert_kmsg(struct store_batch *batch, const struct observation *o, struct error *err)
{
    const struct kmsg_oom *oom = &o->kmsg.oom;
    const struct store_value values[] = {
        o->lifetime_id != 0 ? (struct store_value)STORE_INT("lifetime_id", o->lifetime_id)
                            : (struct store_value)STORE_NIL("lifetime_id"),
        STORE_INT("sequence", o->kmsg.record.sequence),
        STORE_INT("boot_ns", o->kmsg.record.boot_ns),
        STORE_INT("noticed_ns", o->at_ns),
        STORE_STR("kind", kmsg_kind_name(oom->kind)),
        text_or_null("oom_memcg", oom->oom_memcg),
        text_or_null("task_memcg", oom->task_memcg),
        text_or_null("comm", oom->comm),
        oom->pid != 0 ? (struct store_value)STORE_INT("pid", oom->pid)
                      : (struct store_value)STORE_NIL("pid"),
        STORE_STR("text", o->kmsg.record.text),
        STORE_END,
    };
    return store_batch_insert(batch, "kernel_log", values, NULL, err);
}

static struct store_value count_value(bool known, const char *column, uint64_t count)
{
    if (!known)
        return (struct store_value)STORE_NIL(column);
    return (struct store_value)STORE_INT(column, count);
}

static int insert_end(struct recorder *recorder, struct store_batch *batch,
                      const struct observation *o, struct error *err)
{
    const struct metrics *start = &o->end.start;
    const struct metrics *end = &o->end.end;
    enum platform_kill reason = recorder_platform_kill(recorder, o->lifetime_id);
    const struct store_value values[] = {
        STORE_INT("lifetime_id", o->lifetime_id),
        STORE_INT("ended_ns", o->at_ns),
        STORE_INT("recorded_ns", o->recorded_ns),
        STORE_INT("wait_code", o->end.wait_code),
        STORE_INT("wait_status", o->end.wait_status),
        STORE_STR("platform_kill", platform_kill_name(reason)),
        metric_value(start, METRIC_OOM, "oom_start"),
        metric_value(end, METRIC_OOM, "oom_end"),
        metric_value(start, METRIC_OOM_KILL, "oom_kill_start"),
        metric_value(end, METRIC_OOM_KILL, "oom_kill_end"),
        metric_value(start, METRIC_OOM_GROUP_KILL, "oom_group_kill_start"),
        metric_value(end, METRIC_OOM_GROUP_KILL, "oom_group_kill_end"),
        metric_value(start, METRIC_LIMIT_HITS, "limit_hits_start"),
        metric_value(end, METRIC_LIMIT_HITS, "limit_hits_end"),
        count_value(o->end.has_ancestor_oom, "ancestor_oom_start", o->end.ancestor_oom[0]),
        count_value(o->end.has_ancestor_oom, "ancestor_oom_end", o->end.ancestor_oom[1]),
        metric_value(end, METRIC_PEAK, "peak_bytes"),
        STORE_INT("user_ns", o->end.user_ns),
        STORE_INT("system_ns", o->end.system_ns),
        STORE_END,
    };
    return store_batch_insert(batch, "lifetime_end", values, NULL, err);
}

static int apply(struct store_batch *batch, const void *record, void *context, bool *durable,
                 struct error *err)
{
    const struct observation *observation = record;
    *durable = observation->kind != OBSERVATION_SAMPLE;
    switch (observation->kind) {
    case OBSERVATION_SAMPLE:
        return insert_sample(batch, observation, err);
    case OBSERVATION_KILL:
        return insert_kill(batch, observation, err);
    case OBSERVATION_KMSG:
        return insert_kmsg(batch, observation, err);
    case OBSERVATION_END:
        return insert_end(context, batch, observation, err);
    }
    return error_set(err, EINVAL, "an observation of unknown kind %d", (int)observation->kind);
}

static void on_durable(const void *record, int64_t committed_ns, void *context)
{
    struct recorder *recorder = context;
    const struct delivery delivery = {
        .observation = *(const struct observation *)record,
        .committed_ns = committed_ns,
    };
    bool end = delivery.observation.kind == OBSERVATION_END;
    if (end || ring_room(&recorder->deliveries) > OBSERVER_TARGETS_MAX)
        ring_push(&recorder->deliveries, &delivery);
    uv_async_send(&recorder->wake);
}

void recorder_take_notices(struct recorder *recorder)
{
    struct observer_notice notice;
    while (ring_pop(observer_notices(recorder->observer), &notice))
        recorder->notice(recorder->context, notice.lifetime_id, notice.at_ns);
}

static void on_notice(uv_poll_t *poll, int status, int events)
{
    struct recorder *recorder = poll->data;
    uint64_t count;
    ssize_t n = read(observer_notice_fd(recorder->observer), &count, sizeof(count));
    (void)n, (void)status, (void)events; /* the ring tells */
    recorder_take_notices(recorder);
}

static void on_wake(uv_async_t *handle)
{
    struct recorder *recorder = handle->data;
    struct delivery delivery;
    recorder_take_notices(recorder);
    while (ring_pop(&recorder->deliveries, &delivery))
        recorder->deliver(recorder->context, &delivery.observation, delivery.committed_ns);
}

static void on_closed(uv_handle_t *handle)
{
    struct recorder *recorder = handle->data;
    if (--recorder->handles > 0)
        return;
    ring_done(&recorder->deliveries);
    free(recorder);
}

/* Both at once: from now on neither calls anybody, and what they look at may go. */
static void close_handles(struct recorder *recorder)
{
    if (recorder->handles == 2)
        uv_close((uv_handle_t *)&recorder->notices, on_closed);
    uv_close((uv_handle_t *)&recorder->wake, on_closed);
}

/* 0, or libuv's error: then the handles that there are must be closed, which frees the recorder. */
static int start_handles(struct recorder *recorder, uv_loop_t *loop)
{
    int r = uv_async_init(loop, &recorder->wake, on_wake);
    if (r < 0)
        return r;
    recorder->wake.data = recorder->notices.data = recorder;
    recorder->handles = 1;
    r = uv_poll_init(loop, &recorder->notices, observer_notice_fd(recorder->observer));
    if (r < 0)
        return r;
    recorder->handles = 2;
    return uv_poll_start(&recorder->notices, UV_READABLE, on_notice);
}

int recorder_new(struct store *store, struct observer *observer, uv_loop_t *loop,
                 recorder_deliver deliver, recorder_notice notice, void *context,
                 struct recorder **ret, struct error *err)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    if (!recorder)
        return error_errno(err, ENOMEM, "preparing the recorder");
    recorder->store = store;
    recorder->observer = observer;
    recorder->deliver = deliver;
    recorder->notice = notice;
    recorder->context = context;
    int r = ring_init(&recorder->deliveries, sizeof(struct delivery), DELIVERIES);
    if (r == 0)
        r = start_handles(recorder, loop);
    if (r < 0) {
        if (recorder->handles > 0) {
            close_handles(recorder);
        } else {
            ring_done(&recorder->deliveries);
            free(recorder);
        }
        return error_errno(err, -r, "preparing the recorder");
    }

    const struct store_source source = {
        .ring = observer_ring(observer),
        .urgent_fd = observer_urgent_fd(observer),
        .apply = apply,
        .on_durable = on_durable,
        .context = recorder,
    };
    r = store_writer_add(store, &source, err);
    if (r < 0) {
        recorder->observer = NULL;
        recorder_free(recorder);
        return r;
    }
    *ret = recorder;
    return 0;
}

void recorder_free(struct recorder *recorder)
{
    if (!recorder)
        return;
    struct error ignored;
    if (recorder->observer)
        store_writer_remove(recorder->store, observer_ring(recorder->observer), &ignored);
    close_handles(recorder);
}

void recorder_set_platform_kill(struct recorder *recorder, uint32_t lifetime_id,
                                enum platform_kill reason)
{
    atomic_store(&recorder->reasons[lifetime_id % REASON_SLOTS], (int)reason);
}

enum platform_kill recorder_platform_kill(struct recorder *recorder, uint32_t lifetime_id)
{
    return (enum platform_kill)atomic_load(&recorder->reasons[lifetime_id % REASON_SLOTS]);
}
