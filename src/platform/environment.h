/* SPDX-License-Identifier: Apache-2.0 */
/* What a container finds in its environment: oomlab's own variables without those by which systemd
 * talks to oomlab (in another root file system only a PATH and HOME instead, and what its image
 * says: the rest tells of this machine), then those Azure Container Apps sets (PORT,
 * CONTAINER_APP_NAME, CONTAINER_APP_REVISION, CONTAINER_APP_REPLICA_NAME, CONTAINER_APP_PORT), then
 * the template's; a later one replaces an earlier one. */
#pragma once

#include "platform/template.h"

/* A NULL-terminated list; environment_free() it. NULL on failed allocation. */
char **environment_new(const struct revision_template *template, const char *revision,
                       const char *replica);
void environment_free(char **env);
