/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML document with its places, bounded in depth and in what aliases may expand to. */
#pragma once

#include "base/error.h"
#include "lab/plan_draft.h"

#include <stddef.h>
#include <yaml.h>

struct lab_yaml {
    const char *file; /* borrowed: for messages */
    yaml_document_t document;
    yaml_node_t *root; /* a mapping */
    size_t budget;     /* bytes that may still be read, each alias counted as if written out */
};

/* Load exactly one document whose root is a mapping. `text` may be freed afterwards. */
int lab_yaml_load(const char *file, const char *text, size_t length, struct lab_yaml *ret,
                  struct error *err);
void lab_yaml_done(struct lab_yaml *yaml);

/* Where a node stands; `name` is the key it belongs to (may be NULL). */
struct origin lab_yaml_origin(const struct lab_yaml *yaml, const yaml_node_t *node,
                              const char *name);
/* "a list", "a map", "a single value". */
const char *lab_yaml_kind(const yaml_node_t *node);

/* The text of a scalar; borrowed from the document. A null (~, null or nothing at all) counts as
 * `if_null`, and is refused where that is NULL. */
int lab_yaml_text(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                  const char *if_null, const char **ret, struct error *err);

/* Iterate: pairs of a mapping (keys are scalars and differ), items of a sequence. The callback's
 * failure ends it. `what` names the expected kind in the message, as in "takes a map of ...". */
typedef int (*lab_yaml_pair)(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                             const yaml_node_t *value, void *context, struct error *err);
int lab_yaml_pairs(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                   lab_yaml_pair callback, void *context, struct error *err);
typedef int (*lab_yaml_item)(struct lab_yaml *yaml, const yaml_node_t *item, void *context,
                             struct error *err);
int lab_yaml_items(struct lab_yaml *yaml, const yaml_node_t *node, const char *name,
                   lab_yaml_item callback, void *context, struct error *err);
