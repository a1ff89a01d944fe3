"""What an intruder may do in a monitor as it is used, with its walls together, and attacks that take more than calls."""

import errno
import os
import signal
import socket
import subprocess

import pytest

import api
import attacks
import jails
import rings
import walls
from attacks import ATTACKS, unix
from door import Result, call
from test_attacks import BAD_CALL, prepare, thread_of


@pytest.mark.parametrize("thread", ["machine", "machine with an API"])
def test_a_machine_that_connects_nothing_has_no_sockets(world, thread):
    with walls.free(world, with_api=thread != "machine", vsock=None) as (intruder, _):
        intruder.make("machine", [call("socket", socket.AF_UNIX, attacks.STREAM, 0)])
        assert intruder.bad_call() == ("socket", BAD_CALL)


@pytest.mark.skipif(api.landlock_abi() < 6, reason="this kernel's landlock does not know abstract sockets")
def test_abstract_sockets_are_out_of_reach_whatever_paths_clients_bring(world):
    with walls.free(world) as (intruder, site):
        address = unix(b"\0" + world.abstract.encode())
        answer = intruder.make("machine", [call("socket", socket.AF_UNIX, attacks.STREAM, 0), call("connect", Result(0), *address)])
        assert answer.error == "EPERM", answer


def test_a_socket_with_a_path_in_the_jail_may_be_connected(world):
    with walls.jailed(world, monitor=()) as (intruder, site), socket.socket(socket.AF_UNIX) as listener:
        path = f"/proc/{site.pid}/root/listens"
        listener.bind(path)
        listener.listen()
        os.chown(path, jails.UID, jails.UID)
        answer = intruder.make("machine", [call("socket", socket.AF_UNIX, attacks.STREAM, 0), call("connect", Result(0), *unix("/listens"))])
        assert answer.complete, answer


ALLOWED = [(attack, thread) for attack in ATTACKS for thread in walls.THREADS if thread not in attack.filters]


@pytest.mark.parametrize("attack, thread", ALLOWED, ids=lambda each: getattr(each, "name", each))
def test_what_the_filter_allows_fails_in_a_jail(world, attack, thread):
    prepare(world)
    with walls.jailed(world, monitor=(), with_api=thread != "machine") as (intruder, site):
        answer = intruder.make(thread_of(thread), attack.calls(site))
        assert not answer.complete and answer.user is None, answer


def test_a_setuid_program_brings_no_rights(world):
    """no_new_privs alone: the jail's user executes such a program, from a mount that is not nosuid."""
    command = ["setpriv", f"--reuid={jails.UID}", f"--regid={jails.GID}", "--clear-groups", world.directory / "setuid-probe"]
    assert subprocess.run(command, stderr=subprocess.PIPE, check=True).stderr == bytes(4), "without it, it brings root's"
    with walls.jailed(world) as (intruder, site):
        mounts = [line.split() for line in open(f"/proc/{site.pid}/mountinfo", encoding="ascii")]
        options = next(fields[5] for fields in mounts if fields[4] == "/host")
        assert "nosuid" not in options and "noexec" not in options
        answer = intruder.make("machine", [call("execve", site.setuid_program, 0, 0)])
        assert answer.user == jails.UID, answer


# A process that starts the monitor, and is not it.
PARENT = ("sh", "-c", '"$@" & wait', "sh")


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(") ")[2].split()[1])


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("thread", ["machine", "api", "vcpu", "worker"])
def test_ends_with_its_parent_whatever_an_intruder_does(world, thread):
    with walls.free(world, "--die-with-parent", command=PARENT) as (intruder, _):
        pid = intruder.make(thread, [call("getpid")]).results[0]
        assert parent_of(pid) == intruder.process.pid
        # It works on for as long as it can.
        intruder.send(thread, [call("getpid")], times=1 << 60)
        intruder.process.kill()
        jails.await_true("the monitor ends", lambda: not lives(pid), 5)


def test_would_outlive_its_parent_without_filters(world):
    with walls.free(world, "--die-with-parent", "--no-seccomp", command=PARENT) as (intruder, _):
        answer = intruder.make("machine", [call("getpid"), call("prctl", 1, 0, 0, 0, 0)])
        pid = answer.results[0]
        intruder.process.kill()
        intruder.process.wait()
        # It answers still.
        assert intruder.make("machine", [call("getpid")]).results == [pid] and parent_of(pid) != intruder.process.pid
        os.kill(pid, signal.SIGKILL)


def test_a_disks_ring_does_nothing_but_its_disks_work(world):
    """io_uring does what no filter sees. Its restrictions alone, as the intruder writes to the ring himself."""
    with walls.free(world, "--no-seccomp") as (intruder, site):
        ring = rings.Ring(intruder, site.pid)
        assert ring.submit(rings.READV, rings.FIXED_FILE) == 512
        for name, operation in rings.OTHERS.items():
            assert ring.submit(operation, rings.FIXED_FILE) == -errno.EACCES, name
        # Not of another file than the disk's either.
        assert ring.submit(rings.READV) == -errno.EACCES
        for register in (0, 2, 11):  # buffers, files, restrictions anew
            answer = intruder.make("machine", [call("io_uring_register", ring.fd, register, 0, 0)])
            assert answer.error in ("EACCES", "EINVAL", "EBADFD"), (register, answer)


@pytest.mark.parametrize("thread", ["api", "vcpu", "worker"])
def test_a_disks_ring_is_the_machine_threads(world, thread):
    with walls.free(world) as (intruder, _):
        intruder.make(thread, [call("io_uring_enter", 0, 0, 0, 0, 0, 0)])
        assert intruder.bad_call() == ("io_uring_enter", BAD_CALL)
