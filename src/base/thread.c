/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *),
                 void *context)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread has its maker's */
    int r = pthread_create(ret, attributes, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}
