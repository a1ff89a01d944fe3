"""What an intruder may take of a host: its disk, its memory, its processors, processes and descriptors. Each limit alone.

Those of cgroups are tried in the version that this host has; tests/e2e/test_intruder_limits.py tries them in the lab as well."""

import os
import pathlib
import re
import signal
import time

import pytest

import jails
import walls
from attacks import AT_CWD
from door import Result, Scratch, call

MIB = 1 << 20


def version_of_cgroups():
    """The version that is mounted with the controllers that are tried here; None: there is none."""
    if jails.first_cgroups() and (jails.CGROUPS / "memory/cgroup.procs").exists():
        return 1
    controllers = jails.CGROUPS / "cgroup.controllers"
    has_all = controllers.exists() and {"memory", "pids", "cpu"} <= set(controllers.read_text().split())
    return 2 if has_all else None


VERSION = version_of_cgroups()
needs_cgroups = pytest.mark.skipif(VERSION is None, reason="cgroups with controllers of memory, pids and cpu are not mounted")
# The same limit in both versions.
MEMORY = {1: f"memory.limit_in_bytes={64 * MIB}", 2: f"memory.max={64 * MIB}"}
MOST_MEMORY = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}
PROCESSES = {1: "pids.max=20", 2: "pids.max=20"}
TIME = {1: "cpu.cfs_quota_us=10000", 2: "cpu.max=10000 100000"}
# A monitor of the host's root without filters, and one as it is used.
ALONE = {"user": 0, "monitor": ("--no-seccomp",)}
WITH_OTHERS = {"monitor": ()}
each_alone_too = pytest.mark.parametrize("others", [ALONE, WITH_OTHERS], ids=["alone", "with the others"])


def write_much(path):
    """Writes 32 KiB a time, as often as `times` says."""
    return [call("openat", AT_CWD, path, os.O_CREAT | os.O_WRONLY, 0o600), call("write", Result(0), bytes(32768), 32768)]


def written(site, name):
    """By the host's path, as a monitor that meets the limit of a file's size ends of the signal."""
    return (site.root / name).stat().st_size


@each_alone_too
def test_a_file_grows_to_the_limit_and_no_further(world, others):
    for flags, most in ((), 64 * MIB), (("--resource-limit", f"fsize={4 * MIB}"), 4 * MIB):
        with walls.jailed(world, *flags, **others) as (intruder, site):
            answer = intruder.make("machine", write_much("/filled"), times=1024 if flags else 256)
            assert answer.results and answer.error == ("EFBIG" if flags else None), answer
            assert written(site, "filled") == (most if flags else 8 * MIB)


@each_alone_too
def test_its_disk_grows_to_the_limit_and_no_further(world, others):
    with walls.jailed(world, "--resource-limit", f"fsize={4 * MIB}", **others) as (intruder, site):
        disk = next(int(entry.name) for entry in pathlib.Path(f"/proc/{site.pid}/fd").iterdir() if os.readlink(entry).endswith("/disk"))
        answer = intruder.make("machine", [call("fallocate", disk, 0, 0, 64 * MIB)])
        assert answer.error == "EFBIG" and written(site, "disk") == MIB, answer


@each_alone_too
def test_many_files_fill_no_more_than_the_jails_own_filesystem(world, others):
    with walls.jailed(world, **others, size=f"{16 * MIB}") as (intruder, site):
        answer = intruder.make("machine", write_much("/filled"), times=1024)
        assert answer.error == "ENOSPC" and written(site, "filled") < 16 * MIB, answer


@each_alone_too
def test_descriptors(world, others):
    with walls.jailed(world, **others) as (intruder, site):
        answer = intruder.make("machine", [call("openat", AT_CWD, "/guest", os.O_RDONLY)], times=10000)
        assert answer.error == "EMFILE", answer
        assert len(os.listdir(f"/proc/{site.pid}/fd")) == 2048


def limited(world, setting, **options):
    """A monitor in a jail with that limit of a cgroup, of which there is a line for each version."""
    return walls.jailed(world, "--cgroup-version", str(VERSION), "--cgroup", setting[VERSION], **options)


def cgroup(site, controller):
    text = pathlib.Path(f"/proc/{site.pid}/cgroup").read_text()
    if VERSION == 2:
        return jails.CGROUPS / re.search(r"^0::/(.*)$", text, re.M)[1]
    return jails.CGROUPS / controller / re.search(rf"^\d+:(?:.*,)?{controller}(?:,.*)?:/(.*)$", text, re.M)[1]


# Ways to 256 MiB: calls, and how often the last of them is made.
ANONYMOUS = [call("mmap", 0, 256 * MIB, 3, 0x22, -1, 0), call("touch", Result(0), 256 * MIB)], 1
WAYS = {
    "memory of its own": ANONYMOUS,
    "memory that is shared": ([call("mmap", 0, 256 * MIB, 3, 0x21, -1, 0), call("touch", Result(0), 256 * MIB)], 1),
    "a file in memory": ([call("memfd_create", "file", 0), call("write", Result(0), bytes(32768), 32768)], 8192),
    "a file of a filesystem in memory": (write_much("/filled"), 8192),
}


def takes_no_more(world, way, others):
    calls, times = way
    with limited(world, MEMORY, size=f"{512 * MIB}", **others) as (intruder, site):
        own = cgroup(site, "memory")
        answer = intruder.make("machine", calls, times=times)
        assert not answer.results, answer
        assert intruder.process.wait(30) == -signal.SIGKILL
        assert 32 * MIB < int((own / MOST_MEMORY[VERSION]).read_text()) <= 64 * MIB


@needs_cgroups
@pytest.mark.parametrize("way", WAYS)
def test_memory_is_the_cgroups(world, way):
    takes_no_more(world, WAYS[way], ALONE)


@needs_cgroups
def test_memory_is_the_cgroups_with_the_other_walls(world):
    takes_no_more(world, ANONYMOUS, WITH_OTHERS)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_cgroup_memory_is_the_hosts(world, way):
    calls, times = WAYS[way]
    with walls.jailed(world, size=f"{512 * MIB}", **ALONE) as (intruder, _):
        answer = intruder.make("machine", calls, times=times)
        assert answer.complete, answer


@needs_cgroups
def test_processes_are_the_cgroups(world):
    """Without filters, which allow none."""
    with limited(world, PROCESSES, **ALONE) as (intruder, site):
        answer = intruder.make("machine", [call("fork")], times=200)
        assert answer.error == "EAGAIN", answer
        assert int((cgroup(site, "pids") / "pids.current").read_text()) <= 20


def test_without_a_cgroup_processes_are_the_hosts(world):
    with walls.jailed(world, **ALONE) as (intruder, _):
        assert intruder.make("machine", [call("fork")], times=200).complete


def work_on(intruder):
    """Has a thread of it compute for ever."""
    intruder.send("worker", [call("touch", Scratch(0), 4096)], times=1 << 60)


@needs_cgroups
@each_alone_too
def test_time_of_processors_is_the_cgroups(world, others):
    with limited(world, TIME, **others) as (intruder, site):
        statistics = cgroup(site, "cpu") / "cpu.stat"
        throttled = lambda: int(re.search(r"nr_throttled (\d+)", statistics.read_text())[1])
        work_on(intruder)
        jails.await_true("it takes more than it may", throttled)
        before, began = processor_time(site), time.monotonic()
        time.sleep(2.0)
        took = time.monotonic() - began
        # A tenth of a processor, in periods of 0.1 s.
        assert processor_time(site) - before <= 0.1 * took + 0.05


def test_without_a_cgroup_time_of_processors_is_the_hosts(world):
    with walls.jailed(world, **ALONE) as (intruder, site):
        work_on(intruder)

        def takes_more():
            before, began = processor_time(site), time.monotonic()
            time.sleep(1.0)
            return processor_time(site) - before > 0.2 * (time.monotonic() - began) + 0.05
        jails.await_true("it takes more than the cgroup would give it", takes_more)


def processor_time(site):
    """Of the monitor, in seconds."""
    fields = pathlib.Path(f"/proc/{site.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@needs_cgroups
@pytest.mark.parametrize("others", [{"monitor": ("--no-seccomp",)}, WITH_OTHERS], ids=["the user alone", "with the others"])
def test_limits_of_its_cgroup_are_not_its_own_to_lift(world, others):
    """Where cgroups can be reached in the jail at all, which a jail does not have by itself."""
    with limited(world, PROCESSES, **others) as (intruder, site):
        inner = site.cgroup / cgroup(site, "pids").relative_to(walls.CGROUP)
        answer = intruder.make("machine", [call("openat", AT_CWD, inner / "pids.max", os.O_RDONLY), call("openat", AT_CWD, inner / "pids.max", os.O_WRONLY)])
        assert len(answer.results) == 2 and answer.error == "EACCES", answer
