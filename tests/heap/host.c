/* SPDX-License-Identifier: Apache-2.0 */
/* host PLUGIN: loads plugin.cc, in C, lets it leak, and kills itself. */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

int main(int count, char **words)
{
    void *plugin = count == 2 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    bool (*leak)(unsigned long) = NULL;
    if (plugin)
        *(void **)&leak = dlsym(plugin, "leak_and_throw");
    if (!leak)
        return 2;
    printf("%d\n", leak(SIZE_MAX / 4));
    fflush(stdout);
    raise(SIGKILL);
}
