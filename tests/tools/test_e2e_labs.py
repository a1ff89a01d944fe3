"""How labs share the e2e tests: each test runs once, and what a lab that stops leaves behind is run by the next."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree as xml

TOP = pathlib.Path(__file__).resolve().parents[2]
CONFTEST = f"""
import sys
sys.path.insert(0, {str(TOP / "tests/e2e")!r})
import sharing

def pytest_configure(config):
    config.pluginmanager.register(sharing.plugin(), "sharing")
"""
TESTS = """
import os, time
import pytest

@pytest.fixture(scope="module", params=["a", "b"])
def kind(request):
    yield request.param

@pytest.mark.parametrize("number", range(10))
def test_one(kind, number):
    time.sleep(0.02)
    with open("ran", "a") as file:
        file.write(f"{kind}{number}\\n")

def test_bad():
    assert 1 == 2, "as it should"

def test_none():
    pytest.skip("not here")
"""


def script():
    loader = importlib.machinery.SourceFileLoader("e2e_labs", str(TOP / "scripts/e2e-labs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("e2e_labs", loader))
    loader.exec_module(module)
    return module


def start(directory, shared, name):
    return subprocess.Popen(["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"], cwd=directory,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "LAB_OUT": str(shared), "E2E_LAB": name})


def test_each_test_runs_once(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    run = script().Run(tmp_path / "results", [])
    processes = [start(tmp_path, run.shared, name) for name in ("x", "y")]
    said = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert sorted((tmp_path / "ran").read_text().split()) == sorted(f"{kind}{number}" for kind in "ab" for number in range(10)), said
    assert sorted(process.returncode for process in processes) == [0, 1], said  # one of them had the bad one
    assert run.report() == 22
    cases = {case.get("name"): case for case in xml.parse(run.results / "e2e.xml").iter("testcase")}
    assert len(cases) == 22
    assert "as it should" in cases["test_bad"].findtext("failure")
    assert "not here" in cases["test_none"].find("skipped").get("message")


def claim(run, lab, test, running):
    directory = run.shared / "claims" / test
    directory.mkdir()
    (directory / "by").write_text(f"{lab} {test}")
    if running:
        (directory / "running").write_text("")


def test_a_lab_that_stops_leaves_its_tests_to_others(tmp_path):
    run = script().Run(tmp_path, [])
    for test, running in (("done", True), ("broken", True), ("ahead", False)):
        claim(run, "x", test, running)
    claim(run, "y", "others", True)
    record = {"test": "done", "outcome": "passed", "seconds": 1}
    (run.shared / "x.jsonl").write_text(json.dumps(record) + "\n" + '{"test": "bro')
    run.release("x", "it hung")
    assert sorted(path.name for path in (run.shared / "claims").iterdir()) == ["done", "others"]
    assert not run.lost
    claim(run, "z", "broken", True)
    run.release("z", "it hung again")
    assert run.lost == {"broken": "it hung again"}
    assert run.report() == 2 and run.status == 1
    (case,) = [case for case in xml.parse(tmp_path / "e2e.xml").iter("testcase") if case.get("classname") == "broken"]
    assert "it hung again" in case.findtext("failure")
