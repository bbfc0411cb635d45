/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread: empties the rings into the database.
 *
 * It wakes when a source is urgent and every 100 ms, and turns what a ring holds into one
 * transaction (bounded, so that an insert of another thread never waits long). A batch with a
 * durable record is followed by fdatasync() outside of the connection's mutex, then by the
 * callbacks. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define PERIOD_MS     100
#define BATCH_RECORDS 1024
#define CHECKPOINT_PAGES                                                                           \
    1500 /* 6 MiB of log: what store_create() makes room for, and some less                        \
          */
#define EVENTS_MAX  16
#define WRITER_NICE (-15)

struct source {
    struct source *next;
    struct store_source spec;
    unsigned char *record;  /* the one being applied */
    unsigned char *durable; /* copies that wait for their commit: up to BATCH_RECORDS, grown */
    size_t durable_count, durable_capacity;
    bool urgent;   /* writer thread only: its descriptor fired */
    bool removing; /* under `lock` */
};

struct writer {
    struct store *store;
    pthread_t thread;
    int epoll_fd, wake_fd;
    sqlite3 *checkpointer; /* a connection of its own, so that a checkpoint holds nobody up */
    pthread_mutex_t lock;  /* guards the list, the flags and `first_error` */
    pthread_cond_t removed;
    struct source *sources;
    bool stopping;
    _Atomic bool failed;
    struct error first_error;
};

struct store_batch {
    struct store *store;
};

int store_batch_insert(struct store_batch *batch, const char *table,
                       const struct store_value *values, int64_t *ret_rowid, struct error *err)
{
    return statement_insert(batch->store, table, values, ret_rowid, err);
}

int store_batch_update(struct store_batch *batch, const char *table, const struct store_value *key,
                       const struct store_value *values, struct error *err)
{
    return statement_update(batch->store, table, key, values, err);
}

static void remember_error(struct writer *writer, const struct error *err)
{
    pthread_mutex_lock(&writer->lock);
    if (!atomic_load(&writer->failed))
        writer->first_error = *err;
    atomic_store(&writer->failed, true);
    pthread_mutex_unlock(&writer->lock);
}

bool store_failed(struct store *store)
{
    return store->writer && atomic_load(&store->writer->failed);
}

static void source_free(struct source *source)
{
    if (!source)
        return;
    free(source->record);
    free(source->durable);
    free(source);
}

static int keep_durable(struct source *source, struct error *err)
{
    size_t bytes = source->spec.ring->record_bytes;
    if (source->durable_count == source->durable_capacity) {
        size_t capacity = source->durable_capacity ? 2 * source->durable_capacity : 16;
        unsigned char *grown = realloc(source->durable, capacity * bytes);
        if (!grown)
            return error_errno(err, ENOMEM, "keeping a record until it is durable");
        source->durable = grown;
        source->durable_capacity = capacity;
    }
    memcpy(source->durable + source->durable_count++ * bytes, source->record, bytes);
    return 0;
}

static int apply_record(struct writer *writer, struct source *source, bool *ret_durable,
                        struct error *err)
{
    struct store_batch batch = {.store = writer->store};
    bool durable = false;
    int r = source->spec.apply(&batch, source->record, source->spec.context, &durable, err);
    if (r < 0)
        return r;
    if (!durable)
        return 0;
    *ret_durable = true;
    return source->spec.on_durable ? keep_durable(source, err) : 0;
}

/* Pop and apply up to BATCH_RECORDS within one transaction; the connection mutex is held. Returns
 * how many were popped. A record that fails is lost alone, unless SQLite rolled the whole batch
 * back. */
static unsigned write_batch(struct writer *writer, struct source *source, bool *ret_durable)
{
    struct store *store = writer->store;
    struct error err = {0};
    unsigned popped = 0;
    bool open = false;
    while (popped < BATCH_RECORDS && ring_pop(source->spec.ring, source->record)) {
        popped++;
        if (!open && store_exec(store, "BEGIN IMMEDIATE", &err) < 0) {
            remember_error(writer, &err);
            return popped;
        }
        open = true;
        if (apply_record(writer, source, ret_durable, &err) < 0)
            remember_error(writer, &err);
        if (sqlite3_get_autocommit(store->db)) {
            source->durable_count = 0;
            return popped;
        }
    }
    if (open && store_exec(store, "COMMIT", &err) < 0) {
        remember_error(writer, &err);
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        source->durable_count = 0;
    }
    return popped;
}

static void announce_durable(struct writer *writer, struct source *source)
{
    struct error err = {0};
    if (store_flush(writer->store, &err) < 0) {
        remember_error(writer, &err);
    } else {
        int64_t committed_ns = clock_monotonic_ns();
        size_t bytes = source->spec.ring->record_bytes;
        for (size_t i = 0; i < source->durable_count; i++)
            source->spec.on_durable(source->durable + i * bytes, committed_ns,
                                    source->spec.context);
    }
    source->durable_count = 0;
}

static void drain(struct writer *writer, struct source *source)
{
    unsigned popped = 0;
    do {
        bool durable = false;
        store_lock(writer->store);
        popped = write_batch(writer, source, &durable);
        store_unlock(writer->store);
        if (durable)
            announce_durable(writer, source);
    } while (popped == BATCH_RECORDS);
    source->urgent = false;
}

/* Wait for an urgent source, a command or the period; marks the urgent ones. */
static void wait_for_work(struct writer *writer)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(writer->epoll_fd, events, EVENTS_MAX, PERIOD_MS);
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        uint64_t fired = 0;
        int fd = source ? source->spec.urgent_fd : writer->wake_fd;
        /* Read before the ring is drained: a record pushed later fires again. */
        if (read(fd, &fired, sizeof(fired)) < 0 && errno != EAGAIN)
            continue;
        if (source)
            source->urgent = true;
    }
}

static struct source *first_source(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    struct source *source = writer->sources;
    pthread_mutex_unlock(&writer->lock);
    return source;
}

/* Only this thread unlinks, and others only put new ones in front: `next` never changes under us.
 */
static void drain_all(struct writer *writer)
{
    struct source *first = first_source(writer);
    for (struct source *source = first; source; source = source->next) {
        if (source->urgent)
            drain(writer, source);
    }
    for (struct source *source = first; source; source = source->next)
        drain(writer, source);
}

static void unlink_source(struct writer *writer, struct source *source)
{
    if (source->spec.urgent_fd >= 0)
        epoll_ctl(writer->epoll_fd, EPOLL_CTL_DEL, source->spec.urgent_fd, NULL);
    pthread_mutex_lock(&writer->lock);
    struct source **link = &writer->sources;
    while (*link != source)
        link = &(*link)->next;
    *link = source->next;
    pthread_cond_broadcast(&writer->removed);
    pthread_mutex_unlock(&writer->lock);
    source_free(source);
}

static void remove_marked(struct writer *writer)
{
    struct source *next = NULL;
    for (struct source *source = first_source(writer); source; source = next) {
        next = source->next;
        pthread_mutex_lock(&writer->lock);
        bool removing = source->removing;
        pthread_mutex_unlock(&writer->lock);
        if (!removing)
            continue;
        drain(writer,
              source); /* again: what came before the mark may have come after drain_all() */
        unlink_source(writer, source);
    }
}

static void checkpoint_if_due(struct writer *writer)
{
    struct store *store = writer->store;
    if (atomic_load_explicit(&store->wal_pages, memory_order_relaxed) < CHECKPOINT_PAGES)
        return;
    /* Best effort: a passive checkpoint that finds a reader tries again later. */
    sqlite3_wal_checkpoint_v2(writer->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    atomic_store_explicit(&store->wal_pages, 0, memory_order_relaxed);
}

static void *writer_main(void *context)
{
    struct writer *writer = context;
    pthread_setname_np(pthread_self(), "oomlab-writer");
    /* A kill record must become durable while the workload burns every core. On Linux this concerns
     * the thread alone; where it is not allowed, it stays as it is. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), WRITER_NICE);
    for (;;) {
        wait_for_work(writer);
        pthread_mutex_lock(&writer->lock);
        bool stopping = writer->stopping;
        pthread_mutex_unlock(&writer->lock);
        drain_all(writer);
        remove_marked(writer);
        if (stopping)
            return NULL;
        checkpoint_if_due(writer);
    }
}

static void wake(struct writer *writer)
{
    uint64_t one = 1;
    /* A full counter (EAGAIN) wakes as well. */
    if (write(writer->wake_fd, &one, sizeof(one)) < 0)
        return;
}

static void writer_free(struct writer *writer)
{
    if (!writer)
        return;
    for (struct source *source = writer->sources, *next = NULL; source; source = next) {
        next = source->next;
        source_free(source);
    }
    sqlite3_close(writer->checkpointer);
    close_fd(&writer->epoll_fd);
    close_fd(&writer->wake_fd);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->removed);
    free(writer);
}

static int open_descriptors(struct writer *writer, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    writer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    writer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->epoll_fd < 0 || writer->wake_fd < 0 ||
        epoll_ctl(writer->epoll_fd, EPOLL_CTL_ADD, writer->wake_fd, &event) < 0)
        return error_errno(err, errno, "starting the writer of the evidence");
    if (sqlite3_open_v2(writer->store->path, &writer->checkpointer, SQLITE_OPEN_READWRITE, NULL) !=
        SQLITE_OK)
        return error_set(err, EIO, "starting the writer of '%s': %s", writer->store->path,
                         sqlite3_errmsg(writer->checkpointer));
    return 0;
}

static int start_thread(struct writer *writer, struct error *err)
{
    int r = thread_start(&writer->thread, NULL, writer_main, writer);
    return r == 0 ? 0 : error_errno(err, -r, "starting the writer of the evidence");
}

int store_writer_start(struct store *store, struct error *err)
{
    if (store->writer)
        return error_set(err, EALREADY, "the writer of '%s' runs already", store->path);
    if (!store->writable)
        return error_set(err, EROFS, "'%s' was opened to read", store->path);
    struct writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return error_errno(err, ENOMEM, "starting the writer of the evidence");
    writer->store = store;
    writer->epoll_fd = writer->wake_fd = -1;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->removed, NULL);
    int r = open_descriptors(writer, err);
    if (r == 0)
        r = start_thread(writer, err);
    if (r < 0) {
        writer_free(writer);
        return r;
    }
    store->writer = writer;
    return 0;
}

int store_writer_add(struct store *store, const struct store_source *spec, struct error *err)
{
    struct writer *writer = store->writer;
    if (!writer)
        return error_set(err, EINVAL, "the writer of '%s' does not run", store->path);
    struct source *source = calloc(1, sizeof(*source));
    if (source)
        source->record = malloc(spec->ring->record_bytes);
    if (!source || !source->record) {
        source_free(source);
        return error_errno(err, ENOMEM, "adding a source to '%s'", store->path);
    }
    source->spec = *spec;
    pthread_mutex_lock(&writer->lock);
    source->next = writer->sources;
    writer->sources = source;
    pthread_mutex_unlock(&writer->lock);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    if (spec->urgent_fd >= 0 &&
        epoll_ctl(writer->epoll_fd, EPOLL_CTL_ADD, spec->urgent_fd, &event) < 0) {
        int r = error_errno(err, errno, "adding a source to '%s'", store->path);
        struct error ignored = {0};
        store_writer_remove(store, spec->ring, &ignored);
        return r;
    }
    wake(writer);
    return 0;
}

/* The source of a ring, with `lock` held. */
static struct source *find_source(struct writer *writer, const struct ring *ring)
{
    struct source *source = writer->sources;
    while (source && source->spec.ring != ring)
        source = source->next;
    return source;
}

int store_writer_remove(struct store *store, struct ring *ring, struct error *err)
{
    struct writer *writer = store->writer;
    if (!writer)
        return error_set(err, EINVAL, "the writer of '%s' does not run", store->path);
    pthread_mutex_lock(&writer->lock);
    struct source *source = find_source(writer, ring);
    if (source)
        source->removing = true;
    wake(writer);
    while (source && find_source(writer, ring))
        pthread_cond_wait(&writer->removed, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
    return source ? 0 : error_set(err, ENOENT, "that ring is no source of '%s'", store->path);
}

int store_writer_stop(struct store *store, struct error *err)
{
    struct writer *writer = store->writer;
    if (!writer)
        return 0;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_mutex_unlock(&writer->lock);
    wake(writer);
    pthread_join(writer->thread, NULL);
    store->writer = NULL;
    int r = store_flush(store, err);
    if (atomic_load(&writer->failed)) {
        *err = writer->first_error;
        r = err->code;
    }
    writer_free(writer);
    return r;
}
