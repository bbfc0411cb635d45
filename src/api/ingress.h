/* SPDX-License-Identifier: Apache-2.0 */
/* An app's ingress: HTTP on 127.0.0.1 at its target port (any free port when that is taken), each
 * request to a ready replica of a revision drawn by weight; 503 while there is none. */
#pragma once

#include "api/model.h"

/* Listen, if the app's configuration has an ingress, and no longer where it has none or another
 * target port. While that stays the same, so does the port where it listens. */
int ingress_open(struct app *app, struct error *err);
void ingress_close(struct app *app);
/* Where it listens; 0: nowhere. */
uint16_t ingress_port(const struct app *app);
