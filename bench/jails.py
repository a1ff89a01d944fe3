"""Jails to start a monitor in: each launch gets one of its own, made and removed outside of what is timed."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess

USER = 65534  # nobody's


class Jail:
    """The monitor `program` with a bare guest, in a jail of `jailer` below `base`."""

    def __init__(self, jailer, program, guest, memory_mib, base, *flags):
        self.jailer, self.program, self.guest, self.base, self.flags = str(jailer), pathlib.Path(program), guest, base, flags
        self.config = {"boot-source": {"kernel_image_path": "/guest"}, "drives": [], "machine-config": {"vcpu_count": 1, "mem_size_mib": memory_mib}}
        self.ids = (f"{base.name}-{number}" for number in itertools.count())

    def make(self):
        """What the jail holds before it is one; the command that is timed."""
        name = next(self.ids)
        self.directory = self.base / self.program.name / name
        root = self.directory / "root"
        root.mkdir(parents=True)
        shutil.copy(self.guest, root / "guest")
        (root / "vm.json").write_text(json.dumps(self.config))
        for path in (root, root / "guest", root / "vm.json"):
            os.chown(path, USER, USER)
        return [self.jailer, "--id", name, "--exec-file", str(self.program), "--uid", str(USER), "--gid", str(USER), "--chroot-base-dir", str(self.base),
                *self.flags, "--", "--no-api", "--config-file", "/vm.json"]

    def remove(self):
        """The room that it takes, but not one file: for some minutes ext4 passes slowly over inodes that were set free, and would so make the next jail
        three times as slow as one that is made in peace. The end of a run sets them free all the same: leave five minutes until the next."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.directory / "root" / self.program.name, 0)


def jailers(build):
    """(name, jailer, monitor, flags) of mote's, and of Firecracker's where PATH has it."""
    programs = pathlib.Path(build) / "bin"
    found = [("mote-vmm, jailed", programs / "mote-jailer", programs / "mote-vmm", ()),
             ("mote-vmm, jailed, --share-exec", programs / "mote-jailer", programs / "mote-vmm", ("--share-exec",))]
    peer, monitor = shutil.which("jailer"), shutil.which("firecracker")
    if peer and monitor and "mote" not in subprocess.run([peer, "--version"], capture_output=True, text=True).stdout:
        found.append(("firecracker, jailed", peer, monitor, ()))
    return found if os.geteuid() == 0 else []
