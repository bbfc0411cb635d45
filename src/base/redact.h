/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping secrets out of what is written down.
 *
 * Three ways in which a secret is known. By its name: NAME=VALUE, "NAME": "VALUE", --name VALUE,
 * Authorization: VALUE, Bearer VALUE, scheme://user:VALUE@host, where the name's words say so
 * (password, token, api key, ...); what a URL's query calls key, code or sig, and what stands under
 * any NAME that ends in KEY, where it is long. By its form: tokens that their services gave a
 * prefix, JSON Web Tokens, private keys (base/redact_form.h). By its value: what a redactor was
 * told, wherever it turns up. A secret without such a name or form, which nobody told, is not
 * found. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define REDACTED "[redacted]"
/* In "NAME: OLD -> NEW", of a variable that is not there: no value. */
#define REDACT_UNSET "(unset)"

/* Whether a variable or header of this name holds a secret: DB_PASSWORD, x-api-key, accountKey. Not
 * for the place of one: DB_PASSWORD_FILE. */
bool redact_is_secret_name(const char *name, size_t length);

struct redactor;

struct redactor *redactor_new(void); /* NULL on failed allocation */
void redactor_free(struct redactor *redactor);

/* Tell a variable ("NAME=VALUE") or a header ("Name: value"): its value is remembered if the name
 * is a secret's. Values of fewer than six bytes are not: they would turn up anywhere. -ENOMEM. */
int redactor_learn(struct redactor *redactor, const char *text, char separator);

/* The same for a command: "--name=VALUE", "--name VALUE", "NAME=VALUE"; NULL-terminated. */
int redactor_learn_command(struct redactor *redactor, char *const *command);

/* The same for what stands in a text by its name: a request's body, a URL. */
int redactor_learn_text(struct redactor *redactor, const char *text, size_t length);
/* The same for each variable of an environment. */
int redactor_learn_env(struct redactor *redactor, char *const *env);

/* Append the text with REDACTED for each secret; false, and nothing appended, when there is none.
 * `redactor` may be NULL: names alone are looked at. */
bool redactor_apply(const struct redactor *redactor, const char *text, struct buffer *out);

/* Put a star over each byte of a secret, in place. With `more` to come, returns how many bytes at
 * the end may be the beginning of one, or one that goes on: hold them back, as they are, until more
 * has come, and give them again with it; without, all of it is masked. */
size_t redactor_mask(const struct redactor *redactor, char *data, size_t length, bool more);
