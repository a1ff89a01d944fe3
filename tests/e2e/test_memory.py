"""Memory that comes and goes: the balloon, memory that is plugged in; and what of it the host feels."""

import re
import subprocess

from harness import BOOT_SECONDS, Outcome, make_initrd, vm_config

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
