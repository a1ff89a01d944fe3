"""Disks in use: a filesystem made, filled and killed; a database; room given back; a block device; several queues."""

import hashlib
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import counted, drive, make_initrd, program, run_process, send_after_output, vm_config

MIB = 1 << 20

MOUNT_TOOLS = """
mkdir -p /tools /data /trim
mount -t squashfs -o ro /dev/vda /tools
for directory in proc sys dev; do mount -o bind /$directory /tools/$directory; done
run() { chroot /tools "$@"; }
"""


def libraries(program):
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"(/\S+)(?= \()", listed)


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """A squashfs image with programs of the host, their libraries and places to mount on."""
    work = tmp_path_factory.mktemp("tools")
    root = work / "root"
    for directory in ("bin", "proc", "sys", "dev", "etc", "data"):
        (root / directory).mkdir(parents=True)
    for name in ("mke2fs", "sqlite3"):
        program = shutil.which(name, path=os.environ["PATH"] + ":/sbin:/usr/sbin")
        assert program, f"there is no {name}: scripts/setup installs it"
        shutil.copy(program, root / "bin" / name)
        for library in libraries(program):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    image = work / "tools.img"
    done = run_process(["mksquashfs", root, image, "-quiet", "-no-progress", "-noappend", "-comp", "gzip"])
    assert done.status == 0, done
    return image


def make_disk(path, size):
    path.touch()
    os.truncate(path, size)
    return path


FILL = MOUNT_TOOLS + r"""
run /bin/mke2fs -q -t ext4 /dev/vdb || echo "made=no"
mount -t ext4 /dev/vdb /data
number=0
while true; do
  number=$((number + 1))
  dd if=/dev/urandom of=/data/file$number bs=4k count=$((number % 40 + 1)) 2>/dev/null
  sum=$(sha256sum < /data/file$number | cut -c1-64)
  sync
  echo "file$number=$sum"
  [ $number -lt 25 ] || echo "enough=yes"
  rm -f /data/file$((number - 60))
done
"""


def test_a_filesystem_survives_the_monitors_death(vmm, kernel, tools, tmp_path):
    """What the guest has synced is there, and the filesystem whole, after SIGKILL in the middle of writing."""
    disk = make_disk(tmp_path / "disk", 96 * MIB)
    initrd = make_initrd(tmp_path / "initrd", FILL)
    drives = [drive(tools, "tools"), drive(disk, "data", read_only=False, cache_type="Writeback", io_engine="Async")]
    outcome, _ = send_after_output(vmm.command(vm_config(kernel, initrd=initrd, drives=drives)), b"enough=yes", signal.SIGKILL,
                                   cwd=vmm.directory)
    assert outcome.status == -signal.SIGKILL, outcome
    assert "made" not in outcome.facts, outcome
    replayed = run_process(["/sbin/e2fsck", "-p", disk])
    assert replayed.status in (0, 1), replayed  # 1: the journal was replayed
    checked = run_process(["/sbin/e2fsck", "-fn", disk])
    assert checked.status == 0, checked
    for number in range(1, 26):
        content = run_process(["/sbin/debugfs", "-R", f"cat /file{number}", disk]).stdout
        assert hashlib.sha256(content).hexdigest() == outcome.facts[f"file{number}"], number


USE = MOUNT_TOOLS + r"""
echo "serial=$(cat /sys/block/vdb/serial)"
echo "queues=$(ls /sys/block/vdb/mq | wc -l)"
echo "physical=$(cat /sys/block/vdb/queue/physical_block_size)"
echo "discard=$(cat /sys/block/vdb/queue/discard_max_bytes)"
echo "fixed_discard=$(cat /sys/block/vda/queue/discard_max_bytes)"
run /bin/mke2fs -q -t ext4 -E nodiscard /dev/vdb && mount -t ext4 /dev/vdb /data
run /bin/mke2fs -q -t ext4 /dev/vdc && mount -t ext4 /dev/vdc /trim
mount -o bind /data /tools/data
run /bin/sqlite3 /data/base 'create table t(n integer primary key, b blob);
with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000) insert into t select n, randomblob(700) from c;
delete from t where n % 3 = 0; vacuum;'
echo "integrity=$(run /bin/sqlite3 /data/base 'pragma integrity_check')"
echo "rows=$(run /bin/sqlite3 /data/base 'select count(*) from t')"
dd if=/dev/urandom of=/trim/big bs=1M count=24 2>/dev/null; sync
cp /trim/big /data/copy; sync
echo 3 > /proc/sys/vm/drop_caches
cmp /trim/big /data/copy && echo "same=yes"
rm /trim/big; sync
fstrim -v /trim | sed 's/[^0-9]*\([0-9]*\).*/trimmed=\1/'
umount /trim
umount /tools/data /data && echo "unmounted=yes"
reboot -f
"""


@pytest.fixture
def loop_device(tmp_path):
    """A block device of the host, over a file."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        pytest.skip("making a block device needs root and /dev/loop-control")
    backing = make_disk(tmp_path / "backing", 64 * MIB)
    made = run_process(["losetup", "--show", "-f", backing])
    if made.status != 0:
        pytest.skip(f"losetup: {made.errors}")
    device = made.text.strip()
    yield device, backing
    run_process(["losetup", "-d", device])


def check_counters(counts):
    """The monitor has counted what the guest did with its drives."""
    assert counts["block_data"]["write_bytes"] >= 24 * MIB and counts["block_data"]["write_count"] > 0, counts
    assert counts["block_block"]["read_bytes"] > 0 and counts["block_tools"]["read_count"] > 0, counts
    assert counts["block_tools"]["write_count"] == 0, counts
    assert counts["block_data"]["flush_count"] > 0 and counts["block_data"]["queue_event_count"] > 0, counts
    for key, total in counts["block"].items():
        assert total == sum(counts[f"block_{name}"][key] for name in ("tools", "data", "block")), (key, counts)
    assert counts["block"]["execute_fails"] == counts["block"]["invalid_reqs_count"] == 0, counts
    assert counts["interrupts"]["triggers"] > 0 and counts["uart"]["write_count"] > 0 and counts["vcpu"]["exit_io_out"] > 0, counts
    assert counts["i8042"]["reset_count"] == 1 and counts["vcpu"]["failures"] == 0, counts


def test_a_database_a_block_device_and_room_given_back(vmm, kernel, tools, loop_device, tmp_path):
    """The block device goes through io_uring wherever the test's own files are."""
    device, backing = loop_device
    disk = make_disk(tmp_path / "disk", 96 * MIB)
    initrd = make_initrd(tmp_path / "initrd", USE)
    drives = [drive(tools, "tools"),
              drive(disk, "data", read_only=False, cache_type="Writeback", serial="mote-data-1", num_queues=2),
              drive(device, "block", read_only=False, cache_type="Writeback", io_engine="Async")]
    config = {**vm_config(kernel, initrd=initrd, drives=drives, vcpus=2), "metrics": {"metrics_path": "metrics"}}
    outcome = vmm.run(config)
    assert outcome.status == 0, outcome
    check_counters(counted(vmm.directory / "metrics"))
    facts = outcome.facts
    assert (facts["serial"], facts["queues"]) == ("mote-data-1", "2"), outcome
    assert int(facts["physical"]) == disk.stat().st_blksize, outcome
    assert int(facts["discard"]) > 0 and facts["fixed_discard"] == "0", outcome
    assert (facts["integrity"], facts["rows"]) == ("ok", "2000"), outcome
    assert facts["same"] == facts["unmounted"] == "yes", outcome
    # 24 MiB were written and given back: what is left is the filesystem's own.
    assert int(facts["trimmed"]) >= 24 * MIB, outcome
    assert backing.stat().st_blocks * 512 < 20 * MIB, backing.stat()
    for image in (disk, backing):
        checked = run_process(["/sbin/e2fsck", "-fn", image])
        assert checked.status == 0, checked


# One program writes to a database on each format, a transaction at a time, and says which row is safe once SQLite does: with
# `extra`, as otherwise the end of its journal is not on the disk yet, and the last transaction may be taken back.
DATABASES = MOUNT_TOOLS + r"""
mount -t tmpfs tmpfs /tools/data
for disk in raw:vdb qcow2:vdc layer:vdd; do
  mkdir /tools/data/${disk%:*}; mount -t ext4 /dev/${disk#*:} /tools/data/${disk%:*}
done
transaction() {
  echo "begin; insert into $1.t select $2, randomblob(3000 + $2 * 97 % 5000), null;
update $1.t set sum = sha3(b, 256) where n = $2; delete from $1.t where n = $2 - 40; commit;
select '$1=' || max(n) from $1.t;"
}
{
  for format in raw qcow2 layer; do
    echo "attach '/data/$format/base' as $format; pragma $format.synchronous = extra;
create table $format.t(n integer primary key, b blob, sum blob);"
  done
  n=0
  while true; do
    n=$((n + 1))
    transaction raw $n; transaction qcow2 $n; transaction layer $n
    [ $n -ne 60 ] || echo "select 'enough=yes';"
  done
} | run /bin/sqlite3 -batch
"""

DATABASES_AGAIN = MOUNT_TOOLS + r"""
for disk in raw:vdb qcow2:vdc layer:vdd; do
  name=${disk%:*}
  mkdir /$name; mount -t ext4 /dev/${disk#*:} /$name && mount -o bind /$name /tools/data
  ask() { run /bin/sqlite3 /data/base "$1"; }
  echo "${name}_integrity=$(ask 'pragma integrity_check')"
  echo "${name}_last=$(ask 'select max(n) from t')"
  echo "${name}_rows=$(ask 'select count(*) from t')"
  echo "${name}_wrong=$(ask 'select count(*) from t where sum is not sha3(b, 256)')"
  ask 'insert into t values (1000000, zeroblob(1), null)' && echo "${name}_written=yes"
  umount /tools/data; umount /$name
done
reboot -f
"""


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img (package qemu-utils) is not installed")
def test_databases_survive_the_monitors_death(vmm, kernel, tools, tmp_path):
    """On a raw disk, a qcow2 image and a layer: whatever SQLite said is committed is there after SIGKILL, and its own check finds nothing."""
    raw, qcow2, layer = make_disk(tmp_path / "raw", 64 * MIB), tmp_path / "qcow2", tmp_path / "layer"
    assert run_process(["/sbin/mke2fs", "-q", "-t", "ext4", raw]).status == 0
    assert run_process(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2]).status == 0
    base = shutil.copyfile(raw, tmp_path / "base")
    assert run_process([program("mote"), "layer", "create", layer, base]).status == 0
    drives = [drive(tools, "tools"), drive(raw, "raw", read_only=False, cache_type="Writeback", io_engine="Async"),
              drive(qcow2, "qcow2", read_only=False, cache_type="Writeback", format="qcow2"),
              drive(layer, "layer", read_only=False, cache_type="Writeback", io_engine="Async", format="overlay", layers=[str(base)])]
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", DATABASES), drives=drives)
    killed, _ = send_after_output(vmm.command(config), b"enough=yes", signal.SIGKILL, cwd=vmm.directory)
    assert killed.status == -signal.SIGKILL, killed
    # A line may have been cut short, or have one of the kernel's in it.
    told = dict(re.findall(r"^(\w+)=(\d+)\r?\n", killed.text, re.M))
    outcome = vmm.run(vm_config(kernel, initrd=make_initrd(tmp_path / "again", DATABASES_AGAIN), drives=drives))
    assert outcome.status == 0, outcome
    for name in ("raw", "qcow2", "layer"):
        facts = {key.removeprefix(f"{name}_"): value for key, value in outcome.facts.items() if key.startswith(f"{name}_")}
        assert (facts["integrity"], facts["wrong"], facts["written"]) == ("ok", "0", "yes"), outcome
        # Later ones may have been committed as well, and their lines have died with the serial port.
        assert int(facts["last"]) >= int(told[name]) > 50, (killed, outcome)
        assert int(facts["rows"]) == 40, outcome
    assert run_process(["/sbin/e2fsck", "-fn", raw]).status == 0
    assert run_process(["qemu-img", "check", "-f", "qcow2", qcow2]).status in (0, 3)  # 3: clusters that leaked
    assert run_process([program("mote"), "layer", "check", layer, base]).status == 0
