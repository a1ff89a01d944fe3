"""What a monitor knows of its guest's secrets: not in what it freed, not on a swap partition, not in a core file."""

import http.client
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import time

import pytest

BIN = pathlib.Path(os.environ["MOTE_BIN"])


class Client(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def put(self, path, body):
        self.request("PUT", path, body)
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def monitor(tmp_path):
    path = tmp_path / "api.sock"
    process = subprocess.Popen([BIN / "mote-vmm", "--api-sock", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1000):
        try:
            Client(path).connect()
            break
        except OSError:
            time.sleep(0.005)
    yield process, path
    process.kill()
    process.wait()


def regions(pid):
    """[(start, end)] of what the process can write to."""
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = [re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line) for line in lines]
    return [(int(match[1], 16), int(match[2], 16)) for match in found if match]


def count(pid, text):
    """How often `text` stands in the memory of the process."""
    found = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in regions(pid):
            memory.seek(start)
            try:
                found += memory.read(end - start).count(text)
            except OSError:
                continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="looks into another process: needs root")
def test_metadata_that_was_replaced_is_nowhere(monitor):
    process, path = monitor
    secret = secrets.token_hex(32)
    client = Client(path)
    assert client.put("/mmds", '{"latest": {"key": "%s", "more": {"again": "%s"}}}' % (secret, secret))[0] == 204
    assert count(process.pid, secret.encode()) >= 2
    client.request("GET", "/mmds")
    assert secret in client.getresponse().read().decode()
    other = "x" * len(secret)
    assert client.put("/mmds", '{"latest": {"key": "%s", "more": {"again": "%s"}}}' % (other, other))[0] == 204
    client.close()
    client = Client(path)
    assert client.put("/mmds", "{}")[0] == 204
    client.close()
    time.sleep(0.2)  # the connection's buffers go with it, on a thread of their own
    assert count(process.pid, secret.encode()) == 0


def test_metadata_is_locked_in_memory(monitor):
    process, path = monitor
    status = pathlib.Path(f"/proc/{process.pid}/status")
    locked = lambda: int(re.search(r"VmLck:\s+(\d+) kB", status.read_text())[1])
    assert locked() == 0
    assert Client(path).put("/mmds", '{"a": "b"}')[0] == 204
    assert locked() > 0


def test_leaves_no_core_file_and_is_nobodys_to_look_into(tmp_path, monitor):
    process, _ = monitor
    # The kernel gives the files of a process that is not dumpable to root.
    assert pathlib.Path(f"/proc/{process.pid}/environ").stat().st_uid == 0
    process.send_signal(signal.SIGSEGV)
    assert process.wait(10) != -signal.SIGSEGV or not os.WCOREDUMP(process.returncode)
