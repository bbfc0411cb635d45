/* SPDX-License-Identifier: Apache-2.0 */
/* A run as one file to hand over: a tar archive, compressed with zstd. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct bundle_writer;

/* Start an archive on `out`, which stays the caller's. The same files give the same bytes. */
int bundle_writer_new(FILE *out, struct bundle_writer **ret, struct error *err);
/* Add `bytes` bytes of an open file under a relative name. */
int bundle_writer_add(struct bundle_writer *writer, const char *name, int fd, uint64_t bytes,
                      int64_t modified_s, struct error *err);
/* The same, of bytes in memory. */
int bundle_writer_add_text(struct bundle_writer *writer, const char *name, const char *text,
                           size_t length, int64_t modified_s, struct error *err);
/* Write what is still to be written. */
int bundle_writer_finish(struct bundle_writer *writer, struct error *err);
/* Accepts NULL; without bundle_writer_finish() the archive is incomplete. */
void bundle_writer_free(struct bundle_writer *writer);

/* Compare an archive ("-": standard input) with the manifest inside it; nothing is unpacked.
 * `*ret_files`: how many files the manifest lists; `*ret_differ` (new reference): as
 * manifest_verify() gives it. Errors: it cannot be read, is no archive of one run, has no manifest,
 * or something follows its end. */
int bundle_verify(const char *path, size_t *ret_files, json_t **ret_differ, struct error *err);
