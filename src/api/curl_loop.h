/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi interface in a libuv loop. */
#pragma once

#include "base/error.h"

#include <curl/curl.h>
#include <uv.h>

struct curl_loop;

/* `done` is called once for each transfer that ends, after it has left the multi handle. */
int curl_loop_new(uv_loop_t *loop, void (*done)(CURL *easy, CURLcode code), struct curl_loop **ret,
                  struct error *err);
/* All transfers must be gone. NULL is fine. */
void curl_loop_free(struct curl_loop *curl);
int curl_loop_add(struct curl_loop *curl, CURL *easy);
void curl_loop_remove(struct curl_loop *curl, CURL *easy);
