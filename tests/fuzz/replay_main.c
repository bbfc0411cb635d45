/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on every file of a corpus directory, in builds without libFuzzer.
 *
 * Usage: replay-<target> DIRECTORY. Each input ends right before an inaccessible page, so that a
 * parser which reads past the end crashes even without a sanitizer. An empty or missing directory
 * is a failure: a replay of nothing would always pass. */
#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int read_exactly(int fd, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = read(fd, data, size);
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int replay(int fd, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (size + page - 1) / page * page;
    uint8_t *area =
        mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return -1;
    uint8_t *data = area + body - size;
    int r = mprotect(area + body, page, PROT_NONE);
    if (r == 0)
        r = read_exactly(fd, data, size);
    if (r == 0)
        LLVMFuzzerTestOneInput(data, size);
    munmap(area, body + page);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    CLEANUP(cleanup_closedir) DIR *directory = opendir(argv[1]);
    if (!directory) {
        fprintf(stderr, "cannot open the corpus '%s'\n", argv[1]);
        return 1;
    }
    unsigned inputs = 0;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        struct stat status;
        AUTO_CLOSE int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0) {
            fprintf(stderr, "cannot open '%s/%s'\n", argv[1], entry->d_name);
            return 1;
        }
        if (!S_ISREG(status.st_mode))
            continue;
        /* Printed first: after a crash the last line names the input. */
        printf("%s (%jd bytes)\n", entry->d_name, (intmax_t)status.st_size);
        fflush(stdout);
        if (replay(fd, (size_t)status.st_size) < 0) {
            fprintf(stderr, "cannot read '%s/%s'\n", argv[1], entry->d_name);
            return 1;
        }
        inputs++;
    }
    printf("%u inputs replayed\n", inputs);
    return inputs > 0 ? 0 : 1;
}
