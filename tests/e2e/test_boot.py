"""Boot protocols, processors, roots and disks with mote-vmm and a configuration file in Firecracker's form."""

import hashlib
import os

import pytest

from harness import IN_LAB, drive, make_image, make_initrd, make_partitioned, make_tree, vm_config

FACTS = r"""
echo "cpus=$(nproc)"
echo "online=$(cat /sys/devices/system/cpu/online)"
echo "loader=$(cat /proc/sys/kernel/bootloader_type)"
echo "clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "clocks=$(cat /sys/devices/system/clocksource/clocksource0/available_clocksource)"
echo "flags=$(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1)"
echo "acpi=$([ -d /sys/firmware/acpi/tables ] && echo yes || echo no)"
echo "disks=$(ls /sys/block | grep ^vd | tr '\n' ' ')"
echo "serial=$(cat /sys/block/vda/serial 2>/dev/null)"
echo "sectors=$(cat /sys/block/vda/size 2>/dev/null)"
echo "cmdline=$(cat /proc/cmdline)"
echo "interrupts=$(awk '/virtio/ {print $NF; exit}' /proc/interrupts)"
"""
PVH_LOADER = "176"  # the kernel's name for its PVH entry: loader type 0xb, version 0


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    return make_initrd(tmp_path_factory.mktemp("initrd") / "facts", FACTS + "reboot -f\n")


def check_processors(facts, count):
    assert facts["cpus"] == str(count)
    assert facts["online"] == ("0" if count == 1 else f"0-{count - 1}")
    assert {"svm", "vmx"}.isdisjoint(facts["flags"].split())
    assert "hypervisor" in facts["flags"].split()
    assert "kvm-clock" in facts["clocks"]


@pytest.mark.reference
@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("file, protocol", [("vmlinux", "pvh"), ("vmlinux", "linux64"), ("bzImage", None)])
def test_the_reference_kernel(vmm, reference_kernel, initrd, file, protocol, count):
    config = vm_config(reference_kernel(file), initrd=initrd, vcpus=count, protocol=protocol)
    outcome = vmm.run(config, timeout=240)
    assert outcome.status == 0, outcome
    check_processors(outcome.facts, count)
    assert (outcome.facts["loader"] == PVH_LOADER) == (protocol == "pvh"), outcome
    assert outcome.facts["acpi"] == "yes", outcome


@pytest.mark.parametrize("protocol, pvh, flags", [(None, True, []), ("auto", True, ["--no-pit"]), ("linux64", False, [])])
def test_the_projects_kernel(vmm, kernel, initrd, protocol, pvh, flags):
    outcome = vmm.run(vm_config(kernel, initrd=initrd, vcpus=2, protocol=protocol), *flags)
    assert outcome.status == 0, outcome
    check_processors(outcome.facts, 2)
    assert (outcome.facts["loader"] == PVH_LOADER) == pvh, outcome


@pytest.mark.skipif(IN_LAB, reason="32 processors on the lab's few, emulated twice, take many minutes")
def test_32_processors(vmm, kernel, initrd):
    outcome = vmm.run(vm_config(kernel, initrd=initrd, vcpus=32, memory=512), timeout=180)
    assert outcome.status == 0, outcome
    check_processors(outcome.facts, 32)


def test_memory_above_the_gap(vmm, kernel, tmp_path):
    initrd = make_initrd(tmp_path / "initrd", "echo memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)\nreboot -f\n")
    outcome = vmm.run(vm_config(kernel, initrd=initrd, memory=4096))
    assert outcome.status == 0, outcome
    assert int(outcome.facts["memory"]) > 3800, outcome


@pytest.mark.parametrize("vcpus", [1, 2])
def test_without_acpi(vmm, kernel, initrd, tmp_path, vcpus):
    """The MPTable names the processors, and the command line the disk."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"\0" * 65536)
    outcome = vmm.run(vm_config(kernel, "acpi=off", initrd=initrd, vcpus=vcpus, drives=[drive(disk)]))
    assert outcome.status == 0, outcome
    check_processors(outcome.facts, vcpus)
    assert outcome.facts["acpi"] == "no"
    assert outcome.facts["disks"].split() == ["vda"], outcome
    assert "virtio_mmio.device=" in outcome.facts["cmdline"]
    assert outcome.facts["sectors"] == "128"


def test_disks_are_named_sized_and_in_order(vmm, kernel, initrd, tmp_path):
    for name, size in (("first", 512 * 3 + 100), ("second", 1 << 20)):
        (tmp_path / name).write_bytes(b"\0" * size)
    drives = [drive(tmp_path / "first", "one"), drive(tmp_path / "second", "two")]
    outcome = vmm.run(vm_config(kernel, initrd=initrd, drives=drives))
    assert outcome.status == 0, outcome
    assert outcome.facts["disks"].split() == ["vda", "vdb"], outcome
    about = (tmp_path / "first").stat()  # VIRTIO_BLK_T_GET_ID: what the peer answers, cut to 20 bytes
    assert outcome.facts["serial"] == f"{about.st_dev}{about.st_rdev}{about.st_ino}"[:20], outcome
    assert outcome.facts["sectors"] == "3", outcome  # cut to whole sectors


ROOT_FACTS = """
echo "root=$(awk '$2 == "/" {print $3, substr($4, 1, 2)}' /proc/mounts | tail -n 1)"
echo "device=$(awk '$2 == "/" {print $1}' /proc/mounts | tail -n 1)"
echo "cmdline=$(cat /proc/cmdline)"
echo more > /written && sync && echo "written=yes"
reboot -f
"""


@pytest.fixture(scope="module")
def root_tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree") / "root", ROOT_FACTS)


def test_a_writable_root_is_written(vmm, kernel, root_tree, tmp_path):
    image = make_image("ext4", root_tree, tmp_path / "image")
    before = hashlib.sha256(image.read_bytes()).digest()
    outcome = vmm.run(vm_config(kernel, "init=/init", drives=[drive(image, root=True, read_only=False)]))
    assert outcome.status == 0, outcome
    assert outcome.facts["root"] == "ext4 rw" and outcome.facts["written"] == "yes", outcome
    assert "root=/dev/vda rw" in outcome.facts["cmdline"]
    assert hashlib.sha256(image.read_bytes()).digest() != before


def test_a_read_only_root_is_not_written(vmm, kernel, root_tree, tmp_path):
    image = make_image("ext4", root_tree, tmp_path / "image")
    before = hashlib.sha256(image.read_bytes()).digest()
    outcome = vmm.run(vm_config(kernel, "init=/init", drives=[drive(image, root=True)]))
    assert outcome.status == 0, outcome
    assert outcome.facts["root"] == "ext4 ro" and "written" not in outcome.facts, outcome
    assert hashlib.sha256(image.read_bytes()).digest() == before


def test_a_root_by_partuuid(vmm, kernel, root_tree, tmp_path):
    disk = make_partitioned(make_image("ext4", root_tree, tmp_path / "image"), tmp_path / "disk", 0x1BADB002)
    root = drive(disk, root=True, partuuid="1badb002-01")
    outcome = vmm.run(vm_config(kernel, "init=/init", drives=[root]))
    assert outcome.status == 0, outcome
    assert "root=PARTUUID=1badb002-01" in outcome.facts["cmdline"], outcome
    assert outcome.facts["root"] == "ext4 ro", outcome


@pytest.mark.reference
def test_the_reference_kernel_mounts_a_root(vmm, reference_kernel, root_tree, tmp_path):
    image = make_image("ext4", root_tree, tmp_path / "image")
    outcome = vmm.run(vm_config(reference_kernel("vmlinux"), "init=/init", drives=[drive(image, root=True, read_only=False)]))
    assert outcome.status == 0, outcome
    assert outcome.facts["root"] == "ext4 rw" and outcome.facts["written"] == "yes", outcome


DISK_SCRIPT = r"""
fail() { echo "failed=$1"; reboot -f; }
for disk in vda vdb; do
  [ "$(dd if=/dev/$disk bs=1M 2>/dev/null | md5sum | cut -c1-32)" = "$(cat /sum 2>/dev/null || sed 's/.*sum=//;s/ .*//' /proc/cmdline)" ] || fail "read $disk"
done
dd if=/dev/vda of=/dev/vdb bs=64k skip=1 seek=3 count=5 conv=notrunc,fsync 2>/dev/null || fail write
dd if=/dev/zero of=/dev/vda bs=512 count=1 conv=fsync 2>/dev/null && fail "the read-only disk was written"
echo "passed=yes"
reboot -f
"""


@pytest.mark.parametrize("engine", ["Sync"])
def test_data_of_disks(vmm, kernel, tmp_path, engine):
    data = os.urandom(2 << 20)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(data)
    initrd = make_initrd(tmp_path / "initrd", DISK_SCRIPT)
    drives = [drive(tmp_path / "a", "a", io_engine=engine),
              drive(tmp_path / "b", "b", read_only=False, cache_type="Writeback", io_engine=engine)]
    outcome = vmm.run(vm_config(kernel, f"sum={hashlib.md5(data).hexdigest()}", initrd=initrd, drives=drives, vcpus=2))
    assert outcome.status == 0 and outcome.facts.get("passed") == "yes", outcome
    expected = data[:3 << 16] + data[1 << 16:6 << 16] + data[8 << 16:]
    assert (tmp_path / "b").read_bytes() == expected
    assert (tmp_path / "a").read_bytes() == data


def test_huge_pages_of_the_pool(vmm, kernel, initrd, pool_of_huge_pages):
    outcome = vmm.run(vm_config(kernel, initrd=initrd, huge_pages="2M"))
    assert outcome.status == 0 and outcome.facts["cpus"] == "1", outcome


def test_transparent_huge_pages(vmm, kernel, initrd):
    outcome = vmm.run(vm_config(kernel, initrd=initrd, huge_pages="Transparent"))
    assert outcome.status == 0 and outcome.facts["cpus"] == "1", outcome
