/* SPDX-License-Identifier: Apache-2.0 */
/* Requests whose every part is owned: drafts and plans keep them beyond the text they came from. */
#pragma once

#include "base/error.h"
#include "traffic/traffic.h"

/* A deep copy for plan_request_done(). */
int plan_request_copy(const struct traffic_request *from, struct traffic_request *ret,
                      struct error *err);
void plan_request_done(struct traffic_request *request);
/* traffic_request_parse(), owned. */
int plan_request_parse(const char *text, struct traffic_request *ret, struct error *err);
