/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a user-space killer's message. Strings must stay terminated, numbers sensible. */
#include "base/cleanup.h"
#include "kernel/killer_log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    for (enum killer killer = KILLER_NONE; killer <= KILLER_EARLYOOM; killer++) {
        struct killer_log log;
        memset(&log, 0xA5, sizeof(log));
        bool killed = killer_log_parse(killer, text, &log);
        if (log.killer != killer || log.pid < 0 || !memchr(log.cgroup, '\0', sizeof(log.cgroup)) ||
            !memchr(log.comm, '\0', sizeof(log.comm)))
            abort();
        if (killed && (log.signal == 0 || (killer == KILLER_OOMD) == (log.cgroup[0] == '\0')))
            abort();
    }
    return 0;
}
