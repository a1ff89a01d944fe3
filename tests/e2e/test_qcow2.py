"""A qcow2 disk under a Linux filesystem, and what a killed monitor leaves of it."""

import shutil
import signal
import subprocess

import pytest
from harness import drive, make_initrd, run_process, send_after_output, vm_config

# Files that are on the disk once their sum is printed, and more on the way when the end comes.
WRITER = r"""
mkdir /mnt; mount -t ext4 /dev/vda /mnt
i=0
while :; do
  head -c 300000 /dev/urandom > /mnt/file$i; sync
  [ $i -gt 3 ] && rm /mnt/file$((i - 3)) && fstrim /mnt 2>/dev/null
  echo "sum$i=$(md5sum < /mnt/file$i | cut -c 1-32)"
  [ $i -eq 12 ] && echo KILL-ME
  i=$((i + 1))
done
"""
READER = r"""
mkdir /mnt; mount -t ext4 /dev/vda /mnt && echo mounted=yes
for file in /mnt/file*; do echo "sum${file#/mnt/file}=$(md5sum < $file | cut -c 1-32)"; done
echo "backed=$(md5sum < /dev/vdb | cut -c 1-32)"
dd if=/dev/zero of=/dev/vdb bs=64k seek=3 count=2 conv=fsync 2>/dev/null && echo overlay=written
umount /mnt
reboot -f
"""


def tool(*command):
    outcome = run_process(command)
    assert outcome.status == 0, outcome
    return outcome.text


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img (package qemu-utils) is not installed")
@pytest.mark.parametrize("engine", ["Sync", "Async"])
def test_filesystem_survives_a_kill(vmm, kernel, tmp_path, engine):
    raw, disk, again = tmp_path / "raw", tmp_path / "disk.qcow2", tmp_path / "again"
    tool("/sbin/mke2fs", "-q", "-t", "ext4", raw, "256M")
    tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
    raw.unlink()

    def config(script, *drives):
        return vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", script), drives=drives)

    mine = drive(disk, read_only=False, format="qcow2", cache_type="Writeback", io_engine=engine)
    killed, _ = send_after_output(vmm.command(config(WRITER, mine)), b"KILL-ME", signal.SIGKILL, cwd=tmp_path)
    assert killed.status == -signal.SIGKILL, killed
    # 0: nothing; 3: clusters that leaked.
    check = subprocess.run(["qemu-img", "check", "-f", "qcow2", disk], stdout=subprocess.PIPE, text=True)
    assert check.returncode in (0, 3), check.stdout
    # The journal is played back, and then nothing is wrong.
    tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, again)
    assert run_process(["/sbin/e2fsck", "-p", again]).status in (0, 1)
    tool("/sbin/e2fsck", "-f", "-n", again)

    base = tmp_path / "base"
    base.write_bytes(bytes(range(256)) * 4096)
    tool("qemu-img", "create", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / "over.qcow2")
    over = drive(tmp_path / "over.qcow2", "over", read_only=False, format="qcow2", backing_files=True)
    outcome = vmm.run(config(READER, mine, over))
    assert outcome.status == 0, outcome
    facts = outcome.facts
    assert facts["mounted"] == "yes", outcome
    kept = [name for name in facts if name.startswith("sum") and name in killed.facts]
    assert len(kept) >= 3, outcome
    assert all(facts[name] == killed.facts[name] for name in kept), (killed, outcome)
    assert facts["backed"] == tool("md5sum", base)[:32], outcome
    assert facts["overlay"] == "written" and base.read_bytes() == bytes(range(256)) * 4096, outcome
    assert subprocess.run(["qemu-img", "check", "-f", "qcow2", disk]).returncode in (0, 3)
    tool("qemu-img", "check", "-f", "qcow2", tmp_path / "over.qcow2")


def test_a_backing_file_needs_leave(vmm, kernel, tmp_path):
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img (package qemu-utils) is not installed")
    (tmp_path / "base").write_bytes(b"s" * (1 << 20))
    tool("qemu-img", "create", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / "over")
    outcome = vmm.run(vm_config(kernel, drives=[drive(tmp_path / "over", format="qcow2")]))
    assert outcome.status == 1, outcome
    assert "backing_files" in outcome.errors + outcome.text, outcome
