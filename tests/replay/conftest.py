import os
import pathlib

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def program():
    """mote-vmm under the name by which clients start Firecracker."""
    path = pathlib.Path(os.environ.get("MOTE_BIN", TOP / "build/release/bin")) / "firecracker"
    assert path.exists(), f"{path} is not built: scripts/build release"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm")
    if os.geteuid() != 0:
        pytest.skip("not root, so no taps and network namespaces")
    return str(path)
