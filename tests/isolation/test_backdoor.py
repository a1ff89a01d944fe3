"""The back door that attacks come through is in a build for tests, and nowhere else."""

import re
import subprocess

import pytest

import door
import walls

PROGRAMS = sorted(path for path in walls.PROGRAMS.iterdir() if path.is_file())


def test_is_in_the_build_for_tests():
    assert door.HELLO in walls.BROKEN.read_bytes()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_is_in_no_other_program(program):
    assert door.HELLO not in program.read_bytes()


def test_is_off_where_nobody_asks_for_it():
    cache = (walls.PROGRAMS.parent / "CMakeCache.txt").read_text()
    assert re.search(r"^MOTE_TEST_BACKDOOR:BOOL=OFF$", cache, re.M)
    commands = (walls.PROGRAMS.parent / "compile_commands.json").read_text()
    assert "MOTE_TEST_BACKDOOR" not in commands and "backdoor.cc" not in commands


def test_cannot_be_installed(tmp_path):
    run = subprocess.run(["cmake", "--install", walls.BROKEN.parent.parent, "--prefix", tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "back door" in run.stderr
    assert not list(tmp_path.iterdir())


def test_does_nothing_in_the_monitor_that_is_installed(tmp_path):
    """The guest that knocks meets a port where nothing is."""
    walls.lay_out(tmp_path)
    flags = walls.configure(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired) as ended:
        subprocess.run([walls.PROGRAMS / "mote-vmm", "--no-api", *flags], capture_output=True, cwd=tmp_path, timeout=1, check=False)
    assert not ended.value.stderr
