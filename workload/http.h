/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's HTTP face. */
#pragma once

#include "app.h"

struct http;

/* Listen and serve in threads of its own, one for each connection, so that /health answers while
 * others work. `ret_port` is the port in use. */
int workload_http_start(struct app *app, struct http **ret, uint16_t *ret_port, struct error *err);

/* Stop taking requests, let those under way end, free. NULL is fine. */
void workload_http_stop(struct http *http);
