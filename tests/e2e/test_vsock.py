"""vsock between programs of the host and of a Linux guest: many streams at once, half-closing, slow readers, programs that die."""

import concurrent.futures
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zlib

import jailing
import pytest

from harness import BOOT_SECONDS, compile_program, counted, cpio_entry, run_process, vm_config

ECHO, SLOW, CALL, CHILDREN, WRITER = range(5000, 5005)
MIB = 1 << 20


def peer_initrd(directory):
    """An initramfs whose first process is vsock_peer.c."""
    binary = compile_program("vsock_peer.c", directory / "peer")
    entries = [("dev", stat.S_IFDIR | 0o755, b""), ("init", stat.S_IFREG | 0o755, binary.read_bytes())]
    packed = b"".join(cpio_entry(number, *entry) for number, entry in enumerate(entries, 1))
    packed += cpio_entry(3, "dev/console", stat.S_IFCHR | 0o600, device=(5, 1)) + cpio_entry(0, "TRAILER!!!", 0)
    (directory / "initrd").write_bytes(packed)
    return directory / "initrd"


class Guest:
    """A running machine with vsock_peer.c in it."""

    def __init__(self, vmm, config):
        self.path = str(vmm.directory / "v.sock")
        command = [str(part) for part in vmm.command(config)]
        self.process = subprocess.Popen(command, cwd=vmm.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = b""
        self.reader = threading.Thread(target=self.read_output, daemon=True)
        self.reader.start()

    def read_output(self):
        while data := self.process.stdout.read1():
            self.output += data

    def wait_for(self, text, seconds=BOOT_SECONDS):
        end = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < end and self.process.poll() is None, (text, self.output)
            time.sleep(0.05)

    def connect(self, port):
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(BOOT_SECONDS)
        stream.connect(self.path)
        stream.sendall(b"CONNECT %d\n" % port)
        answer = b""
        while not answer.endswith(b"\n"):
            byte = stream.recv(1)
            if not byte:
                raise ConnectionRefusedError(port)
            answer += byte
        assert answer.startswith(b"OK "), answer
        return stream

    def children(self):
        with self.connect(CHILDREN) as stream:
            return int(read_all(stream))

    def wait_for_children(self, number):
        end = time.monotonic() + 30
        while (now := self.children()) != number:
            assert time.monotonic() < end, now
            time.sleep(0.1)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(name="guest")
def running_guest(vmm, kernel, tmp_path):
    config = vm_config(kernel, initrd=peer_initrd(tmp_path), vcpus=2)
    config["vsock"] = {"guest_cid": 3, "uds_path": "v.sock"}
    config["metrics"] = {"metrics_path": "metrics"}
    guest = Guest(vmm, config)
    try:
        guest.wait_for(b"listening=yes")
        yield guest
    finally:
        if guest.process.poll() is None:
            guest.process.kill()
        guest.process.wait()


def read_all(stream):
    pieces = []
    while piece := stream.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


def echo_once(guest, data):
    """Sends and reads at once; whether the same came back."""
    with guest.connect(ECHO) as stream:
        sender = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)))
        sender.start()
        back = read_all(stream)
        sender.join()
        return back == data


def answer_with_checksum(listener):
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(BOOT_SECONDS)
        data = read_all(connection)
        connection.sendall(b"%d\n" % zlib.adler32(data))
        return len(data)


@contextlib.contextmanager
def service(guest, port):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(BOOT_SECONDS)
        listener.bind(f"{guest.path}_{port}")
        jailing.let_in(f"{guest.path}_{port}")
        listener.listen(256)
        yield listener


def check_many_streams(guest):
    """A hundred at once, half from each side; 150 MB without a lost byte."""
    data = random.Random(1).randbytes(MIB + 50)
    count = 50
    with service(guest, 1234) as listener, guest.connect(CALL) as request, concurrent.futures.ThreadPoolExecutor(2 * count) as pool:
        began = time.monotonic()
        answers = [pool.submit(answer_with_checksum, listener) for _ in range(count)]
        echoes = [pool.submit(echo_once, guest, data[i:i + MIB]) for i in range(count)]
        request.sendall(b"%d 1234 %d\n" % (count, MIB))
        assert all(echo.result() for echo in echoes)
        assert [answer.result() for answer in answers] == [MIB] * count
        assert int(read_all(request)) == count
        print(f"{3 * count} MiB in {time.monotonic() - began:.1f} s")
    guest.wait_for_children(0)


def check_slow_guest(guest):
    """A guest that reads slowly stops this stream, not another; the answer comes after this side's end."""
    data = random.Random(2).randbytes(2 * MIB)
    with guest.connect(SLOW) as stream:
        def send():
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        assert echo_once(guest, b"meanwhile")
        assert int(read_all(stream)) == zlib.adler32(data)
        sender.join()


def check_slow_host(guest):
    """What a guest wrote waits for a host that reads late, also after it has closed."""
    data = b"late" * 40000
    with guest.connect(ECHO) as stream:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        time.sleep(3)
        assert read_all(stream) == data


KILLED = """
import socket, sys, time
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
stream.sendall(b"CONNECT %d\\n" % int(sys.argv[2]))
print(stream.recv(20), flush=True)
stream.sendall(b"x" * 1000)
time.sleep(1000)
"""


def check_killed_host(guest):
    """The guest's program hears of the death of the host's, whether it reads or writes."""
    for port in (ECHO, WRITER):
        with subprocess.Popen([sys.executable, "-c", KILLED, guest.path, str(port)], stdout=subprocess.PIPE) as client:
            assert client.stdout.readline().startswith(b"b'OK")
            time.sleep(0.3)
            assert guest.children() == 1
            client.kill()
        guest.wait_for_children(0)
    guest.wait_for(b"writer_error=")


def check_refusals(guest):
    with pytest.raises(ConnectionRefusedError):
        guest.connect(4999)
    with guest.connect(CALL) as request:
        request.sendall(b"3 9999 10\n")
        assert int(read_all(request)) == 0, "nobody listens there"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(guest.path)
        stream.sendall(b"HELLO 1\n")
        assert stream.recv(10) == b""


def check_counters(counts):
    """150 MiB and more went through some hundred streams, and a SIGTERM leaves no number untold."""
    assert counts["rx_bytes_count"] > 50 * MIB and counts["tx_bytes_count"] > 100 * MIB, counts
    assert counts["rx_packets_count"] > 0 and counts["tx_packets_count"] > 0, counts
    assert 100 < counts["conns_removed"] <= counts["conns_added"], counts
    assert counts["tx_queue_event_fails"] == counts["rx_queue_event_fails"] == 0, counts


def test_vsock(vmm, guest):
    check_refusals(guest)
    check_many_streams(guest)
    check_slow_guest(guest)
    check_slow_host(guest)
    check_killed_host(guest)
    assert echo_once(guest, b"still there")
    assert pathlib.Path(guest.path).is_socket()
    assert guest.end() == -signal.SIGTERM
    assert not os.path.exists(guest.path), "the socket goes with the monitor"
    check_counters(counted(vmm.directory / "metrics")["vsock"])


def test_a_socket_that_is_there_is_refused(vmm, kernel):
    (vmm.directory / "v.sock").write_text("")
    config = vm_config(kernel)
    config["vsock"] = {"guest_cid": 3, "uds_path": "v.sock"}
    outcome = vmm.run(config)
    assert outcome.status > 0 and re.search(r"vsock: '\S*v\.sock' exists already", outcome.errors), outcome  # in a jail, by its whole path
