/* SPDX-License-Identifier: Apache-2.0 */
/* Facts into the evidence store, as they come: memory stays bounded whatever the sources hold. */
#pragma once

#include "import/facts.h"
#include "store/store.h"

struct collector;

int collector_new(struct store *store, const struct import_options *options, struct collector **ret,
                  struct error *err);
void collector_free(struct collector *collector);

/* Recognise one source and read it to its end. Usage error when nothing recognises it, or with
 * FILE:LINE:COLUMN when it is broken. */
int collector_read(struct collector *collector, struct input *input, struct error *err);

/* Begin a source of which facts come some other way (a live query), and its sink. */
int collector_begin(struct collector *collector, const char *name, const char *format,
                    struct fact_sink *ret, struct error *err);
int collector_end(struct collector *collector, struct error *err);

/* Facts so far, over all sources; and what was passed over, at most WARNINGS_MAX lines of text. */
#define WARNINGS_MAX 20
uint64_t collector_facts(const struct collector *collector);
size_t collector_warnings(const struct collector *collector, const char *const **ret);

/* The spelling in the table `fact`; static storage. */
const char *fact_kind_name(enum fact_kind kind);
const char *fact_origin_name(enum fact_origin origin);
