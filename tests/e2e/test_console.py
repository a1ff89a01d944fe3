"""The virtio console: a terminal on the monitor's streams, and a second port that carries bytes."""

import hashlib
import os
import socket
import subprocess
import threading
import time

from harness import BOOT_SECONDS, make_initrd, vm_config

BYTES = 1 << 20

# hvc0 is the console; the second port echoes what it is sent, byte for byte.
GUEST = rf"""
echo "tty=$(cat /sys/class/tty/console/active)"
echo "name=$(cat /sys/class/virtio-ports/vport0p1/name)"
echo "rows=$(stty size < /dev/hvc0)"
echo "clock=$(ls /sys/bus/acpi/devices | grep -c AMZNC10C)"
stty raw -echo < /dev/hvc0
echo "ask=name?"
read answer
echo "hello=$answer"
stty sane < /dev/hvc0
echo "ready=yes"
exec 3<>/dev/vport0p1  # once: a port is for one program at a time
dd bs=4096 count={BYTES // 4096} iflag=fullblock <&3 >&3 2>/dev/null
echo "echoed=yes"
reboot -f
"""


def connect(path):
    for _ in range(BOOT_SECONDS * 10):
        try:
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            return client
        except (FileNotFoundError, ConnectionRefusedError):
            client.close()
            time.sleep(0.1)
    raise AssertionError("nobody listens")


def receive(client, into):
    while sum(map(len, into)) < BYTES:
        part = client.recv(65536)
        if not part:
            return
        into.append(part)


def test_a_terminal_and_a_port_for_bytes(vmm, kernel, tmp_path):
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST))
    config["boot-source"]["boot_args"] = config["boot-source"]["boot_args"].replace("ttyS0", "hvc0")
    config["console"] = {"ports": [{"mode": "Stdio"}, {"mode": "Socket", "path": "data.sock", "name": "data"}]}
    sent = os.urandom(BYTES)
    received = []
    with subprocess.Popen([str(part) for part in vmm.command(config)], cwd=vmm.directory, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        client = connect(vmm.directory / "data.sock")
        seen = b""
        answered = False
        reader = threading.Thread(target=receive, args=(client, received))
        try:
            while data := process.stdout.read1():
                seen += data
                if b"ask=name?" in seen and not answered:
                    answered = True
                    process.stdin.write(b"mote\n")
                    process.stdin.flush()
                if b"ready=yes" in seen and not reader.is_alive() and not received:
                    reader.start()
                    client.sendall(sent)
            process.wait(BOOT_SECONDS)
        finally:
            process.kill()
        errors = process.stderr.read()
    assert process.returncode == 0, (seen, errors)
    reader.join(10)
    facts = dict(line.split("=", 1) for line in seen.decode(errors="replace").replace("\r", "").splitlines() if "=" in line)
    assert facts["tty"] == "hvc0", seen
    assert facts["name"] == "data", seen
    assert facts["hello"] == "mote", seen
    assert facts["clock"] == "1", seen
    assert hashlib.sha256(b"".join(received)).digest() == hashlib.sha256(sent).digest(), len(b"".join(received))
    assert not (vmm.directory / "data.sock").exists()


def test_streams_are_given_once(vmm, kernel):
    config = vm_config(kernel)
    config["console"] = {"ports": [{"mode": "Stdio"}]}
    outcome = vmm.run(config, "--stdio-uart")
    assert outcome.status == 1, outcome
    assert "Stdio" in outcome.errors and "--stdio-uart" in outcome.errors, outcome
