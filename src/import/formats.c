/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats. */
#include "import/formats.h"

/* clang-format off */
#define ENTRY(id, text) {.name = text, .matches = import_##id##_matches, .read = import_##id##_read}

const struct import_format IMPORT_FORMATS[] = {
    /* Most specific first; one line a format. */
    ENTRY(azure_text, "az --output table, or a report of them"),
    ENTRY(azure_csv, "Azure Log Analytics rows as CSV"),
    ENTRY(azure_json, "Azure Container Apps: logs, revisions or metrics"),
    ENTRY(kernel_dmesg_json, "dmesg --json"),
    ENTRY(kernel_journal, "journalctl -k -o json"),
    ENTRY(container_inspect, "docker inspect, podman inspect"),
    ENTRY(prometheus, "Prometheus query result"),
    ENTRY(kubernetes, "kubectl get -o json"),
    ENTRY(kubernetes_yaml, "kubectl get -o yaml"),
    ENTRY(kubernetes_describe, "kubectl describe pod"),
    ENTRY(cadvisor, "metrics in the text exposition format"),
    ENTRY(kernel_log, "kernel log"),
    ENTRY(sar, "sar -r"),
    ENTRY(csv_table, "CSV of times and bytes"),
    {.name = NULL},
};
/* clang-format on */

const struct import_format *import_recognise(const struct head *head,
                                             const struct import_options *options)
{
    for (const struct import_format *format = IMPORT_FORMATS; format->name; format++) {
        if (format->matches(head, options))
            return format;
    }
    return NULL;
}
