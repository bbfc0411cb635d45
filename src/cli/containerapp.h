/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of 'oomlab containerapp', one file for each kind of resource. */
#pragma once

#include "cli/az.h"

int containerapp_create(const struct invocation *invocation, struct error *err);
int containerapp_update(const struct invocation *invocation, struct error *err);
int containerapp_show(const struct invocation *invocation, struct error *err);
int containerapp_list(const struct invocation *invocation, struct error *err);
int containerapp_delete(const struct invocation *invocation, struct error *err);

int cli_revision_list(const struct invocation *invocation, struct error *err);
int cli_revision_show(const struct invocation *invocation, struct error *err);
int cli_revision_act(const struct invocation *invocation, struct error *err);
int cli_revision_copy(const struct invocation *invocation, struct error *err);
int cli_revision_set_mode(const struct invocation *invocation, struct error *err);
int cli_replica_list(const struct invocation *invocation, struct error *err);
int cli_replica_show(const struct invocation *invocation, struct error *err);
int cli_replica_count(const struct invocation *invocation, struct error *err);

int logs_show(const struct invocation *invocation, struct error *err);
int ingress_show(const struct invocation *invocation, struct error *err);
int traffic_show(const struct invocation *invocation, struct error *err);
int traffic_set(const struct invocation *invocation, struct error *err);
int containerapp_exec(const struct invocation *invocation, struct error *err);

int env_create(const struct invocation *invocation, struct error *err);
int env_list(const struct invocation *invocation, struct error *err);
int env_show(const struct invocation *invocation, struct error *err);
int env_delete(const struct invocation *invocation, struct error *err);

/* The name and the group are there. */
int containerapp_require(const struct invocation *invocation, struct error *err);
/* What the options say about the container, put into `template` (an update of what is there). */
int template_apply(const struct az_arguments *arguments, json_t *template, struct error *err);
/* The file of --yaml. New reference. */
int containerapp_load_yaml(const struct az_arguments *arguments, json_t **ret, struct error *err);
/* The app's resource. New reference. */
int containerapp_load(const struct az_arguments *arguments, json_t **ret, struct error *err);
/* PATCH its properties (taken over), wait, print the app. */
int containerapp_patch(const struct invocation *invocation, json_t *properties, struct error *err);
