/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Recorded from Linux 6.18: a listener on 127.0.0.1:8080, one on [::]:8080, a connection from port
 * 8080. */
static const char TCP[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode"
    "                                                     \n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "52341"
    " 1 00000000d4a3c5b1 100 0 0 10 0                      \n"
    "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 "
    "52399"
    " 1 00000000aaaaaaaa 20 4 30 10 -1                     \n"
    "  12: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11"
    " 1 0000000000000000 100 0 0 10 0                      \n";
static const char TCP6[] =
    "  sl  local_address                         remote_address                        st tx_queue "
    "rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0\n";

static void test_only_listeners_of_the_port_count(void **state)
{
    (void)state;
    uint64_t inodes[4];
    assert_int_equal(listener_parse(TCP, 8080, inodes, 4), 1);
    assert_int_equal(inodes[0], 52341);
    assert_int_equal(listener_parse(TCP6, 8080, inodes, 4), 1);
    assert_int_equal(inodes[0], 777);
    assert_int_equal(listener_parse(TCP, 2024, inodes, 4), 1);
    assert_int_equal(listener_parse(TCP, 80, inodes, 4), 0);
}

static void test_bounds_and_rubbish(void **state)
{
    (void)state;
    uint64_t inodes[1] = {0};
    assert_int_equal(listener_parse(TCP, 8080, inodes, 0), 0);
    assert_int_equal(listener_parse("", 8080, inodes, 1), 0);
    assert_int_equal(listener_parse("\n\n 0: zz\n", 8080, inodes, 1), 0);
    assert_int_equal(listener_parse("   0: 0100007F:1F90 00000000:0000 0A", 8080, inodes, 1), 0);
}

/* A socket of the family, bound to the loopback address and the port (0: any). */
static int bind_loopback(int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
                              : bind(fd, (const struct sockaddr *)&v6, sizeof(v6));
    if (r == 0)
        return fd;
    close(fd);
    return -1;
}

static uint64_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static void test_kernel_names_the_listener(void **state)
{
    (void)state;
    uint64_t inodes[4];
    int fd = bind_loopback(AF_INET, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    uint16_t port = ntohs(address.sin_port);
    int count = listener_diag(port, inodes, 4);
    if (count == -ENOENT || count == -EPROTONOSUPPORT)
        skip();                 /* a kernel without inet_diag: /proc/net is read */
    assert_int_equal(count, 0); /* bound is not listening */
    assert_int_equal(listen(fd, 1), 0);
    int client = bind_loopback(AF_INET, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listener_diag(port, inodes, 4), 1);
    assert_int_equal(inodes[0], inode_of(fd));
    int v6 = bind_loopback(AF_INET6, port);
    if (v6 >= 0) { /* there is IPv6, and the port is free there */
        assert_int_equal(listen(v6, 1), 0);
        assert_int_equal(listener_diag(port, inodes, 4), 2);
        assert_int_equal(inodes[1], inode_of(v6));
        assert_int_equal(listener_diag(port, inodes, 1), 1);
        close(v6);
    }
    close(client);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_listeners_of_the_port_count),
        cmocka_unit_test(test_bounds_and_rubbish),
        cmocka_unit_test(test_kernel_names_the_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
