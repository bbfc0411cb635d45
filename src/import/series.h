/* SPDX-License-Identifier: Apache-2.0 */
/* One sample of one Prometheus series, whatever it came in: names of metrics and labels into facts.
 */
#pragma once

#include "import/facts.h"

#define SERIES_LABELS_MAX 64

struct series_label {
    const char *name, *value;
};

struct series {
    const char *name; /* NULL: an expression's result, which has none */
    struct series_label labels[SERIES_LABELS_MAX];
    size_t count;
};

const char *series_label(const struct series *series, const char *name); /* NULL without */
/* Does a fact follow from a metric of this name? `length` bytes, not terminated. */
bool series_known(const char *name, size_t length);
/* `previous` is this series' value before, NAN for none: what does not change is told once. */
int series_give(const struct series *series, double previous, double value, int64_t at_ns,
                uint64_t line, const struct fact_sink *sink, struct error *err);
