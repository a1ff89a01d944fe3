"""One recorded case of the API's socket, played again in a fresh process."""

import os
import re
import subprocess
import time

from cli import ours
from monitor import Monitor, play_earlier
from record import load, run
from stage import FILES, Stage, kind
from wire import decode, describe

SOCKET = ["--api-sock", "<dir>/api.sock"]
CONFIG = {"method": "GET", "path": "/vm/config"}


def needs_unbuilt(record):
    """Whether its stage is what is not built yet: the PCI transport."""
    return "--enable-pci" in record.get("args", []) + record.get("earlier_args", [])


def _described(answer, stage):
    shown = describe(answer, stage)
    return {name: ours(value) if name == "body" else value for name, value in shown.items()}


def _answers(data, stage):
    """The answers that `data` consists of, one that comes again counted, and how many bytes are none."""
    answers = []
    while data:
        answer, data = decode(data)
        if not answer:
            break
        shown = _described(answer, stage) | {"protocol": answer.protocol, "reason": answer.reason}
        if answers and {name: value for name, value in answers[-1].items() if name != "times"} == shown:
            times = answers[-1].get("times", 1)
            answers[-1]["times"] = times + 1 if times in (1, 2) else "more than 3"
        else:
            answers.append(shown)
    return answers, len(data)


def _talk(monitor, request, stage):
    """Raw bytes on one connection, until the monitor is silent for a quarter of a second."""
    pieces = request["raw"] if isinstance(request["raw"], list) else [request["raw"]]
    data, closed = b"", False
    with monitor.connect(0.25) as client:
        try:
            for number, piece in enumerate(pieces):
                time.sleep(0.05 if number else 0)
                client.sendall(stage.expand(piece))
            if request.get("shutdown"):
                client.shutdown(1)
        except OSError:
            pass  # it has closed: what it said before comes still
        while not closed:
            try:
                more = client.recv(1 << 16)
            except TimeoutError:
                break
            except OSError:
                more = b""
            closed = not more
            data += more
    answers, unparsed = _answers(data, stage)
    return {"responses": answers, "closed_by_server": closed, "unparsed_bytes": unparsed}


def _state(monitor):
    """What it says of its machine; None: it has ended."""
    if monitor.process.poll() is None:
        answer = monitor.ask({"method": "GET", "path": "/"})
        if answer.status == 200:
            return describe(answer, monitor.stage)["body"]["state"]
        try:
            monitor.process.wait(3)
        except subprocess.TimeoutExpired:
            return f"status {answer.status}"
    return None


def _config(monitor, stage):
    return describe(monitor.ask(CONFIG), stage).get("body", {})


def _aftermath(record, monitor, stage, outcome, fresh):
    state = _state(monitor)
    outcome["alive"] = state is not None
    if state is None:
        outcome["exit"] = monitor.exit()
        return
    outcome["state"] = state
    if record.get("then"):
        answers = [_described(monitor.ask(request), stage) for request in record["then"]]
        outcome["then_answers"] = [{name: value for name, value in answer.items() if name != "headers"} for answer in answers]
    changes = record["request"].get("method") in ("PUT", "PATCH", "DELETE") and outcome.get("status") in (200, 204)
    if changes and state == "Not started":
        outcome["config_changed"] = {name: value for name, value in _config(monitor, stage).items() if value != fresh.get(name)}


def play(record, program, fresh):
    """The outcome of a case: fields as in a record. `fresh`: fresh_config()."""
    outcome, request = {}, record["request"]
    with Stage() as stage:
        if record.get("earlier"):
            outcome["earlier_status"] = play_earlier(record, program, stage)
        stage.prepare(record.get("prepare"))
        with Monitor(program, SOCKET + record.get("args", []), stage) as monitor:
            monitor.await_socket()
            if record.get("before"):
                outcome["before_status"] = [monitor.ask(step).status for step in record["before"]]
            if "raw" in request:
                outcome.update(_talk(monitor, request, stage))
            else:
                outcome.update(_described(monitor.ask(request, 4 * record.get("timeout", 5)), stage))
            time.sleep(record.get("settle", 0))
            _aftermath(record, monitor, stage, outcome, fresh)
        if record.get("list_files"):
            names = [name for name in os.listdir(stage.path) if name not in FILES and name != "stdout"]
            sizes = {name: os.lstat(stage / name).st_size for name in names if name in ("mem", "mem2")}
            outcome["files"] = sorted(f"{name} {kind(stage / name)} {sizes.get(name, '')}" for name in names)
    return outcome


def fresh_config(program):
    """What GET /vm/config says of a process that nothing was asked of."""
    with Stage() as stage, Monitor(program, SOCKET, stage) as monitor:
        monitor.await_socket()
        return _config(monitor, stage)


def results(program, pattern=""):
    """[(record, outcome)] of the cases whose names fit and which can be played."""
    fresh = fresh_config(program)
    cases = [record for record in load("api") if re.search(pattern, record["name"]) and not needs_unbuilt(record)]
    return run(cases, lambda record: play(record, program, fresh))
