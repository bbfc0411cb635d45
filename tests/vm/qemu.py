#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command on the distribution's stock kernel in QEMU: qemu.py run [options] -- COMMAND...

It has what User Mode Linux lacks: PSI, several CPUs, quick page faults and, with --session USER,
systemd as init and a login session (root, or `tester`, an ordinary user that exists in the guest only).
The root is this machine's over 9p, below an overlay: the guest may write anywhere, nothing is kept.
"""

import lzma
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import guest

TESTER_UID = 4242
# In the order of their needs; one that is not there is built in.
MODULES = """virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache
    9pnet 9pnet_virtio 9p overlay""".split()
# What the host's systemd would do at boot and a guest of a minute does not need.
MASKED = """systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service
    systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-hwdb-update.service
    systemd-journal-flush.service systemd-random-seed.service systemd-update-utmp.service
    systemd-remount-fs.service systemd-modules-load.service systemd-sysctl.service
    systemd-timesyncd.service systemd-resolved.service systemd-networkd.service
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount keyboard-setup.service
    console-setup.service apparmor.service networking.service dev-hugepages.mount
    sys-kernel-debug.mount sys-kernel-tracing.mount modprobe@.service getty.target
    systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service
    systemd-sysusers.service systemd-pcrphase-sysinit.service systemd-machine-id-commit.service
    """.split()


def kernel_package() -> Path:
    """The contents of the stock kernel's package (Debian's, or Ubuntu's with its modules)."""
    for meta in ("linux-image-amd64", "linux-image-generic"):
        text = subprocess.run(
            ["apt-cache", "depends", "-i", meta], capture_output=True, text=True, check=False
        ).stdout
        match = re.search(r"Depends: (linux-image-[0-9]\S+)", text)
        if match:
            return guest.unpacked(match.group(1))
    raise guest.Unavailable("apt knows no package with a stock kernel; run apt-get update")


def kernel_image(package: Path) -> Path:
    return next((package / "boot").glob("vmlinuz-*"))


def module_trees(package: Path) -> list[Path]:
    trees = [package / "lib" / "modules", package / "usr" / "lib" / "modules"]
    if not any(tree.is_dir() for tree in trees):
        name = package.name.replace("linux-image-", "linux-modules-")
        trees.append(guest.unpacked(name) / "lib" / "modules")
    return [tree for tree in trees if tree.is_dir()]


def module(trees: list[Path], name: str) -> bytes | None:
    for tree in trees:
        for path in tree.glob(f"*/kernel/**/{name}.ko*"):
            if path.suffix == ".ko":
                return path.read_bytes()
            if path.suffix == ".xz":
                return lzma.decompress(path.read_bytes())
            tool = ["zstd", "-dcq", str(path)]
            return subprocess.run(tool, capture_output=True, check=True).stdout
    return None


def cpio(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A "newc" archive (see cpio(5)): name → (mode, contents)."""
    out = bytearray()
    entries = [*files.items(), ("TRAILER!!!", (0, b""))]
    for number, (name, (mode, data)) in enumerate(entries, 1):
        encoded = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def initramfs(trees: list[Path], init: str, files: dict[str, str]) -> bytes:
    directory, program, text = 0o040755, 0o100755, 0o100644
    contents: dict[str, tuple[int, bytes]] = {}
    for name in ("proc", "sys", "dev", "lower", "upper", "root", "modules", "files"):
        contents[name] = (directory, b"")
    contents["busybox"] = (program, guest.busybox().read_bytes())
    contents["init"] = (program, f"#!/busybox sh\n{init}".encode())
    for name in MODULES:
        data = module(trees, name)
        if data:
            contents[f"modules/{name}.ko"] = (text, data)
    for name, body in files.items():
        contents[f"files/{name}"] = (text, body.encode())
    return cpio(contents)


MOUNT_ROOT = """
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sysfs /sys
/busybox mount -t devtmpfs dev /dev
for name in MODULES; do
    [ ! -f /modules/$name.ko ] || /busybox insmod /modules/$name.ko
done
/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /lower &&
/busybox mount -t tmpfs -o mode=755 tmpfs /upper &&
/busybox mkdir /upper/data /upper/work &&
/busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root
/busybox mkdir -p /root/guest /root/mnt/share
/busybox cp /busybox /files/* /root/guest/
/busybox mount --move /proc /root/proc
/busybox mount --move /sys /root/sys
/busybox mount --move /dev /root/dev
""".replace("MODULES", " ".join(MODULES))

MOUNT_SHARE = "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /mnt/share\n"


def plain_script(options) -> str:
    """The guest's init: no systemd, cgroup v2 set up by hand."""
    return f"""
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
{MOUNT_SHARE if options.share else ""}
/guest/busybox ifconfig lo 127.0.0.1 up
/guest/busybox hostname guest
{guest.enable_controllers()}
{guest.run_command("qemu", guest.command_of(options), guest.environment_of(options), options.directory)}
/guest/busybox poweroff -f
"""


def session_script(options) -> str:
    """Runs under systemd as a service; the command gets a login session of the wanted user."""
    # A command that is killed must not take the console's last line with it.
    settings = {"HOME": "/tmp/home", "LANG": "C.UTF-8", "TERM": "dumb", "OOMLAB_GUEST": "qemu"}
    settings |= guest.environment_of(options)
    assignments = [f"--setenv={key}={value}" for key, value in settings.items()]
    command = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        f"--property=User={options.session}",
        "--property=PAMName=login",
        f"--property=WorkingDirectory={options.directory}",
        *assignments,
        "--",
        *guest.command_of(options),
    ]
    return f"""
{MOUNT_SHARE if options.share else ""}
mkdir -p /tmp/home && chmod 1777 /tmp/home
echo {guest.READY.decode()}
{shlex.join(command)} < /dev/null
status=$?
echo
echo VMEXIT=$status
/guest/busybox poweroff -f
"""


SERVICE = """
[Unit]
Description=the guest's command
Wants=dbus.socket systemd-logind.service systemd-user-sessions.service
After=dbus.socket systemd-logind.service systemd-user-sessions.service
[Service]
Type=exec
ExecStart=/bin/sh /guest/script
StandardInput=null
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
"""

TARGET = """
[Unit]
Requires=sysinit.target
Wants=guest.service
After=sysinit.target
AllowIsolate=yes
"""


def prepare_systemd(options) -> str:
    """Shell text for the initramfs: our units, an empty fstab, the ordinary user."""
    units = "/root/etc/systemd/system"
    masks = "\n".join(f"/busybox ln -sf /dev/null {units}/{name}" for name in MASKED)
    return f"""
# Traces of a container would make systemd behave as in one.
/busybox rm -f /root/.dockerenv /root/run/.containerenv
: > /root/etc/fstab
/busybox cp /files/guest.service /files/guest.target {units}/
{masks}
echo tester:x:{TESTER_UID}:{TESTER_UID}::/home/tester:/bin/sh >> /root/etc/passwd
echo tester:x:{TESTER_UID}: >> /root/etc/group
echo 'tester:*:19000:0:99999:7:::' >> /root/etc/shadow
/busybox mkdir -p /root/home/tester
/busybox chown {TESTER_UID}:{TESTER_UID} /root/home/tester
echo 0123456789abcdef0123456789abcdef > /root/etc/machine-id
"""


def machine(options, scratch: Path, accelerator: str) -> list[str]:
    package = kernel_package()
    files = {"script": plain_script(options)}
    init = MOUNT_ROOT
    kernel_arguments = "console=ttyS0 quiet loglevel=1 panic=-1 cgroup_no_v1=all psi=1 mitigations=off"
    if options.session:
        files = {"script": session_script(options), "guest.service": SERVICE, "guest.target": TARGET}
        init += prepare_systemd(options)
        systemd = "/lib/systemd/systemd --unit=guest.target --show-status=0"
        init += f"exec /busybox switch_root /root {systemd}\n"
    else:
        init += "exec /busybox switch_root /root /bin/sh /guest/script\n"
    archive = scratch / "initramfs"
    archive.write_bytes(initramfs(module_trees(package), init, files))
    argv = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        *("-accel", accelerator),
        *("-cpu", "host" if accelerator == "kvm" else "max"),
        *("-smp", str(options.cpus)),
        *("-m", options.memory),
        *("-display", "none"),
        *("-serial", "stdio"),
        *("-kernel", str(kernel_image(package))),
        *("-initrd", str(archive)),
        *("-append", kernel_arguments),
        *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
    ]
    if options.share:
        share = f"local,path={options.share},mount_tag=share,security_model=none"
        argv += ["-virtfs", share]
    return argv


def kvm_works(scratch: Path) -> bool:
    """KVM may be there and still not work: boot a kernel that does nothing, and see."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    known = guest.CACHE / f"kvm-{boot_id}"
    if known.exists():
        return known.read_text(encoding="ascii") == "yes"
    archive = scratch / "probe"
    archive.write_bytes(initramfs([], "echo PROBED\n/busybox poweroff -f\n", {}))
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-accel", "kvm"]
    argv += ["-m", "256M", "-display", "none", "-serial", "stdio", "-append", "console=ttyS0 panic=-1"]
    argv += ["-kernel", str(kernel_image(kernel_package())), "-initrd", str(archive)]
    try:
        output = subprocess.run(argv, capture_output=True, timeout=10, check=False).stdout
    except subprocess.TimeoutExpired:
        output = b""
    works = b"PROBED" in output
    known.write_text("yes" if works else "no", encoding="ascii")
    return works


def run(options, scratch: Path) -> int:
    if not shutil.which("qemu-system-x86_64"):
        raise guest.Unavailable("qemu-system-x86_64 is missing: apt-get install qemu-system-x86")
    if options.session and not Path("/lib/systemd/systemd").exists():
        raise guest.Unavailable("systemd is missing: apt-get install systemd dbus libpam-systemd")
    accelerator = "kvm" if kvm_works(scratch) else "tcg,thread=multi"
    argv = machine(options, scratch, accelerator)
    return guest.boot(argv, dict(os.environ), scratch, options.deadline, options.verbose)


def main() -> int:
    parser, verb = guest.parser(__doc__)
    verb.add_argument("--session", metavar="USER", help="systemd and a login session: root or tester")
    verb.add_argument("--cpus", type=int, default=2)
    verb.set_defaults(memory="1G")
    return guest.main(run, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
