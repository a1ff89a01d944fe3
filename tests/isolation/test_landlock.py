"""Files that a monitor may not reach: --allow-path through the API, --no-api, and the end of a parent."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import api

needs_landlock = pytest.mark.skipif(api.landlock_abi() == 0, reason="this kernel has no landlock")


def boot_source(kernel):
    return {"kernel_image_path": str(kernel)}


def drive(path, name="disk"):
    return {"drive_id": name, "path_on_host": str(path), "is_root_device": False}


@pytest.fixture
def places(tmp_path):
    """A directory that is allowed and one that is not, each with a kernel and a disk."""
    found = []
    for name in ("inside", "outside"):
        place = tmp_path / name
        place.mkdir()
        (place / "kernel").write_bytes((api.BARE / "idle.elf").read_bytes())
        (place / "disk").write_bytes(bytes(1 << 20))
        found.append(place)
    (found[0] / "link").symlink_to(found[1] / "disk")
    return found


@needs_landlock
def test_clients_bring_only_paths_that_are_allowed(tmp_path, places):
    inside, outside = places
    with api.Monitor(tmp_path, "--allow-path", inside) as monitor:
        client = monitor.client()
        status, text = client.put("/logger", {"log_path": str(outside / "log")})
        assert status == 400 and b"Permission denied" in text
        assert not (outside / "log").exists()
        assert client.put("/logger", {"log_path": str(inside / "log")})[0] == 204
        assert client.put("/metrics", {"metrics_path": str(outside / "metrics")})[0] == 400
        assert client.put("/metrics", {"metrics_path": str(inside / "metrics")})[0] == 204
        for way in (outside / "disk", inside / "link", inside / "../outside/disk", f"/proc/{os.getpid()}/cwd/../../{outside}/disk"):
            # Some are told at once, some when the disk is opened.
            refused = [client.put("/drives/disk", drive(way))[0]]
            if refused == [204]:
                client.put("/boot-source", boot_source(inside / "kernel"))
                refused = [client.put("/actions", {"action_type": "InstanceStart"})[0]]
            assert refused == [400], way
        assert client.put("/boot-source", boot_source(outside / "kernel"))[0] == 400
        assert client.put("/boot-source", boot_source(inside / "kernel"))[0] == 204
        assert client.put("/drives/disk", drive(inside / "disk"))[0] == 204
        assert client.put("/vsock", {"guest_cid": 3, "uds_path": str(inside / "vsock")})[0] == 204
        assert client.put("/actions", {"action_type": "InstanceStart"})[0] == 204
        assert (inside / "vsock").exists()


@needs_landlock
def test_a_single_file_may_be_allowed(tmp_path, places):
    inside, _ = places
    with api.Monitor(tmp_path, "--allow-path", inside / "kernel", "--allow-path", inside / "disk") as monitor:
        client = monitor.client()
        assert client.put("/logger", {"log_path": str(inside / "log")})[0] == 400
        assert client.put("/boot-source", boot_source(inside / "kernel"))[0] == 204
        assert client.put("/drives/disk", drive(inside / "disk"))[0] == 204
        assert client.put("/actions", {"action_type": "InstanceStart"})[0] == 204


def test_without_the_flag_clients_bring_any_path(tmp_path, places):
    _, outside = places
    with api.Monitor(tmp_path) as monitor:
        assert monitor.client().put("/logger", {"log_path": str(outside / "log")})[0] == 204


def test_a_path_that_is_not_there_is_told(tmp_path):
    done = subprocess.run([api.BIN / "mote-vmm", "--api-sock", tmp_path / "s", "--allow-path", tmp_path / "none"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1
    assert "--allow-path" in done.stderr and "none" in done.stderr
    assert not (tmp_path / "s").exists()


@needs_landlock
@pytest.mark.parametrize("flags", [("--no-api",), ("--allow-path", ".")], ids=["without an API", "with allowed paths"])
def test_the_log_says_which_version_holds(tmp_path, places, flags):
    config = tmp_path / "config"
    config.write_text(json.dumps({"boot-source": boot_source(api.BARE / "hello.elf"), "drives": [], "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}))
    where = ("--api-sock", tmp_path / "s", "--allow-path", api.BARE, "--allow-path", config) if flags[0] != "--no-api" else ()
    done = subprocess.run([api.BIN / "mote-vmm", *flags, *where, "--config-file", config, "--level", "Debug"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, cwd=tmp_path)
    assert done.returncode == 0 and f"landlock, version {api.landlock_abi()}" in done.stdout, done


@needs_landlock
def test_without_an_api_its_own_sockets_are_removed_at_the_end(tmp_path, places):
    inside, _ = places
    config = tmp_path / "config"
    config.write_text(json.dumps({"boot-source": boot_source(inside / "kernel"), "drives": [drive(inside / "disk")],
                                  "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
                                  "vsock": {"guest_cid": 3, "uds_path": str(inside / "vsock")}}))
    process = subprocess.Popen([api.BIN / "mote-vmm", "--no-api", "--config-file", config], stdout=subprocess.DEVNULL)
    for _ in range(1000):
        if (inside / "vsock").exists():
            break
        time.sleep(0.005)
    time.sleep(0.1)
    assert "NoNewPrivs:\t1" in pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert not (inside / "vsock").exists()


def test_dies_with_its_parent(tmp_path):
    """A parent that is killed takes a monitor with --die-with-parent along, and no other."""
    for flags, survives in (["--die-with-parent"], False), ([], True):
        script = f"""
import subprocess, sys, time
child = subprocess.Popen({[str(api.BIN / "mote-vmm"), "--api-sock", str(tmp_path / f"s{survives}"), *flags]!r}, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""
        parent = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE, text=True)
        monitor = int(parent.stdout.readline())
        while not (tmp_path / f"s{survives}").exists():
            time.sleep(0.005)
        parent.kill()
        parent.wait()
        time.sleep(0.3)
        state = pathlib.Path(f"/proc/{monitor}/stat")
        alive = state.exists() and state.read_text().rpartition(") ")[2][0] != "Z"
        if alive:
            os.kill(monitor, signal.SIGKILL)
        assert alive == survives
