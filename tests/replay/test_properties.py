"""Thousands of generated requests, most of them nearly sound: the monitor answers each, soon, with JSON and a status of
its contract, and one that it refuses has changed nothing."""

import json
import os
import pathlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import Monitor
from stage import Stage

TOP = pathlib.Path(__file__).resolve().parents[2]
OPENAPI = json.loads((TOP / "docs/openapi.json").read_text())
EXAMPLES = int(os.environ.get("MOTE_API_EXAMPLES", "2500"))

# What a field may hold beside what its schema asks for.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 1.5, -0.0, 1e300]),
    st.sampled_from(["", "a", "a" * 65536, "\u0000", "\u00e9\U0001f600", "../x", "None", "<a*10>"]),
    st.just([]),
    st.just({}),
    st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=2), max_leaves=20),
)
NAMES = ("disk.img", "disk2.img", "pmem.img", "odd.img", "empty.img", "idle.elf", "none", "", "new.sock", "out")


def at(reference):
    node = OPENAPI
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def sound(schema, directory, name=""):
    """A value that the schema allows."""
    if "allOf" in schema:
        (schema,) = schema["allOf"]
    if "$ref" in schema:
        return sound(at(schema["$ref"]), directory, name)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        small = st.integers(max(schema["minimum"], 0), min(schema["maximum"], 300))
        return st.one_of(small, st.sampled_from([128, 256, 3]), st.integers(schema["minimum"], schema["maximum"]))
    if kind == "string":
        if name.endswith("_id") or name in ("id", "network_interfaces"):
            return st.sampled_from(["a", "b", "c1"])
        return st.one_of(st.sampled_from([f"{directory}/{file}" for file in NAMES]), st.text(max_size=20))
    if kind == "array":
        return st.lists(sound(schema["items"], directory, name), max_size=3)
    if kind == "object":
        fields = {key: value_of(value, directory, key) for key, value in schema.get("properties", {}).items()}
        needed = {key: fields.pop(key) for key in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=fields)
    return st.dictionaries(st.text(max_size=5), ODD, max_size=3)


def value_of(schema, directory, name):
    """Sound nine times of ten."""
    return st.integers(0, 9).flatmap(lambda dice: ODD if dice == 0 else sound(schema, directory, name))


def bodies(operation, directory):
    if "requestBody" not in operation:
        return st.sampled_from([None, None, None, "{}", ""])
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    text = sound(schema, directory).map(json.dumps)
    cut = st.tuples(text, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    return st.integers(0, 9).flatmap(lambda dice: cut if dice == 0 else text)


def requests(directory):
    def of(choice):
        path, method, operation = choice
        known = st.sampled_from(["a", "b", "c1"])
        filled = known.map(lambda name: path[: path.index("{")] + name if "{" in path else path)
        return st.fixed_dictionaries(
            {"method": st.just(method.upper()), "path": filled, "body": bodies(operation, directory)}
        )

    operations = [(path, method, op) for path, methods in OPENAPI["paths"].items() for method, op in methods.items()]
    # Not those that end a monitor by their nature, or lead its log or metrics to where nobody looks.
    return st.sampled_from([o for o in operations if o[0] not in ("/actions", "/logger", "/metrics")]).flatmap(of)


def config(monitor):
    return monitor.ask({"method": "GET", "path": "/vm/config"}).body


def check(monitor, request):
    before = config(monitor)
    began = time.monotonic()
    answer = monitor.ask(request, 20)
    assert time.monotonic() - began < 10, request
    assert answer.status in (200, 204, 400, 413), (request, answer)
    body = json.loads(answer.body) if answer.body else None
    if answer.status >= 400:
        assert isinstance(body["fault_message"], str) and body["fault_message"], (request, answer)
        assert config(monitor) == before, request
    state = json.loads(monitor.ask({"method": "GET", "path": "/"}).body)["state"]
    assert state in ("Not started", "Running", "Paused"), request


STARTED = (
    ("/boot-source", {"kernel_image_path": "<dir>/idle.elf"}),
    ("/drives/a", {"drive_id": "a", "path_on_host": "<dir>/disk.img", "is_root_device": False}),
    ("/pmem/b", {"id": "b", "path_on_host": "<dir>/pmem.img"}),
    ("/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1}),
    ("/hotplug/memory", {"total_size_mib": 256}),
    ("/entropy", {}),
    ("/actions", {"action_type": "InstanceStart"}),
)


@pytest.fixture(params=[(), STARTED], ids=["before the start", "after the start"])
def monitor(request, program):
    with Stage() as stage, Monitor(program, ["--api-sock", "<dir>/api.sock"], stage) as monitor:
        monitor.await_socket()
        for path, body in request.param:
            answer = monitor.ask({"method": "PUT", "path": path, "body": json.dumps(body)})
            assert answer.status == 204, (path, answer)
        yield monitor


def test_generated_requests(monitor):
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(requests("<dir>"))
    def generated(request):
        check(monitor, request)

    generated()
