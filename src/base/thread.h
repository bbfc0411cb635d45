/* SPDX-License-Identifier: Apache-2.0 */
/* Threads beside the control thread, whose business signals are. */
#pragma once

#include <pthread.h>

/* Start a thread in which every signal is blocked. `attributes` may be NULL. Returns 0 or a
 * negative errno. */
int thread_start(pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *),
                 void *context);
