/* SPDX-License-Identifier: Apache-2.0 */
/* make-heap-map FILE RATE: an empty map for the recorder, as 'oomlab run --heap' makes one in a
 * container; to measure and to try the recorder alone. */
#include "preload/layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || posix_fallocate(fd, 0, sizeof(struct heap_map)) != 0) {
        fprintf(stderr, "usage: make-heap-map FILE RATE\n");
        return 2;
    }
    struct heap_map *map =
        mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        return 1;
    map->header.version = HEAP_VERSION;
    map->header.header_bytes = sizeof(struct heap_map);
    map->header.initial_rate_bytes = map->header.rate_bytes = strtoull(argv[2], NULL, 10);
    map->header.magic = HEAP_MAGIC;
    return 0;
}
