"""Where a recorded case plays: a directory with the recorded files, and what the case prepares in it."""

import base64
import fcntl
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import threading

DATA = pathlib.Path(__file__).resolve().parent / "data"
FILES = json.loads((DATA / "fixtures.json").read_text())

# linux/if_tun.h
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
TAP_MODES = {"tun": 0x1, "tap": 0x2}
TAP_EXTRAS = {"": 0, "mq": 0x100, "vnet": 0x4000}
IFF_NO_PI = 0x1000
# Taps made here are the host's, and their names are of all cases; a monitor's own come up in a network of its own.
host_network = threading.RLock()


def kind(path):
    """What lies at `path`, with its rights: `socket 755`. False: nothing."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    names = ((stat.S_ISSOCK, "socket"), (stat.S_ISFIFO, "fifo"), (stat.S_ISDIR, "dir"), (stat.S_ISLNK, "symlink"))
    name = next((name for test, name in names if test(mode)), "file")
    return f"{name} {stat.S_IMODE(mode):o}"


class Stage:
    """A directory, which is gone with the block that it is used in. `<dir>` in a record stands for it."""

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="replay-")
        self.path = os.path.join(self.root, "d")
        os.mkdir(self.path, 0o755)
        # What cases find at ../x.
        with open(os.path.join(self.root, "x"), "wb") as file:
            file.write(b"x" * 65536)
        self.held, self.taps = [], []
        for name, content in FILES.items():
            with open(self / name, "wb") as file:
                if "base64" in content:
                    file.write(base64.b64decode(content["base64"]))
                else:
                    file.truncate(next(iter(content.values())))
        return self

    def __exit__(self, *error):
        for thing in self.held:
            thing.close()
        for tap in self.taps:
            subprocess.run(["ip", "link", "del", tap], stderr=subprocess.DEVNULL, check=False)
            host_network.release()
        shutil.rmtree(self.root, ignore_errors=True)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def expand(self, text):
        """The bytes that a recorded text stands for."""
        data = text.replace("<dir>", self.path).encode()
        data = re.sub(rb"<a\*(\d+)>", lambda found: b"a" * int(found[1]), data)
        return re.sub(rb"<x:([0-9a-f]{2})>", lambda found: bytes.fromhex(found[1].decode()), data)

    def fold(self, text):
        """What a monitor said, as a record would have it."""
        return re.sub(r"a{1000,}", lambda found: f"<a*{len(found[0])}>", text.replace(self.path, "<dir>"))

    def prepare(self, operations):
        for name, *rest in operations or ():
            getattr(self, "do_" + name)(*rest)

    def do_write(self, name, text):
        pathlib.Path(self / name).write_bytes(self.expand(text))

    def do_truncate(self, name, size):
        if os.path.exists(self / name):  # what an earlier process was to make, and could not
            os.truncate(self / name, size)

    def do_flip(self, name, offset):
        with open(self / name, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0xFF]))

    def do_mkdir(self, name):
        os.mkdir(self / name)

    def do_fifo(self, name):
        os.mkfifo(self / name)

    def do_remove(self, name):
        os.unlink(self / name)

    def do_symlink(self, target, name):
        os.symlink(self.expand(target).decode(), self / name)

    def do_chmod(self, name, mode):
        os.chmod(self / name, mode)

    def do_listen(self, name):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self / name)
        listener.listen()
        self.held.append(listener)

    def do_dead_socket(self, name):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self / name)

    def do_tap(self, name, mode, extra):
        host_network.acquire()
        self.taps.append(name)
        with open("/dev/net/tun", "r+b", buffering=0) as tun:
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_MODES[mode] | IFF_NO_PI | TAP_EXTRAS[extra]))
            fcntl.ioctl(tun, TUNSETPERSIST, 1)
