"""Jails that a test makes, and what can be seen of the monitors in them."""

import contextlib
import ctypes
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent.parent
PROGRAMS = pathlib.Path(os.environ.get("MOTE_BIN", TOP / "build/release/bin"))
JAILER, MONITOR = PROGRAMS / "jailer", PROGRAMS / "firecracker"
GUESTS = PROGRAMS.parent / "bare"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
UID, GID = 31234, 35678
PATIENCE = 30  # seconds, on a machine that has other work

libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count()


def await_true(what, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.01)


class Api(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        # By its directory's descriptor: a socket's address has 108 bytes.
        directory = os.open(os.path.dirname(self.path), os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(f"/proc/self/fd/{directory}/{os.path.basename(self.path)}")
        finally:
            os.close(directory)

    def ask(self, method, path, body=None):
        """The status and what the answer says."""
        self.request(method, path, json.dumps(body) if body is not None else None)
        answer = self.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


class Jail:
    """A jailer that was started, and the monitor that it becomes or makes."""

    def __init__(self, process, root):
        self.process, self.root = process, root
        self.socket = root / "run/firecracker.socket"

    @property
    def pid(self):
        """Of the monitor."""
        return int((self.root / "firecracker.pid").read_text())

    def await_api(self):
        """An API that answers."""
        await_true("the API listens", lambda: self.listens() or self.process.poll() not in (None, 0))
        assert self.process.poll() in (None, 0), self.process.communicate()
        return Api(self.socket)

    def listens(self):
        try:
            Api(self.socket).connect()
            return True
        except OSError:
            return False

    def run_guest(self, guest="idle"):
        """Starts a guest by the API."""
        api = self.await_api()
        shutil.copy(GUESTS / f"{guest}.elf", self.root / "guest")
        os.chmod(self.root / "guest", 0o444)
        assert api.ask("PUT", "/boot-source", {"kernel_image_path": "/guest"}) == (204, None)
        assert api.ask("PUT", "/actions", {"action_type": "InstanceStart"}) == (204, None)
        return api

    def file(self, name):
        """A file of /proc about the monitor."""
        return pathlib.Path(f"/proc/{self.pid}/{name}")

    def status(self):
        return dict(line.split(":\t", 1) for line in self.file("status").read_text().splitlines())

    def enter(self, *command):
        """Runs a command as root in the monitor's mount namespace and root."""
        return subprocess.run(["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--root=/proc/{self.pid}/root", "--wd=/", *command],
                              capture_output=True, text=True)

    def is_gone(self):
        """Whether the monitor has ended; it is init's child where the jailer ended before."""
        self.process.poll()
        try:
            return self.file("stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def kill(self):
        """Ends the monitor with SIGKILL."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(self.pid, signal.SIGKILL)
            await_true("the monitor is gone", self.is_gone)
        self.process.kill()
        self.process.wait()


class Place:
    """Where jails of a test lie: `base`, with the monitor's file beside it."""

    def __init__(self, directory):
        self.directory, self.base = directory, directory / "srv"
        self.base.mkdir(exist_ok=True)
        self.id = f"vm-{os.getpid()}-{next(numbers)}"

    def root(self, name="firecracker"):
        return self.base / name / self.id / "root"

    def flags(self, **changes):
        values = {"id": self.id, "exec-file": MONITOR, "uid": UID, "gid": GID, "chroot-base-dir": self.base} | changes
        return [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]

    def run(self, *flags, jailer=JAILER, **changes):
        """Runs a jailer to its end."""
        return subprocess.run([jailer, *self.flags(**{name.replace("_", "-"): value for name, value in changes.items()}), *flags],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    @contextlib.contextmanager
    def jail(self, *flags, command=(), **options):
        """A jail in which a monitor serves its API; `command` stands before the jailer's."""
        process = subprocess.Popen([*command, JAILER, *self.flags(), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **options)
        jail = Jail(process, self.root())
        try:
            yield jail
        finally:
            jail.kill()
            process.stdout.close()
            process.stderr.close()

    def run_config(self, *flags, guest="hello", command=()):
        """Runs a guest to its end, from a configuration file in the jail."""
        self.root().mkdir(parents=True)
        shutil.copy(GUESTS / f"{guest}.elf", self.root() / "guest")
        config = {"boot-source": {"kernel_image_path": "/guest"}, "drives": [], "machine-config": {"vcpu_count": 1, "mem_size_mib": 16}}
        (self.root() / "vm.json").write_text(json.dumps(config))
        for name in ("guest", "vm.json"):
            os.chmod(self.root() / name, 0o444)
        return subprocess.run([*command, JAILER, *self.flags(), *flags, "--", "--no-api", "--config-file", "/vm.json", "--exit-port"],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def clean_up(self, *flags):
        return subprocess.run([JAILER, "--cleanup", "--id", self.id, "--chroot-base-dir", self.base, *flags], capture_output=True, text=True,
                              timeout=PATIENCE)

    def left(self):
        """What lies below the base."""
        return sorted(str(path.relative_to(self.base)) for path in self.base.rglob("*"))

    def cgroups(self):
        """Cgroups with the name of the jail."""
        return sorted(str(path) for path in CGROUPS.rglob(self.id))


def end_all(directory):
    """Ends the monitors in jails below a directory, which a test that failed may have left."""
    roots = {(status.st_dev, status.st_ino) for status in (path.parent.stat() for path in directory.rglob("firecracker.pid"))}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (process / "root").stat()
            if (status.st_dev, status.st_ino) in roots:
                os.kill(int(process.name), signal.SIGKILL)


def first_cgroups():
    """Whether version 1 of cgroups, with a hierarchy for each of some controllers, is mounted where it is looked for."""
    return all((CGROUPS / name / "cgroup.procs").exists() for name in ("cpu", "pids", "cpuset"))
