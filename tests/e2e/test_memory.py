"""Memory that comes and goes: the balloon, persistent memory, memory that is plugged in; and what of it the host feels."""

import hashlib
import re
import subprocess

from harness import BOOT_SECONDS, Outcome, make_initrd, make_tree, run_process, vm_config

MIB = 1 << 20


def run_watched(vmm, config):
    """Runs the VM and looks at the monitor's memory whenever the guest says mark=NAME: the outcome, and bytes by name."""
    marks, out = {}, b""
    with subprocess.Popen([str(part) for part in vmm.command(config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=vmm.directory) as process:
        killer = subprocess.Popen(["sh", "-c", f"sleep {BOOT_SECONDS}; kill -9 {process.pid}"])
        for line in process.stdout:
            out += line
            if mark := re.match(rb"mark=(\w+)", line):
                status = open(f"/proc/{process.pid}/status").read()
                marks[mark[1].decode()] = {name: int(kib) << 10 for name, kib in re.findall(r"^(Rss\w+):\s+(\d+) kB", status, re.M)}
        err = process.stderr.read()
        process.wait()
        killer.kill()
        killer.wait()
    return Outcome(process.returncode, out, err, 0), marks


BALLOON = r"""
free() { echo $(($(grep ^MemFree /proc/meminfo | tr -dc 0-9) / 1024)); }
device=$(ls /sys/bus/virtio/drivers/virtio_balloon | grep ^virtio)
irqs() { grep " $device\$" /proc/interrupts | tr -s ' ' | cut -d ' ' -f 3; }
mount -t tmpfs -o size=100% tmpfs /tmp
sleep 2
echo "inflated=$(free)"
before=$(irqs); sleep 4; echo "polls=$(($(irqs) - before))"
# The balloon lets go of pages rather than have anything killed.
dd if=/dev/zero of=/tmp/large bs=1M count=150 2>/dev/null && echo "filled=$(ls -l /tmp/large | tr -s ' ' | cut -d ' ' -f 5)"
rm /tmp/large
# Without a driver all is the guest's. It uses it, and frees it; the host has not heard of that.
echo $device > /sys/bus/virtio/drivers/virtio_balloon/unbind
dd if=/dev/zero of=/tmp/large bs=1M count=190 2>/dev/null
rm /tmp/large
echo "deflated=$(free)"
echo "mark=used"; sleep 1
echo $device > /sys/bus/virtio/drivers/virtio_balloon/bind
sleep 4
echo "again=$(free)"
echo "mark=inflated"; sleep 1
reboot -f
"""


def test_the_balloon_gives_memory_back_and_lets_go_of_it(vmm, kernel, tmp_path):
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", "mkdir /tmp\n" + BALLOON), memory=256)
    config["balloon"] = {"amount_mib": 128, "deflate_on_oom": True, "stats_polling_interval_s": 1}
    outcome, marks = run_watched(vmm, config)
    facts = outcome.facts
    assert outcome.status == 0 and "mark" in facts, outcome
    assert int(facts["inflated"]) < 110 < 190 < int(facts["deflated"]), outcome
    assert int(facts["polls"]) >= 2, f"the guest is asked for statistics once a second\n{outcome}"
    assert facts["filled"] == str(150 * MIB), outcome
    assert int(facts["again"]) < 110, outcome
    fell = marks["used"]["RssAnon"] - marks["inflated"]["RssAnon"]
    assert marks["used"]["RssAnon"] > 190 * MIB and fell > 110 * MIB, (marks, outcome)


REPORTING = r"""
mount -t tmpfs -o size=100% tmpfs /tmp
echo "total=$(($(grep ^MemTotal /proc/meminfo | tr -dc 0-9) / 1024))"
dd if=/dev/zero of=/tmp/large bs=1M count=300 2>/dev/null && echo "filled=$(ls -l /tmp/large | tr -s ' ' | cut -d ' ' -f 5)"
echo "mark=used"; sleep 1
rm /tmp/large
sleep 8
echo "mark=freed"; sleep 1
reboot -f
"""


def test_memory_is_plugged_in_and_what_becomes_free_is_reported(vmm, kernel, tmp_path):
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", "mkdir /tmp\n" + REPORTING), memory=256)
    config["memory-hotplug"] = {"total_size_mib": 512, "requested_size_mib": 256}
    config["balloon"] = {"amount_mib": 0, "deflate_on_oom": False, "free_page_reporting": True}
    outcome, marks = run_watched(vmm, config)
    facts = outcome.facts
    assert outcome.status == 0 and "mark" in facts, outcome
    assert 450 < int(facts["total"]) < 512, outcome
    assert facts["filled"] == str(300 * MIB), outcome
    assert marks["used"]["RssAnon"] > 300 * MIB, (marks, outcome)
    assert marks["used"]["RssAnon"] - marks["freed"]["RssAnon"] > 250 * MIB, (marks, outcome)


PMEM = r"""
cached() { grep ^Cached /proc/meminfo | tr -dc 0-9; }
echo "root=$(grep ' / ' /proc/mounts | tail -n 1)"
echo "mark=before"; sleep 1
before=$(cached)
echo "sum=$(md5sum < /large)"
echo "cached=$(($(cached) - before))"
echo "mark=read"; sleep 1
touch /file 2>/dev/null || echo "readonly=yes"
mount -o dax /dev/pmem1 /tmp && echo "data=$(grep ' /tmp ' /proc/mounts)"
echo "written in the guest" > /tmp/note
sync
umount /tmp
reboot -f
"""


def make_ext4(tree, path, size):
    # Blocks of a page: what DAX needs.
    done = run_process(["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, path, size])
    assert done.status == 0, done
    return path


def test_root_and_data_on_persistent_memory(vmm, kernel, tmp_path):
    tree = make_tree(tmp_path / "tree", PMEM)
    large = bytes(range(256)) * (16 * MIB // 256)
    (tree / "large").write_bytes(large)
    (tmp_path / "empty").mkdir()
    root = make_ext4(tree, tmp_path / "root.ext4", "64M")
    data = make_ext4(tmp_path / "empty", tmp_path / "data.ext4", "16M")
    config = vm_config(kernel, "rootflags=dax rootfstype=ext4 init=/init", memory=128)
    config["pmem"] = [{"id": "data", "path_on_host": str(data)},
                      {"id": "root", "path_on_host": str(root), "root_device": True, "read_only": True}]
    outcome, marks = run_watched(vmm, config)
    facts = outcome.facts
    assert outcome.status == 0 and "sum" in facts, outcome
    _, _, kind, options = facts["root"].split()[:4]
    assert kind == "ext4" and "dax" in options and "ro" in options.split(","), outcome
    assert facts["sum"].split()[0] == hashlib.md5(large).hexdigest(), outcome
    # The guest has no copy of what it read; the monitor has the pages of the file, which may lie in tmpfs. Linux counts a
    # process's pages late: each thread keeps the last 64 faults, of 16 pages each, to itself.
    assert int(facts["cached"]) < 2048, outcome
    before, read = (mark["RssFile"] + mark["RssShmem"] for mark in (marks["before"], marks["read"]))
    assert read - before > 11 * MIB, (marks, outcome)
    assert facts["readonly"] == "yes" and "dax" in facts["data"], outcome
    note = run_process(["/sbin/debugfs", "-R", "cat /note", data])
    assert note.stdout == b"written in the guest\n", note
    assert run_process(["/sbin/e2fsck", "-fn", data]).status == 0
