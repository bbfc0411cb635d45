/* SPDX-License-Identifier: Apache-2.0 */
/* A container's probes: Azure's rules for them, and what the platform makes of them. */
#pragma once

#include "base/error.h"
#include "platform/template.h"

#include <jansson.h>

/* Check `probes` of a container: at most one of each type, values in the ranges that Azure takes.
 * `port` is the ingress's target port, the only one that can be probed here; 0: none. Usage error,
 * and Azure's code of it. Sources: the ranges of Microsoft.App's ContainerAppProbe, but for
 * failureThreshold, where the service takes more than its description says (issue 31980 of
 * hashicorp/terraform-provider-azurerm); the words of ContainerAppProbeFailureThresholdOutOfRange
 * (issue 1100 of microsoft/azure-container-apps). */
int probes_check(const json_t *container, uint16_t port, const char **ret_code, struct error *err);

#define PROBE_TYPES 3 /* liveness, readiness, startup: in this order */

/* Fill the three probes of `ret` from a container that was checked. What they send beyond the
 * request is in `headers`, lists that the caller frees with their strings, also after a failure. */
int probes_make(const json_t *container, uint16_t target_port, struct revision_template *ret,
                char **headers[static PROBE_TYPES], struct error *err);
