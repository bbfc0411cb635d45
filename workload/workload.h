/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in leaky HTTP server: what `oomlab workload` runs. docs/workload.md describes it. */
#pragma once

/* Serve until SIGTERM or SIGINT. Settings come from the environment, --mode and --port win over it.
 * Returns the exit status: 0 stopped in order, 1 it could not serve, 2 a setting is wrong. Call it
 * before any thread exists: it blocks signals for the whole process. */
int workload_main(int argc, char **argv);
