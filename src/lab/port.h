/* SPDX-License-Identifier: Apache-2.0 */
/* The port on which a service under test listens. Containers share the host's network. */
#pragma once

#include "base/error.h"

#include <stdint.h>

/* A port on which nobody listens now; the kernel does not give it out again soon. */
int port_choose(uint16_t *ret, struct error *err);

/* Error when somebody listens on the port already: the traffic would go to the wrong process. */
int port_check_free(uint16_t port, struct error *err);
