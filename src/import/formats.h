/* SPDX-License-Identifier: Apache-2.0 */
/* Every parser's two functions, listed once for formats.c. */
#pragma once

#include "import/facts.h"

#define FORMAT(name)                                                                               \
    bool import_##name##_matches(const struct head *head, const struct import_options *options);   \
    int import_##name##_read(struct input *input, const struct fact_sink *sink, struct error *err)

/* One line a format. */
FORMAT(azure_csv);
FORMAT(azure_json);
FORMAT(azure_text);
FORMAT(kernel_dmesg_json);
FORMAT(kernel_journal);
FORMAT(container_inspect);
FORMAT(prometheus);
FORMAT(kubernetes);
FORMAT(kubernetes_yaml);
FORMAT(kubernetes_describe);
FORMAT(cadvisor);
FORMAT(kernel_log);
FORMAT(sar);
FORMAT(csv_table);
