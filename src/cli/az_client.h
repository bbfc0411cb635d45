/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the client of oomlab serve, shared by az_client.c and az_upgrade.c. */
#pragma once

#include "base/buffer.h"
#include "cli/az.h"
#include "cli/serve_place.h"

#include <curl/curl.h>

/* Where serve listens: a socket's path, or "http://...". */
int az_find_server(const struct az_arguments *arguments, char place[static PLACE_MAX],
                   struct error *err);
/* "Authorization: Bearer ...", without a line's end. */
int az_token_header(struct buffer *line, struct error *err);
int az_unreachable(const char *server, CURLcode code, struct error *err);
/* ARM's error as az prints it. */
int az_told_error(const struct az_answer *answer, struct error *err);
