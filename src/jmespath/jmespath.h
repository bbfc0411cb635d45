/* SPDX-License-Identifier: Apache-2.0 */
/* JMESPath (https://jmespath.org/specification.html): the whole grammar and all functions of the
 * specification, over jansson values. Where the specification leaves a choice, this follows
 * jmespath.py, which 'az --query' runs: strings can be ordered, and a literal that is no JSON is a
 * string.
 *
 * What is wrong with an expression is told by the specification's own words, at the start of the
 * error text: "syntax", "unknown-function", "invalid-arity", "invalid-type", "invalid-value". */
#pragma once

#include "base/error.h"

#include <jansson.h>

struct jmespath; /* a compiled expression */

/* Usage error with the column of the fault. An expression nested deeper than 200 levels is refused.
 */
int jmespath_compile(const char *expression, struct jmespath **ret, struct error *err);
/* NULL is fine. */
void jmespath_free(struct jmespath *expression);

/* Evaluate on a document, which stays untouched. New reference; no match is JSON null. Usage error
 * for a function's wrong arguments, and ("too-large") for more work than a million values and 64
 * for each value of the document: some short expressions double their result with every step. */
int jmespath_search(const struct jmespath *expression, json_t *document, json_t **ret,
                    struct error *err);
