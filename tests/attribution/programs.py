#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The programs that die: `programs.py NAME`, run by oomlab as the container's main process.

OOMLAB_ROW names the row's directory. The row's program runs in the first lifetime only; a later one
exits at once with 0, so that an arm comes to its end. Two FIFOs there let the runner act at a known
moment: meet() returns when the runner has come to `here` and sent the program on through `go`.
"""

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import threading
import time

ROW = os.environ["OOMLAB_ROW"]
MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)


def meet():
    with open(os.path.join(ROW, "here"), "wb"):
        pass
    with open(os.path.join(ROW, "go"), "rb"):
        pass


def grow(mebibytes=1 << 20):
    """Take anonymous memory, page by page."""
    kept = []
    for _ in range(mebibytes):
        block = mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, MIB, mmap.PAGESIZE):
            block[at] = 1
        kept.append(block)
    return kept


def child(function, *arguments):
    """Run it in a child; its pid."""
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    return pid


def sleep_forever():
    while True:
        signal.pause()


# --- anonymous memory -----------------------------------------------------------------------------


def own_limit():
    grow()


def with_children():
    for _ in range(3):
        child(sleep_forever)
    grow()


def met_with_children():
    meet()
    with_children()


def met_then_grow():
    meet()
    grow()


def half_then_met_then_grow():
    """Little is left to do between the meeting and the kill."""
    kept = grow(24)
    meet()
    grow()
    del kept


def killed_child(after):
    """A child is killed for memory; what `after` does comes later."""
    meet()
    _, status = os.waitpid(child(grow), 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    after()


def child_then_exit():
    killed_child(lambda: sys.exit(0))


def child_then_137():
    killed_child(lambda: sys.exit(137))


def child_then_outside():
    def wait_for_it():
        meet()
        sleep_forever()
    killed_child(wait_for_it)


def child_then_own():
    killed_child(grow)


def nested_child():
    """The runner puts the child into a smaller cgroup below ours."""
    reader, writer = os.pipe()

    def wait_and_grow():
        os.read(reader, 1)
        grow()
    pid = child(wait_and_grow)
    meet()
    os.write(writer, b"x")
    os.waitpid(pid, 0)


def many_kills():
    """Memory that no victim's death gives back: the kernel kills one after the other."""
    file = os.memfd_create("shared")
    block = b"x" * (64 << 10)

    def fill():
        while True:
            os.write(file, block)
    for _ in range(3):
        child(fill)
    fill()


def met_many_kills():
    meet()
    many_kills()


def grow_on_sigterm():
    signal.signal(signal.SIGTERM, lambda *_: grow())
    meet()
    sleep_forever()


# --- other kinds of memory ------------------------------------------------------------------------


def memfd():
    file = os.memfd_create("big")
    while True:
        os.write(file, b"x" * MIB)


def tmpfs():
    CLONE_NEWNS, MS_PRIVATE, MS_REC = 0x20000, 1 << 18, 1 << 14
    target = ROW.encode()
    for failed in (
        LIBC.unshare(CLONE_NEWNS),
        LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
        LIBC.mount(b"tmpfs", target, b"tmpfs", 0, b"size=1g"),
    ):
        if failed:
            sys.exit(f"no private tmpfs: {os.strerror(ctypes.get_errno())}")
    with open(os.path.join(ROW, "big"), "wb", buffering=0) as file:
        while True:
            file.write(b"x" * MIB)


def page_tables():
    """Reading untouched private memory costs a page table for every 2 MiB and nothing else."""
    span, MAP_NORESERVE = 64 << 30, 0x4000
    while True:
        area = mmap.mmap(-1, span, prot=mmap.PROT_READ,
                         flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            area.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, span, 2 * MIB):
            area[at]


def sockets():
    kept = []
    while True:
        one, other = socket.socketpair()
        one.setblocking(False)
        kept += [one, other]
        try:
            while True:
                one.send(b"x" * 4096)
        except BlockingIOError:
            pass


def pipes():
    F_SETPIPE_SZ = 1031
    import fcntl
    kept = []
    while True:
        reader, writer = os.pipe()
        kept += [reader, writer]
        fcntl.fcntl(writer, F_SETPIPE_SZ, MIB)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 65536)
        except BlockingIOError:
            pass


def threads():
    threading.stack_size(64 << 10)
    never = threading.Event()
    while True:
        threading.Thread(target=never.wait, daemon=True).start()


# --- ends that are not memory, and our own --------------------------------------------------------


def wait_for_outside():
    meet()
    sleep_forever()


def big_wait_for_outside():
    """Close to the limit, and still not killed for it."""
    kept = grow(16)
    meet()
    sleep_forever()
    del kept


def much_wait_for_outside():
    """More than anybody else on a small machine."""
    kept = grow(128)
    meet()
    sleep_forever()
    del kept


def thrash():
    """Read a file that does not fit, again and again: pressure and reclaim without end, no kill."""
    folders = ("/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/bin", "/usr/local/bin")
    files = (os.path.join(folder, name) for folder in folders for name in os.listdir(folder))
    big = next((path for path in files if os.path.getsize(path) > 64 * MIB), None)
    if big is None:
        sys.exit(f"no file of 64 MiB in {', '.join(folders)}")
    with open(big, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as area:
        meet()
        while True:
            for at in range(0, len(area), mmap.PAGESIZE):
                area[at]


def wait_forever():
    sleep_forever()


def exit_on_sigterm():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sleep_forever()


def exit_137():
    sys.exit(137)


def fault():
    ctypes.string_at(0)


def abort():
    os.abort()


def shell_child():
    """A shell in front: `sh -c 'killed child'` says 137."""
    meet()
    os.execv("/bin/sh", ["sh", "-c", f"{sys.executable} {__file__} own_limit_inside; exit $?"])


# --- runtimes' own limits -------------------------------------------------------------------------


def python_memory_error():
    resource.setrlimit(resource.RLIMIT_AS, (64 * MIB, 64 * MIB))
    kept = []
    while True:
        kept.append(bytearray(MIB))


def python_memory_error_caught():
    """Logged, survived, and then a real kill."""
    import traceback
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 * MIB, hard))
    try:
        bytearray(1 << 30)
    except MemoryError:
        traceback.print_exc()
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    grow()


def main():
    name = sys.argv[1]
    if name != "own_limit_inside":
        try:
            os.close(os.open(os.path.join(ROW, "first"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            time.sleep(0.01)
            return
    globals()[name.removesuffix("_inside")]()


if __name__ == "__main__":
    main()
