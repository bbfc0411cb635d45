/* SPDX-License-Identifier: Apache-2.0 */
/* GET /oomlab/stream: what happens, as server-sent events, once a second. A connection has one part
 * of them at a time (feed.h): what its client does not read is never written. */
#pragma once

#include "api/model.h"

#define STREAMS_MAX 8

/* Once a second: write what is new to those who have read what was. */
void streams_tick(struct serve *serve);
/* End all of them. Their connections can be closed then: libmicrohttpd wants none suspended. */
void streams_stop(struct serve *serve);
