/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a raw /dev/kmsg record, and the same bytes as a bare line. Strings must stay
 * terminated and numbers inside the contract, whatever comes in. */
#include "base/cleanup.h"
#include "kernel/kmsg.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
    struct kmsg_oom oom;
    memset(&oom, 0xA5, sizeof(oom));
    enum kmsg_oom_kind kind = kmsg_parse_oom(text, &oom);
    if (kind != oom.kind || oom.pid < 0 || oom.anon_rss_kib < -1 || oom.file_rss_kib < -1 ||
        oom.shmem_rss_kib < -1 || oom.total_vm_kib < -1 || oom.pgtables_kib < -1)
        abort();
    if (!memchr(oom.oom_memcg, '\0', sizeof(oom.oom_memcg)) ||
        !memchr(oom.task_memcg, '\0', sizeof(oom.task_memcg)) ||
        !memchr(oom.comm, '\0', sizeof(oom.comm)))
        abort();
    if (oom.scope == KMSG_SCOPE_GLOBAL && oom.oom_memcg[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    check(text);
    struct kmsg_record record;
    if (kmsg_parse_record(text, &record) == 0) {
        if (record.boot_ns < 0 || !memchr(record.text, '\0', sizeof(record.text)) ||
            strlen(record.text) > strlen(text))
            abort();
        check(record.text);
    }
    return 0;
}
