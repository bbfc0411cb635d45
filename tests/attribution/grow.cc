// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <vector>

int main()
{
    rlimit limit = {16 << 20, 16 << 20};
    setrlimit(RLIMIT_AS, &limit);
    std::vector<std::vector<char>> kept;
    for (;;)
        kept.emplace_back(1 << 16);
}
