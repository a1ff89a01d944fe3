"""What a monitor in a jail is and has."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from jails import GID, GUESTS, MONITOR, UID, await_true, first_cgroups

NONE = "0000000000000000"
# What a monitor makes for itself; a file is one that its configuration names.
OWN_KINDS = ("anon_inode:[eventfd]", "anon_inode:[eventpoll]", "anon_inode:[timerfd]", "anon_inode:[signalfd]", "anon_inode:kvm-vm",
             "anon_inode:kvm-vcpu", "socket:", "/dev/kvm")


def own_namespaces(jail):
    return {entry.name for entry in jail.file("ns").iterdir() if os.readlink(entry) != os.readlink(f"/proc/self/ns/{entry.name}")}


def descriptors_of(jail):
    """{number: what it is}, without one that is closed while it is looked at."""
    found = {}
    for entry in jail.file("fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[int(entry.name)] = os.readlink(entry)
    return found


def test_has_no_rights_and_nothing_of_the_callers(place):
    with open("/etc/hostname", encoding="ascii") as leaked, place.jail(pass_fds=(leaked.fileno(),), env={"SECRET": "1"}) as jail:
        jail.run_guest()
        status = jail.status()
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NONE}
        assert status["Uid"].split() == [str(UID)] * 4 and status["Gid"].split() == [str(GID)] * 4 and not status["Groups"].split()
        assert status["NoNewPrivs"] == "1"
        assert jail.file("environ").read_bytes() == b""
        descriptors = descriptors_of(jail)
        assert all(path.startswith(OWN_KINDS) for number, path in descriptors.items() if number > 2), descriptors
        assert own_namespaces(jail) == {"mnt"}
        # What it maps is written or executed, never both, and its memory is not for others of its user: it cannot be dumped.
        permissions = re.findall(r"^\S+ (\S{4})", jail.file("maps").read_text(), re.M)
        assert permissions and not [rights for rights in permissions if "w" in rights and "x" in rights]
        assert jail.file("mem").stat().st_uid == 0
        other = subprocess.run(["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "cat", f"/proc/{jail.pid}/environ", f"/proc/{jail.pid}/maps"],
                               capture_output=True, text=True)
        assert other.returncode != 0 and not other.stdout, other


def test_has_a_root_of_its_own(place):
    with place.jail() as jail:
        jail.run_guest()
        mounts = {fields[4]: fields for fields in (line.split() for line in jail.file("mountinfo").read_text().splitlines())}
        assert set(mounts) == {"/", "/firecracker"}
        assert all(fields[6] == "-" for fields in mounts.values()), "private"
        shutil.copy(shutil.which("busybox"), jail.root / "busybox")
        run = jail.enter("/busybox", "true")
        assert run.returncode != 0 and "Permission denied" in run.stderr, "noexec"
        assert jail.enter("/firecracker", "--version").returncode == 0
        os.mknod(jail.root / "zero", 0o20666, os.makedev(1, 5))
        with open(f"/proc/{jail.pid}/root/zero", "rb", buffering=0) as zero:
            assert zero.read(3) == b"\0\0\0", "a device that the host's root puts there works"
        with pytest.raises(OSError, match="Read-only"):
            os.chmod(f"/proc/{jail.pid}/root/firecracker", 0o777)
        assert sorted(os.listdir(f"/proc/{jail.pid}/root")) == ["busybox", "dev", "firecracker", "firecracker.pid", "guest", "run", "zero"]


def test_ends_with_its_guests_status(place):
    run = place.run_config()
    assert run.returncode == 0 and "\nX" in run.stdout, run
    assert place.clean_up().returncode == 0
    assert place.left() == ["firecracker"]


def test_in_a_pid_namespace(place):
    with place.jail("--new-pid-ns") as jail:
        jail.run_guest()
        assert jail.process.wait(5) == 0
        assert jail.status()["NSpid"].split() == [str(jail.pid), "1"]
        assert own_namespaces(jail) == {"mnt", "pid", "pid_for_children"}


def test_as_a_daemon(place):
    with place.jail("--daemonize") as jail:
        jail.run_guest()
        assert jail.process.wait(5) == 0
        assert jail.process.stdout.read() == "" and jail.process.stderr.read() == ""
        assert [os.readlink(jail.file(f"fd/{number}")) for number in range(3)] == ["/dev/null"] * 3
        fields = jail.file("stat").read_text().rsplit(")", 1)[1].split()
        session, terminal = int(fields[3]), int(fields[4])
        assert session not in (jail.pid, os.getsid(0)) and terminal == 0


def test_closed_standard_streams_become_null(place):
    script = 'exec "$@" 0<&- 1>&- 2>&-'
    with place.jail(command=("sh", "-c", script, "sh")) as jail:
        jail.run_guest()
        assert [os.readlink(jail.file(f"fd/{number}")) for number in range(3)] == ["/dev/null"] * 3


def test_in_a_network_namespace(place):
    name = place.id
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with place.jail("--netns", f"/run/netns/{name}") as jail:
            jail.run_guest()
            assert own_namespaces(jail) == {"mnt", "net"}
            assert os.stat(jail.file("ns/net")).st_ino == os.stat(f"/run/netns/{name}").st_ino
            devices = jail.file("net/dev").read_text()
            assert "lo:" in devices and len(devices.splitlines()) == 3
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_opens_a_tap_that_is_its_users(place):
    """Without a capability: a tap that belongs to the jail's user works, and another's does not."""
    names = [f"mjail{os.getpid() % 100000}{letter}" for letter in "ab"]
    for name, owner in zip(names, (UID, UID + 1)):
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr", "user", str(owner)], check=True)
    try:
        with place.jail() as jail:
            api = jail.await_api()
            shutil.copy(GUESTS / "idle.elf", jail.root / "guest")
            os.chmod(jail.root / "guest", 0o444)
            assert api.ask("PUT", "/boot-source", {"kernel_image_path": "/guest"})[0] == 204
            statuses = [api.ask("PUT", f"/network-interfaces/{name}", {"iface_id": name, "host_dev_name": name})[0] for name in names]
            started = api.ask("PUT", "/actions", {"action_type": "InstanceStart"})[0]
            assert statuses[0] == 204 and (statuses[1], started) in ((400, 204), (204, 400)), (statuses, started)
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=True)


@pytest.mark.skipif(not first_cgroups(), reason="version 1 of cgroups is not mounted")
def test_in_cgroups(place):
    flags = ("--cgroup", "pids.max=40", "--cgroup", "cpu.shares=64", "--cgroup", "cpuset.cpus=0", "--new-cgroup-ns", "--parent-cgroup", f"{place.id}-top/sub")
    try:
        with place.jail(*flags) as jail:
            jail.run_guest()
            assert own_namespaces(jail) == {"mnt", "cgroup"}
            made = {pathlib.Path(path).relative_to("/sys/fs/cgroup").parts[0]: pathlib.Path(path) for path in place.cgroups()}
            assert set(made) == {"pids", "cpu", "cpuset"}
            for path in made.values():
                assert path.parts[-3:] == (f"{place.id}-top", "sub", place.id)
                assert str(jail.pid) in (path / "cgroup.procs").read_text().split()
                assert not path.stat().st_mode & 0o022 and not path.parent.stat().st_mode & 0o022, "others may change it"
            assert (made["pids"] / "pids.max").read_text() == "40\n"
            assert (made["cpu"] / "cpu.shares").read_text() == "64\n"
            assert jail.status()["Cpus_allowed_list"] == "0"
        assert place.clean_up("--parent-cgroup", f"{place.id}-top/sub").returncode == 0
        assert not place.cgroups()
    finally:
        for path in sorted(pathlib.Path("/sys/fs/cgroup").rglob(f"{place.id}-top"), key=str, reverse=True):
            for inner in (path / "sub" / place.id, path / "sub", path):
                if inner.exists():
                    inner.rmdir()


def test_shares_the_monitors_file(place):
    with place.jail("--share-exec") as jail:
        jail.run_guest()
        assert (jail.root / "firecracker").stat().st_size == 0, "as others see it"
        inner = os.stat(f"/proc/{jail.pid}/root/firecracker")
        assert (inner.st_dev, inner.st_ino) == (MONITOR.stat().st_dev, MONITOR.stat().st_ino)
        mapped = [line for line in jail.file("mountinfo").read_text().splitlines() if line.split()[4] == "/firecracker"]
        assert mapped[0].split()[5].startswith("ro,nosuid,nodev")


def test_lies_on_another_filesystem(place):
    subprocess.run(["mount", "-t", "tmpfs", "none", place.base], check=True)
    try:
        run = place.run_config()
        assert run.returncode == 0 and "\nX" in run.stdout, run
    finally:
        subprocess.run(["umount", place.base], check=True)


def test_sees_what_was_mounted_in_its_root(place):
    disks = place.root() / "disks"
    disks.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", disks], check=True)
    try:
        shutil.copy(GUESTS / "idle.elf", disks / "guest")
        os.chmod(disks / "guest", 0o444)
        os.chmod(disks, 0o755)
        with place.jail() as jail:
            api = jail.await_api()
            assert api.ask("PUT", "/boot-source", {"kernel_image_path": "/disks/guest"}) == (204, None)
            assert api.ask("PUT", "/actions", {"action_type": "InstanceStart"}) == (204, None)
        before = place.left()
        refused = place.clean_up()
        assert refused.returncode == 1 and "something is mounted" in refused.stderr, refused
        assert place.left() == before
    finally:
        subprocess.run(["umount", disks], check=True)
    assert place.clean_up().returncode == 0
    assert place.left() == ["firecracker"]


def test_outlives_a_jailer_that_made_it_a_process_of_its_own(place):
    with place.jail("--daemonize", "--new-pid-ns") as jail:
        jail.await_api()
        assert jail.process.wait(5) == 0
        jail.run_guest()
        await_true("it goes on", lambda: not jail.is_gone())
        assert jail.await_api().ask("GET", "/")[1]["state"] == "Running"
