"""Fixtures of the e2e tests. ./test e2e sets the variables; by hand, what was built before is taken."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402
import jailing  # noqa: E402
import sharing  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "reference: boots the kernel of $MOTE_SHARED, skipped where there is none")
    config.addinivalue_line("markers", "seconds(number): a test that takes long may take so many")
    config.addinivalue_line("markers", "unjailed(reason): not with MOTE_JAILED=1")
    shared = sharing.plugin()
    if shared:
        config.pluginmanager.register(shared, "sharing")


@pytest.fixture(scope="session", autouse=True)
def a_kvm():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("/dev/kvm is missing or not permitted: see mote doctor")


def pytest_runtest_setup(item):
    mark = item.get_closest_marker("unjailed")
    if jailing.JAILED and mark:
        pytest.skip(f"in a jail: {mark.args[0]}")


def pytest_unconfigure():
    if jailing.JAILED:
        jailing.remove()


def built(variable, *command):
    """A guest image: named by the environment, else where its builder says that it lies."""
    path = os.environ.get(variable)
    if not path:
        path = subprocess.run([harness.TOP.joinpath(command[0]), *command[1:], "--path"], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.strip()
    if not pathlib.Path(path).exists():
        pytest.skip(f"{path} is not built: {' '.join(command)}")
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def kernel():
    return built("MOTE_KERNEL", "guest/kernel/build")


@pytest.fixture(scope="session")
def rootfs():
    return built("MOTE_ROOTFS", "guest/rootfs/build", "busybox")


@pytest.fixture(scope="session")
def debian():
    return built("MOTE_DEBIAN", "guest/rootfs/build", "debian")


@pytest.fixture(scope="session")
def cloud():
    return built("MOTE_CLOUD", "guest/rootfs/build", "cloud")


@pytest.fixture(scope="session")
def reference_kernel():
    """name -> path of a reference kernel, vmlinux or bzImage."""
    directory = pathlib.Path(os.environ.get("MOTE_SHARED") or harness.TOP.parent / "shared") / "kernel"

    def find(name):
        if not (directory / name).exists():
            pytest.skip(f"there is no reference kernel {directory / name} (MOTE_SHARED)")
        return directory / name
    return find


@pytest.fixture(scope="session")
def mote(kernel, rootfs):
    return harness.Mote(kernel, rootfs)


@pytest.fixture
def vmm(tmp_path):
    return harness.Vmm(tmp_path)


@pytest.fixture
def pool_of_huge_pages():
    """160 of 2 MiB, which is more than such a test's guest takes."""
    pool = pathlib.Path("/proc/sys/vm/nr_hugepages")
    if not os.access(pool, os.W_OK):
        pytest.skip(f"needs a pool of huge pages, and {pool} is not ours to write")
    before = pool.read_text()
    pool.write_text("160")
    if int(pool.read_text()) < 160:
        pool.write_text(before)
        pytest.skip("this host's memory has no 160 huge pages in one piece each")
    yield
    pool.write_text(before)


@pytest.fixture(autouse=True)
def ends_in_time(request):
    """Every test: whatever it waits for, it does not wait for ever."""
    mark = request.node.get_closest_marker("seconds")
    seconds = max(3 * harness.BOOT_SECONDS, mark.args[0] if mark else 0)
    before = harness.processes("mote") | harness.processes("mote-vmm")

    def late(*_):
        for pid in (harness.processes("mote") | harness.processes("mote-vmm")) - before:
            os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"the test did not end within {seconds} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Every test: no monitor survives it."""
    before = harness.processes("mote-vmm")
    yield
    left = harness.processes("mote-vmm") - before
    assert not left, f"mote-vmm still runs: {left}"
