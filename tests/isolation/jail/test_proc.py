"""What /proc says of a monitor in a jail that runs a guest with a device of each kind that needs no other program."""

import collections
import contextlib
import os
import re
import shutil
import time

import pytest

from jails import GUESTS, UID

# What it has open beside its three standard streams, and what for.
DESCRIPTORS = {
    "/dev/kvm": 1,
    "anon_inode:kvm-vm": 1,
    "anon_inode:kvm-vcpu:0": 1,
    "anon_inode:kvm-vcpu:1": 1,
    "/disk": 1,
    "/pmem": 1,
    "anon_inode:[io_uring]": 1,  # the disk's
    "socket": 2,  # where clients of the API and of vsock come
    "anon_inode:[eventpoll]": 2,  # the loops of the machine thread and of the API's
    "anon_inode:[signalfd]": 1,
}
# Kicks of queues, interrupts, what wakes a loop; timers of chips, of rate limits, of metrics.
COUNTED = ("anon_inode:[eventfd]", "anon_inode:[timerfd]")
MOST = 40
THREADS = ["fc_api", "fc_vcpu 0", "fc_vcpu 1", "firecracker", "mote_worker"]


@pytest.fixture
def jail(place):
    with place.jail() as jail:
        api = jail.await_api()
        for name, size in (("disk", 1 << 20), ("pmem", 2 << 20)):
            (jail.root / name).write_bytes(bytes(size))
            os.chown(jail.root / name, UID, UID)
        shutil.copy(GUESTS / "idle.elf", jail.root / "guest")
        os.chmod(jail.root / "guest", 0o444)
        for path, body in (("/boot-source", {"kernel_image_path": "/guest"}), ("/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}),
                           ("/drives/disk", {"drive_id": "disk", "path_on_host": "/disk", "is_root_device": False, "io_engine": "Async"}),
                           ("/pmem/pmem", {"id": "pmem", "path_on_host": "/pmem"}), ("/vsock", {"guest_cid": 3, "uds_path": "/vsock"}),
                           ("/entropy", {}), ("/actions", {"action_type": "InstanceStart"})):  # fmt: skip
            assert api.ask("PUT", path, body) == (204, None), path
        api.close()
        # It runs when this is answered; its threads may still be on the way to their names, and the API's to letting go of a connection.
        jail.await_api().ask("GET", "/")
        settle(lambda: descriptors(jail).get("socket") == DESCRIPTORS["socket"] and thread_names(jail) == THREADS)
        yield jail


def settle(is_so):
    """Until it is so, for some seconds at most: the test says what is not."""
    for _ in range(500):
        if is_so():
            return
        time.sleep(0.01)


def descriptors(jail):
    """How many of what are open beside the standard streams; one that is closed meanwhile is none."""
    found = collections.Counter()
    for entry in jail.file("fd").iterdir():
        if int(entry.name) > 2:
            with contextlib.suppress(FileNotFoundError):
                found[re.sub(r"^socket:.*", "socket", os.readlink(entry))] += 1
    return found


def thread_names(jail):
    """KVM's own thread apart, which runs nothing but the kernel."""
    names = sorted(path.read_text().strip() for path in jail.file("task").glob("*/comm"))
    return [name for name in names if not name.startswith("kvm-nx-lpage")]


def fields_of(path):
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def test_has_the_descriptors_that_it_needs(jail):
    found = descriptors(jail)
    many = [found.pop(kind, 0) for kind in COUNTED]
    assert found == DESCRIPTORS
    assert 0 < sum(many) <= MOST, many


def test_nothing_that_is_open_would_outlive_an_exec(jail):
    for entry in jail.file("fdinfo").iterdir():
        if int(entry.name) > 2:
            assert int(fields_of(entry)["flags"], 8) & os.O_CLOEXEC, os.readlink(jail.file(f"fd/{entry.name}"))


def test_no_thread_has_a_capability_or_goes_unfiltered(jail):
    for thread in jail.file("task").iterdir():
        status = fields_of(thread / "status")
        if status["Name"].startswith("kvm-nx-lpage"):
            continue
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}, status["Name"]
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status["Name"]
        # The set-up's filter, and its own.
        assert int(status["Seccomp_filters"]) == 2, status["Name"]
        assert status["Uid"].split() == [str(UID)] * 4 and not status["Groups"].split()
    assert thread_names(jail) == THREADS


def test_no_mapping_can_be_written_and_executed(jail):
    mappings = re.findall(r"^\S+ (\S{4}) \S+ \S+ \S+ *(.*)$", jail.file("maps").read_text(), re.M)
    assert not [each for each in mappings if "w" in each[0] and "x" in each[0]]
    # What is executed is the program, and what the kernel maps into every process.
    assert {name for rights, name in mappings if "x" in rights} <= {"/firecracker", "[vdso]", "[vsyscall]"}


def test_files_that_are_mapped_are_its_own(jail):
    names = {name for name in re.findall(r"^\S+ \S{4} \S+ \S+ \S+ *(.*)$", jail.file("maps").read_text(), re.M) if name.startswith("/")}
    assert names <= {"/firecracker", "/pmem"}, names
