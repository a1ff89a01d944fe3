"""Fixtures of the attacks."""

import os

import pytest

import walls


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("not root, who makes jails")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm")
    made = walls.World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()
