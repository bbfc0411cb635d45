#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command on a cgroup v2 kernel in User Mode Linux: uml.py run [options] -- COMMAND...

The kernel is an ordinary program (Debian's user-mode-linux): no root, no KVM. It has one CPU, no PSI
and slow page faults. The root is this machine's, read-only; /tmp and /run are the guest's own, and so is a
directory above the build that is closed to the guest's ordinary user (as /root is).
"""

import os
import shlex
import stat
import sys
from pathlib import Path

import guest

# Where the guest has a file system of its own.
OWN = ["/tmp", "/run", "/var/tmp", "/mnt"]


def init_script(options, scratch: Path) -> str:
    # The guest's own directories hide what this machine has there: what is needed moves across.
    needed = {guest.TREE, options.directory.resolve()}
    own = OWN + sorted({str(top) for path in needed if not hidden(path) for top in closed(path)})
    kept = [path for path in needed if hidden(path, own)]
    save = "".join(
        f"mkdir -p /mnt/kept/{i} && mount --bind {quote(path)} /mnt/kept/{i}\n"
        for i, path in enumerate(kept)
    )
    restore = "".join(
        f"mkdir -p {quote(path)} && mount --move /mnt/kept/{i} {quote(path)}\n"
        for i, path in enumerate(kept)
    )
    cover = "".join(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(top)}\n" for top in own if top not in OWN)
    share = ""
    if options.share:
        share = f"mkdir /mnt/share && mount -t hostfs none /mnt/share -o {quote(options.share)}\n"
    return f"""
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /mnt
cp {quote(guest.busybox())} /mnt/busybox
{share}{save}
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
{cover}{restore}
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
/mnt/busybox ifconfig lo 127.0.0.1 up
/mnt/busybox hostname guest
{guest.enable_controllers()}
{guest.run_command("uml", guest.command_of(options), guest.environment_of(options), options.directory)}
/mnt/busybox poweroff -f
"""


def hidden(path: Path, own=OWN) -> bool:
    return any(path.is_relative_to(top) for top in own)


def closed(path: Path) -> list[Path]:
    """The outermost directory above it that others may not enter, if there is one."""
    return [top for top in reversed(path.parents) if not top.stat().st_mode & stat.S_IXOTH][:1]


def quote(path: Path) -> str:
    return shlex.quote(str(path))


def memory_directory() -> str:
    """Where UML keeps the guest's memory as a file: it must allow execution and should be RAM."""
    flags = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if flags and not flags.f_flag & os.ST_NOEXEC and flags.f_bavail * flags.f_frsize > 1 << 30:
        return "/dev/shm"
    return os.environ.get("TMPDIR", "/tmp")


def run(options, scratch: Path) -> int:
    kernel = guest.unpacked("user-mode-linux") / "usr" / "bin" / "linux.uml"
    script = scratch / "init"
    script.write_text(init_script(options, scratch), encoding="utf-8")
    argv = [
        str(kernel),
        f"mem={options.memory}",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "con0=null,fd:1",
        "con=null",
        "cgroup_no_v1=all",
        "panic=-1",
        "loglevel=1",
        f"uml_dir={scratch}",
        "umid=guest",
        "init=/bin/sh",
        "--",
        str(script),
    ]
    env = {"PATH": os.environ["PATH"], "TMPDIR": memory_directory(), "HOME": str(scratch)}
    return guest.boot(argv, env, scratch, options.deadline, options.verbose)


if __name__ == "__main__":
    sys.exit(guest.main(run, guest.parser(__doc__)[0].parse_args()))
