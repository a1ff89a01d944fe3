"""What an intruder may take of a host: its disk, its memory, its processors, processes and descriptors. Each limit alone."""

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
needs_cgroups = pytest.mark.skipif(not jails.first_cgroups() or not (jails.CGROUPS / "memory/cgroup.procs").exists(),
                                   reason="version 1 of cgroups is not mounted")


def write_much(path):
    """Writes 32 KiB a time, as often as `times` says."""
    return [call("openat", AT_CWD, path, os.O_CREAT | os.O_WRONLY, 0o600), call("write", Result(0), bytes(32768), 32768)]


def written(site, name):
    return os.stat(f"/proc/{site.pid}/root/{name}").st_size


def test_a_file_grows_to_the_limit_and_no_further(world):
    for flags, most in ((), 64 * MIB), (("--resource-limit", f"fsize={4 * MIB}"), 4 * MIB):
        with walls.jailed(world, *flags, monitor=()) as (intruder, site):
            answer = intruder.make("machine", write_much("/filled"), times=1024 if flags else 256)
            assert (answer.error == "EFBIG") == bool(flags), answer
            assert written(site, "filled") == (most if flags else 8 * MIB)


def test_its_disk_grows_to_the_limit_and_no_further(world):
    with walls.jailed(world, "--resource-limit", f"fsize={4 * MIB}", monitor=()) as (intruder, site):
        disk = next(int(entry.name) for entry in pathlib.Path(f"/proc/{site.pid}/fd").iterdir() if os.readlink(entry).endswith("/disk"))
        answer = intruder.make("machine", [call("fallocate", disk, 0, 0, 64 * MIB)])
        assert answer.error == "EFBIG" and written(site, "disk") == MIB, answer


def test_many_files_fill_no_more_than_the_jails_own_filesystem(world):
    with walls.jailed(world, monitor=(), size=f"{16 * MIB}") as (intruder, site):
        answer = intruder.make("machine", write_much("/filled"), times=1024)
        assert answer.error == "ENOSPC" and written(site, "filled") < 16 * MIB, answer


def test_descriptors(world):
    with walls.jailed(world, monitor=()) as (intruder, site):
        answer = intruder.make("machine", [call("openat", AT_CWD, "/guest", os.O_RDONLY)], times=10000)
        assert answer.error == "EMFILE", answer
        assert len(os.listdir(f"/proc/{site.pid}/fd")) == 2048


def cgroup(site, controller):
    path = re.search(rf"^\d+:(?:.*,)?{controller}(?:,.*)?:(.*)$", pathlib.Path(f"/proc/{site.pid}/cgroup").read_text(), re.M)[1]
    return jails.CGROUPS / controller / path.lstrip("/")


@needs_cgroups
def test_memory_is_the_cgroups(world):
    with walls.jailed(world, "--cgroup", f"memory.limit_in_bytes={64 * MIB}", monitor=()) as (intruder, site):
        own = cgroup(site, "memory")
        answer = intruder.make("machine", [call("mmap", 0, 256 * MIB, 3, 0x22, -1, 0), call("touch", Result(0), 256 * MIB)])
        assert not answer.results, answer
        assert intruder.process.wait(30) == -signal.SIGKILL
        assert int((own / "memory.max_usage_in_bytes").read_text()) <= 64 * MIB


def test_without_a_cgroup_memory_is_the_hosts(world):
    with walls.jailed(world, monitor=()) as (intruder, _):
        answer = intruder.make("machine", [call("mmap", 0, 256 * MIB, 3, 0x22, -1, 0), call("touch", Result(0), 256 * MIB), call("munmap", Result(0), 256 * MIB)])
        assert answer.complete, answer


@needs_cgroups
def test_processes_are_the_cgroups(world):
    """Without filters, which allow none."""
    with walls.jailed(world, "--cgroup", "pids.max=20") as (intruder, site):
        answer = intruder.make("machine", [call("fork")], times=200)
        assert answer.error == "EAGAIN", answer
        assert int((cgroup(site, "pids") / "pids.current").read_text()) <= 20


@needs_cgroups
def test_time_of_processors_is_the_cgroups(world):
    with walls.jailed(world, "--cgroup", "cpu.cfs_quota_us=10000", monitor=()) as (intruder, site):
        statistics = cgroup(site, "cpu") / "cpu.stat"
        throttled = lambda: int(re.search(r"nr_throttled (\d+)", statistics.read_text())[1])
        intruder.send("worker", [call("touch", Scratch(0), 4096)], times=1 << 60)
        jails.await_true("it takes more than it may", throttled)
        before, began = processor_time(site), time.monotonic()
        time.sleep(1.0)
        took = time.monotonic() - began
        # A tenth of a processor, in periods of 0.1 s.
        assert processor_time(site) - before <= 0.1 * took + 0.05


def processor_time(site):
    """Of the monitor, in seconds."""
    fields = pathlib.Path(f"/proc/{site.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
