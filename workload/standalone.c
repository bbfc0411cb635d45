/* SPDX-License-Identifier: Apache-2.0 */
/* The workload as a program of its own, for images that hold nothing else and for tests. */
#include "workload.h"

int main(int argc, char **argv)
{
    return workload_main(argc, argv);
}
