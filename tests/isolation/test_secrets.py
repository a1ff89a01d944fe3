"""What a monitor knows of its guest's secrets: not in what it freed, not on a swap partition, not in a core file."""

import os
import pathlib
import re
import secrets
import signal
import time

import pytest

import api

@pytest.fixture
def monitor(tmp_path):
    with api.Monitor(tmp_path) as running:
        yield running


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
    secret = secrets.token_hex(32)
    client = monitor.client()
    assert client.put("/mmds", '{"latest": {"key": "%s", "more": {"again": "%s"}}}' % (secret, secret))[0] == 204
    assert count(monitor.pid, secret.encode()) >= 2
    client.request("GET", "/mmds")
    assert secret in client.getresponse().read().decode()
    other = "x" * len(secret)
    assert client.put("/mmds", '{"latest": {"key": "%s", "more": {"again": "%s"}}}' % (other, other))[0] == 204
    client.close()
    client = monitor.client()
    assert client.put("/mmds", "{}")[0] == 204
    client.close()
    time.sleep(0.2)  # the connection's buffers go with it, on a thread of their own
    assert count(monitor.pid, secret.encode()) == 0


def test_metadata_is_locked_in_memory(monitor):
    status = pathlib.Path(f"/proc/{monitor.pid}/status")
    locked = lambda: int(re.search(r"VmLck:\s+(\d+) kB", status.read_text())[1])
    assert locked() == 0
    assert monitor.client().put("/mmds", '{"a": "b"}')[0] == 204
    assert locked() > 0


def test_leaves_no_core_file_and_is_nobodys_to_look_into(tmp_path, monitor):
    process = monitor.process
    # The kernel gives the files of a process that is not dumpable to root.
    assert pathlib.Path(f"/proc/{process.pid}/environ").stat().st_uid == 0
    process.send_signal(signal.SIGSEGV)
    assert process.wait(10) != -signal.SIGSEGV or not os.WCOREDUMP(process.returncode)
