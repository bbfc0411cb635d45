/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks of what the kernel keeps for a process: threads, children, descriptors, files in memory. */
#include "service.h"

#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A worker that waits for a job that never comes, with what it has on its stack. */
static void *wait_for_ever(void *size)
{
    volatile char *stack = alloca((size_t)size);
    for (size_t i = 0; i < (size_t)size; i += 1024)
        stack[i] = 1;
    pause();
    return NULL;
}

static unsigned serve_thread(const char *path)
{
    (void)path;
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_ever, (void *)parameter("SIZE", 65536)) != 0)
        return 503;
    return 200;
}

/* A helper process that its parent forgets. */
static unsigned serve_child(const char *path)
{
    (void)path;
    pid_t child = fork();
    if (child == 0) {
        keep(touched((size_t)parameter("SIZE", 262144)));
        for (;;)
            pause();
    }
    return child < 0 ? 503 : 200;
}

/* So that the main process is the largest, as a real one would be. */
static void start_child(void)
{
    keep(touched((size_t)parameter("BASE", 8 << 20)));
}

/* An upload that is put into /dev/shm and never deleted. */
static unsigned serve_tmpfs(const char *path)
{
    (void)path;
    char name[256];
    snprintf(name, sizeof(name), "%s/upload-%lu", directory("SHARED"), request_number());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return 507;
    size_t size = (size_t)parameter("SIZE", 65536);
    char *upload = touched(size);
    bool written = write(fd, upload, size) == (ssize_t)size;
    free(upload);
    close(fd);
    return written ? 200 : 507;
}

static void raise_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A shared buffer for a client that is not told to close it. */
static unsigned serve_memfd(const char *path)
{
    (void)path;
    size_t size = (size_t)parameter("SIZE", 65536);
    int fd = memfd_create("frame", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        return 503;
    char *frame = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (frame == MAP_FAILED)
        return 503;
    for (size_t i = 0; i < size; i += 4096)
        frame[i] = 1;
    munmap(frame, size);
    return 200;
}

/* Output of a helper in a pipe that nobody reads. */
static unsigned serve_pipe(const char *path)
{
    (void)path;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return 503;
    size_t size = (size_t)parameter("SIZE", 65536);
    char *output = touched(size);
    bool written = write(ends[1], output, size) > 0;
    free(output);
    return written ? 200 : 503;
}

const struct shape leak_kernel_shapes[] = {
    {.name = "c-thread", .serve = serve_thread},
    {.name = "c-child", .start = start_child, .serve = serve_child},
    {.name = "c-tmpfs", .serve = serve_tmpfs},
    {.name = "c-memfd", .start = raise_files, .serve = serve_memfd},
    {.name = "c-pipe", .start = raise_files, .serve = serve_pipe},
    {0},
};
