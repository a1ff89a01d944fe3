"""mote-jailer with version 2 of cgroups, which a host that has version 1 cannot show."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, str(harness.TOP / "tests/isolation/jail"))
import jails  # noqa: E402

TOP = pathlib.Path("/sys/fs/cgroup")
OUTER = 32002

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not (TOP / "cgroup.controllers").exists(), reason="cgroups are not root's, or not of version 2")


@pytest.fixture
def place(tmp_path):
    # Where whoever is not root may pass through as well.
    directory = pathlib.Path("/run") / f"mote-jail-{os.getpid()}-{tmp_path.name}"
    directory.mkdir(mode=0o755)
    yield jails.Place(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def parent():
    """A cgroup of the test's, with its children gone at the end."""
    path = TOP / f"mote-test-{os.getpid()}"
    path.mkdir()
    yield path
    for directory in sorted(path.rglob("*/"), key=lambda one: len(one.parts), reverse=True):
        directory.rmdir()
    path.rmdir()


def flags(parent, *settings):
    return ["--cgroup-version", "2", "--parent-cgroup", parent.name, *(word for setting in settings for word in ("--cgroup", setting))]


def own_cgroup(pid):
    return pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").strip()


def test_settings_of_version_2(place, parent):
    with place.jail(*flags(parent, "pids.max=30", "memory.max=268435456", "cpu.max=5000 10000", "io.weight=default 50", "cpuset.cpus=0"), "--new-cgroup-ns") as jail:
        jail.run_guest()
        made = parent / place.id
        assert own_cgroup(jail.pid) == f"0::/{parent.name}/{place.id}"
        assert set((parent / "cgroup.subtree_control").read_text().split()) >= {"pids", "memory", "cpu", "io"}
        values = {name: (made / name).read_text().strip() for name in ("pids.max", "memory.max", "cpu.max", "io.weight", "cpuset.cpus")}
        assert values == {"pids.max": "30", "memory.max": "268435456", "cpu.max": "5000 10000", "io.weight": "default 50", "cpuset.cpus": "0"}
        assert os.readlink(jail.file("ns/cgroup")) != os.readlink("/proc/self/ns/cgroup")
    cleaned = place.clean_up("--parent-cgroup", parent.name)
    assert cleaned.returncode == 0 and not made.exists(), cleaned


def test_a_parent_that_is_there_is_entered(place, parent):
    with place.jail(*flags(parent)) as jail:
        jail.await_api()
        assert own_cgroup(jail.pid) == f"0::/{parent.name}"


@pytest.mark.parametrize("setting, says", [("pids.max=x", "the kernel refuses"), ("none.max=1", "has no controller"), ("pids.none=1", "No such file"),
                                           ("io.max=1=2", "the kernel refuses"), ("../pids.max=1", "CONTROLLER.NAME")])
def test_what_is_refused_leaves_nothing(place, parent, setting, says):
    refused = place.run(*flags(parent, "memory.max=268435456", setting))
    assert refused.returncode == 1 and says in refused.stderr, refused
    assert not place.left() and not list(parent.glob("*/"))


def test_a_cgroup_that_was_delegated(place, parent):
    """Someone without rights, to whom a part of the tree belongs and who is in it."""
    start = parent / "start"
    start.mkdir()
    for controller in ("pids", "memory"):
        (TOP / "cgroup.subtree_control").write_text(f"+{controller}")
    for path in (parent, start):
        for name in (".", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(path / name, OUTER, OUTER)
    os.chown(place.base, OUTER, OUTER)
    os.chmod("/dev/kvm", 0o666)
    prefix = ["sh", "-c", f'echo $$ > {start}/cgroup.procs && exec setpriv --reuid={OUTER} --regid={OUTER} --clear-groups "$@"', "sh"]
    with place.jail("--user-ns", *flags(parent, "pids.max=30"), command=prefix) as jail:
        jail.run_guest()
        assert own_cgroup(jail.pid) == f"0::/{parent.name}/{place.id}"
        assert jail.status()["Uid"].split() == [str(OUTER)] * 4
    refused = place.run("--user-ns", *flags(parent, "pids.max=30"), jailer=jails.JAILER)
    assert refused.returncode == 1 and "not root" in refused.stderr, refused


def test_a_cgroup_that_was_not_delegated(place, parent):
    os.chown(place.base, OUTER, OUTER)
    command = ["setpriv", f"--reuid={OUTER}", f"--regid={OUTER}", "--clear-groups", jails.JAILER, *place.flags(), "--user-ns", *flags(parent, "pids.max=30")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=jails.PATIENCE)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr, refused
    assert not place.left() and not list(parent.glob("*/"))
