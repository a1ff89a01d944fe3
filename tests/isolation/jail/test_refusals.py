"""A jail that cannot be made: status 1, one line that says why, and nothing left of it."""

import os
import shutil
import subprocess
import threading

import pytest

from jails import JAILER, MONITOR, Place, first_cgroups

DETACHED = ((), ("--daemonize",), ("--new-pid-ns",), ("--daemonize", "--new-pid-ns"))


def assert_refused(place, run, says):
    assert run.returncode == 1, run
    assert run.stdout == "" and run.stderr.count("\n") == 1 and run.stderr.startswith("mote-jailer: "), run
    assert says in run.stderr, run
    assert not place.left() and not place.cgroups(), run


@pytest.fixture
def files(place):
    """name -> path of a file that is no monitor."""
    names = {name: place.directory / name for name in ("script", "data", "fifo", "directory", "other-arch")}
    names["script"].write_text("#!/bin/sh\n")
    names["data"].write_text("hello")
    os.mkfifo(names["fifo"])
    names["directory"].mkdir()
    program = bytearray(MONITOR.read_bytes())
    program[18] = 0xF3  # e_machine
    names["other-arch"].write_bytes(program)
    for name in ("script", "fifo", "other-arch"):
        names[name].chmod(0o755)
    return names


@pytest.mark.parametrize("name, says", [
    ("script", "no ELF program"), ("data", "not executable"), ("fifo", "no regular file"), ("directory", "no regular file"), ("other-arch", "this processor")])
def test_a_file_that_is_no_monitor(place, files, name, says):
    assert_refused(place, place.run(exec_file=files[name]), says)


def test_a_monitor_that_is_not_there(place):
    assert_refused(place, place.run(exec_file=place.directory / "none"), "No such file")


def test_a_base_that_is_none(place):
    for base, says in ((place.directory / "none", "No such file"), (MONITOR, "Not a directory")):
        assert_refused(place, place.run(chroot_base_dir=base), says)


def test_namespaces_that_are_none(place, files):
    cases = {"/proc/self/ns/mnt": "no network namespace", str(place.directory / "none"): "No such file", str(files["data"]): "no network namespace",
             str(files["fifo"]): "no network namespace"}
    for path, says in cases.items():
        assert_refused(place, place.run("--netns", path), says)


@pytest.mark.skipif(not first_cgroups(), reason="version 1 of cgroups is not mounted")
@pytest.mark.parametrize("settings, says", [
    (("pids.max=9", "cpu.shares=x"), "the kernel refuses"), (("pids.max=9", "cpu.none=1"), "No such file"), (("pids.max=9", "none.x=1"), "no cgroup v1"),
    (("cpuset.cpus=4000",), "the kernel refuses"), (("pids.max=0",), "make the monitor's process")])
def test_cgroups_that_the_kernel_refuses(place, settings, says):
    flags = [word for setting in settings for word in ("--cgroup", setting)]
    assert_refused(place, place.run(*flags, "--daemonize"), says)


@pytest.mark.parametrize("detached", DETACHED)
def test_what_fails_last(place, detached):
    # Found out when all is made, and, where that is so, in another process.
    assert_refused(place, place.run("--resource-limit", "no-file=3000000000", *detached), "no-file=3000000000")
    dynamic = place.directory / "dynamic"
    shutil.copy(shutil.which("true"), dynamic)
    assert_refused(place, place.run(*detached, exec_file=dynamic), "dynamic linker")


def test_those_who_are_not_root(place):
    run = subprocess.run(["setpriv", "--reuid=31000", "--regid=31000", "--clear-groups", JAILER, *place.flags()], capture_output=True, text=True)
    assert_refused(place, run, "only root")
    assert_refused(place, place.run("--user-ns"), "for those who are not root")


def test_a_jail_that_is_there_already(place):
    with place.jail() as jail:
        jail.run_guest()
        before = place.left()
        second = place.run()
        assert second.returncode == 1 and "in the jail already" in second.stderr, second
        assert place.left() == before
        assert jail.await_api().ask("GET", "/")[0] == 200
        # Its socket can still be reached by its user.
        assert jail.root.stat().st_uid != 0


def test_one_jail_made_twice_at_once(place):
    runs = []
    threads = [threading.Thread(target=lambda: runs.append(place.run("--daemonize"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.returncode for run in runs) == [0] + [1] * 7, runs


def test_many_jails_at_once(place, tmp_path):
    places = [Place(tmp_path) for _ in range(12)]
    runs = {}
    threads = [threading.Thread(target=lambda one=one: runs.update({one.id: one.run("--daemonize")})) for one in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in places:
        assert runs[one.id].returncode == 0, runs[one.id]


@pytest.mark.parametrize("swapped", ["root", "root/dev", "root/run"])
def test_someone_who_swaps_directories_for_links(place, swapped):
    """A jail's user renames what it can while the next jail is made in its place: nothing outside changes."""
    outside = place.directory / "outside"
    for name in ("", "dev", "dev/net", "run"):
        (outside / name).mkdir()
    before = [(str(path), path.stat().st_uid, path.stat().st_mode) for path in (outside, *sorted(outside.rglob("*")))]
    target = place.root().parent / swapped
    target.mkdir(parents=True)
    link = target.with_name("swap")
    link.symlink_to(outside)
    script = "import ctypes, sys; c = ctypes.CDLL(None); a, b = (w.encode() for w in sys.argv[1:])\nwhile True: c.renameat2(-100, a, -100, b, 2)"
    swapper = subprocess.Popen(["/usr/bin/python3", "-c", script, target, link])
    statuses = set()
    try:
        for _ in range(40):
            run = place.run("--daemonize")
            statuses.add(run.returncode)
            if run.returncode == 0:
                break
    finally:
        swapper.kill()
        swapper.wait()
    after = [(str(path), path.stat().st_uid, path.stat().st_mode) for path in (outside, *sorted(outside.rglob("*")))]
    assert after == before
    assert statuses <= {0, 1} and statuses
