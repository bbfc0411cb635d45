/* SPDX-License-Identifier: Apache-2.0 */
#include "image/made.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SIZE 1024

/* FNV-1a. Whoever makes two names collide only hides a file of an own image from a whiteout. */
static uint64_t hash_of(ino_t parent, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < sizeof(parent); i++)
        hash = (hash ^ ((uint64_t)parent >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

/* The slot that holds it, or the free one where it would go. */
static uint64_t *slot_of(uint64_t *slots, size_t size, uint64_t hash)
{
    size_t at = (size_t)(hash % size);
    while (slots[at] != 0 && slots[at] != hash)
        at = (at + 1) % size;
    return &slots[at];
}

static int grow(struct image_made *made)
{
    size_t size = made->size ? made->size * 2 : FIRST_SIZE;
    uint64_t *slots = calloc(size, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < made->size; i++)
        if (made->slots[i])
            *slot_of(slots, size, made->slots[i]) = made->slots[i];
    free(made->slots);
    made->slots = slots;
    made->size = size;
    return 0;
}

int image_made_add(struct image_made *made, ino_t parent, const char *name)
{
    uint64_t hash = hash_of(parent, name);
    if (made->count >= made->size / 2 && grow(made) < 0)
        return -ENOMEM;
    uint64_t *slot = slot_of(made->slots, made->size, hash);
    made->count += *slot == 0;
    *slot = hash;
    return 0;
}

bool image_made_has(const struct image_made *made, ino_t parent, const char *name)
{
    uint64_t hash = hash_of(parent, name);
    return made->size > 0 && *slot_of(made->slots, made->size, hash) == hash;
}

void image_made_done(struct image_made *made)
{
    free(made->slots);
    *made = (struct image_made){0};
}
