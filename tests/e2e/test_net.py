"""Network interfaces on taps of this host: one guest with two of them, and what is refused."""

import fcntl
import hashlib
import os
import pathlib
import random
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

import jailing
from harness import BOOT_SECONDS, IN_LAB, Outcome, Vmm, counted, make_initrd, vm_config

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")

# The full measure is 1024 (1 GiB each way); the lab needs a minute for that on a host with other work.
MIB = int(os.environ.get("MOTE_NET_MIB", 64 if IN_LAB else 1024))
PATIENCE = BOOT_SECONDS + MIB  # seconds, for all of it
BLOB = random.Random(5).randbytes(8 << 20)  # sent over and over
# Bytes a second, each way, of the second interface: little enough for a lab on a busy host to be held back.
LIMIT = 256 << 10
BUCKET = LIMIT // 2
LIMITED = 3 * LIMIT  # bytes sent through it
AT_LEAST = (LIMITED - BUCKET) / LIMIT  # seconds; the bucket is full at the start

# What is sent goes to the socket in large pieces: nc itself has 1 KiB of room, and each piece is a packet that the lab is slow with.
GUEST = f"""
cat > /send <<END
#!/bin/busybox sh
i=0; while [ \\$i -lt {MIB // 8} ]; do cat /blob; i=\\$((i + 1)); done
END
chmod +x /send
ip link set lo up
ip addr add 10.98.0.2/24 dev eth0; ip link set eth0 up
ip addr add 10.98.1.2/24 dev eth1; ip link set eth1 up
ip addr add 10.98.2.2/24 dev eth2; ip link set eth2 up
echo address=$(cat /sys/class/net/eth0/address)
echo mtu=$(cat /sys/class/net/eth0/mtu)
echo other_mtu=$(cat /sys/class/net/eth1/mtu)
echo queues=$(ls /sys/class/net/eth0/queues)
echo other_queues=$(ls /sys/class/net/eth1/queues)
ping -c 3 -i 0.2 -W 5 10.98.0.1 > /dev/null && echo ping=yes
ping -c 1 -W 5 -s 1372 10.98.0.1 > /dev/null && echo whole_ping=yes
ping -c 3 -i 0.2 -W 5 10.98.2.1 > /dev/null && echo macvtap_ping=yes
echo macvtap=$(nc 10.98.2.1 7006 < /dev/null | md5sum | cut -c1-32)
nc 10.98.0.1 7001 < /dev/null > /blob
echo blob=$(md5sum < /blob | cut -c1-32)
echo received=$(nc 10.98.0.1 7002 < /dev/null | md5sum | cut -c1-32)
nc 10.98.0.1 7003 -e /send
nc 10.98.1.1 7004 < /dev/null | md5sum > /dev/null
head -c {LIMITED} /blob | nc 10.98.1.1 7005
echo queues_used=$(grep -c 'virtio0' /proc/interrupts)
echo done=yes
n=0; while ping -c 1 -W 1 10.98.0.1 > /dev/null && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
[ $n -lt 100 ] && echo lost=yes
ping -c 1 -W 5 10.98.1.1 > /dev/null && echo other_alive=yes
reboot -f
"""


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=True)


class Server:
    """Serves one connection with what `talk(connection)` does; its result and time are kept."""

    def __init__(self, address, port, talk):
        self.listener = socket.create_server((address, port))
        self.result = self.seconds = None
        self.thread = threading.Thread(target=self.serve, args=(talk,), daemon=True)
        self.thread.start()

    def serve(self, talk):
        self.listener.settimeout(PATIENCE)
        connection, _ = self.listener.accept()
        began = time.monotonic()
        with connection:
            self.result = talk(connection)
        self.seconds = time.monotonic() - began
        self.listener.close()


def sending(data, times=1):
    def talk(connection):
        for _ in range(times):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]:
            time.sleep(0.01)  # until the other side has all of it
    return talk


def receiving(connection):
    digest, length = hashlib.md5(), 0
    while data := connection.recv(1 << 16):
        digest.update(data)
        length += len(data)
    return length, digest.hexdigest()


def open_tap(name):
    """A queue of a new tap, as a program that hands it to a monitor opens it."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    tap, no_pi, vnet_hdr, set_iff = 0x2, 0x1000, 0x4000, 0x400454CA
    fcntl.ioctl(fd, set_iff, struct.pack("16sH22x", name.encode(), tap | no_pi | vnet_hdr))
    return fd


def open_macvtap(name):
    """The queue of a new macvtap over one end of a pair of interfaces, of which the other end has an address; its MAC address."""
    ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}p")
    ip("link", "add", "link", f"{name}p", "name", name, "type", "macvtap", "mode", "bridge")
    ip("addr", "add", "10.98.2.1/24", "dev", f"{name}h")
    for end in (f"{name}h", f"{name}p", name):
        ip("link", "set", end, "up")
    about = pathlib.Path("/sys/class/net", name)
    return os.open(f"/dev/tap{(about / 'ifindex').read_text().strip()}", os.O_RDWR), (about / "address").read_text().strip()


@pytest.fixture(scope="module")
def outcome(kernel, tmp_path_factory):
    """All of it in one guest: what it printed, what the servers saw, what the monitor logged."""
    directory = tmp_path_factory.mktemp("net")
    ip("tuntap", "add", "mtest0", "mode", "tap", "vnet_hdr", "multi_queue", *jailing.tap_owner())
    # A jail has no descriptors but its standard streams: there it is opened by its name.
    fd = None if jailing.JAILED else open_tap("mtest1")
    macvtap = mac = None
    if fd is None:
        ip("tuntap", "add", "mtest1", "mode", "tap", "vnet_hdr", *jailing.tap_owner())
    try:
        if fd is not None:
            macvtap, mac = open_macvtap("mtest2")
        for number in (0, 1):
            ip("addr", "add", f"10.98.{number}.1/24", "dev", f"mtest{number}")
            ip("link", "set", f"mtest{number}", "up")
        servers = {"blob": Server("10.98.0.1", 7001, sending(BLOB)), "in": Server("10.98.0.1", 7002, sending(BLOB, MIB // 8)),
                   "out": Server("10.98.0.1", 7003, receiving), "limited in": Server("10.98.1.1", 7004, sending(BLOB[:LIMITED])),
                   "limited out": Server("10.98.1.1", 7005, receiving)}
        if macvtap is not None:
            servers["macvtap"] = Server("10.98.2.1", 7006, sending(BLOB))
        config = vm_config(kernel, initrd=make_initrd(directory / "initrd", GUEST), vcpus=2)
        limit = {"bandwidth": {"size": BUCKET, "refill_time": 1000 * BUCKET // LIMIT}}
        config["network-interfaces"] = [
            {"iface_id": "eth0", "host_dev_name": "mtest0", "guest_mac": "06:00:AC:10:00:02", "mtu": 1400, "num_queues": 2},
            {"iface_id": "eth1", **({"host_dev_name": "mtest1"} if fd is None else {"tap_fds": [fd]}), "rx_rate_limiter": limit, "tx_rate_limiter": limit}]
        if macvtap is not None:
            config["network-interfaces"].append({"iface_id": "eth2", "tap_fds": [macvtap], "guest_mac": mac})
        config["metrics"] = {"metrics_path": "metrics"}
        yield run_guest(directory, config, [each for each in (fd, macvtap) if each is not None], servers)
    finally:
        ip("link", "delete", "mtest2h", check=False)
        if macvtap is not None:
            os.close(macvtap)
        if fd is None:
            ip("link", "delete", "mtest1", check=False)
        else:
            os.close(fd)
        ip("link", "delete", "mtest0", check=False)


def run_guest(directory, config, descriptors, servers):
    """Starts it, and deletes the first tap when the guest has done everything else."""
    vmm = Vmm(directory)
    began = time.monotonic()
    with subprocess.Popen([str(part) for part in vmm.command(config)], cwd=directory, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=descriptors) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        seen = b""
        while data := process.stdout.read1():
            seen += data
            if b"done=yes" in seen and servers is not None:
                result, servers = servers, None
                ip("link", "delete", "mtest0")
        errors = process.stderr.read()
        watchdog.cancel()
    outcome = Outcome(process.wait(), seen, errors, time.monotonic() - began)
    assert servers is None, outcome
    outcome.servers = result
    outcome.counts = counted(directory / "metrics")
    return outcome


def test_the_guest_is_told_address_mtu_and_queues(outcome):
    assert outcome.facts["address"] == "06:00:ac:10:00:02", outcome
    assert outcome.facts["mtu"] == "1400"
    assert outcome.facts["other_mtu"] == "1500"
    assert outcome.facts["queues"].split() == ["rx-0", "rx-1", "tx-0", "tx-1"]
    assert outcome.facts["other_queues"].split() == ["rx-0", "tx-0"]


def test_pings_pass(outcome):
    assert outcome.facts["ping"] == "yes", outcome
    assert outcome.facts["whole_ping"] == "yes", "as large as the MTU lets pass in one piece"


def test_every_byte_arrives_in_the_guest(outcome):
    assert outcome.facts["blob"] == hashlib.md5(BLOB).hexdigest(), outcome
    assert outcome.facts["received"] == hashlib.md5(BLOB * (MIB // 8)).hexdigest(), outcome


@pytest.mark.unjailed("a jail has no descriptors but its standard streams")
def test_a_macvtap_that_is_handed_in_is_an_interface(outcome):
    assert outcome.facts["macvtap_ping"] == "yes", outcome
    assert outcome.facts["macvtap"] == hashlib.md5(BLOB).hexdigest(), outcome


def test_every_byte_arrives_at_the_host(outcome):
    assert outcome.servers["out"].result == (MIB << 20, hashlib.md5(BLOB * (MIB // 8)).hexdigest()), outcome


@pytest.mark.parametrize("way", ["limited in", "limited out"])
def test_a_limit_is_felt(outcome, way):
    server = outcome.servers[way]
    assert server.seconds is not None, outcome
    # Frames' headers pass beside the bytes.
    assert 0.95 * AT_LEAST <= server.seconds < 3 * AT_LEAST, f"{LIMITED / server.seconds / LIMIT:.2f} times the limit"


def test_what_passed_and_what_waited_is_counted(outcome):
    free, limited = outcome.counts["net_eth0"], outcome.counts["net_eth1"]
    for counts, least in ((free, MIB << 20), (limited, LIMITED)):
        assert counts["rx_bytes_count"] > least and counts["tx_bytes_count"] > least, counts
        assert 0 < counts["rx_packets_count"] < counts["rx_bytes_count"] and counts["tx_packets_count"] > 0, counts
    for way, event, other in (("rx", "rx_event_rate_limiter_count", "in"), ("tx", "tx_rate_limiter_event_count", "out")):
        assert free[f"{way}_rate_limiter_throttled"] == free[event] == 0, free
        # A host that is slower than the limit holds nothing back: how fast it is, the other interface tells.
        if outcome.servers[f"limited {other}"].seconds < 1.2 * AT_LEAST and (MIB << 20) / outcome.servers[other].seconds > 2 * LIMIT:
            assert limited[f"{way}_rate_limiter_throttled"] > 0 and limited[event] > 0, limited


def test_a_tap_that_is_deleted_is_lost_to_the_guest_and_nothing_else(outcome):
    assert outcome.facts["lost"] == "yes", outcome
    assert outcome.facts["other_alive"] == "yes", outcome
    assert outcome.status == 0, outcome
    assert outcome.text.count("is gone") == 1, outcome


def refused(vmm, kernel, *interfaces):
    outcome = vmm.run({**vm_config(kernel), "network-interfaces": list(interfaces)})
    assert outcome.status == 1, outcome
    return outcome.text + outcome.errors


@pytest.mark.parametrize("fields, wanted", [
    ({"host_dev_name": "lo"}, "not a tap"),
    ({"host_dev_name": "mtestb"}, "in use"),
    ({"host_dev_name": "mtestb", "num_queues": 2}, "several queues"),
    ({"host_dev_name": "mtestq"}, "several queues"),
    ({"tap_fds": [987]}, "is not open"),
    ({"host_dev_name": "a name too long for it"}, "host_dev_name"),
    ({}, "host_dev_name is missing"),
    ({"host_dev_name": "mtestn", "guest_mac": "x"}, "guest_mac"),
    ({"host_dev_name": "mtestn", "mtu": 67}, "mtu"),
])
def test_a_wrong_tap_is_refused_by_name(vmm, kernel, fields, wanted):
    busy = open_tap("mtestb")
    ip("tuntap", "add", "mtestq", "mode", "tap", "multi_queue")
    try:
        said = refused(vmm, kernel, {"iface_id": "net", **fields})
        assert "net" in said and wanted in said, said
    finally:
        os.close(busy)
        ip("link", "delete", "mtestq")
    assert not pathlib.Path("/sys/class/net/mtestn").exists(), "a bad configuration leaves a tap behind"


def test_two_interfaces_share_nothing(vmm, kernel):
    said = refused(vmm, kernel, {"iface_id": "a", "host_dev_name": "mtestn"}, {"iface_id": "b", "host_dev_name": "mtestn"})
    assert "host_dev_name" in said, said
    mac = {"guest_mac": "06:00:00:00:00:01"}
    said = refused(vmm, kernel, {"iface_id": "a", "host_dev_name": "mtestn", **mac}, {"iface_id": "b", "host_dev_name": "mtestm", **mac})
    assert "guest_mac" in said, said
