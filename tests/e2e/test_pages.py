"""docs/snapshots.md and docs/fork.md, followed as they are written."""

import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

import pages
from api_client import Client
from harness import BOOT_SECONDS, make_initrd, program

pytestmark = [pytest.mark.unjailed("the pages are for a person, who starts monitors in a shell"),
              pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")]  # fmt: skip

MIB = 1 << 20
BOOT_ARGS = "console=ttyS0 reboot=k panic=-1 quiet"
# Counts, and says so.
GUEST = "n=0; while true; do n=$((n + 1)); echo tick=$n; sleep 0.5; done\n"


def wait_for(what, why):
    end = time.monotonic() + BOOT_SECONDS
    while not (found := what()):
        assert time.monotonic() < end, why()
        time.sleep(0.05)
    return found


def ticks(path, start=0):
    return [int(number) for number in re.findall(r"tick=(\d+)\r?\n", path.read_text(errors="replace")[start:])]


class Parent:
    """The microVM that the pages speak of: a monitor, which serves where they say."""

    def __init__(self, directory, sock):
        self.out = directory / "parent.out"
        with open(self.out, "wb") as output:
            self.process = subprocess.Popen([program("mote-vmm"), "--api-sock", sock], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(sock.exists, self.out.read_text)
        self.api = Client(sock, timeout=BOOT_SECONDS)

    def start(self, kernel, initrd):
        self.api.put_boot_source(kernel_image_path=str(kernel), initrd_path=str(initrd), boot_args=BOOT_ARGS)
        self.api.act("InstanceStart")
        wait_for(lambda: ticks(self.out), self.out.read_text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.api.close()
        self.process.kill()
        self.process.wait()


def end_monitors(before):
    """Those that a shell has started. Another process may end while it is looked at."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in before:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if open(f"/proc/{name}/comm").read() == "mote-vmm\n":
                    os.kill(int(name), signal.SIGKILL)


@pytest.fixture
def shell(tmp_path):
    """Files lie in the test's directory, under the names of the pages."""
    (tmp_path / "vm").mkdir()
    (tmp_path / "clones").mkdir()
    before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    with pages.Shell(tmp_path, {"/tmp/": f"{tmp_path}/", "/srv/vm/": f"{tmp_path}/vm/", "/clones/": f"{tmp_path}/clones/"}) as session:
        yield session
        end_monitors(before)


def goes_on_behind(shell, start, count):
    """A clone, which prints to the shell, goes on where the guest stopped; then it is ended. What the shell and the monitor print may be in the middle of
    a line of the guest's."""
    found = wait_for(lambda: (new := ticks(shell.said, start)) and len(new) > 2 and new, shell.text)
    assert count <= found[0] <= count + 2 and found == sorted(set(found)), (count, found)
    shell.run("disown; kill -9 $!")


def look_at(shell, api, directory):
    """The section of tools: of the snapshot that the first block has made, and of the changes since."""
    api.patch_vm("Resumed")
    count = ticks(directory / "parent.out")[-1]
    wait_for(lambda: ticks(directory / "parent.out")[-1] > count + 2, shell.text)
    api.patch_vm("Paused")
    api.create_snapshot(snapshot_path=str(directory / "vm/later"), mem_file_path=str(directory / "vm/changes"), snapshot_type="Diff")
    count = ticks(directory / "parent.out")[-1]
    block = pages.blocks(pages.page("snapshots.md").partition("## Looking at snapshots")[2], "console")[0]
    words = {"STATE": "/srv/vm/state", "ONE": "/srv/vm/state", "OTHER": "/srv/vm/later", "BASE": "/srv/vm/memory", "DIFF": "/srv/vm/changes"}
    said = [shell.paste(re.sub("|".join(words), lambda found: words[found[0]], command), status=1 if "OTHER" in command else 0)
            for command in pages.commands(block)]  # fmt: skip
    assert said[0] == "1.0.0\n" and "machine.vcpus[0]" in said[1] and said[2].startswith("machine.vcpus") and "config." not in said[2], said
    assert re.search(r"^machine\.vcpus\[0\]\..*: .*, ", said[3], re.M) and said[4] == "", said
    # What was laid over the base is the memory of the later state.
    start = len(shell.text())
    load = f'{{"snapshot_path": "{directory}/vm/later", "mem_file_path": "{directory}/vm/memory", "resume_vm": true}}'
    shell.run(f"mote-vmm --no-api --load '{load}' &")
    goes_on_behind(shell, start, count)


def fork_as_written(shell, parent, directory):
    api = parent.api
    api.patch_vm("Resumed")
    command = pages.commands(pages.blocks(pages.page("fork.md"), "console")[0])[-1]
    assert "mote fork" in command
    sockets = shell.paste(command).split()
    assert len(sockets) == 3 and all(os.path.dirname(path) == str(directory / "children") for path in sockets), sockets
    for path in sockets:
        out = (directory / "children" / os.path.basename(path)).with_suffix(".log")
        wait_for(lambda out=out: len(ticks(out)) > 2, shell.text)
    count = ticks(parent.out)[-1]
    wait_for(lambda: ticks(parent.out)[-1] > count + 2, shell.text)


def test_snapshots_and_forks(tmp_path, kernel, shell):
    make_initrd(tmp_path / "initrd", GUEST)
    first, *_ = pages.blocks(pages.page("snapshots.md"), "console")
    with Parent(tmp_path, tmp_path / "vm.sock") as parent:
        # What comes before the start.
        shell.paste(pages.commands(pages.blocks(pages.page("fork.md"), "console")[0])[0])
        assert parent.api.machine_config()["mem_size_mib"] == 512
        parent.api.patch_machine_config(track_dirty_pages=True)
        parent.start(kernel, tmp_path / "initrd")
        count, start = None, None
        for command in pages.commands(first):
            if "mote-vmm" in command:
                count, start = ticks(parent.out)[-1], len(shell.text())
            said = shell.paste(command)
            if "mote-vmm" in command:
                wait_for((tmp_path / "clone.sock").exists, shell.text)
            else:
                # But for what the monitor behind the shell says of it.
                assert said == "" or start is not None, (command, said)
        goes_on_behind(shell, start, count)
        look_at(shell, parent.api, tmp_path)
        fork_as_written(shell, parent, tmp_path)


def test_a_load_from_the_command_line(tmp_path, kernel, shell):
    """Onto a layer, a tap and an address of its own."""
    make_initrd(tmp_path / "initrd", GUEST)
    (tmp_path / "base").write_bytes(b"base" * (MIB // 4))
    taps = ("tap0", "tap7")
    for name in taps:
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
    try:
        with Parent(tmp_path, tmp_path / "vm.sock") as parent:
            shell.run(f"mote layer create {tmp_path}/first.layer {tmp_path}/base")
            api = parent.api
            api.put_drive("root", path_on_host=str(tmp_path / "first.layer"), is_root_device=True, format="overlay", layers=[str(tmp_path / "base")])
            api.put_network_interface("eth0", host_dev_name="tap0", guest_mac="06:00:ac:10:00:02")
            parent.start(kernel, tmp_path / "initrd")
            api.patch_vm("Paused")
            api.create_snapshot(snapshot_path=str(tmp_path / "vm/state"), mem_file_path=str(tmp_path / "vm/memory"))
            count, start = ticks(parent.out)[-1], len(shell.text())
            shell.paste(pages.commands(pages.blocks(pages.page("snapshots.md"), "console")[1])[0] + " &")
            goes_on_behind(shell, start, count)
            assert shell.run(f"mote layer check {tmp_path}/clones/7.layer " + " ".join(api.vm_config()["drives"][0]["layers"])) == ""
    finally:
        for name in taps:
            subprocess.run(["ip", "link", "delete", name], check=False)
