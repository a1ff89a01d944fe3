"""What a monitor does so seldom that no other test has it do it, under its filters: it must not end for it (status 148)."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import api

PATIENCE = 30


def configure(directory, guest):
    config = {"boot-source": {"kernel_image_path": str(api.BARE / f"{guest}.elf")}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 16}, "drives": []}
    (directory / "vm.json").write_text(json.dumps(config))
    return ["--config-file", directory / "vm.json"]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_it_logs_to_a_socket(tmp_path, kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        run = subprocess.run([api.BIN / "mote-vmm", "--no-api", *configure(tmp_path, "hello"), "--exit-port", "--level", "Debug", "--show-level"],
                             stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert run.returncode == 0, run
        assert b":DEBUG" in ours.recv(1 << 16)


def make_snapshot(directory):
    (directory / "saved").mkdir()
    with api.Monitor(directory / "saved", *configure(directory, "idle")) as monitor:
        client = monitor.client()
        client.request("PATCH", "/vm", json.dumps({"state": "Paused"}))
        assert client.getresponse().read() == b""
        assert client.put("/snapshot/create", {"snapshot_path": str(directory / "state"), "mem_file_path": str(directory / "memory")}) == (204, b"")


@pytest.mark.skipif(not os.path.exists("/dev/userfaultfd"), reason="no /dev/userfaultfd")
def test_it_goes_on_after_it_was_stopped(tmp_path):
    """The kernel lets a wait with an end go on by a call of its own making (restart_syscall): here the one for a page-fault handler."""
    make_snapshot(tmp_path)
    with socket.socket(socket.AF_UNIX) as handler, api.Monitor(tmp_path) as monitor:
        handler.bind(str(tmp_path / "handler"))
        handler.listen()
        handler.settimeout(PATIENCE)
        answers = []
        load = {"snapshot_path": str(tmp_path / "state"), "mem_backend": {"backend_type": "Uffd", "backend_path": str(tmp_path / "handler")}}
        loading = threading.Thread(target=lambda: answers.append(monitor.client().put("/snapshot/load", load)))
        loading.start()
        connection, _ = handler.accept()
        for _ in range(10):
            time.sleep(0.03)
            monitor.process.send_signal(signal.SIGSTOP)
            time.sleep(0.01)
            monitor.process.send_signal(signal.SIGCONT)
        assert monitor.process.poll() is None and not answers
        connection.close()
        loading.join(PATIENCE)
        assert answers and answers[0][0] == 400 and b"has gone" in answers[0][1], (answers, monitor.process.poll())
