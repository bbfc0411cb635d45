/* SPDX-License-Identifier: Apache-2.0 */
/* How fast and how lean a gigabyte of log is read, beside `grep -c oom-kill` on the same file in
 * the same run (each three times, the best counts). Once as syslog text, once as the journal's
 * NDJSON. The bar: at no less than a third of grep's speed, in under 64 MiB.
 *
 * Usage: import-speed FIXTURES. $OOMLAB_BENCH_BYTES is the size of the file (default 1 GiB); it is
 * written to $TMPDIR and removed. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/size.h"
#include "import/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define RUNS       3
#define RATIO_BAR  3.0
#define MEMORY_BAR (UINT64_C(64) << 20)
#define BLOCK_ROWS 12000
/* A report of some 80 lines in so many rows of other things. */
#define REPORT_EVERY 3000

static const char *const NOISE[] = {
    "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)",
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth1a2b3c4: link becomes ready",
    "docker0: port 3(veth1a2b3c4) entered forwarding state",
    "TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending cookies.",
    "nf_conntrack: nf_conntrack: table full, dropping packet",
    "systemd-journald[312]: /dev/kmsg buffer overrun, some messages still lost, will go on",
};

struct form {
    const char *name, *fixture;
    const char *row; /* of the noise: a printf format with two numbers and a text */
};

static const struct form FORMS[] = {
    {"syslog", "kernel-log/podman-cgroup-v1.journal-short", "Nov 22 14:%02d:%02d vm kernel: %s\n"},
    {"ndjson", "kernel-log/podman-cgroup-v1.journal-json",
     "{\"_TRANSPORT\":\"kernel\",\"__REALTIME_TIMESTAMP\":\"17953583%02d%02d1104\",\"_HOSTNAME\":"
     "\"vm\",\"SYSLOG_IDENTIFIER\":\"kernel\",\"PRIORITY\":\"6\",\"MESSAGE\":\"%s\"}\n"},
};

static int make_block(const struct form *form, const char *fixtures, struct buffer *ret,
                      struct error *err)
{
    AUTO_BUFFER report = {0};
    AUTO_BUFFER path = {0};
    struct random random = {1};
    buffer_printf(&path, "%s/%s", fixtures, form->fixture);
    int r = file_read_all(AT_FDCWD, buffer_text(&path), (size_t)1 << 20, &report, err);
    if (r < 0)
        return r;
    for (int i = 0; i < BLOCK_ROWS; i++) {
        const char *text = NOISE[random_below(&random, sizeof(NOISE) / sizeof(*NOISE))];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buffer_printf(ret, form->row, i / 200 % 60, i % 60, text);
#pragma GCC diagnostic pop
        if (i % REPORT_EVERY == REPORT_EVERY / 2)
            buffer_append(ret, report.data, report.length);
    }
    return ret->failed ? error_errno(err, ENOMEM, "making the file") : 0;
}

static int write_file(int fd, const struct buffer *block, uint64_t bytes, struct error *err)
{
    for (uint64_t written = 0; written < bytes; written += block->length) {
        for (size_t done = 0; done < block->length;) {
            ssize_t n = write(fd, block->data + done, block->length - done);
            if (n < 0)
                return error_errno(err, errno, "writing the file");
            done += (size_t)n;
        }
    }
    return 0;
}

static int count_fact(void *context, const struct fact *fact, struct error *err)
{
    uint64_t *kills = context;
    (void)err;
    *kills += fact->kind == FACT_OOM_KILL;
    return 0;
}

/* In a child process: its peak memory is the reader's alone. */
static _Noreturn void read_as_oomlab(const char *path)
{
    static const struct import_options options = {.limit_bytes = NAN};
    uint64_t kills = 0;
    const struct fact_sink sink = {count_fact, NULL, &kills, &options};
    struct error err = {0};
    struct head head;
    struct input *input = NULL;
    int r = input_open(path, &input, &err);
    if (r == 0)
        r = input_head(input, &head, &err);
    const struct import_format *format = r < 0 ? NULL : import_recognise(&head, &options);
    if (format)
        r = format->read(input, &sink, &err);
    if (!format || r < 0 || kills == 0)
        fprintf(stderr, "import-speed: %s, %ju kills\n", err.text, (uintmax_t)kills);
    _exit(format && r == 0 && kills > 0 ? 0 : 1);
}

static _Noreturn void read_as_grep(const char *path)
{
    /* Into /dev/null grep would stop at the first match. */
    int count = memfd_create("count", MFD_CLOEXEC);
    dup2(count, STDOUT_FILENO);
    execlp("grep", "grep", "-c", "oom-kill", path, (char *)NULL);
    _exit(127);
}

/* The best time of some runs, and the most memory that any took. */
static int measure(void (*work)(const char *), const char *path, double *ret_s, uint64_t *ret_bytes)
{
    *ret_s = INFINITY;
    *ret_bytes = 0;
    for (int i = 0; i < RUNS; i++) {
        struct rusage usage;
        int status;
        int64_t begun_ns = clock_monotonic_ns();
        pid_t pid = fork();
        if (pid == 0)
            work(path);
        if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0)
            return -EIO;
        *ret_s = fmin(*ret_s, (double)(clock_monotonic_ns() - begun_ns) / 1e9);
        uint64_t bytes = (uint64_t)usage.ru_maxrss * 1024;
        *ret_bytes = bytes > *ret_bytes ? bytes : *ret_bytes;
    }
    return 0;
}

static int compare(const struct form *form, const char *path, uint64_t bytes)
{
    double grep_s, own_s;
    uint64_t grep_bytes, own_bytes;
    char memory[SIZE_TEXT_MAX];
    if (measure(read_as_grep, path, &grep_s, &grep_bytes) < 0 ||
        measure(read_as_oomlab, path, &own_s, &own_bytes) < 0) {
        fprintf(stderr, "import-speed: a reader failed\n");
        return 1;
    }
    double mib = (double)bytes / 0x1p20;
    printf("%-7s grep %.2f s (%.0f MiB/s)  oomlab %.2f s (%.0f MiB/s)  ratio %.2f  peak %s\n",
           form->name, grep_s, mib / grep_s, own_s, mib / own_s, own_s / grep_s,
           size_format(own_bytes, memory));
    bool fast = own_s <= RATIO_BAR * grep_s, lean = own_bytes < MEMORY_BAR;
    printf("bar %s: at most %.0f times grep's time: %s; under 64 MiB: %s\n", form->name, RATIO_BAR,
           fast ? "holds" : "FAILS", lean ? "holds" : "FAILS");
    return fast && lean ? 0 : 1;
}

static int run(const struct form *form, const char *fixtures, uint64_t bytes)
{
    AUTO_BUFFER block = {0};
    AUTO_BUFFER path = {0};
    struct error err = {0};
    const char *directory = getenv("TMPDIR");
    buffer_printf(&path, "%s/oomlab-import-speed-XXXXXX", directory ? directory : "/tmp");
    if (path.failed)
        return 1;
    AUTO_CLOSE int fd = mkostemp(path.data, O_CLOEXEC);
    int r = fd < 0 ? error_errno(&err, errno, "making '%s'", path.data) : 0;
    if (r == 0)
        r = make_block(form, fixtures, &block, &err);
    if (r == 0)
        r = write_file(fd, &block, bytes, &err);
    if (r < 0)
        fprintf(stderr, "import-speed: %s\n", err.text);
    int status = r < 0 ? 1 : compare(form, path.data, bytes);
    if (fd >= 0)
        unlink(path.data);
    return status;
}

int main(int argc, char **argv)
{
    const char *size = getenv("OOMLAB_BENCH_BYTES");
    struct error err = {0};
    uint64_t bytes = GIB;
    int status = 0;
    if (argc != 2 || (size && size_parse(size, &bytes, &err) < 0)) {
        fprintf(stderr, "usage: import-speed FIXTURES %s\n", err.text);
        return 2;
    }
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(*FORMS); i++)
        status |= run(&FORMS[i], argv[1], bytes);
    return status;
}
