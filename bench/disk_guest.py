"""The guest that measures a disk: an initramfs that finds the tools and the disk to measure, and runs a load of fio whenever its name
comes in on the console.

The tools (fio and its libraries) are a squashfs image, a drive of their own. The guest says `bench: ready` when it waits for a name,
`bench: begin NAME` and `bench: end NAME` around a load, and `bench: report` before fio's own line about it (terse, version 3).
"""

import pathlib
import re
import shutil
import stat
import subprocess

from benchlib import BenchError, in_path
from linux_guest import entry

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /tools
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
stty -onlcr -echo
for disk in /dev/vd?; do
  if [ $(cat /sys/block/${disk#/dev/}/size) = @SECTORS@ ]; then target=$disk; else mount -t squashfs -o ro $disk /tools; fi
done
[ -n "$target" ] && [ -x /tools/bin/fio ] || echo "bench: failed: no disk or no tools"
for directory in proc sys dev; do mount -o bind /$directory /tools/$directory; done
mount -t tmpfs tmp /tools/tmp
cat > /tools/tmp/jobs <<END
@JOBS@
END
sed -i "s|TARGET|$target|" /tools/tmp/jobs
while true; do
  echo "bench: ready"
  read load || break
  chroot /tools /bin/sh -c "cd /tmp && exec /bin/fio --eta=never --output-format=terse --terse-version=3 --section=$load --output=report jobs"
  echo "bench: report $(cat /tools/tmp/report)"
done
poweroff -f
reboot -f
"""


def libraries(program):
    """The loader and every library of a program."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+)(?= \()", listed)))


def tools_image(path, scratch):
    """A squashfs image with fio, what it links, and a shell for the commands that it runs."""
    fio, busybox, mksquashfs = in_path("fio"), in_path("busybox"), in_path("mksquashfs")
    for name, found, package in (("fio", fio, "fio"), ("busybox", busybox, "busybox-static"), ("mksquashfs", mksquashfs, "squashfs-tools")):
        if not found:
            raise BenchError(f"there is no {name}; install the Debian package {package}")
    root = scratch / "tools"
    for directory in ("bin", "proc", "sys", "dev", "tmp"):
        (root / directory).mkdir(parents=True)
    shutil.copy(fio, root / "bin/fio")
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    for library in libraries(fio):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    # Not compressed, so that reading them costs no more than reading.
    subprocess.run([mksquashfs, root, path, "-quiet", "-no-progress", "-noappend", "-noI", "-noD", "-noF", "-noX"],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return path


def jobs(loads, seconds, settle):
    """fio's job file. `loads`: name -> what makes it that load. A load begins and ends with a line on the console."""
    lines = ["[global]", "filename=TARGET", "ioengine=libaio", "direct=1", "time_based=1", f"runtime={seconds}",
             f"ramp_time={settle}", "group_reporting=1", "norandommap=1", "randrepeat=0", "gtod_reduce=1"]
    for name, fields in loads.items():
        lines += [f"[{name}]", f"exec_prerun=(echo bench: begin {name} > /dev/console)",
                  f"exec_postrun=(echo bench: end {name} > /dev/console)", *fields]
    return "\n".join(lines)


def initramfs(path, sectors, job_file):
    init = INIT.replace("@SECTORS@", str(sectors)).replace("@JOBS@", job_file)
    busybox = pathlib.Path(in_path("busybox")).read_bytes()
    path.write_bytes(entry("dev", stat.S_IFDIR | 0o755) + entry("dev/console", stat.S_IFCHR | 0o600, major=5, minor=1) +
                     entry("bin", stat.S_IFDIR | 0o755) + entry("bin/busybox", stat.S_IFREG | 0o755, busybox) +
                     entry("init", stat.S_IFREG | 0o755, init.encode()) + entry("TRAILER!!!", 0))
    return path
