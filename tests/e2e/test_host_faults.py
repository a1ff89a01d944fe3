"""What a Linux guest sees of a host that fails its disks: a filesystem without room, a device with bad sectors. The tap that goes is in
test_net.py, the backend that is killed in test_vhost_user.py."""

import os
import re
import shutil
import subprocess

import pytest
from harness import counted, drive, make_initrd, program, run_process, vm_config

MIB = 1 << 20

# A piece of each disk first, while there is room; then more than there is; then the first pieces again, and the device.
GUEST = r"""
mkdir /tmp
piece() { head -c $2 /dev/zero | tr '\0' $1; }
disks="raw:vda qcow2:vdb layer:vdc"
for disk in $disks; do
  piece a 1048576 | dd of=/dev/${disk#*:} bs=64k conv=fsync 2>/dev/null && echo "${disk%:*}_room=yes"
done
for disk in $disks; do
  piece b 12582912 | dd of=/dev/${disk#*:} bs=64k seek=16 conv=fsync 2>/tmp/said && echo "${disk%:*}_full=no"
  echo "${disk%:*}_said=$(grep -o 'Input/output error' /tmp/said)"
done
echo 3 > /proc/sys/vm/drop_caches
for disk in $disks; do
  echo "${disk%:*}_kept=$(head -c 1048576 /dev/${disk#*:} | tr -d '\n' | tr -d a | wc -c)"
done
for sector in 0:good 256:bad 1024:behind; do
  dd if=/dev/vdd of=/dev/null bs=4k skip=${sector%:*} count=1 2>/dev/null && read=yes || read=no
  echo "${sector#*:}=$read"
done
dd if=/dev/zero of=/dev/vdd bs=4k seek=256 count=1 conv=fsync 2>/dev/null && echo "bad_written=yes"
reboot -f
"""


def make(*command):
    done = run_process(command, env={**os.environ, "DM_DISABLE_UDEV": "1"})
    assert done.status == 0, done
    return done.text.strip()


@pytest.fixture
def small(tmp_path_factory):
    """A directory with room for 12 MiB."""
    directory = tmp_path_factory.mktemp("small")
    if os.geteuid() != 0 or run_process(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", directory]).status != 0:
        pytest.skip("mounting a filesystem needs root")
    yield directory
    run_process(["umount", "-l", directory])


@pytest.fixture
def bad_device(tmp_path_factory):
    """A block device of 8 MiB of which the second is nothing but errors."""
    if not shutil.which("dmsetup", path=os.environ["PATH"] + ":/usr/sbin") or not os.path.exists("/dev/mapper/control"):
        pytest.skip("a device that fails needs dmsetup and the kernel's device mapper")
    backing = tmp_path_factory.mktemp("bad") / "backing"
    backing.write_bytes(bytes(8 * MIB))
    loop, name = make("losetup", "--show", "-f", backing), f"mote-bad-{os.getpid()}"
    table = f"0 2048 linear {loop} 0\n2048 2048 error\n4096 12288 linear {loop} 4096\n"
    subprocess.run(["/usr/sbin/dmsetup", "create", name], input=table, text=True, check=True, env={**os.environ, "DM_DISABLE_UDEV": "1"})
    yield f"/dev/mapper/{name}"
    make("/usr/sbin/dmsetup", "remove", "--retry", name)
    make("losetup", "-d", loop)


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img (package qemu-utils) is not installed")
def test_a_full_disk_and_a_bad_one_are_errors_of_the_guest_alone(vmm, kernel, small, bad_device, tmp_path):
    raw, qcow2, layer = small / "raw", small / "qcow2", small / "layer"
    raw.touch()
    os.truncate(raw, 64 * MIB)
    make("qemu-img", "create", "-q", "-f", "qcow2", qcow2, "64M")
    make(program("mote"), "layer", "create", layer, "--size", "64M")
    drives = [drive(raw, "raw", read_only=False, cache_type="Writeback", io_engine="Async"),
              drive(qcow2, "qcow2", read_only=False, cache_type="Writeback", format="qcow2"),
              drive(layer, "layer", read_only=False, cache_type="Writeback", io_engine="Async", format="overlay"),
              drive(bad_device, "bad", read_only=False, cache_type="Writeback", io_engine="Async")]
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST), drives=drives)
    outcome = vmm.run({**config, "metrics": {"metrics_path": "metrics"}})
    assert outcome.status == 0, outcome
    counts, facts = counted(vmm.directory / "metrics"), outcome.facts
    for name in ("raw", "qcow2", "layer"):
        assert (facts[f"{name}_room"], facts[f"{name}_said"], facts[f"{name}_kept"]) == ("yes", "Input/output error", "0"), outcome
        assert f"{name}_full" not in facts, outcome
        assert counts[f"block_{name}"]["execute_fails"] > 0 and counts[f"block_{name}"]["invalid_reqs_count"] == 0, counts
    # However often they fail, and however many of them, the log has it of each disk, and once.
    logged = re.findall(r"drive '(\w+)': (.*?) \(more of these are counted, not logged\)", outcome.text)
    for name, error in (("raw", "(ENOSPC)"), ("qcow2", "(ENOSPC)"), ("layer", "(ENOSPC)"), ("bad", "read a disk"), ("bad", "flush a disk")):
        assert any(disk == name and error in text for disk, text in logged), (name, error, outcome)
    kinds = [(disk, re.sub(r"\d", "", text)) for disk, text in logged]
    assert len(kinds) == len(set(kinds)) and len(kinds) == outcome.text.count("drive '"), outcome
    assert (facts["good"], facts["bad"], facts["behind"]) == ("yes", "no", "yes"), outcome
    assert "bad_written" not in facts and counts["block_bad"]["execute_fails"] >= 2, outcome
    assert run_process(["qemu-img", "check", "-f", "qcow2", qcow2]).status in (0, 3)  # 3: clusters that leaked
    checked = run_process([program("mote"), "layer", "check", layer])
    assert checked.status == 0, checked
