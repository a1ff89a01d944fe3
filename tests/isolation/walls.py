"""Monitors that someone has broken into, each with one wall around it and the others taken down."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import door
import probe

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "jail"))
import jails  # noqa: E402

PROGRAMS = jails.PROGRAMS
BROKEN = pathlib.Path(os.environ.get("MOTE_BACKDOOR_BIN", jails.TOP / "build/backdoor/bin")) / "firecracker"
OTHER = jails.UID + 1  # the user of another microVM

CGROUP = jails.CGROUPS / "pids" if jails.first_cgroups() else jails.CGROUPS

# Where code can run in a monitor: the machine thread with and without an API has different filters.
THREADS = ("machine", "machine with an API", "api", "vcpu", "worker")
# A wall is shown with no other around the same monitor. Those that hold for a process are tried from one of its threads.
WALLS = {
    "filters": "filters of system calls",
    "landlock": "landlock",
    "mounts": "the jail's root and mounts",
    "user": "the jail's user",
    "capabilities": "the capabilities that the jail gives up",
    "pids": "the jail's pid namespace (`--new-pid-ns`)",
    "network": "the jail's network namespace (`--netns`)",
    "dumpable": "the other monitor's memory, which nobody else is to look into",
}


class Site:
    """What an attack aims at, by the names that it has for whoever is behind the wall."""

    def __init__(self, world, outside, own, pid, base):
        self.world = world
        self.outside = outside  # the world's directory
        self.own = own  # a directory of the monitor's own
        self.pid, self.base = pid, base  # the monitor's, as the host sees it; see Intruder
        self.root = None  # a jail's, as the host sees it
        self.secret, self.disk, self.socket = outside / "secret", outside / "other/disk", outside / "other/socket"
        self.cgroup = CGROUP  # the outermost of a hierarchy
        self.program, self.setuid_program = outside / "probe", outside / "setuid-probe"
        self.victim, self.address = world.victim.pid, world.address
        self.abstract, self.port = world.abstract, world.port

    def climb(self):
        """The secret by way of the root."""
        return "../" * 40 + str(self.secret).lstrip("/")


class World:
    """A host's directory, with files of root and of another microVM's user, that microVM's monitor, and servers."""

    def __init__(self, directory):
        self.directory = directory
        for each in (directory, *directory.parents):
            if each != pathlib.Path("/") and each.owner() == "root":
                each.chmod(each.stat().st_mode | 0o011)
        self.stack = contextlib.ExitStack()
        secret = directory / "secret"
        secret.write_text("secret")
        secret.chmod(0o600)
        probe.write(directory / "probe")
        probe.write(directory / "setuid-probe", 0o4755)
        other = directory / "other"
        other.mkdir()
        (other / "disk").write_bytes(bytes(4096))
        self.listen(socket.AF_UNIX, str(other / "socket"))
        for each in (other, other / "disk", other / "socket"):
            os.chown(each, OTHER, OTHER)
        other.chmod(0o711)
        (other / "disk").chmod(0o600)
        (other / "socket").chmod(0o700)
        self.abstract = f"mote-test-{os.getpid()}"
        self.listen(socket.AF_UNIX, "\0" + self.abstract)
        self.port = self.listen(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        self.victim = self.start_victim(other)
        self.numbers = iter(range(10**6))

    def listen(self, family, address):
        listener = self.stack.enter_context(socket.socket(family))
        listener.bind(address)
        listener.listen(64)
        return listener

    def start_victim(self, place):
        """Another monitor, of the user OTHER, that waits for clients."""
        victim = subprocess.Popen(["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", jails.MONITOR, "--api-sock", place / "api"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=place)
        self.stack.callback(lambda: (victim.kill(), victim.wait()))
        os.chown(place, OTHER, OTHER)
        jails.await_true("the other monitor serves", (place / "api").exists)
        maps = pathlib.Path(f"/proc/{victim.pid}/maps").read_text()
        self.address = int(re.search(r"^([0-9a-f]+)-\S+ rw", maps, re.M)[1], 16)
        return victim

    def close(self):
        self.stack.close()

    def room(self):
        """A new directory for a monitor."""
        path = self.directory / f"run-{next(self.numbers)}"
        path.mkdir()
        return path


def lay_out(directory, user=0):
    """Files of a machine that has a thread of each kind, and knocks; belong to `user`."""
    (directory / "disk").write_bytes(bytes(1 << 20))
    (directory / "pmem").write_bytes(bytes(2 << 20))
    (directory / "sub").mkdir()
    shutil.copy(jails.GUESTS / "knock.elf", directory / "guest")
    for name in ("disk", "pmem", "sub", "guest"):
        os.chown(directory / name, user, user)


def configure(directory, inner=None, **more):
    """The flag for a configuration file in `directory`, which the monitor sees as `inner`."""
    inner = pathlib.Path(inner or directory)
    config = {"boot-source": {"kernel_image_path": str(inner / "guest")}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 16},
              "drives": [{"drive_id": "disk", "path_on_host": str(inner / "disk"), "is_root_device": False, "io_engine": "Async"}],
              "pmem": [{"id": "pmem", "path_on_host": str(inner / "pmem")}],
              "vsock": {"guest_cid": 3, "uds_path": str(inner / "vsock")}} | more
    config = {name: section for name, section in config.items() if section is not None}
    (directory / "vm.json").write_text(json.dumps(config))
    (directory / "vm.json").chmod(0o444)
    return ["--config-file", str(inner / "vm.json")]


def api(with_api, inner):
    return ["--api-sock", str(pathlib.Path(inner) / "api.sock")] if with_api else ["--no-api"]


@contextlib.contextmanager
def free(world, *flags, with_api=True, command=(), **more):
    """A monitor that root runs, in no jail: (intruder, site). `command` stands before it; `more` is of its configuration."""
    room = world.room()
    lay_out(room)
    try:
        with door.Intruder([*command, BROKEN, *api(with_api, room), *configure(room, **more), *flags], room / "out", cwd=room) as intruder:
            yield intruder, Site(world, world.directory, room, intruder.process.pid, intruder.base)
    finally:
        shutil.rmtree(room)


@contextlib.contextmanager
def jailed(world, *flags, user=jails.UID, monitor=("--no-seccomp",), with_api=True, size=None):
    """A monitor in a jail, in which the world's directory lies at /host, and cgroups at /cgroup: (intruder, site). `size`: that of a
    filesystem of its own."""
    room = world.room()
    place = jails.Place(room)
    root = place.root()
    if size:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", place.base], check=True)
    lies_at = {root / "host": world.directory, root / "cgroup": CGROUP}
    for inner in lies_at:
        inner.mkdir(parents=True)
    lay_out(root, user)
    probe.write(root / "probe")
    words = place.flags(uid=user, gid=user, **{"exec-file": BROKEN})
    command = [jails.JAILER, *words, "--share-exec", *flags, "--", *api(with_api, "/"), *configure(root, "/"), *monitor]
    for inner, outer in lies_at.items():
        subprocess.run(["mount", "--bind", outer, inner], check=True)
    try:
        with door.Intruder(command, room / "out") as intruder:
            pid = int((root / "firecracker.pid").read_text())
            site = Site(world, pathlib.Path("/host"), pathlib.Path("/"), pid, intruder.base)
            site.cgroup, site.root = pathlib.Path("/cgroup"), root
            try:
                yield intruder, site
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
    finally:
        # Lazily, as a monitor that was killed holds its own copies of the mounts for a moment.
        for inner in lies_at:
            subprocess.run(["umount", "--lazy", inner], check=True)
        jails.await_true("the jail can be removed", lambda: place.clean_up().returncode == 0)
        if size:
            subprocess.run(["umount", place.base], check=True)
        shutil.rmtree(room)


@contextlib.contextmanager
def walled_in(world):
    """A monitor in a jail's root and mounts, but with all rights of the host's root: (intruder, site)."""
    room = world.room()
    place = jails.Place(room)
    place.root().mkdir(parents=True)
    lay_out(place.root())
    probe.write(place.root() / "probe")
    process = subprocess.Popen([jails.JAILER, *place.flags(**{"exec-file": BROKEN}), "--share-exec"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    jail = jails.Jail(process, place.root())
    try:
        jail.await_api()
        enter = ["nsenter", f"--mount=/proc/{jail.pid}/ns/mnt", f"--root=/proc/{jail.pid}/root", f"--wd=/proc/{jail.pid}/root"]
        command = [*enter, "/firecracker", *api(True, "/"), *configure(place.root(), "/"), "--no-seccomp"]
        with door.Intruder(command, room / "out") as intruder:
            site = Site(world, world.directory, pathlib.Path("/"), intruder.process.pid, intruder.base)
            site.program = pathlib.Path("/probe")
            yield intruder, site
    finally:
        jail.kill()
    shutil.rmtree(room)


@contextlib.contextmanager
def network_namespace(world):
    name = f"mote-test-{os.getpid()}-{next(world.numbers)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextlib.contextmanager
def behind(wall, world, thread="machine with an API"):
    """(intruder, site) with that wall alone; None: with none at all."""
    with_api = thread != "machine"
    with contextlib.ExitStack() as stack:
        if wall is None:
            made = free(world, "--no-seccomp", with_api=with_api)
        elif wall == "filters":
            made = free(world, with_api=with_api)
        elif wall == "landlock":
            made = free(world, "--no-seccomp", *([] if not with_api else ["--allow-path", "."]), with_api=with_api)
        elif wall == "mounts":
            made = walled_in(world)
        elif wall == "pids":
            made = jailed(world, "--new-pid-ns", user=0)
        elif wall == "network":
            made = jailed(world, "--netns", stack.enter_context(network_namespace(world)), user=0)
        elif wall == "capabilities":
            made = jailed(world, user=0)
        elif wall == "dumpable":
            made = jailed(world, user=OTHER)
        else:
            made = jailed(world)
        yield stack.enter_context(made)
