/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, parsed by the verb's table: "--name=value", "--name value", "-n value", flags,
 * operands in between, "--" ends the options. Names are written out, but for the verbs of az: there
 * the beginning of a name will do when it is that of one option alone, as argparse has it. */
#pragma once

#include "cli/verb.h"

/* Parse the whole command line; the verb's own words begin at argv[2]. Usage errors name the fault
 * and the nearest spelling. `*ret_help`: --help or -h was there; then nothing else is checked. The
 * result borrows from argv; invocation_done() frees it, also after a failure. */
int options_parse(const struct verb *verb, int argc, char **argv, struct invocation *ret,
                  bool *ret_help, struct error *err);
void invocation_done(struct invocation *invocation);
