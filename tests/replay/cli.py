"""One recorded command line, configuration file or signal, played again."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import record as records
from monitor import Monitor, play_earlier
from stage import Stage, kind
from wire import describe

DEFAULT_SOCKET = "/run/firecracker.socket"
VCPU_LINE = re.compile(r"\S+ \[[^:\]]*:fc_vcpu")


def ours(body):
    """An answer without what mote says of itself (docs/api.md)."""
    if not isinstance(body, dict) or "mote_version" not in body:
        return body
    return {name: "Firecracker" if name == "app_name" else value for name, value in body.items() if name != "mote_version"}


def shapes_agree(recorded, text):
    """Whether lines look as the recorded ones did: their form, and no thread, level or id beside those recorded. What a record
    leaves open is how many lines there are, and what they say."""
    forms = [re.compile(form) for form in recorded.get("line_shapes", ())]
    lines = [line for line in text.splitlines() if not VCPU_LINE.match(line)]
    strange = 0
    for line in lines:
        found = next((match for form in forms if (match := form.match(line))), None)
        if not found:
            strange += 1
            continue
        for name, plural in (("thread", "threads"), ("level", "levels"), ("id", "ids")):
            if name in found.groupdict() and found[name] not in recorded.get(plural, [found[name]]):
                return f"{name} {found[name]} in: {line}"
    if strange > recorded.get("other_lines", 0):
        return f"{strange} lines of another form: {lines[:3]}"
    missing = set(recorded.get("threads", ())) - {match["thread"] for line in lines for form in forms if (match := form.match(line))}
    return f"nothing from {sorted(missing)}" if missing else True


def metrics_of(path):
    """What is compared of a metrics file: its lines' number, the last one's counters and what its user chose."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []
    if not lines:
        return {"metrics_lines": 0}
    last = json.loads(lines[-1])
    counted = {group: {name: value for name, value in last[group].items() if value} for group in ("signals", "seccomp", "api_server") if group in last}
    for name in ("process_startup_time_us", "process_startup_time_cpu_us"):
        if name in counted.get("api_server", ()):
            counted["api_server"][name] = "<int>"
    return {"metrics_lines": len(lines), "metrics_last": counted, "metrics_top": {name: last[name] for name in ("id", "properties") if name in last}}


def _drain(fifo):
    try:
        return os.read(fifo, 1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fifo)


def _talk(record, monitor, stage, outcome):
    """The part of a case in which the monitor runs."""
    serves = "--api-sock" in record["args"] and "--no-api" not in record["args"]
    if any(record.get(field) for field in ("requests", "signal", "shape")):
        if serves:
            monitor.await_socket(2)
        outcome["requests_status"] = [monitor.ask(request).status for request in record.get("requests", ())]
        time.sleep(0.15)
    if record.get("shape") and monitor.process.poll() is None:
        outcome["threads"] = monitor.thread_names()
    signals = record.get("signal", ())
    for name in [signals] if isinstance(signals, str) else signals:
        monitor.process.send_signal(getattr(signal, name))
        time.sleep(0.05)
    try:
        monitor.process.wait(2 if signals else record.get("wait", 0.5))
        outcome["exit"] = monitor.exit()
    except subprocess.TimeoutExpired:
        outcome["exit"] = "running"
        if serves:
            root = describe(monitor.ask({"method": "GET", "path": "/"}, 2), stage).get("body")
            outcome["get_root"] = ours(root)
            if record.get("then"):
                answers = [describe(monitor.ask(request), stage) for request in record["then"]]
                outcome["then_answers"] = [{name: ours(value) for name, value in answer.items() if name != "headers"} for answer in answers]


def play(record, program):
    """The outcome of a case: fields as in a record, of those that are compared."""
    outcome = {}
    with Stage() as stage:
        if record.get("earlier"):
            outcome["earlier_status"] = play_earlier(record, program, stage)
        stage.prepare(record.get("prepare"))
        if "config" in record:
            stage.do_write("cfg.json", record["config"])
        fifos = {name: os.open(stage / name, os.O_RDONLY | os.O_NONBLOCK) for name in record.get("read_fifos", ())}
        takes_default = record["leaves"] == "the default socket"
        with open(stage / "stderr", "wb") as err, Monitor(program, record["args"], stage, stderr=err) as monitor:
            _talk(record, monitor, stage, outcome)
        outcome["leaves"] = kind(stage / "api.sock")
        if takes_default and os.path.exists(DEFAULT_SOCKET):
            outcome["leaves"] = "the default socket"
            os.unlink(DEFAULT_SOCKET)
        out = monitor.output()
        outcome["stderr_nonempty"] = os.path.getsize(stage / "stderr") > 0
        first = record.get("first_line")
        outcome["first_line"] = first if first and re.match(first, out.partition("\n")[0]) else None
        outcome["log"] = True if first else shapes_agree(record["stdout"], out)
        for name in record.get("read_files", ()):
            text = pathlib.Path(stage / name).read_text(encoding="utf-8", errors="replace") if os.path.exists(stage / name) else ""
            outcome.setdefault("log_files", {})[name] = shapes_agree(record["logs"][name] or {}, text)
        if record.get("metrics"):
            outcome.update(metrics_of(stage / "metrics"))
        for name, fifo in fifos.items():
            text, recorded = _drain(fifo), record["fifos"][name]
            json_lines = text.startswith("{")
            outcome.setdefault("log_fifos", {})[name] = "json_lines" in recorded if json_lines else shapes_agree(recorded, text)
    return outcome


def expected(record):
    """The record in the form of an outcome of play()."""
    wanted = dict(record, log=True)
    if "logs" in record:
        wanted["log_files"] = dict.fromkeys(record["logs"], True)
    if "fifos" in record:
        wanted["log_fifos"] = dict.fromkeys(record["fifos"], True)
    if "process" in record:
        wanted["threads"] = [thread["comm"] for thread in record["process"]["threads"]]
    return wanted


def results(program, pattern=""):
    """[(record, outcome)] of the cases whose names fit."""
    cases = [expected(record) for record in records.load("cli") if re.search(pattern, record["name"])]
    return records.run(cases, lambda record: play(record, program))
