"""scripts/seccomp-coverage, which records what the filters' rules are used for: that it tells a rule that was used from one that was not."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

import api
from test_seldom import configure

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "scripts/seccomp-coverage"

pytestmark = pytest.mark.skipif(not (shutil.which("strace") and shutil.which("mawk")), reason="strace or mawk is not installed")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Where a bare guest's monitor was recorded, without an API."""
    place = tmp_path_factory.mktemp("coverage")
    subprocess.run([SCRIPT, "prepare", place, api.BIN.parent], check=True)
    run = subprocess.run([place / "bin/mote-vmm", "--no-api", *configure(place, "hello")], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "X" in run.stdout, run
    end = time.monotonic() + 30
    size = -1
    while True:  # the recorder ends after what it records
        written = sum(path.stat().st_size for path in (place / "traces").glob("trace-*"))
        if written == size > 0:
            return place / "traces"
        assert time.monotonic() < end, os.listdir(place / "traces")
        size = written
        time.sleep(0.5)


def report(traces):
    return subprocess.run([SCRIPT, "report", traces], capture_output=True, text=True, timeout=60)


def test_what_was_used_is_not_listed(recorded):
    run = report(recorded)
    assert run.returncode == 0 and "no rule of" not in run.stdout, run
    unused = run.stdout.splitlines()
    assert not [line for line in unused if line.startswith(("vcpu:", "launch:")) and "KVM_RUN" in line], unused
    # Nobody asked for a snapshot, nor is there an API.
    assert [line for line in unused if line.startswith("served:")] and [line for line in unused if line.startswith("api:") and "accept4" in line]


def test_a_call_that_no_rule_allows_is_listed(recorded, tmp_path):
    (tmp_path / "trace-1").write_text("vmm <mote-vmm> socket(0x2, 0x1, 0)\n")
    run = report(tmp_path)
    assert run.returncode == 1 and "no rule of vmm allows socket(0x2, 0x1, 0): 1 times" in run.stdout, run
