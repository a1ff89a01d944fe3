"""A disk of another process: QEMU's storage daemon, which is killed under the guest."""

import shutil
import signal
import subprocess
import threading
import time

import pytest
from harness import BOOT_SECONDS, make_initrd, vm_config

pytestmark = pytest.mark.skipif(not shutil.which("qemu-storage-daemon"),
                                reason="qemu-storage-daemon (package qemu-system-common) is not installed")

GUEST = r"""
echo "sectors=$(cat /sys/block/vda/size)"
echo "read=$(dd if=/dev/vda bs=512 count=8 2>/dev/null | md5sum | cut -c 1-32)"
echo from-the-guest | dd of=/dev/vda bs=512 seek=64 conv=sync,fsync 2>/dev/null && echo wrote=yes
echo ready=yes
sleep 1000
"""


class Daemon:
    """qemu-storage-daemon over one raw file."""

    def __init__(self, disk, socket):
        self.command = ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=disk,filename={disk}", "--export",
                        f"type=vhost-user-blk,id=export,addr.type=unix,addr.path={socket},node-name=disk,writable=on"]
        self.socket = socket
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        for _ in range(200):
            if self.socket.is_socket():
                return
            time.sleep(0.05)
        raise AssertionError("qemu-storage-daemon does not listen")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


def test_backend_serves_and_is_killed(vmm, kernel, tmp_path):
    disk, socket = tmp_path / "disk", tmp_path / "socket"
    disk.write_bytes(bytes(range(256)) * (16 << 12))
    daemon = Daemon(disk, socket)
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST))
    config["drives"] = [{"drive_id": "far", "is_root_device": False, "socket": str(socket), "cache_type": "Writeback"}]
    try:
        with subprocess.Popen([str(part) for part in vmm.command(config)], stdin=subprocess.DEVNULL, cwd=tmp_path,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as monitor:
            watchdog = threading.Timer(BOOT_SECONDS, monitor.kill)
            watchdog.start()
            seen = b""

            def read_until(marker):
                nonlocal seen
                while marker not in seen:
                    data = monitor.stdout.read1()
                    assert data, seen.decode(errors="replace")
                    seen += data

            try:
                read_until(b"ready=yes")
                assert disk.read_bytes()[64 * 512:].startswith(b"from-the-guest\n"), seen
                daemon.kill()
                # It keeps no notes of what it has under way, so nobody can go on for it: one line says so.
                read_until(b"backend is gone")
                time.sleep(1)
                assert monitor.poll() is None, "the monitor ended with its backend"
            finally:
                watchdog.cancel()
                monitor.terminate()
            out, _ = monitor.communicate(timeout=BOOT_SECONDS)
            text = (seen + out).decode(errors="replace")
        facts = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
        assert monitor.returncode == -signal.SIGTERM, text
        assert facts["sectors"] == str(disk.stat().st_size // 512) and facts["wrote"] == "yes", text
        assert text.count("backend is gone") == 1, text
    finally:
        daemon.kill()


def test_nobody_listens(vmm, kernel, tmp_path):
    config = vm_config(kernel)
    config["drives"] = [{"drive_id": "far", "is_root_device": False, "socket": str(tmp_path / "nobody")}]
    outcome = vmm.run(config)
    assert outcome.status == 1, outcome
    assert "drive 'far'" in outcome.errors + outcome.text, outcome
