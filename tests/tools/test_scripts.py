"""The checks that guard the source: each must find what it is there for."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("source, expected", [
    ("int f() {\n  return 1;\n}\n", [("f", 3)]),
    ("namespace a {\nstruct S {\n  int g(int x) const {\n    return x;\n  }\n};\n}\n", [("g", 3)]),
    ("Result<void> A::b(\n    int c)\n{\n}\n", [("A::b", 4)]),
    ('const char* s = "{"; // {\nint f() { auto l = [] { return \'}\'; }; return 2; }\n', [("f", 1)]),
    ("TEST(Queue, Wraps) {\n}\n", [("Queue.Wraps", 2)]),
    ("constexpr int kTable[] = {\n1,\n2\n};\nA::A(int b) : c_{b}, d_(b) {\n}\n", [("A::A", 2)]),
    ("#define X(a) \\\n  { a\nvoid f() {\n}\n", [("f", 2)]),
    ('auto s = R"x(void g() { )x";\nbool operator==(A a, A b) {\n  return 1\'000 == a;\n}\n', [("operator==", 3)]),
])
def test_functions_are_measured(source, expected):
    assert list(load("check-lengths").cpp_functions(source)) == expected


def test_a_cycle_of_arrows_is_found():
    check = load("check-arrows")
    assert check.cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert check.cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) in ("b", "c")


def test_the_report_counts_and_tells(tmp_path):
    (tmp_path / "unit.xml").write_text("""<testsuite>
        <testcase name="A.Good" status="run"/>
        <testcase name="A.Bad" status="fail"><failure message=""/><system-out>[ RUN ] A.Bad\nexpected 1</system-out></testcase>
        <testcase name="A.Gone" status="notrun"><skipped message="Unable to find executable"/></testcase>
        <testcase name="A.Skips" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
          <system-out>a.cc:2: Skipped\nneeds the moon\n[  SKIPPED ] A.Skips</system-out></testcase></testsuite>""")
    (tmp_path / "e2e.xml").write_text("""<testsuites><testsuite>
        <testcase name="t1"/><testcase name="t2"><skipped message="no kernel"/></testcase></testsuite></testsuites>""")
    done = subprocess.run([SCRIPTS / "test-report", tmp_path], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "2 passed, 2 failed, 2 skipped"
    for told in ("expected 1", "A.Gone", "skipped unit: A.Skips: needs the moon", "skipped e2e: t2: no kernel"):
        assert told in done.stdout


def test_nothing_run_is_a_failure(tmp_path):
    assert subprocess.run([SCRIPTS / "test-report", tmp_path], stdout=subprocess.PIPE, check=False).returncode == 1


def test_a_step_passes_stdout_and_status_on_and_shows_a_failure(tmp_path):
    script = f'set -euo pipefail; . {SCRIPTS}/lib.sh; logs=$1; path=$(step "find it" echo /a/path); echo "got $path"; ' \
             'step "break it" sh -c "echo the reason >&2; exit 5" || exit $?'
    done = subprocess.run(["bash", "-c", script, "bash", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 5
    assert done.stdout == "got /a/path\n"
    assert "find it" in done.stderr and "the reason" in done.stderr and "status 5" in done.stderr
