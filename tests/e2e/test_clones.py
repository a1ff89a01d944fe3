"""Two clones of one snapshot, loaded an hour later, each on a layer of its own over one image: they know who they are (address, name and
hardware address, from their metadata), when they are, and share no random numbers; what one writes, no other sees.
One is loaded through its API, the other by its command line."""

import contextlib
import json
import os
import re
import subprocess
import time

import pytest

import jailing
import pages
from api_client import ApiError, Client
from harness import BOOT_SECONDS, IN_LAB, SERVICE, make_initrd, program

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")

MIB = 1 << 20
HOUR = 3600
PAGE = pages.page("clones.md")
# What the page has a guest run when it has become another machine, and what it finds then.
HOOK = f"""#!/bin/busybox sh
export PATH=/bin
{pages.blocks(PAGE, "sh")[0]}
sector() {{ echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=512 skip=$1 count=1 2>/dev/null | head -c 16 | tr -d ' '; }}
before=$(sector 0)
printf '%-512s' "$name" | dd of=/dev/vda bs=512 count=1 conv=fsync 2>/dev/null
echo "facts name=$(hostname) address=$(ip -4 addr show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p')" \\
  "mac=$(cat /sys/class/net/eth0/address) random=$(head -c 8 /dev/urandom | hexdump -v -e '1/1 "%02x"')" \\
  "saved=$(sector 8) before=$before now=$(sector 0) generation=$MOTE_GENERATION time=$(date +%s)" >/dev/console
"""
INIT = f"""
cat > /bin/hook <<'HOOK'
{HOOK}
HOOK
chmod +x /bin/hook
ip link set lo up; ip addr add 10.96.0.2/24 dev eth0; ip link set eth0 up; ip route add {SERVICE} dev eth0
printf '%-512s' saved | dd of=/dev/vda bs=512 seek=8 count=1 conv=fsync 2>/dev/null
echo clocksource=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
{pages.blocks(PAGE, "console")[0].removeprefix("# ").replace("/etc/clone-hook", "/bin/hook")}
sleep 1
kill -0 $! && echo ready=1
while true; do sleep 1; done
"""


class Monitor:
    def __init__(self, directory, name, *flags):
        self.serial = directory / f"{name}.serial"
        self.log = open(directory / f"{name}.out", "wb")
        socket = directory / f"{name}.sock"
        self.process = subprocess.Popen(jailing.served(program("mote-vmm"), directory, "--api-sock", socket, "--id", name, *flags), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.until(socket.exists, "the socket")
        self.api = Client(socket, timeout=BOOT_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def said(self):
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def until(self, done, what, seconds=BOOT_SECONDS):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end and self.process.poll() is None, (what, self.said()[-3000:])
            time.sleep(0.02)

    def facts(self):
        self.until(lambda: re.search(r"^facts .*time=\d+\r?$", self.said(), re.M), "what the guest says of itself", seconds=100)
        return dict(re.findall(r"(\w+)=(\S*)", re.search(r"^facts (.*)$", self.said(), re.M)[1]))


@contextlib.contextmanager
def taps(*names):
    for name in names:
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr", *jailing.tap_owner()], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield
    for name in names:
        subprocess.run(["ip", "link", "delete", name], check=False)


def layer(*words, status=0):
    done = subprocess.run([str(program("mote")), "layer", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == status, done
    return done.stdout


def skip_an_hour(hours):
    if IN_LAB:  # the machine is the test's own
        time.clock_settime(time.CLOCK_REALTIME, time.time() + hours * HOUR)


def start(directory, kernel):
    (directory / "base").write_bytes(b"base".ljust(16) * (4 * MIB // 16))
    layer("create", directory / "first.layer", directory / "base")
    make_initrd(directory / "initrd", INIT, programs=[program("mote-init")])
    first = Monitor(directory, "first")
    api = first.api
    api.put_boot_source(kernel_image_path=str(kernel), initrd_path=str(directory / "initrd"), boot_args="console=ttyS0 reboot=k panic=-1 quiet")
    api.put_machine_config(vcpu_count=1, mem_size_mib=128)
    api.put_drive("root", path_on_host=str(directory / "first.layer"), is_root_device=False, format="overlay", layers=[str(directory / "base")],
                  cache_type="Writeback", io_engine="Async")  # fmt: skip
    api.put_network_interface("eth0", host_dev_name="mclones0", guest_mac="06:00:ac:10:00:02")
    api.put_mmds_config(network_interfaces=["eth0"], version="V1")
    api.put_serial(serial_out_path=str(first.serial))
    api.act("InstanceStart")
    first.until(lambda: "ready=1" in first.said(), "the guest")
    return first


def load_of(directory, name, number, **more):
    """The page's, of the clone 7, for this one."""
    text = pages.blocks(PAGE, "json")[0]
    for theirs, ours in (("/srv/vm/", f"{directory}/"), ("/clones/7.layer", f"{directory}/clone{number}.layer"), ("tap7", f"mclones{number}"),
                         ("clone7", f"clone{number}"), ("0.17", f"0.1{number}"), (":01:07", f":01:0{number}")):  # fmt: skip
        assert theirs in text
        text = text.replace(theirs, ours)
    return {**json.loads(text), "serial": {"serial_out_path": str(directory / f"{name}.serial")}, **more}


def load(directory, clone, name, number, **more):
    clone.api.ask("PUT", "/snapshot/load", load_of(directory, name, number, **more))


def check_clone(clone, number, told, was_behind):
    assert told["name"] == f"clone{number}" and told["address"] == f"10.96.0.1{number}", told
    assert told["mac"] == f"06:00:ac:10:01:0{number}" and told["generation"] == "1", told
    # Memory and disk are of one moment, and each clone's disk is its own.
    assert told["saved"] == "saved" and told["before"] == "base" and told["now"] == f"clone{number}", told
    assert abs(int(told["time"]) - time.time()) < 5 + BOOT_SECONDS / 30, (told, time.time())
    behind = int(re.search(r"the clock was (-?\d+) ms behind", clone.said())[1])
    assert not was_behind or behind > 1000, clone.said()
    assert "stall" not in clone.said(), "an hour at once is no hour of being stuck"
    off = re.search(r"is (-?\d+) us off now", clone.said())
    assert off is None or abs(int(off[1])) < 50_000, clone.said()


def test_clones_know_who_and_when_they_are(tmp_path, kernel):
    with taps("mclones0", "mclones1", "mclones2"), start(tmp_path, kernel) as first:
        first.api.ask("PATCH", "/vm", {"state": "Paused"})
        first.api.ask("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "state"), "mem_file_path": str(tmp_path / "memory")})
        first.api.ask("PATCH", "/vm", {"state": "Resumed"})
        sealed = first.api.vm_config()["drives"][0]["layers"]
        assert sealed[0] == str(tmp_path / "base") and len(sealed) == 2, sealed
        assert "sealed" in layer("info", sealed[1]) and layer("check", *sealed[1:], sealed[0]) == ""
        skip_an_hour(1)
        try:
            by_command_line = ["--load", json.dumps(load_of(tmp_path, "two", 2))]
            with Monitor(tmp_path, "one") as one, Monitor(tmp_path, "two", *by_command_line) as two:
                with pytest.raises(ApiError) as refused:
                    load(tmp_path, one, "one", 1, drive_overrides=[])
                assert "name a path" in refused.value.message
                load(tmp_path, one, "one", 1, clock_realtime=False)
                told = [one.facts(), two.facts()]
                check_clone(one, 1, told[0], was_behind=IN_LAB)
                check_clone(two, 2, told[1], was_behind=False)
                assert told[0]["random"] != told[1]["random"]
        finally:
            skip_an_hour(-1)
        layer("commit", tmp_path / "image", *sealed)
        assert (tmp_path / "image").read_bytes()[8 * 512 : 8 * 512 + 5] == b"saved"
        assert "facts" not in first.said(), "the one that was saved is no clone"
