"""A guest that says as much as it can makes nothing of the host's grow without bound: its serial port, the log, the metrics."""

import json
import time

import pytest

import api

PATIENCE = 60  # seconds, on a machine that has other work
LIES, BYTES = 100, 50_000  # what the guest does at least
LIMIT = {"size": 4096, "refill_time": 1000}  # bytes, and in which time there are as many again


def lies_in(counts):
    return counts["block"]["activate_fails"] + counts["block"].get("rings_broken", 0)


@pytest.fixture(scope="module", params=[None, LIMIT], ids=["unlimited", "limited"])
def flood(request, tmp_path_factory):
    """(the limit of the serial port, its file, the log, the lines of metrics, all counters) of a guest that floods."""
    place = tmp_path_factory.mktemp("flood")
    (place / "disk").write_bytes(bytes(1 << 20))
    with api.Monitor(place, "--log-path", place / "log", "--metrics-path", place / "metrics", "--level", "Trace") as monitor:
        client = monitor.client()
        serial = {"serial_out_path": str(place / "serial")} | ({"rate_limiter": request.param} if request.param else {})
        for path, body in (("/boot-source", {"kernel_image_path": str(api.BARE / "flood.elf")}), ("/serial", serial),
                           ("/drives/disk", {"drive_id": "disk", "path_on_host": str(place / "disk"), "is_root_device": False}),
                           ("/actions", {"action_type": "InstanceStart"})):  # fmt: skip
            status, text = client.put(path, body)
            assert status == 204, (path, text)
        began = time.monotonic()
        while True:
            time.sleep(0.2)
            client.request("GET", "/vm/metrics")
            counts = json.loads(client.getresponse().read())
            took = time.monotonic() - began
            if lies_in(counts) > LIES and counts["uart"]["write_count"] > BYTES:
                break
            assert took < PATIENCE, counts
        return request.param, took, (place / "serial").stat().st_size, (place / "log").read_text(), (place / "metrics").read_text(), counts


def test_the_serial_port(flood):
    limit, took, size, _, _, counts = flood
    if limit is None:
        assert size > BYTES / 2, "else nothing is shown by the limit"
    else:
        assert size <= limit["size"] * (2 + took * 1000 / limit["refill_time"])
        assert counts["uart"]["rate_limiter_dropped_bytes"] > size


def test_the_log(flood):
    _, _, _, log, _, _ = flood
    ours = [line for line in log.splitlines() if "drive 'disk'" in line]
    assert 0 < len(ours) <= 10, ours


def test_the_metrics(flood):
    _, took, _, _, metrics, _ = flood
    assert 1 <= len(metrics.splitlines()) <= 1 + took / 60 and len(metrics) < 64 * 1024
