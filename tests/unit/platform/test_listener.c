/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_listeners_of_the_port_count),
        cmocka_unit_test(test_bounds_and_rubbish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
