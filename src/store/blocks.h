/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of samples (table sample_block), summed up while the samples are written, so that whoever
 * shows a day need not read millions of rows. A block holds what a chart needs of its samples, not
 * what a verdict needs: that is made of all samples, once.
 *
 * What is under way is in memory alone; after a rollback it is forgotten, and the samples that it
 * would have held stay in no block. The connection mutex must be held. */
#pragma once

#include "store/internal.h"

#define BLOCK_SAMPLES 64

/* Into store->blocks. */
int blocks_new(struct store *store, struct error *err);
void blocks_free(struct blocks *blocks);

/* A row was inserted into sample, in the transaction at hand. On an error (of the block before it)
 * it stays. */
int blocks_note(struct store *store, const struct store_value *sample, int64_t rowid,
                struct error *err);
