"""What an intruder may take of a host with version 2 of cgroups, which a host that has version 1 cannot show: the tests of
tests/isolation/test_limits.py, where Linux guests run."""

import os
import sys

import pytest

import harness

sys.path.insert(0, str(harness.TOP / "tests/isolation"))
pytest.register_assert_rewrite("test_limits")
import walls  # noqa: E402
from test_limits import *  # noqa: E402, F403

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="not root, who makes jails"),
    pytest.mark.skipif(not walls.BROKEN.exists(), reason=f"{walls.BROKEN} is not built: scripts/build backdoor mote-vmm"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = walls.World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()
