/* SPDX-License-Identifier: Apache-2.0 */
/* Locks the program's and the C library's own pages: where the host runs out of memory, a page of
 * code that was dropped would have to be read from disk before a kill could be stamped. */
#include "observe/observer-internal.h"

#include <link.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static bool contains(const struct dl_phdr_info *object, const ElfW(Phdr) * segment,
                     uintptr_t address)
{
    uintptr_t start = object->dlpi_addr + segment->p_vaddr;
    return segment->p_type == PT_LOAD && address >= start && address - start < segment->p_memsz;
}

static int lock_object(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    const uintptr_t *wanted = context;
    bool needed = false;
    for (int i = 0; i < object->dlpi_phnum; i++)
        needed = needed || contains(object, &object->dlpi_phdr[i], wanted[0]) ||
                 contains(object, &object->dlpi_phdr[i], wanted[1]);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; needed && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        mlock((const void *)start, end - start); /* best effort */
    }
    return 0;
}

void observer_lock_code(void)
{
    uintptr_t wanted[] = {(uintptr_t)observer_main, (uintptr_t)epoll_wait};
    dl_iterate_phdr(lock_object, wanted);
}
