"""mote-jailer --cleanup."""

import os
import subprocess

import pytest

from jails import GID, JAILER, UID, first_cgroups


def test_after_kill_9(place):
    flags = ("--cgroup", "pids.max=60") if first_cgroups() else ()
    with place.jail(*flags) as jail:
        jail.run_guest()
        refused = place.clean_up()
        assert refused.returncode == 1 and f"process {jail.pid} is still in" in refused.stderr, refused
        assert jail.await_api().ask("GET", "/")[0] == 200
        jail.kill()
        assert bool(place.cgroups()) == bool(flags)
        cleaned = place.clean_up()
        assert (cleaned.returncode, cleaned.stderr) == (0, ""), cleaned
        assert place.left() == ["firecracker"] and not place.cgroups()
    again = place.clean_up()
    assert again.returncode == 1 and "has no jail" in again.stderr, again


def test_a_jail_can_be_made_again(place):
    for _ in range(2):
        with place.jail() as jail:
            jail.run_guest()
        assert place.clean_up().returncode == 0


def test_whose_pid_file_lies(place):
    """The jail's user owns the directory that the pid file is in."""
    with place.jail() as jail:
        jail.await_api()
        real = jail.pid
        (jail.root / "firecracker.pid").unlink()
        (jail.root / "firecracker.pid").write_text("1")
        refused = place.clean_up()
        (jail.root / "firecracker.pid").write_text(str(real))
        assert refused.returncode == 1 and str(real) in refused.stderr, refused


def test_of_what_a_hostile_monitor_leaves(place):
    outside = place.directory / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    with place.jail() as jail:
        jail.await_api()
        jail.kill()
        deep = jail.root / "deep"
        deep.mkdir()
        at = os.open(deep, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d" * 100, dir_fd=at)
            inner = os.open("d" * 100, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
        os.close(at)
        for name in ("link", "dev/link", "removed-0"):
            (jail.root / name).symlink_to(outside)
        os.link(outside / "file", jail.root / "hard")
        os.mkfifo(jail.root / "fifo")
        closed = jail.root / "closed"
        closed.mkdir()
        (closed / "file").touch()
        closed.chmod(0)
        for path in (deep, closed):
            os.chown(path, UID, GID)
    cleaned = place.clean_up()
    assert (cleaned.returncode, cleaned.stderr) == (0, ""), cleaned
    assert (outside / "file").read_text() == "mine" and place.left() == ["firecracker"]


@pytest.mark.parametrize("flags", [("--id", "none"), ("--id", "../x"), ("--id", ""), ()])
def test_of_no_jail(place, flags):
    run = subprocess.run([JAILER, "--cleanup", "--chroot-base-dir", place.base, *flags], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1, run
    assert place.base.exists()
