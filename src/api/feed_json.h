/* SPDX-License-Identifier: Apache-2.0 */
/* Apps and replicas as the page sees them: short, and without secrets. */
#pragma once

#include "api/model.h"

/* At most so many revisions of an app are told, the newest, and all active ones. */
#define FEED_REVISIONS 20

/* New references; NULL on failed allocation. */
json_t *feed_app_json(struct app *app);
json_t *feed_replica_json(const struct app_replica *replica);
