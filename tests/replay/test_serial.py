"""Where the output of the first serial port goes, of a guest that writes one letter and resets."""

import json

from monitor import Monitor
from stage import Stage


def run(program, serial):
    """(what lies in the file of PUT /serial, what was written to standard output)"""
    with Stage() as stage, Monitor(program, ["--api-sock", "<dir>/api.sock", "--level", "Off"], stage) as monitor:
        monitor.await_socket()
        requests = (("/boot-source", {"kernel_image_path": "<dir>/hello.elf"}), ("/serial", serial),
                    ("/actions", {"action_type": "InstanceStart"}))  # fmt: skip
        for path, body in requests:
            answer = monitor.ask({"method": "PUT", "path": path, "body": json.dumps(body)})
            assert answer.status == 204, (path, answer)
        assert monitor.process.wait(10) == 0
        try:
            with open(stage / "serial", encoding="utf-8") as file:
                return file.read(), monitor.output()
        except FileNotFoundError:
            return None, monitor.output()


def test_to_standard_output(program):
    assert run(program, {}) == (None, "X")


def test_to_a_file(program):
    assert run(program, {"serial_out_path": "<dir>/serial"}) == ("X", "")
