/* SPDX-License-Identifier: Apache-2.0 */
/* A server of which the kernel kills a child process. The main process keeps 6 MiB; its worker
 * keeps 1 MiB of each request, or as fast as it can (storm, soon, last). When the worker is gone:
 *
 * prefork again         another is started
 * prefork storm         the same; each waits for 0.1 s first, in which the kill can be heard of
 * prefork ends          the main process ends 2 s later, with status 3
 * prefork soon          the same after 0.1 s
 * prefork last          another is started, five times; then the main process grows itself
 * prefork hog PROGRAM   the worker was PROGRAM; the main process keeps 30 MiB more and works */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) void keep(size_t size)
{
    char *new = memset(malloc(size), 1, size);
    __asm__ volatile("" : : "r"(new) : "memory");
}

__attribute__((noinline)) void worker_keeps(void)
{
    keep(1 << 20);
    __asm__ volatile("");
}

__attribute__((noinline)) void main_keeps(void)
{
    keep(6 << 20);
    __asm__ volatile("");
}

__attribute__((noinline, noreturn)) static void main_grows(void)
{
    for (;;)
        keep(1 << 20);
}

static void work(int server)
{
    const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char request[4096];
    for (;;) {
        int client = accept(server, NULL, NULL);
        if (read(client, request, sizeof(request)) > 0)
            worker_keeps();
        (void)!write(client, answer, sizeof(answer) - 1);
        close(client);
    }
}
static int listen_on(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port))};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, 64))
        exit(1);
    return server;
}

static bool is(const char *how, const char *word)
{
    return strcmp(how, word) == 0;
}

__attribute__((noinline)) static void start(int server, const char *how, const char *program)
{
    if (fork() != 0)
        return;
    if (program)
        execl(program, program, NULL);
    if (is(how, "storm"))
        usleep(100000);
    if (is(how, "storm") || is(how, "soon") || is(how, "last")) {
        for (;;)
            worker_keeps();
    }
    work(server);
}

/* The workers that follow come from another line than the first: their stacks are others. */
int main(int count, char **words)
{
    const char *how = count > 1 ? words[1] : "", *program = count > 2 ? words[2] : NULL;
    const char *port = getenv("PORT");
    int server = listen_on(port ? port : "0");
    main_keeps();
    start(server, how, program);
    wait(NULL);
    for (int i = 0; is(how, "last"); i++) {
        if (i == 5)
            main_grows();
        start(server, how, program);
        wait(NULL);
    }
    while (is(how, "again") || is(how, "storm")) {
        start(server, how, program);
        wait(NULL);
    }
    if (is(how, "hog")) {
        for (int i = 0; i < 30; i++)
            worker_keeps();
        work(server);
    }
    usleep(is(how, "soon") ? 100000 : 2000000);
    return 3;
}
