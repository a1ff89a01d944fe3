"""mote-jailer --user-ns, by someone who is nobody."""

import contextlib
import os
import shutil
import subprocess

import pytest

from jails import JAILER, MONITOR, PATIENCE, Jail, await_true

OUTER, INNER = 32001, 7
DEVICES = {"/dev/kvm": (10, 232), "/dev/net/tun": (10, 200)}


def as_user(place, *command):
    """A command of a user who may open /dev/kvm: in a mount namespace in which it is everybody's."""
    places = []
    for path, (major, minor) in DEVICES.items():
        node = place.directory / path.replace("/", "-")
        if not node.exists():
            os.mknod(node, 0o20666, os.makedev(major, minor))
            os.chmod(node, 0o666)
        places.append(f"mount --bind {node} {path}")
    script = " && ".join([*places, f'exec setpriv --reuid={OUTER} --regid={OUTER} --clear-groups "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, command)]


@pytest.fixture
def user_place(place):
    probe = subprocess.run(as_user(place, "unshare", "--user", "true"), capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"this host allows no user namespaces: {probe.stderr.strip()}")
    for program in (JAILER, MONITOR):
        shutil.copy(program, place.directory / program.name)
    os.chown(place.base, OUTER, OUTER)
    return place


def command(place, *flags):
    words = place.flags(**{"exec-file": place.directory / "firecracker", "uid": INNER, "gid": INNER})
    return as_user(place, place.directory / "jailer", "--user-ns", *words, *flags)


@contextlib.contextmanager
def jailed(place, *flags):
    process = subprocess.Popen(command(place, *flags), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    jail = Jail(process, place.root())
    try:
        yield jail
    finally:
        jail.kill()
        process.stdout.close()
        process.stderr.close()


def clean_up(place):
    return subprocess.run(as_user(place, place.directory / "jailer", "--cleanup", "--id", place.id, "--chroot-base-dir", place.base),
                          capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("flags", [(), ("--share-exec",), ("--daemonize",), ("--new-pid-ns", "--new-cgroup-ns")])
def test_runs_a_guest_without_any_rights(user_place, flags):
    with jailed(user_place, *flags) as jail:
        jail.run_guest()
        status = jail.status()
        assert status["Uid"].split() == [str(OUTER)] * 4 and status["CapBnd"] == "0" * 16 and status["NoNewPrivs"] == "1"
        assert jail.file("uid_map").read_text().split() == [str(INNER), str(OUTER), "1"]
        assert jail.file("gid_map").read_text().split() == [str(INNER), str(OUTER), "1"]
        mounts = {fields[4]: fields[5] for fields in (line.split() for line in jail.file("mountinfo").read_text().splitlines())}
        assert set(mounts) >= {"/", "/firecracker", "/dev/kvm", "/dev/net/tun", "/dev/urandom"}
        assert mounts["/"].startswith("rw,nosuid,nodev,noexec")
        assert all("nosuid" in options and "noexec" in options for at, options in mounts.items() if at.startswith("/dev/"))
        refused = clean_up(user_place)
        assert refused.returncode == 1 and "still in the jail" in refused.stderr, refused
    await_true("the jail can be removed", lambda: clean_up(user_place).returncode == 0)
    assert user_place.left() == ["firecracker"]


def test_leaves_nothing_where_it_fails(user_place):
    cases = {("--cgroup", "pids.max=9"): "", ("--netns", "/proc/1/ns/net"): "--netns", ("--resource-limit", "no-file=3000000000"): "no-file"}
    for flags, says in cases.items():
        for detached in ((), ("--daemonize",)):
            run = subprocess.run(command(user_place, *flags, *detached), capture_output=True, text=True, timeout=PATIENCE)
            assert run.returncode == 1 and says in run.stderr and run.stderr.count("\n") == 1, run
            assert not user_place.left() and not user_place.cgroups(), run


def test_keeps_a_lower_limit_of_descriptors(user_place):
    words = command(user_place)
    words[4] = words[4].replace("exec setpriv", "ulimit -n 500 && exec setpriv")
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    jail = Jail(process, user_place.root())
    try:
        jail.await_api()
        limits = jail.file("limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5] == ["500", "500"]
    finally:
        jail.kill()
        process.stdout.close()
        process.stderr.close()
