"""The life of a Linux guest through Firecracker's API alone: everything is configured, started, changed while it runs and ended by
requests of a client that knows only the contract, to the program under the name that such clients start."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

import jailing
from api_client import ApiError, Client
from harness import ASK, BOOT_SECONDS, SERVICE, TOP, compile_program, counted, make_initrd, program, run_process

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")

MIB = 1 << 20
TAP, MAC = "mlife0", "06:00:ac:10:00:02"
INIT = f"""
mkdir /tmp /mnt
ip link set lo up; ip addr add 10.95.0.2/24 dev eth0; ip link set eth0 up
ip route add {SERVICE} dev eth0
exec vsock_shell
"""
# A bit of CPUID that the guest is not to see, by its name in /proc/cpuinfo.
HIDDEN = {"abm": {"leaf": "0x80000001", "subleaf": "0x0", "flags": 0, "modifiers": [{"register": "ecx", "bitmap": "0b0xxxxx"}]}}
BUCKET = {"size": 64 << 20, "refill_time": 1000}


class Monitor:
    """The program under Firecracker's name, its socket and a client of it."""

    def __init__(self, directory, *flags):
        self.directory = directory
        command = jailing.served(program("firecracker"), directory, "--api-sock", "api.sock", "--id", "life", *flags, has_directory_to_itself=True)
        with open(directory / "stdout", "wb") as out:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.wait_for((directory / "api.sock").exists, "the socket")
        self.api = Client(directory / "api.sock", timeout=BOOT_SECONDS)

    def wait_for(self, done, what, seconds=BOOT_SECONDS):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end and self.process.poll() is None, (what, self.said())
            time.sleep(0.05)

    def said(self):
        return {name: (self.directory / name).read_text(errors="replace")[-3000:] for name in ("stdout", "serial", "log")
                if (self.directory / name).exists()}

    def shell(self, script):
        """What the script prints, run in the guest."""
        with self.open_shell(script) as stream:
            return read_all(stream)

    def open_shell(self, script):
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(BOOT_SECONDS)
        stream.connect(str(self.directory / "v.sock"))
        stream.sendall(b"CONNECT 52\n")
        greeting = b""
        while not greeting.endswith(b"\n"):
            byte = stream.recv(1)
            assert byte, (greeting, self.said())
            greeting += byte
        assert greeting.startswith(b"OK "), greeting
        stream.sendall(script.encode() + b"\n")
        stream.shutdown(socket.SHUT_WR)
        return stream

    def number(self, script):
        return int(self.shell(script))

    def refused(self, ask, *words, **fields):
        """The text of a 400."""
        with pytest.raises(ApiError) as refusal:
            ask(*words, **fields)
        assert refusal.value.status == 400, refusal.value
        return refusal.value.message


def read_all(stream):
    text = b""
    while data := stream.recv(1 << 16):
        text += data
    return text.decode()


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextlib.contextmanager
def tap():
    ip("tuntap", "add", TAP, "mode", "tap", *jailing.tap_owner())
    try:
        ip("addr", "add", "10.95.0.1/24", "dev", TAP)
        ip("link", "set", TAP, "up")
        yield
    finally:
        ip("link", "delete", TAP, check=False)


@contextlib.contextmanager
def monitor(directory, *flags):
    with tap():
        one = Monitor(directory, *flags)
        try:
            yield one
        finally:
            one.api.close()
            if one.process.poll() is None:
                one.process.kill()
            one.process.wait()


def make_files(directory):
    (directory / "disk").write_bytes(b"1" * (4 * MIB))
    (directory / "other").write_bytes(b"2" * (6 * MIB))
    done = run_process(["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", directory / "pmem", "16M"])
    assert done.status == 0, done
    shell = compile_program("vsock_shell.c", directory / "vsock_shell")
    make_initrd(directory / "initrd", INIT, programs=[shell])


def hidden():
    """A feature of the host's that HIDDEN can take away."""
    flags = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    return sorted(flags & set(HIDDEN))


def configure(vm, kernel):
    """Everything that there is, each request on its own."""
    api = vm.api
    api.put_logger(log_path="log", level="Debug", show_level=True, show_log_origin=True)
    api.put_metrics(metrics_path="metrics", emit_id=True, properties={"owner": "tester"})
    api.put_machine_config(vcpu_count=1, mem_size_mib=512)
    api.patch_machine_config(mem_size_mib=256)
    api.put_cpu_config(cpuid_modifiers=[HIDDEN[name] for name in hidden()])
    api.put_boot_source(kernel_image_path=str(kernel), initrd_path="initrd", boot_args="console=ttyS0 reboot=k panic=-1 quiet memhp_default_state=online_movable")
    api.put_drive("data", path_on_host="other", is_root_device=False)
    api.put_drive("data", path_on_host="disk", is_root_device=False, is_read_only=True, cache_type="Writeback",
                  rate_limiter={"bandwidth": BUCKET, "ops": {"size": 10000, "refill_time": 1000, "one_time_burst": 100}})
    api.put_network_interface("eth0", host_dev_name=TAP, guest_mac=MAC, mtu=1400, rx_rate_limiter={"bandwidth": BUCKET})
    api.put_vsock(guest_cid=3, uds_path="v.sock")
    api.put_entropy(rate_limiter={"bandwidth": BUCKET})
    api.put_balloon(amount_mib=0, deflate_on_oom=False, stats_polling_interval_s=1, free_page_hinting=True)
    api.put_pmem("store", path_on_host="pmem", read_only=False)
    api.put_memory_hotplug(total_size_mib=512, slot_size_mib=128, block_size_mib=2)
    api.put_serial(serial_out_path="serial", rate_limiter={"size": MIB, "refill_time": 1000})
    api.put_mmds_config(network_interfaces=["eth0"], version="V1")
    api.put_mmds({"latest": {"meta-data": {"instance-id": "i-1", "color": "red"}}})


def check_configured(vm):
    """What GET /vm/config says before the start, and what comes too early."""
    config = vm.api.vm_config()
    assert config["machine-config"] == {**config["machine-config"], "vcpu_count": 1, "mem_size_mib": 256}
    assert vm.api.machine_config() == config["machine-config"]
    assert [drive["path_on_host"] for drive in config["drives"]] == ["disk"] and config["drives"][0]["cache_type"] == "Writeback"
    assert config["network-interfaces"][0]["guest_mac"] == MAC and config["network-interfaces"][0]["mtu"] == 1400
    assert config["vsock"]["uds_path"] == "v.sock" and config["pmem"][0]["id"] == "store" and config["entropy"]["rate_limiter"]
    assert config["memory-hotplug"]["total_size_mib"] == 512 and config["mmds-config"]["network_interfaces"] == ["eth0"]
    assert vm.api.balloon()["free_page_hinting"] is True
    assert vm.api.instance()["state"] == "Not started"
    for early, words in ((vm.api.patch_vm, ["Paused"]), (vm.api.act, ["SendCtrlAltDel"]), (vm.api.patch_drive, ["data"]),
                         (vm.api.memory_hotplug, []), (vm.api.balloon_statistics, [])):
        vm.refused(early, *words)


def check_started(vm):
    """What the guest found of all that, and what comes too late."""
    assert vm.api.instance() == {**vm.api.instance(), "id": "life", "state": "Running"}
    flags = vm.shell("grep -m 1 ^flags /proc/cpuinfo").split()
    assert "fpu" in flags and not set(hidden()) & set(flags), flags
    assert vm.number("cat /sys/block/vda/size") == 4 * MIB // 512
    assert vm.shell("cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu").split() == [MAC, "1400"]
    assert vm.shell("ping -c 1 -W 20 10.95.0.1 > /dev/null && echo yes") == "yes\n"
    assert vm.shell("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    assert vm.number("head -c 64 /dev/hwrng | wc -c") == 64
    for late, fields in ((vm.api.put_machine_config, {"vcpu_count": 2, "mem_size_mib": 128}), (vm.api.put_vsock, {"guest_cid": 4, "uds_path": "x"}),
                         (vm.api.put_mmds_config, {"network_interfaces": ["eth0"]}), (vm.api.put_entropy, {}),
                         (vm.api.put_boot_source, {"kernel_image_path": "disk"}), (vm.api.put_logger, {"level": "Info"})):
        vm.refused(late, **fields)
    vm.refused(vm.api.act, "InstanceStart")
    vm.refused(vm.api.put_drive, "late", path_on_host="disk", is_root_device=False)


def check_drive(vm):
    """Another file in its place, of another size; then a limit that is felt, and none."""
    assert vm.shell("head -c 4 /dev/vda") == "1111"
    vm.api.patch_drive("data", path_on_host="other")
    vm.wait_for(lambda: vm.number("cat /sys/block/vda/size") == 6 * MIB // 512, "the disk's new size")
    read = f"echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=64k iflag=direct count={3 * MIB >> 16} 2>/dev/null | md5sum"
    wanted = hashlib.md5(b"2" * (3 * MIB)).hexdigest()
    vm.api.patch_drive("data", rate_limiter={"bandwidth": {"size": MIB, "refill_time": 1000}})
    began = time.monotonic()
    assert vm.shell(read).split()[0] == wanted
    assert time.monotonic() - began > 1.9, "2 MiB beyond the bucket take 2 s"
    vm.api.patch_drive("data", rate_limiter={"bandwidth": {"size": 0, "refill_time": 0}})
    assert vm.shell(read).split()[0] == wanted
    told = vm.api.vm_config()["drives"][0]
    assert told["path_on_host"] == "other" and "bandwidth" not in {k for k, v in told["rate_limiter"].items() if v}, told
    vm.refused(vm.api.patch_drive, "data", path_on_host="missing")
    vm.refused(vm.api.patch_drive, "none", path_on_host="disk")


def check_limits(vm):
    """Limits of an interface and of persistent memory, while they are used."""
    tight = {"bandwidth": {"size": 200 << 10, "refill_time": 1000}}
    vm.api.patch_network_interface("eth0", tx_rate_limiter=tight)
    with socket.create_server(("10.95.0.1", 7100)) as server:
        server.settimeout(BOOT_SECONDS)
        with vm.open_shell("dd if=/dev/zero bs=1k count=600 2>/dev/null | nc 10.95.0.1 7100") as stream:
            peer, _ = server.accept()
            began, got = time.monotonic(), 0
            with peer:
                while data := peer.recv(1 << 16):
                    got += len(data)
            read_all(stream)
    assert got == 600 << 10 and time.monotonic() - began > 1.4, "400 KiB beyond the bucket take 2 s, less what came before the clock"
    vm.api.patch_network_interface("eth0", tx_rate_limiter={"bandwidth": {"size": 0, "refill_time": 0}})
    vm.shell("mount -o dax /dev/pmem0 /mnt && echo 'by the guest' > /mnt/note && sync")
    vm.api.patch_pmem("store", rate_limiter={"ops": {"size": 1000, "refill_time": 100}})
    assert vm.shell("cat /mnt/note; umount /mnt && echo gone") == "by the guest\ngone\n"
    note = run_process(["/sbin/debugfs", "-R", "cat /note", vm.directory / "pmem"])
    assert note.stdout == b"by the guest\n", note
    vm.refused(vm.api.patch_pmem, "other", rate_limiter={})


def check_mmds(vm):
    """What the API says is what the guest reads, with a token too, as version 1 allows both."""
    def read(path, header=""):
        return vm.shell(f"wget -qO- {header} http://{SERVICE}/latest/{path}")
    assert read("meta-data/color") == "red"
    vm.api.patch_mmds({"latest": {"meta-data": {"color": None, "shape": "round"}}})
    assert vm.api.mmds() == {"latest": {"meta-data": {"instance-id": "i-1", "shape": "round"}}}
    assert read("meta-data/").split() == ["instance-id", "shape"]
    vm.api.put_mmds({"latest": {"new": {"a": "b"}}})
    assert json.loads(read("new", "--header 'Accept: application/json'")) == {"a": "b"}
    assert "404" in read("meta-data/instance-id")


def check_balloon(vm):
    vm.api.patch_balloon(64)
    vm.wait_for(lambda: vm.api.balloon_statistics()["actual_mib"] == 64, "the balloon's size")
    vm.api.patch_balloon_statistics(2)
    assert vm.api.balloon() == {**vm.api.balloon(), "amount_mib": 64, "stats_polling_interval_s": 2}
    vm.wait_for(lambda: "total_memory" in vm.api.balloon_statistics(), "what the guest says")
    told = vm.api.balloon_statistics()
    assert told["target_mib"] == 64 and 100 * MIB < told["total_memory"] < 257 * MIB and told["free_memory"] > 0, told
    vm.refused(vm.api.patch_balloon_statistics, 0)
    vm.api.patch_balloon(0)
    vm.wait_for(lambda: vm.api.balloon_statistics()["actual_mib"] == 0, "the empty balloon")
    before = vm.api.hinting()
    vm.api.start_hinting(acknowledge_on_stop=False)
    vm.wait_for(lambda: vm.api.hinting().get("guest_cmd") not in (None, before.get("guest_cmd")), "hints")
    vm.api.stop_hinting()


def check_memory(vm):
    total = "grep ^MemTotal /proc/meminfo | tr -dc 0-9"
    before = vm.number(total)
    vm.api.patch_memory_hotplug(256)
    vm.wait_for(lambda: vm.api.memory_hotplug()["plugged_size_mib"] == 256, "memory that is plugged in")
    vm.wait_for(lambda: vm.number(total) - before > 200 << 10, "memory that the guest uses")
    vm.api.patch_memory_hotplug(0)
    vm.wait_for(lambda: vm.api.memory_hotplug()["plugged_size_mib"] == 0, "memory that is gone")
    vm.refused(vm.api.patch_memory_hotplug, 1024)


def check_pause(vm):
    vm.api.patch_vm("Paused")
    assert vm.api.instance()["state"] == "Paused"
    vm.api.patch_vm("Paused")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(vm.directory / "v.sock"))
        stream.sendall(b"CONNECT 52\necho awake\nexit\n")
        stream.settimeout(1)
        with pytest.raises(TimeoutError):
            stream.recv(100)
        vm.api.patch_vm("Resumed")
        stream.settimeout(BOOT_SECONDS)
        assert read_all(stream).split("\n")[1] == "awake"
    assert vm.api.instance()["state"] == "Running"


def check_moved(counts):
    """What tests/data/metrics_moved.txt says of such a life, but for what comes with its end, and for times."""
    lines = [line.split() for line in (TOP / "tests/data/metrics_moved.txt").read_text().splitlines() if line.endswith(" life")]
    keys = [key.split(".") for key, _ in lines]
    still = [f"{group}.{key}" for group, key in keys if counts[group].get(key) == 0 and not key.endswith("_us")]
    assert set(still) <= {"i8042.reset_count"}, still


def check_counts(vm):
    """FlushMetrics writes a line, and lines say what was done here."""
    lines = len((vm.directory / "metrics").read_text().splitlines())
    vm.api.act("FlushMetrics")
    text = (vm.directory / "metrics").read_text().splitlines()
    assert len(text) == lines + 1 and json.loads(text[-1])["properties"] == {"owner": "tester"}
    counts = counted(vm.directory / "metrics")
    assert counts["patch_api_requests"]["drive_count"] == 6 and counts["patch_api_requests"]["drive_fails"] == 3, counts["patch_api_requests"]
    assert counts["patch_api_requests"]["pmem_count"] == 2 and counts["block_data"]["rate_limiter_throttled_events"] > 0
    assert counts["net_eth0"]["tx_rate_limiter_throttled"] > 0 and counts["mmds"]["tx_bytes"] > 0 and counts["vsock"]["conns_added"] > 10
    assert counts["entropy"]["entropy_bytes"] >= 64 and counts["balloon"]["inflate_count"] > 0 and counts["memory_hotplug"]["plug_count"] > 0
    check_moved(counts)
    log = (vm.directory / "log").read_text()
    assert re.search(r"^\S+ \[life:fc_api:\w+:\S+:\d+\] ", log, re.M), log[:500]


def test_all_of_a_life(kernel, tmp_path):
    make_files(tmp_path)
    with monitor(tmp_path) as vm:
        assert vm.api.version() == "1.17.0" and vm.api.instance()["vmm_version"] == "1.17.0"
        configure(vm, kernel)
        check_configured(vm)
        vm.api.act("InstanceStart")
        vm.wait_for(lambda: "shell=ready" in (tmp_path / "serial").read_text(errors="replace"), "the guest's shell")
        for check_part in (check_started, check_drive, check_limits, check_mmds, check_balloon, check_memory, check_pause, check_counts):
            check_part(vm)
        vm.open_shell("reboot -f").close()
        assert vm.process.wait(BOOT_SECONDS) == 0, vm.said()
        assert counted(tmp_path / "metrics")["i8042"]["reset_count"] == 1


def test_huge_pages_are_plugged_in(kernel, tmp_path, pool_of_huge_pages):
    make_initrd(tmp_path / "initrd", "echo up=yes\nwhile true; do sleep 1; done\n")
    with monitor(tmp_path) as vm:
        vm.api.put_machine_config(vcpu_count=1, mem_size_mib=128, huge_pages="2M")
        vm.api.put_boot_source(kernel_image_path=str(kernel), initrd_path="initrd", boot_args="console=ttyS0 reboot=k panic=-1 quiet")
        vm.api.put_memory_hotplug(total_size_mib=256, slot_size_mib=128, block_size_mib=2)
        vm.api.act("InstanceStart")
        vm.wait_for(lambda: "up=yes" in vm.said()["stdout"], "the guest")
        for size in (128, 0):
            vm.api.patch_memory_hotplug(size)
            vm.wait_for(lambda: vm.api.memory_hotplug()["plugged_size_mib"] == size, f"{size} MiB that are plugged in")


@pytest.mark.reference
def test_ctrl_alt_del(reference_kernel, tmp_path):
    """A kernel with virtual terminals restarts when these keys are pressed, and that is the monitor's end."""
    make_initrd(tmp_path / "initrd", "echo up=yes\nwhile true; do sleep 1; done\n")
    with monitor(tmp_path) as vm:
        vm.api.put_boot_source(kernel_image_path=str(reference_kernel("vmlinux")), initrd_path="initrd",
                               boot_args="console=ttyS0 reboot=k panic=-1 quiet")
        vm.api.act("InstanceStart")
        vm.wait_for(lambda: "up=yes" in vm.said()["stdout"], "the guest")
        vm.api.act("SendCtrlAltDel")
        assert vm.process.wait(BOOT_SECONDS) == 0, vm.said()


def test_version_2_of_the_metadata_service(kernel, tmp_path):
    """A token, and what is put while the guest runs."""
    make_files(tmp_path)
    with_token = ASK + "token=$(body PUT /latest/api/token 'X-metadata-token-ttl-seconds: 60')\n"
    with monitor(tmp_path) as vm:
        vm.api.put_boot_source(kernel_image_path=str(kernel), initrd_path="initrd", boot_args="console=ttyS0 reboot=k panic=-1 quiet")
        vm.api.put_network_interface("eth0", host_dev_name=TAP)
        vm.api.put_vsock(guest_cid=3, uds_path="v.sock")
        vm.api.put_mmds_config(network_interfaces=["eth0"], version="V2", ipv4_address="169.254.169.254", imds_compat=True)
        vm.api.act("InstanceStart")
        vm.wait_for(lambda: "shell=ready" in vm.said()["stdout"], "the guest's shell")
        vm.api.put_mmds({"job": {"secret": "one"}})
        assert vm.shell(ASK + "status GET /job/secret") == "401\n"
        assert vm.shell(with_token + 'body GET /job/secret "X-metadata-token: $token"') == "one"
        vm.api.patch_mmds({"job": {"secret": "two"}})
        assert vm.shell(with_token + 'body GET /job/secret "X-metadata-token: $token" "Accept: application/json"') == "two"
        vm.api.patch_mmds({"job": None})
        assert vm.shell(with_token + 'status GET /job/secret "X-metadata-token: $token"') == "404\n"
        vm.process.terminate()
        assert vm.process.wait(BOOT_SECONDS) == -15
