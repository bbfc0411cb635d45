/* SPDX-License-Identifier: Apache-2.0 */
/* What one request does to memory in each mode. */
#include "app.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

struct startup_block {
    struct startup_block *next;
    unsigned char bytes[];
};

/* Would taking `bytes` leave the host its reserve? A machine that does not say is not protected. */
static int check_host(const struct app *app, uint64_t bytes)
{
    if (app->config.reserve_bytes == 0)
        return 0;
    char text[512]; /* MemAvailable is in the third line */
    if (file_read_text(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0)
        return 0;
    const char *line = strstr(text, "\nMemAvailable:");
    if (!line)
        return 0;
    uint64_t available = strtoull(line + strlen("\nMemAvailable:"), NULL, 10) * KIB;
    return available > bytes + app->config.reserve_bytes ? 0 : -ENOSPC;
}

/* The same work as workload_app_retain(), and nothing of it is kept. */
static int work_and_forget(struct app *app)
{
    struct stores scratch;
    stores_init(&scratch);
    int r = check_host(app, app->config.request_bytes);
    if (r == 0)
        r = stores_keep(&scratch, app->config.request_bytes);
    uint64_t sum = stores_use(&scratch);
    __asm__ volatile("" ::"r"(sum)); /* used: the compiler may not drop the reads */
    stores_done(&scratch);
    return r;
}

int workload_app_retain(struct app *app, uint64_t bytes)
{
    int r = check_host(app, bytes);
    return r < 0 ? r : stores_keep(&app->stores, bytes);
}

NOINLINE static int cache_put(struct cache *cache, uint64_t key)
{
    size_t slot = key % cache->capacity;
    pthread_mutex_lock(&cache->lock);
    if (cache->entries[slot])
        atomic_fetch_sub(&cache->bytes, cache->entry_bytes);
    free(cache->entries[slot]); /* first, so that a full cache never holds one entry too many */
    unsigned char *entry = cache->entries[slot] = malloc(cache->entry_bytes);
    if (entry) {
        stores_touch(entry, cache->entry_bytes);
        atomic_fetch_add(&cache->bytes, cache->entry_bytes);
    }
    pthread_mutex_unlock(&cache->lock);
    return entry ? 0 : -ENOMEM;
}

static void wait_or_stop(const struct app *app, int64_t hold_ns)
{
    int64_t until_ns = clock_monotonic_ns() + hold_ns;
    struct pollfd stop = {.fd = app->stop_fd, .events = POLLIN};
    for (int64_t left_ns = hold_ns; left_ns > 0; left_ns = until_ns - clock_monotonic_ns()) {
        struct timespec left = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                                .tv_nsec = (long)(left_ns % NS_PER_S)};
        if (ppoll(&stop, 1, &left, NULL) > 0)
            return;
    }
}

NOINLINE int workload_app_spike(struct app *app, uint64_t bytes, int64_t hold_ns)
{
    int r = check_host(app, bytes);
    if (r < 0 || bytes == 0)
        return r;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    stores_touch(memory, bytes);
    wait_or_stop(app, hold_ns);
    munmap(memory, bytes);
    return 0;
}

/* Append a block (from the start again once the file is full), then read an earlier one back. */
static int page_cache_work(struct app *app)
{
    size_t length = app->config.request_bytes;
    AUTO_FREE unsigned char *block = malloc(length);
    if (!block)
        return -ENOMEM;
    stores_touch(block, length);
    uint64_t blocks = app->config.data_bytes / length;
    uint64_t number = atomic_fetch_add(&app->page_cache.written, length) / length;
    ssize_t n = pwrite(app->page_cache.fd, block, length, (off_t)(number % blocks * length));
    if (n >= 0)
        n = pread(app->page_cache.fd, block, length, (off_t)(number / 2 % blocks * length));
    return n < 0 ? -errno : 0;
}

/* Longer by one block, and every page of it written through a mapping. */
static int shmem_work(struct app *app)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t length = (app->config.request_bytes + page - 1) / page * page;
    int r = check_host(app, length);
    if (r < 0)
        return r;
    uint64_t offset = atomic_fetch_add(&app->shmem.written, length);
    if (fallocate(app->shmem.fd, 0, (off_t)offset, (off_t)length) < 0)
        return -errno;
    void *memory =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, app->shmem.fd, (off_t)offset);
    if (memory == MAP_FAILED)
        return -errno;
    stores_touch(memory, length);
    munmap(memory, length);
    return 0;
}

/* Like an ordinary server's worker pool. Without it every unanswered request would hold memory of
 * its own while the processor is throttled, and the requests to a kill would depend on the
 * machine's load. */
#define POOL_SIZE 4

static int do_work(struct app *app)
{
    uint64_t number = atomic_fetch_add(&app->works, 1);
    switch (app->config.mode) {
    case MODE_LEAK_PER_REQUEST:
        return workload_app_retain(app, app->config.request_bytes);
    case MODE_CACHE:
        return cache_put(&app->cache, number);
    case MODE_SPIKE:
        return workload_app_spike(app, app->config.spike_bytes, app->config.spike_ns);
    case MODE_PAGE_CACHE:
        return page_cache_work(app);
    case MODE_SHMEM:
        return shmem_work(app);
    case MODE_CHILD: {
        int r = check_host(app, app->config.request_bytes);
        return r < 0 ? r : workload_worker_retain(&app->worker, app->config.request_bytes);
    }
    case MODE_HEALTHY:
    case MODE_HARD_OOM:
    case MODE_LEAK:
    case MODE_COUNT:
        break;
    }
    return work_and_forget(app);
}

int workload_app_work(struct app *app)
{
    if (app->config.mode == MODE_SPIKE)
        return do_work(app);
    while (sem_wait(&app->pool) < 0 && errno == EINTR)
        ;
    int r = do_work(app);
    sem_post(&app->pool);
    return r;
}

NOINLINE int workload_app_fill_startup(struct app *app, uint64_t bytes)
{
    int r = check_host(app, bytes);
    if (r < 0)
        return r;
    struct startup_block *block = malloc(sizeof(*block) + bytes);
    if (!block)
        return -ENOMEM;
    stores_touch(block->bytes, bytes);
    block->next = app->startup;
    app->startup = block;
    atomic_fetch_add(&app->startup_bytes, bytes);
    return 0;
}

uint64_t workload_app_retained_bytes(const struct app *app)
{
    return stores_bytes(&app->stores) + atomic_load(&app->startup_bytes) +
           atomic_load(&app->cache.bytes) + atomic_load(&app->shmem.written) +
           workload_worker_retained_bytes(&app->worker);
}

static int open_page_cache(struct app *app, struct error *err)
{
    const char *dir = app->config.data_dir;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "DATA_DIR: making a file in '%s'", dir);
    app->page_cache.fd = fd;
    struct statfs system;
    if (fstatfs(fd, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC))
        return error_usage(err,
                           "DATA_DIR: '%s' is memory itself (tmpfs), not reclaimable page cache: "
                           "name a directory on a disk",
                           dir);
    return 0;
}

static int init_mode(struct app *app, struct error *err)
{
    if (app->config.mode == MODE_CACHE) {
        app->cache.entry_bytes = app->config.request_bytes;
        app->cache.capacity = app->config.cache_bytes / app->config.request_bytes;
        app->cache.entries = calloc(app->cache.capacity, sizeof(*app->cache.entries));
        if (!app->cache.entries)
            return error_errno(err, ENOMEM, "making the cache");
    }
    if (app->config.mode == MODE_SHMEM) {
        app->shmem.fd = memfd_create("oomlab-workload", MFD_CLOEXEC);
        if (app->shmem.fd < 0)
            return error_errno(err, errno, "making shared memory");
    }
    return app->config.mode == MODE_PAGE_CACHE ? open_page_cache(app, err) : 0;
}

int workload_app_init(struct app *app, const struct config *config, struct error *err)
{
    memset(app, 0, sizeof(*app));
    app->config = *config;
    app->started_ns = clock_monotonic_ns();
    app->page_cache.fd = app->shmem.fd = -1;
    stores_init(&app->stores);
    workload_worker_init(&app->worker);
    pthread_mutex_init(&app->cache.lock, NULL);
    sem_init(&app->pool, 0, POOL_SIZE);
    app->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (app->stop_fd < 0)
        return error_errno(err, errno, "starting the workload");
    return init_mode(app, err);
}

void workload_app_done(struct app *app)
{
    workload_worker_done(&app->worker);
    stores_done(&app->stores);
    for (struct startup_block *block = app->startup; block;) {
        struct startup_block *next = block->next;
        free(block);
        block = next;
    }
    for (size_t i = 0; app->cache.entries && i < app->cache.capacity; i++)
        free(app->cache.entries[i]);
    free(app->cache.entries);
    pthread_mutex_destroy(&app->cache.lock);
    sem_destroy(&app->pool);
    close_fd(&app->page_cache.fd);
    close_fd(&app->shmem.fd);
    close_fd(&app->stop_fd);
}
