"""What a monitor does so seldom that no other test has it do it, under its filters: it must not end for it (status 148)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import api
import walls
from door import call

PATIENCE = 30


def configure(directory, guest, drives=()):
    config = {"boot-source": {"kernel_image_path": str(api.BARE / f"{guest}.elf")}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 16}, "drives": list(drives)}
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


def test_it_writes_a_layer_without_an_api(tmp_path):
    """Which has one that writes it: it is locked."""
    (tmp_path / "base").write_bytes(bytes(1 << 20))
    subprocess.run([api.BIN / "mote", "layer", "create", tmp_path / "layer", tmp_path / "base"], check=True, capture_output=True)
    drive = {"drive_id": "disk", "path_on_host": str(tmp_path / "layer"), "is_root_device": False, "format": "overlay", "layers": [str(tmp_path / "base")]}
    run = subprocess.run([api.BIN / "mote-vmm", "--no-api", *configure(tmp_path, "hello", drives=[drive]), "--exit-port"], capture_output=True, timeout=PATIENCE)
    assert run.returncode == 0, run


def expect_done(client, method, path, body):
    client.request(method, path, json.dumps(body))
    answer = client.getresponse()
    assert (answer.status, answer.read()) == (204, b""), (method, path)


def make_snapshot(directory, state="state"):
    """Its files are in the directory, its monitor's socket is below."""
    (directory / "saved").mkdir()
    with api.Monitor(directory / "saved", *configure(directory, "idle")) as monitor:
        client = monitor.client()
        expect_done(client, "PATCH", "/vm", {"state": "Paused"})
        expect_done(client, "PUT", "/snapshot/create", {"snapshot_path": str(directory / state), "mem_file_path": str(directory / "memory")})


def load_of(directory, **backend):
    backend = backend or {"backend_type": "File", "backend_path": str(directory / "memory")}
    return {"snapshot_path": str(directory / "state"), "mem_backend": backend, "resume_vm": True}


def test_it_saves_where_a_link_leads(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/state").touch()
    (tmp_path / "link").symlink_to("elsewhere/state")
    make_snapshot(tmp_path, "link")
    assert (tmp_path / "elsewhere/state").stat().st_size > 0 and (tmp_path / "link").is_symlink()


def test_it_notes_what_is_touched_first_and_brings_it_in(tmp_path):
    make_snapshot(tmp_path)
    for turn in range(2):
        (tmp_path / f"{turn}").mkdir()
        with api.Monitor(tmp_path / f"{turn}") as monitor:
            client = monitor.client()
            expect_done(client, "PUT", "/snapshot/load", load_of(tmp_path) | {"prefetch": True})
            deadline = time.monotonic() + PATIENCE
            while not (tmp_path / "memory.ws").exists():
                assert time.monotonic() < deadline and monitor.process.poll() is None
                time.sleep(0.05)
            time.sleep(0.3)
            expect_done(client, "PATCH", "/vm", {"state": "Paused"})


@pytest.fixture
def block_device(tmp_path):
    file = tmp_path / "on-loop"
    file.write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "--find", "--show", file], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def test_a_disk_becomes_a_block_device(tmp_path, block_device):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    config = configure(tmp_path, "idle", drives=[{"drive_id": "disk", "path_on_host": str(tmp_path / "disk"), "is_root_device": False}])
    with api.Monitor(tmp_path, *config) as monitor:
        expect_done(monitor.client(), "PATCH", "/drives/disk", {"drive_id": "disk", "path_on_host": block_device})


# A /dev of its own, in a mount namespace of its own, with no userfaultfd.
WITHOUT_DEVICE = """
mount -t tmpfs none "$0" && for name in kvm null urandom; do touch "$0/$name" && mount --bind "/dev/$name" "$0/$name" || exit 1; done
mount --rbind "$0" /dev && exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root, who may handle faults without a device")
def test_faults_are_handled_where_there_is_no_device(tmp_path):
    make_snapshot(tmp_path)
    (tmp_path / "dev").mkdir()
    with socket.socket(socket.AF_UNIX) as handler, api.Monitor(tmp_path, command=["unshare", "--mount", "sh", "-c", WITHOUT_DEVICE, tmp_path / "dev"]) as monitor:
        handler.bind(str(tmp_path / "handler"))
        handler.listen()
        handler.settimeout(PATIENCE)
        loading = threading.Thread(target=lambda: monitor.client().put("/snapshot/load", load_of(tmp_path, backend_type="Uffd", backend_path=str(tmp_path / "handler"))))
        loading.start()
        connection, _ = handler.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        assert os.readlink(f"/proc/self/fd/{descriptors[0]}") == "anon_inode:[userfaultfd]"
        os.close(descriptors[0])
        connection.close()
        loading.join(PATIENCE)
        assert monitor.process.poll() is None


@pytest.mark.parametrize("thread", ["machine", "api", "vcpu", "worker"])
def test_its_last_words_go_into_a_pipe(world, tmp_path, thread):
    """Its metrics are one: whether it takes a line is asked first."""
    pipe = tmp_path / "metrics"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with walls.free(world, "--metrics-path", str(pipe)) as (intruder, _):
            intruder.make(thread, [call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)])
            assert intruder.bad_call() == ("socket", 148)
        lines = os.read(reader, 1 << 20).splitlines()
        last = json.loads(lines[-1])
        assert last["seccomp"]["num_faults"] == 1 and last["bad_syscall"]["name"] == "socket", last
    finally:
        os.close(reader)


@pytest.mark.skipif(not os.path.exists("/dev/userfaultfd"), reason="no /dev/userfaultfd")
def test_it_goes_on_after_it_was_stopped(tmp_path):
    """The kernel lets a wait with an end go on by a call of its own making (restart_syscall): here the one for a page-fault handler."""
    make_snapshot(tmp_path)
    with socket.socket(socket.AF_UNIX) as handler, api.Monitor(tmp_path) as monitor:
        handler.bind(str(tmp_path / "handler"))
        handler.listen()
        handler.settimeout(PATIENCE)
        answers = []
        load = load_of(tmp_path, backend_type="Uffd", backend_path=str(tmp_path / "handler"))
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


@pytest.mark.skipif(shutil.which("qemu-storage-daemon") is None, reason="no qemu-storage-daemon")
def test_it_saves_and_forks_nothing_with_a_vhost_user_disk(tmp_path):
    """Whose state the backend has. The microVM goes on as it was, and no file is left."""
    far, disk = tmp_path / "far", tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    backend = subprocess.Popen(["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=disk,filename={disk}", "--export",
                                f"type=vhost-user-blk,id=export,addr.type=unix,addr.path={far},node-name=disk,writable=on"], stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(PATIENCE * 20):
            if far.is_socket():
                break
            time.sleep(0.05)
        with api.Monitor(tmp_path) as monitor:
            client = monitor.client()
            for path, body in (("/machine-config", {"vcpu_count": 1, "mem_size_mib": 16, "forkable": True}),
                               ("/boot-source", {"kernel_image_path": str(api.BARE / "idle.elf")}),
                               ("/drives/far", {"drive_id": "far", "is_root_device": False, "socket": str(far)}),
                               ("/actions", {"action_type": "InstanceStart"})):  # fmt: skip
                assert client.put(path, body)[0] == 204, path
            refused = client.put("/fork", "")
            assert refused[0] == 400 and b"'far'" in refused[1] and b"vhost-user" in refused[1], refused
            client.request("PATCH", "/vm", json.dumps({"state": "Paused"}))
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (204, b"")
            files = set(os.listdir(tmp_path))
            refused = client.put("/snapshot/create", {"snapshot_path": str(tmp_path / "s"), "mem_file_path": str(tmp_path / "m")})
            assert refused[0] == 400 and b"'far'" in refused[1] and b"vhost-user" in refused[1], refused
            assert set(os.listdir(tmp_path)) == files
            client.request("GET", "/")
            assert json.loads(client.getresponse().read())["state"] == "Paused"
    finally:
        backend.kill()
        backend.wait()
