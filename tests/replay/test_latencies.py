"""How long pauses and snapshots take is told, of what was done last."""

import json
import os

from monitor import Monitor
from stage import Stage

SNAPSHOT = {"snapshot_path": "<dir>/state", "mem_file_path": "<dir>/memory"}
LOAD = {"snapshot_path": "<dir>/state", "mem_backend": {"backend_type": "File", "backend_path": "<dir>/memory"}}


def latencies(program, stage, requests):
    """latencies_us of a monitor of which this was asked."""
    with Monitor(program, ["--api-sock", "<dir>/api.sock", "--level", "Off"], stage) as monitor:
        monitor.await_socket()
        for method, path, body in requests:
            answer = monitor.ask({"method": method, "path": path, "body": json.dumps(body)})
            assert answer.status == 204, (path, answer)
        answer = monitor.ask({"method": "GET", "path": "/vm/metrics"})
    return {name for name, us in json.loads(answer.body)["latencies_us"].items() if us > 0}


def test_of_pauses_and_snapshots(program):
    with Stage() as stage:
        told = latencies(program, stage, [
            ("PUT", "/boot-source", {"kernel_image_path": "<dir>/idle.elf"}), ("PUT", "/actions", {"action_type": "InstanceStart"}),
            ("PATCH", "/vm", {"state": "Paused"}), ("PATCH", "/vm", {"state": "Resumed"}), ("PATCH", "/vm", {"state": "Paused"}),
            ("PUT", "/snapshot/create", SNAPSHOT), ("PUT", "/snapshot/create", SNAPSHOT | {"snapshot_type": "Diff"})])  # fmt: skip
        assert told == {"pause_vm", "resume_vm", "full_create_snapshot", "diff_create_snapshot", "vmm_pause_vm", "vmm_resume_vm",
                        "vmm_full_create_snapshot", "vmm_diff_create_snapshot"}  # fmt: skip
        os.unlink(stage / "api.sock")
        assert latencies(program, stage, [("PUT", "/snapshot/load", LOAD)]) == {"load_snapshot", "vmm_load_snapshot"}
