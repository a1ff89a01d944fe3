"""A Linux guest at work on disk, persistent memory, network, vsock, balloon, entropy and metadata is snapshotted, and goes on in other
processes, under other names, without a lost byte or a word of complaint from its kernel."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import jailing
import snapshots
from harness import SERVICE, TOP
from snapshots import BRIDGE, MIB, Monitor, add_tap, check_disks, ip, network, start_guest

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")

ROUNDS = int(os.environ.get("MOTE_SNAPSHOT_ROUNDS", "6"))
LOCAL = [part for part in snapshots.PARTS if part != "net"]  # what works without a network


def check_loaded(clone, before, loads, files):
    """A clone that was resumed knows that it is one, at once, and goes on."""
    clone.until(lambda: clone.tell().breaks["vsock"] == loads, "the guest's connection of vsock is reset", seconds=20)
    # From here on, so that its next connection is there when it is saved again.
    facts = clone.works_on(clone.tell())
    assert facts.told > before.told and facts.reseeds == before.reseeds + 1, (facts, before, clone.said())
    assert facts.breaks == {**before.breaks, "net": 0, "vsock": loads}, facts
    assert clone.api.instance()["state"] == "Running"
    statistics = clone.api.balloon_statistics()
    assert statistics["target_mib"] == 16 == statistics["actual_mib"], statistics
    assert os.stat(f"{files}.memory").st_size == 192 * MIB
    return facts


def check_metadata(clone):
    """Its configuration came along, its data did not."""
    config = clone.api.vm_config()
    assert config["mmds-config"]["network_interfaces"] == ["eth0"], config
    assert not clone.api.mmds(), clone.api.mmds()
    clone.api.put_mmds({"name": clone.name})
    answer = clone.shell(f"wget -qO- --header 'Accept: application/json' http://{SERVICE}/")
    assert json.loads(answer) == {"name": clone.name}, answer
    assert config["network-interfaces"][0]["host_dev_name"] != "msnap0"


def go_on_elsewhere(directory, kernel, vcpus):
    files = directory / "s"
    with start_guest(directory, kernel, vcpus=vcpus) as first:
        facts = first.works_on(first.tell())
        assert facts.reseeds == 0 and facts.breaks["vsock"] == 0
        first.save(files)
        first.api.patch_vm("Resumed")
        # The one that was saved goes on as if nothing had been, and is no other machine.
        facts = first.works_on(facts)
        assert facts.reseeds == 0 and facts.breaks["vsock"] == 0 == facts.breaks["net"], facts
        first.api.patch_balloon_statistics(2)
        # What has changed since, over the files of before.
        first.save(files, "Diff")
    streams = first.vsock_streams
    assert len(streams) == 1 and streams[0].fileno() < 0, "the host's end has ended with it"
    time.sleep(4)
    with Monitor(directory, "second") as second:
        second.load(files, "msnap1", track_dirty_pages=True, clock_realtime=True)
        assert second.api.instance()["state"] == "Paused"
        second.api.patch_vm("Resumed")
        facts = check_loaded(second, facts, 1, files)
        asked = time.time()
        told = second.tell().time
        assert asked - 3 < told < time.time() + 3, (asked, told, time.time())
        check_metadata(second)
        assert second.api.balloon()["stats_polling_interval_s"] == 2
        second.save(files)
    # A snapshot of what was loaded.
    with Monitor(directory, "third") as third:
        third.load(files, "msnap2", resume_vm=True)
        facts = check_loaded(third, facts, 2, files)
        third.api.patch_balloon(24)
        third.until(lambda: third.api.balloon_statistics()["actual_mib"] == 24, "the balloon's size")
        third.reboot()
    check_disks(directory)


@pytest.mark.parametrize("vcpus", [1, 2])
def test_a_guest_goes_on_elsewhere(tmp_path, kernel, vcpus):
    with network(["msnap0", "msnap1", "msnap2"]):
        go_on_elsewhere(tmp_path, kernel, vcpus)


@pytest.mark.reference
def test_a_guest_of_the_reference_kernel_goes_on_elsewhere(tmp_path, reference_kernel):
    with network(["msnap0", "msnap1", "msnap2"]):
        go_on_elsewhere(tmp_path, reference_kernel("vmlinux"), 2)


def test_clones_of_one_snapshot_live_side_by_side(tmp_path, kernel):
    """Each with disks of its own, which lie in its directory under the same names."""
    files = tmp_path / "s"
    with network(["msnap0"]):
        with start_guest(tmp_path, kernel, vcpus=2) as first:
            before = first.works_on(first.tell())
            first.save(files)
        with open(f"{files}.memory", "rb") as file:
            memory = hash(file.read())
        clones = []
        try:
            for number in range(4):
                directory = tmp_path / f"clone{number}"
                directory.mkdir()
                for name in ("disk", "pmem"):
                    shutil.copy(tmp_path / name, directory / name)
                add_tap(f"mclone{number}", bridged=False)
                clones.append(Monitor(directory, f"clone{number}"))
                clones[-1].load(files, f"mclone{number}", resume_vm=True)
            told = [clone.works_on(before, LOCAL) for clone in clones]
            assert {facts.reseeds for facts in told} == {1}, told
            assert len({facts.random for facts in told}) == len(clones), told
            for clone in clones:
                assert 0 < snapshots.copied_of(clone.process, f"{files}.memory") < 96 * MIB
        finally:
            for number, clone in enumerate(clones):
                clone.kill()
                ip("link", "delete", f"mclone{number}", check=False)
        for number in range(4):
            check_disks(tmp_path / f"clone{number}")
    with open(f"{files}.memory", "rb") as file:
        assert hash(file.read()) == memory, "nobody has written the file"


@contextlib.contextmanager
def huge_pages(count):
    """That many of 2 MiB, of this test's own."""
    setting = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = int(setting.read_text())
    setting.write_text(str(before + count))
    try:
        if int(setting.read_text()) < before + count:
            pytest.skip(f"the host has no {count} huge pages to spare")
        yield
    finally:
        setting.write_text(str(before))


def go_on_with_handler(directory, before, huge):
    """The balloon takes memory, whose pages the handler is told of, and gives it back."""
    files = directory / "s"
    handler = subprocess.Popen([sys.executable, TOP / "tests/e2e/page_handler.py", directory / "h.sock", f"{files}.memory"], stdout=subprocess.PIPE, text=True)
    try:
        assert handler.stdout.readline() == "ready\n"
        jailing.let_in(directory / "h.sock")
        with Monitor(directory, f"handled{huge}") as clone:
            clone.load(files, "msnap1", mem_backend={"backend_type": "Uffd", "backend_path": str(directory / "h.sock")}, resume_vm=True,
                       huge_pages="2M" if huge else "Snapshot")  # fmt: skip
            facts = clone.works_on(before)
            assert facts.reseeds == 1, (facts, clone.said())
            for amount in (48, 0):
                clone.api.patch_balloon(amount)
                clone.until(lambda wanted=amount: clone.api.balloon_statistics()["actual_mib"] == wanted, "the balloon's size")
                facts = clone.works_on(facts)
            # Memory that was away and came back.
            assert clone.shell("dd if=/dev/zero bs=1M count=40 2>/dev/null | md5sum; echo ok").endswith("ok\n")
            clone.works_on(facts)
            clone.reboot()
        assert handler.wait(30) == 0
        told = dict(word.split("=") for word in handler.stdout.read().split())
        # The balloon's pages are smaller than a huge one, which is not given back for them.
        assert int(told["pages"]) > (10 if huge else 1000) and (int(told["removed"]) > 0) != huge, told
    finally:
        handler.kill()
        handler.wait()
        (directory / "h.sock").unlink()


@pytest.mark.parametrize("huge", [False, True])
def test_pages_come_from_a_handler(tmp_path, kernel, huge):
    with network(["msnap0", "msnap1"]), huge_pages(100 if huge else 0):
        with start_guest(tmp_path, kernel, vcpus=2) as first:
            before = first.works_on(first.tell())
            first.save(tmp_path / "s")
        go_on_with_handler(tmp_path, before, huge)
    check_disks(tmp_path)


@pytest.mark.seconds(300 + 30 * ROUNDS)
def test_round_after_round(tmp_path, kernel):
    """Saved, killed, loaded under other names, $MOTE_SNAPSHOT_ROUNDS times; whole ones and ones of changes in turns."""
    files = tmp_path / "s"
    taps = [f"msnap{number}" for number in range(4)]
    with network(taps):
        current = start_guest(tmp_path, kernel, vcpus=2)
        facts = current.works_on(current.tell())
        for number in range(ROUNDS):
            current.save(files, "Diff" if number % 3 else "Full")
            current.kill()
            current = Monitor(tmp_path, f"turn{number}")
            current.load(files, taps[number % len(taps)], resume_vm=True, track_dirty_pages=number % 2 == 0, clock_realtime=number % 5 != 4)
            # At once, while the guest hears that its connections are gone.
            assert current.shell("echo here") == "here\n"
            facts = check_loaded(current, facts, number + 1, files)
        current.reboot()
        current.kill()
    check_disks(tmp_path)
    assert BRIDGE not in os.listdir("/sys/class/net")
