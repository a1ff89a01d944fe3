"""mote run: a command in a microVM, its output, its input, its status, and a root that is never written."""

import hashlib
import os
import random

import pytest

from harness import IN_LAB, make_image, make_tree

# Every byte of the second UART is an exit, and an exit in the lab costs 50 times what it costs on hardware.
PAYLOAD = (96 << 10) if IN_LAB else (1 << 20)

FACTS = r"""
echo "kernel=$(uname -s)"
echo "cpus=$(nproc)"
echo "memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
echo "directory=$PWD"
echo "greeting=$GREETING"
echo "empty=${EMPTY-unset}"
echo "root=$(awk '$2 == "/" {print $3}' /proc/mounts)"
echo "disk_is_read_only=$(cat /sys/block/vda/ro)"
echo "mounts=$(awk '{printf "%s ", $2}' /proc/mounts)"
echo "user=$(id -u)"
echo "second_argument=$2"
touch /written && echo "writable=yes"
echo to stderr >&2
"""


@pytest.fixture(scope="module")
def facts(mote):
    """One microVM that tells what the tests below look at."""
    options = ["--cpus", "2", "--memory", "384M", "--env", "GREETING=hello = world", "--env", "EMPTY=", "--workdir", "/tmp"]
    outcome = mote.run("/bin/sh", "-c", FACTS, "sh", "one", "a 'b\n\"c $x", options=options)
    assert outcome.status == 0, outcome
    return outcome


def test_prints_nothing_of_its_own(facts):
    assert facts.text.startswith("kernel=Linux\n"), facts
    assert facts.errors == "", facts


def test_output_is_not_changed_by_a_terminal(facts):
    assert "\r" not in facts.text


def test_stderr_is_merged_into_stdout(facts):
    assert facts.text.rstrip().endswith("to stderr"), facts


def test_cpus(facts):
    assert facts.facts["cpus"] == "2"


def test_memory(facts):
    assert 384 * 0.85 < int(facts.facts["memory"]) <= 384


def test_workdir(facts):
    assert facts.facts["directory"] == "/tmp"


def test_environment(facts):
    assert facts.facts["greeting"] == "hello = world"
    assert facts.facts["empty"] == ""


def test_arguments_arrive_whole(facts):
    assert "second_argument=a 'b\n\"c $x\n" in facts.text


def test_root_is_a_throw_away_layer(facts):
    assert facts.facts["root"] == "overlay"
    assert facts.facts["disk_is_read_only"] == "1"
    assert facts.facts["writable"] == "yes"


def test_the_usual_file_systems_are_mounted(facts):
    assert {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", "/tmp", "/sys/fs/cgroup"} <= set(
        facts.facts["mounts"].split())


def test_runs_as_root(facts):
    assert facts.facts["user"] == "0"


@pytest.mark.parametrize("command, status", [
    (["/bin/true"], 0),
    (["/bin/sh", "-c", "exit 7"], 7),
    (["/bin/sh", "-c", "exit 255"], 255),
    (["/bin/sh", "-c", "kill -KILL $$"], 137),
])
def test_status_is_the_commands(mote, command, status):
    outcome = mote.run(*command)
    assert outcome.status == status, outcome
    assert outcome.stdout == b"" and outcome.stderr == b"", outcome


def test_a_command_that_is_not_there(mote):
    outcome = mote.run("/no/such/program")
    assert outcome.status == 127, outcome
    assert "/no/such/program" in outcome.text + outcome.errors, outcome


def test_a_command_that_cannot_be_executed(mote):
    outcome = mote.run("/etc")
    assert outcome.status == 126, outcome
    assert "/etc" in outcome.text + outcome.errors, outcome


def test_a_command_is_found_in_path(mote):
    assert mote.run("true").status == 0


def test_output_is_binary_clean(mote):
    outcome = mote.sh(f"head -c {PAYLOAD} /dev/urandom > /tmp/data; md5sum < /tmp/data | cut -c1-32; cat /tmp/data")
    assert outcome.status == 0, outcome.errors
    expected, _, data = outcome.stdout.partition(b"\n")
    assert len(data) == PAYLOAD
    assert hashlib.md5(data).hexdigest().encode() == expected


def test_input_is_binary_clean_and_ends(mote):
    data = bytes(range(256)) + random.Random(1).randbytes(PAYLOAD - 256)
    outcome = mote.sh("md5sum; echo done", stdin=data)
    assert outcome.status == 0, outcome
    assert outcome.text == f"{hashlib.md5(data).hexdigest()}  -\ndone\n", outcome


def test_empty_input_ends_at_once(mote):
    outcome = mote.run("/bin/cat")
    assert outcome.status == 0 and outcome.stdout == b"", outcome


def test_input_that_nobody_reads_does_not_hold_the_end(mote):
    outcome = mote.run("/bin/true", stdin=b"x" * 65536)
    assert outcome.status == 0, outcome


def test_a_process_left_behind_does_not_hold_the_end(mote):
    outcome = mote.sh("sleep 1000 & echo started; exit 3")
    assert outcome.status == 3, outcome
    assert outcome.text == "started\n", outcome


def test_the_console_is_shown_on_request(mote):
    quiet = mote.run("/bin/true")
    loud = mote.run("/bin/true", options=["--console"])
    assert quiet.stderr == b"" and loud.status == 0
    assert "Linux version" in loud.errors and loud.stdout == b"", loud


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("root") / "tree", files={"etc/marker": "from the tree\n"})


@pytest.mark.parametrize("kind", ["ext4", "squashfs", "erofs"])
def test_image_kinds(mote, tree, tmp_path, kind):
    image = make_image(kind, tree, tmp_path / "image")
    before = hashlib.sha256(image.read_bytes()).digest()
    for _ in range(2 if kind == "ext4" else 1):  # a journal would be replayed by a mount that may write
        outcome = mote.sh("cat /etc/marker; echo more > /etc/marker; rm -r /root; sync; cat /etc/marker", rootfs=image)
        assert outcome.status == 0, outcome
        assert outcome.text == "from the tree\nmore\n", outcome
    assert hashlib.sha256(image.read_bytes()).digest() == before


def test_a_directory_is_a_root(mote, tree, tmp_path):
    outcome = mote.sh("cat /etc/marker; echo more > /etc/marker; ls -ld /tmp | cut -c1", rootfs=tree,
                      env={**os.environ, "TMPDIR": str(tmp_path)})
    assert outcome.status == 0, outcome
    assert outcome.text == "from the tree\nd\n", outcome
    assert (tree / "etc/marker").read_text() == "from the tree\n"
    assert not list(tmp_path.iterdir()), "the image made of the directory stays behind"


def test_debian(mote, debian):
    outcome = mote.run("apt-get", "--version", rootfs=debian, options=["--memory", "512M"])
    assert outcome.status == 0, outcome
    assert outcome.text.startswith("apt "), outcome
