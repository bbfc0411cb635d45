/* SPDX-License-Identifier: Apache-2.0 */
/* Asks pvalloc() for little each time, prints the bytes of the pages that it got, and kills itself.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMES 2000

int main(void)
{
    for (int i = 0; i < TIMES; i++) {
        if (!pvalloc(100))
            abort();
    }
    printf("%d\n", TIMES * 4096);
    fflush(stdout);
    raise(SIGKILL);
}
