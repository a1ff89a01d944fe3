"""A Linux guest with a device of each kind at once, and as many devices as there is room for."""

import os

import jailing
import pytest

from harness import drive, make_initrd, vm_config

# What the guest finds, in the order of its bus: the type of each device (VIRTIO_ID_*) and the driver that took it.
GUEST = r"""
found=
for device in $(ls -d /sys/bus/virtio/devices/virtio* | sed 's/.*virtio\([0-9]*\)$/\1/' | sort -n); do
  at=/sys/bus/virtio/devices/virtio$device
  found="$found $(($(cat $at/device))):$(basename "$(readlink $at/driver)")"
done
echo "found=$found"
echo "disks=$(ls /sys/block | grep ^vd | tr '\n' ' ')"
echo "disk=$(head -c 6 /dev/vda)"
echo "interface=$(cat /sys/class/net/eth0/address)"
echo "entropy=$(cat /sys/class/misc/hw_random/rng_current)"
echo "vsock=$([ -c /dev/vsock ] && echo yes)"
echo "interrupts=$(grep -c 'virtio[0-9]' /proc/interrupts)"
reboot -f
"""
MAC = "06:00:ac:10:00:02"


def test_one_of_each(vmm, kernel, tmp_path):
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("a tap of its own takes root and /dev/net/tun")
    disk = tmp_path / "disk"
    disk.write_bytes(b"a disk".ljust(4096, b"\0"))
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST), drives=[drive(disk)])
    config["network-interfaces"] = [{"iface_id": "eth0", "host_dev_name": "motetest0", "guest_mac": MAC}]
    config["vsock"] = {"guest_cid": 3, "uds_path": "v.sock"}
    config["entropy"] = {}
    config["balloon"] = {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1}
    with jailing.tap("motetest0"):
        outcome = vmm.run(config)
    assert outcome.status == 0, outcome
    facts = outcome.facts
    assert facts["found"].split() == ["2:virtio_blk", "1:virtio_net", "19:vmw_vsock_virtio_transport", "4:virtio_rng", "5:virtio_balloon"]
    assert facts["disk"] == "a disk" and facts["interface"] == MAC and facts["vsock"] == "yes", outcome
    assert facts["entropy"].startswith("virtio_rng"), outcome
    assert int(facts["interrupts"]) == 5, outcome
    assert not os.path.exists("/sys/class/net/motetest0"), "a tap that the monitor made goes with it"


def test_as_many_as_there_is_room_for(vmm, kernel, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"a disk".ljust(4096, b"\0"))
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST),
                       drives=[drive(disk, f"d{number}") for number in range(16)])
    config["entropy"] = {}
    outcome = vmm.run(config)
    assert outcome.status == 0, outcome
    assert len(outcome.facts["disks"].split()) == 16 and outcome.facts["entropy"].startswith("virtio_rng"), outcome
    assert outcome.facts["found"].split().count("2:virtio_blk") == 16, outcome
    assert int(outcome.facts["interrupts"]) == 17, outcome
