"""Fixtures of the tests of mote-jailer, which are root's and run bare guests on whatever KVM there is."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import jails  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def needed():
    for path in (jails.JAILER, jails.MONITOR, jails.GUESTS / "hello.elf"):
        assert path.exists(), f"{path} is not built: scripts/build release mote-vmm mote-jailer bare-guests"
    if os.geteuid() != 0:
        pytest.skip("not root, who makes jails")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm")


@pytest.fixture
def place(tmp_path):
    """A directory in which jails lie, that users without rights may pass through."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and directory != pathlib.Path("/") and directory.stat().st_mode & 0o011 != 0o011:
            directory.chmod(directory.stat().st_mode | 0o011)
    yield jails.Place(tmp_path)
    jails.end_all(tmp_path)
