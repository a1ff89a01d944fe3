"""Programs start by src/programs/start.c, without glibc's look at the processor, and find all that glibc's own start leaves."""

import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

BIN = pathlib.Path(os.environ["MOTE_BIN"])
CHECK = BIN.parent / "tests/start_check"
EXPECTED = """\
3 arguments, the last is two
before main, with an environment
guards set
in a thread 7, guards set
in the first thread 5
copies right
page size 4096, signal stack known
caught
atexit
static destructor
"""


def test_a_program_finds_what_it_needs():
    done = subprocess.run([CHECK, "one", "two"], env={"START_CHECK": "an environment"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, EXPECTED, "")


def test_without_standard_streams_nothing_is_lost():
    """As a jailer's child that closed them."""
    done = subprocess.run(["sh", "-c", f"exec {CHECK} two >&- 2>&- <&-"], env={"START_CHECK": "x", "PATH": os.environ["PATH"]}, check=False)
    assert done.returncode == 7


def closed(words):
    """Such a program, started with no standard stream open."""
    return subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words])


def streams(pid):
    return [os.readlink(f"/proc/{pid}/fd/{stream}") for stream in range(3)]


def test_what_a_monitor_opens_becomes_no_standard_stream(tmp_path):
    """Its guest would write to that."""
    path = tmp_path / "s"
    monitor = closed([BIN / "mote-vmm", "--api-sock", path])
    end = time.monotonic() + 20
    while not path.exists():
        assert monitor.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    assert streams(monitor.pid) == [os.devnull] * 3
    monitor.kill()
    monitor.wait()


def test_what_a_client_opens_becomes_no_standard_stream(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.settimeout(20)
        client = closed([BIN / "mote", "api", tmp_path / "s", "GET", "/"])
        with listener.accept()[0]:
            assert streams(client.pid) == [os.devnull] * 3
        assert client.wait(20) == 2


@pytest.mark.parametrize("name", ["mote", "mote-jailer", "mote-vmm"])
def test_the_processor_is_not_asked(name):
    """glibc's own start has some thirty places where it is."""
    if "programs/start.c" not in (BIN.parent / "compile_commands.json").read_text():
        pytest.skip("this glibc starts the programs itself (cmake/Start.cmake)")
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", BIN / name], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert len(re.findall(r"\tcpuid", code)) < 20
