"""docs/openapi.json against Firecracker's contract: no path, status, field, type, default or range of it is missing.

data/contract.txt has a line a request, with its statuses, and below it a line a field of its body (<) or its answer (>).
"""

import json
import pathlib
import re

from stage import DATA

OPENAPI = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text())

# What is on purpose not as in the contract.
EXCEPTIONS = {
    r"PUT /cpu-config < (reg_modifiers|vcpu_features).*": "for Arm processors",
    r"PUT /logger < level enum": "a string that is read in any case",
    r"PATCH /machine-config < \w+ (required|default)": "a PATCH changes what it names",
    r"PUT /network-interfaces/\{iface_id\} < host_dev_name required": "tap_fds may be in its place",
    r"GET /vm/config > (logger|metrics|cpu-config).*": "never told, as by the original",
    r"PUT /snapshot/load < (snapshot_path|mem_backend.backend_path) required": "with Descriptors there are none; else their absence is refused",
    r"PUT /metrics < properties type": "read as any JSON; that it is an object of texts is checked apart",
    r"(PUT|PATCH|GET) /mmds .*": "any JSON",
}


def resolve(schema):
    while "$ref" in schema or "allOf" in schema:
        if "allOf" in schema:
            (schema,) = schema["allOf"]
        node = OPENAPI
        for step in schema["$ref"].removeprefix("#/").split("/"):
            node = node[step]
        schema = node
    return schema


def find(schema, place):
    """The schema at a.b[].c, and whether it is required; (None, False) where there is none."""
    required = False
    for step in place.split("."):
        name = step.removesuffix("[]")
        schema = resolve(schema)
        if name not in schema.get("properties", {}):
            return None, False
        required = name in schema.get("required", [])
        schema = resolve(schema["properties"][name])
        if step.endswith("[]"):
            schema = resolve(schema["items"])
    return schema, required


def lacks(schema, required, kind, more, answer):
    """What of a field's line the schema does not have."""
    if schema is None:
        return ["field"]
    found = []
    wanted = dict(re.findall(r"(\w+)=(\S*(?: started\S*)?)", more))
    if schema.get("type") != kind:
        found.append("type")
    if "required " in more and not required and not answer:
        found.append("required")
    if "enum" in wanted and not set(wanted["enum"].split("|")) <= set(schema.get("enum", [])):
        found.append("enum")
    if "default" in wanted and str(schema.get("default")).lower() != wanted["default"].lower():
        found.append("default")
    if "min" in wanted and schema.get("minimum", 0) > int(wanted["min"]):
        found.append("min")
    if "max" in wanted and schema.get("maximum", 0) < int(wanted["max"]):
        found.append("max")
    return found


def missing():
    found = []
    for line in (DATA / "contract.txt").read_text().splitlines():
        if not line.startswith(" "):
            method, path, *statuses = line.split()
            request = f"{method} {path}"
            operation = OPENAPI["paths"].get(path, {}).get(method.lower())
            if operation is None:
                found.append(request)
                operation = {"responses": {}}
            found += [f"{request} {status}" for status in statuses if status not in operation["responses"] and status != "404"]
            continue
        mark, place, more = line.split(maxsplit=2)
        kind = more.removeprefix("required ").split()[0]
        holder = operation["responses"].get("200", {}) if mark == ">" else operation.get("requestBody", {})
        schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
        schema, required = find(schema, place)
        found += [f"{request} {mark} {place} {lack}" for lack in lacks(schema, required, kind, more, mark == ">")]
    return found


def test_nothing_of_the_contract_is_missing():
    found = missing()
    assert [lack for lack in found if not any(re.fullmatch(exception, lack) for exception in EXCEPTIONS)] == []
    assert [exception for exception in EXCEPTIONS if not any(re.fullmatch(exception, lack) for lack in found)] == []
