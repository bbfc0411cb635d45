/* SPDX-License-Identifier: Apache-2.0 */
/* Why an arm's requests failed, in words. */
#pragma once

#include "base/buffer.h"

#include <jansson.h>

/* Append "Connection refused (26), HTTP 500 (4)", at most five reasons; nothing without any. */
void failures_append(const json_t *arm, struct buffer *out);
