# SPDX-License-Identifier: Apache-2.0
"""Who killed it, where it takes a stock kernel: real runtimes, and under systemd the real earlyoom
and systemd-oomd, from their packages."""

import conftest
import guest
import pytest
from conftest import Machine

PLAIN = [row.name for row in conftest.ROWS if row.slow] + ["own-limit", "host-limit"]
SESSION = [row.name for row in conftest.ROWS if row.journal]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    share = tmp_path_factory.mktemp("qemu-rows")
    return conftest.run_rows(Machine("qemu.py", "--memory", "2G"), share, 1200, PLAIN)


@pytest.mark.parametrize("name", PLAIN)
def test_stock_kernel(plain, name):
    conftest.assert_row_right(plain, name)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    share = tmp_path_factory.mktemp("qemu-session-rows")
    try:
        env = {"PATH": f"{guest.unpacked('earlyoom')}/usr/bin:{PATH}",
               "OOMLAB_OOMD_PACKAGE": str(guest.unpacked("systemd-oomd"))}
    except guest.Unavailable as missing:
        pytest.skip(str(missing))
    return conftest.run_rows(Machine("qemu.py", "--session", "root"), share, 1200, SESSION, env)


@pytest.mark.parametrize("name", SESSION)
def test_user_space_killer(session, name):
    conftest.assert_row_right(session, name)
