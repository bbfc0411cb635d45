/* SPDX-License-Identifier: Apache-2.0 */
/* From a container app's JSON (properties.template and properties.configuration) to what the local
 * platform runs; and Azure's rules for it. */
#pragma once

#include "api/image.h"
#include "api/probes.h"
#include "base/error.h"
#include "platform/template.h"

#include <jansson.h>

/* A template that owns its strings. */
struct app_template {
    struct revision_template revision;
    struct redactor *secrets;
    char *app, *suffix, *container;
    char **env, **probe_headers[PROBE_TYPES];
    struct image_parts image;
    unsigned replicas, replicas_max;
    uint16_t target_port; /* 0: no ingress */
};

struct template_options {
    bool any_size;               /* CPU and memory need not be one of Azure's pairs */
    struct backoff_spec backoff; /* of every container */
};

/* Check an app's properties as far as they are understood: one container, its image, its size, its
 * probes, its scale, its ingress. Usage error in Azure's words where Azure has words for it; what
 * is not supported is named. `ret_code` is Azure's code of the error. */
int template_check(json_t *properties, const struct template_options *options,
                   const char **ret_code, struct error *err);

/* Put what Azure fills in where nothing is said: the mode, the ingress's transport, the size of a
 * container. */
void template_fill(json_t *properties);
/* And what it computes, for a template that is shown: the ephemeral storage that goes with the CPU.
 */
void template_show(json_t *template);

/* Make the template of one replica of the revision "<app>--<suffix>". `port` is where it will
 * listen. Its image must be in `images` when it is one that needs to be unpacked. free it with
 * template_free(). */
int template_new(const char *app, const char *suffix, json_t *template, json_t *configuration,
                 uint16_t port, const struct template_options *options,
                 const struct image_cache *images, struct app_template **ret, struct error *err);
void template_free(struct app_template *template);

/* min and max replicas, and the ingress's target port (0: none). */
unsigned template_min_replicas(const json_t *template);
unsigned template_max_replicas(const json_t *template);
uint16_t template_target_port(const json_t *configuration);
/* The memory that one replica may take; 0 unknown. */
uint64_t template_memory(json_t *template);
/* What stands in its variables and its command under a secret's name, and in our own environment,
 * which it is given. NULL: out of memory; redactor_free() it. */
struct redactor *template_secrets(const json_t *container);

/* The container, and a value in it; NULL where it is missing. Borrowed. */
json_t *template_container(const json_t *template);
