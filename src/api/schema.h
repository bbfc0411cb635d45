/* SPDX-License-Identifier: Apache-2.0 */
/* The members and the JSON types of what clients send, so that nothing that is misspelt or of
 * another type is taken in silence. Which values make sense is checked elsewhere (template.h). */
#pragma once

#include "base/error.h"

#include <jansson.h>

/* What every resource has around its properties: location, tags (names to texts), properties. NULL
 * (no body) is fine. Usage error with the path of what has another type or is unknown, as in ARM.
 */
int schema_check_resource(json_t *body, struct error *err);

/* A container app's properties. As in ARM a number may be written as a text ("0.25"): it is put in
 * its place as a number. An object or an array that is null is taken out, as if it were missing,
 * and so is what the service computes: clients send back what they were shown. */
int schema_check_app(json_t *properties, struct error *err);
