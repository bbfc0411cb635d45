/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests run inside containers: a word says what to do. libc only. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void print_status_lines(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "NoNewPrivs:", 11) == 0 || strncmp(line, "SigBlk:", 7) == 0 ||
            strncmp(line, "SigIgn:", 7) == 0 || strncmp(line, "Pid:", 4) == 0)
            fputs(line, stdout);
    if (file)
        fclose(file);
}

static void print_file(const char *path, const char *label)
{
    char line[256] = "";
    FILE *file = fopen(path, "re");
    if (file && fgets(line, sizeof(line), file))
        printf("%s %s%s", label, line, strchr(line, '\n') ? "" : "\n");
    if (file)
        fclose(file);
}

static void print_descriptors(void)
{
    printf("descriptors");
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    puts("");
}

static int report(void)
{
    char text[PATH_MAX];
    printf("pid %d\nppid %d\nsid %d\nuid %u\n", getpid(), getppid(), getsid(0), getuid());
    gethostname(text, sizeof(text));
    printf("hostname %s\n", text);
    ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);
    text[n < 0 ? 0 : n] = '\0';
    printf("self %s\n", text);
    printf("cwd %s\n", getcwd(text, sizeof(text)) ? text : "?");
    printf("stdin %zd\n", read(0, text, 1));
    print_descriptors();
    print_status_lines();
    print_file("/proc/self/oom_score_adj", "oom_score_adj");
    print_file("/proc/1/comm", "init");
    printf("parent-visible %d\n", access("/proc/2", F_OK) == 0);
    return 0;
}

static int print_environment(void)
{
    for (char **p = environ; *p; p++)
        puts(*p);
    return 0;
}

static int allocate(int mebibytes)
{
    for (int i = 0; i < mebibytes; i++) {
        char *block =
            mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return 3;
        memset(block, i + 1, 1 << 20);
    }
    say("allocated");
    return 0;
}

/* A child that is the only one to allocate: the main process lives on. */
static int allocate_in_child(int mebibytes)
{
    pid_t child = fork();
    if (child == 0)
        _exit(allocate(mebibytes));
    int status;
    waitpid(child, &status, 0);
    printf("child signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return 0;
}

static _Noreturn int wait_for_ever(const char *word)
{
    say(word);
    for (;;)
        pause();
}

/* A child, a grandchild, and a daemon that left session and parent. */
static int grow_tree(void)
{
    int done[2];
    if (pipe(done) < 0)
        return 3;
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            if (i == 2)
                setsid();
            if (fork() == 0 && i == 2)
                signal(SIGTERM, SIG_IGN);
            if (write(done[1], "x", 1) != 1)
                _exit(3);
            if (i == 2 && getpid() == getsid(0))
                _exit(0); /* the daemon's parent goes: the daemon is an orphan */
            for (;;)
                pause();
        }
    }
    char byte;
    for (int i = 0; i < 6; i++)
        if (read(done[0], &byte, 1) != 1)
            return 3;
    return wait_for_ever("grown");
}

static int fork_until_refused(int most)
{
    int count = 0;
    int errnum = 0;
    while (count < most) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        if (child < 0) {
            errnum = errno;
            break;
        }
        count++;
    }
    printf("forked %d errno %d\n", count, errnum);
    return 0;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int spin(int wall_ms)
{
    int64_t end = clock_ms(CLOCK_MONOTONIC) + wall_ms;
    while (clock_ms(CLOCK_MONOTONIC) < end)
        ;
    printf("cpu %lld ms\n", (long long)clock_ms(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}

static int flood(int mebibytes)
{
    char block[4096];
    memset(block, 'x', sizeof(block));
    for (long i = 0; i < mebibytes * 256L; i++)
        if (write(1, block, sizeof(block)) != (ssize_t)sizeof(block))
            return 3;
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(verb, "report") == 0)
        return report();
    if (strcmp(verb, "env") == 0)
        return print_environment();
    if (strcmp(verb, "alloc") == 0)
        return allocate(number);
    if (strcmp(verb, "alloc-in-child") == 0)
        return allocate_in_child(number);
    if (strcmp(verb, "exit") == 0)
        return number;
    if (strcmp(verb, "abort") == 0)
        abort();
    if (strcmp(verb, "wait") == 0)
        return wait_for_ever("waiting");
    if (strcmp(verb, "ignore-term") == 0)
        return signal(SIGTERM, SIG_IGN) == SIG_ERR ? 3 : wait_for_ever("ignoring");
    if (strcmp(verb, "tree") == 0)
        return grow_tree();
    if (strcmp(verb, "forks") == 0)
        return fork_until_refused(number);
    if (strcmp(verb, "spin") == 0)
        return spin(number);
    if (strcmp(verb, "flood") == 0)
        return flood(number);
    if (strcmp(verb, "say") == 0) {
        fputs("to stdout\n", stdout);
        fputs("to stderr\n", stderr);
        return 0;
    }
    fprintf(stderr, "guest: unknown verb '%s'\n", verb);
    return 2;
}
