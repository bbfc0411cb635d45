/* SPDX-License-Identifier: Apache-2.0 */
/* A library that storm.cc loads and unloads: code whose addresses were sampled and are gone. */
#include <stdlib.h>

void *loaded_allocate(size_t bytes);

void *loaded_allocate(size_t bytes)
{
    return malloc(bytes);
}
