"""The lab as its users meet it: output, status, what lasts, and how its own end is told from the command's."""

import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import pytest

LAB = pathlib.Path(__file__).resolve().parents[2] / "lab/lab"


def lab(*arguments, timeout=180, **options):
    return subprocess.run([LAB, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, **options)


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """One start that shows most of it."""
    where = tmp_path_factory.mktemp("lab")
    script = r"""
        echo kept > $LAB_OUT/kept; echo lost > lost; echo "$PWD|$SET|$PASSED|${NOT_PASSED-none}|$(id -u)|$LAB"
        [ -c /dev/kvm ] && [ -c /dev/net/tun ] && [ -c /dev/vhost-vsock ] && [ -e /sys/fs/cgroup/cgroup.controllers ] &&
          modprobe dm-crypt && echo devices
        pgrep -f hold_kvm > /dev/null && echo held
        grep -c svm /proc/cpuinfo; cat; echo 'to stderr' > /dev/stderr; sleep 1000 & printf 'no end of line'; exit 7"""
    environment = {**os.environ, "PASSED": "it's $HOME\n\"two\" lines", "NOT_PASSED": "x"}
    done = lab("-s", "2", "-o", where / "out", "-e", "PASSED", "-e", "SET=a=b", "--", "sh", "-c", script, cwd=where, env=environment)
    return where, done


def test_status_is_the_commands(visit):
    assert visit[1].returncode == 7, visit


def test_streams_arrive_apart_and_whole(visit):
    where, done = visit
    assert done.stdout.decode() == f"{where}|a=b|it's $HOME\n\"two\" lines|none|0|1\ndevices\nheld\n2\nno end of line"
    # What the lab says itself, as of what it fetches at its first start, begins with its name.
    assert [line for line in done.stderr.splitlines() if not line.startswith(b"lab: ")] == [b"to stderr"]


def test_only_the_shared_directory_lasts(visit):
    where, _ = visit
    assert (where / "out/kept").read_text() == "kept\n"
    assert sorted(path.name for path in where.iterdir()) == ["out"]


def test_output_is_binary_clean():
    done = lab("--", "sh", "-c", "head -c 5000000 /dev/urandom > /tmp/d; md5sum < /tmp/d | cut -c1-32 >&2; cat /tmp/d")
    assert len(done.stdout) == 5000000
    assert hashlib.md5(done.stdout).hexdigest() == done.stderr.decode().strip()


def test_a_command_that_is_not_there():
    done = lab("--", "no-such-command")
    assert done.returncode == 127 and b"no-such-command" in done.stderr, done


def test_a_crash_of_the_lab_is_told_from_a_failure():
    done = lab("--", "sh", "-c", "echo before; echo c > /proc/sysrq-trigger; sleep 60")
    assert done.returncode == 125, done
    assert done.stdout == b"before\n"
    assert b"lab: the machine stopped" in done.stderr and b"sysrq triggered crash" in done.stderr


def test_a_hang_of_the_lab_is_told_too(tmp_path):
    with subprocess.Popen([LAB, "--silence", "15", "--", "sh", "-c", "echo up; sleep 1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        assert process.stdout.readline() == b"up\n"
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (machine,) = [int(child) for child in children if b"qemu" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(machine, signal.SIGSTOP)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 125 and b"no sign of life for 15 s" in errors, errors


def test_a_timeout():
    done = lab("-t", "5", "--", "sleep", "100")
    assert done.returncode == 124 and b"5 s" in done.stderr, done


def content(path):
    try:
        return path.read_bytes()
    except OSError:  # the process has ended meanwhile
        return b""


def test_a_signal_ends_the_machine(tmp_path):
    with subprocess.Popen([LAB, "--", "sh", "-c", "echo up; sleep 100"], stdout=subprocess.PIPE,
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        assert process.stdout.readline() == b"up\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert time.monotonic() - began < 5
    assert not list(tmp_path.iterdir())
    running = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in content(path)]
    assert not running


def test_random_numbers_differ_between_starts():
    assert lab("--", "head", "-c", "16", "/dev/urandom").stdout != lab("--", "head", "-c", "16", "/dev/urandom").stdout


def test_a_saved_machine_that_is_damaged_is_replaced():
    cache = pathlib.Path(os.environ.get("MOTE_CACHE") or pathlib.Path.home() / ".cache/mote") / "lab"
    with tempfile.TemporaryDirectory() as scratch:
        mine = pathlib.Path(scratch) / "lab"
        mine.mkdir()
        (mine / "kernel").symlink_to(cache / "kernel")
        environment = {**os.environ, "MOTE_CACHE": scratch}
        assert lab("-m", "1024", "--", "true", env=environment).returncode == 0
        (state,) = mine.glob("state-*")
        state.write_bytes(state.read_bytes()[:1 << 20])
        assert lab("-m", "1024", "--", "true", env=environment).returncode == 0
        assert state.stat().st_size > 1 << 20
