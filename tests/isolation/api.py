"""A monitor that serves its API, for the tests of the walls."""

import ctypes
import http.client
import json
import os
import pathlib
import socket
import subprocess
import time

BIN = pathlib.Path(os.environ["MOTE_BIN"])
BARE = BIN.parent / "bare"  # guests of a few bytes
CREATE_RULESET_VERSION = 1
libc = ctypes.CDLL(None, use_errno=True)


def landlock_abi():
    """The version of landlock that this kernel has; 0: none."""
    return max(0, libc.syscall(444, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION))


class Client(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def put(self, path, body):
        """The status and the body of the answer; `body` is JSON text, or what becomes it."""
        self.request("PUT", path, body if isinstance(body, str) else json.dumps(body))
        answer = self.getresponse()
        return answer.status, answer.read()


class Monitor:
    """Serves at `socket` until the `with` ends. `command` stands before the monitor's."""

    def __init__(self, directory, *flags, command=()):
        self.socket = pathlib.Path(directory) / "api.sock"
        self.process = subprocess.Popen([*command, BIN / "mote-vmm", "--api-sock", self.socket, *flags], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid

    def __enter__(self):
        for _ in range(1000):
            try:
                Client(self.socket).connect()
                break
            except OSError:
                time.sleep(0.005)
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    def client(self):
        return Client(self.socket)
