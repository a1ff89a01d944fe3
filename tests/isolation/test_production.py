"""`mote doctor --production` on this host, whatever it is like, and the page that says what it looks at."""

import json
import pathlib
import re
import subprocess

import api

PAGE = (pathlib.Path(__file__).parent.parent.parent / "docs/production-host.md").read_text()
STATES = {"ok", "limited", "missing", "unsafe"}


def doctor(*flags):
    """The status and what is said."""
    run = subprocess.run([api.BIN / "mote", "doctor", *flags], capture_output=True, text=True, timeout=60)
    assert run.returncode in (0, 1) and run.stderr == "", run
    return run.returncode, run.stdout


def items(*flags):
    return {item["name"]: item for item in json.loads(doctor("--json", *flags)[1])["items"]}


def test_it_looks_at_what_the_page_says():
    described = re.findall(r"^\| ([\w/ ]+) \|", PAGE.partition("| item |")[2], re.M)
    assert len(described) > 7
    added = [name for name in items("--production") if name not in items()]
    assert added == described


def test_what_is_not_as_wanted_has_its_advice():
    for item in items("--production").values():
        assert item["state"] in STATES and item["found"], item
        assert (item["state"] == "ok") == (item["advice"] == ""), item


def test_its_status_is_0_only_where_nothing_is_unsafe_or_missing():
    status, text = doctor("--production", "--json")
    said = json.loads(text)
    unsafe = [item["name"] for item in said["items"] if item["state"] == "unsafe"]
    assert said["safe"] == (unsafe == [])
    assert (status == 0) == (said["safe"] and said["ready"]), said
    status_of_text, text = doctor("--production")
    assert status_of_text == status
    assert re.findall(r"^unsafe +(\S.*?)  ", text, re.M) == unsafe
    assert ("not for microVMs that do not trust one another" in text) == bool(unsafe)


def test_without_the_flag_safety_is_not_judged():
    said = json.loads(doctor("--json")[1])
    assert said.get("safe") is None and not [item for item in said["items"] if item["state"] == "unsafe"]
