"""What the pages of disks and networks have a host do, done as it is written, and then a machine with what the page configures on it. What they
have a guest do is a matter of tests/e2e."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from stage import Stage

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.M | re.S)


def commands(block, prompt):
    """What is behind each prompt, with the lines that it goes on in, and without what is said of it."""
    return [re.sub(r"(?m)\s+#.*$", "", command).rstrip() for command in re.split(rf"^{re.escape(prompt)} ", block, flags=re.M)[1:]]


def piece(page, word):
    """The first piece of a configuration on the page that has the word, as sections."""
    text = next(text for text in blocks(page, "json") if word in text)
    return json.loads(f"{{{text}}}")


def ends_well(program, directory, sections):
    """A machine whose guest ends it at once has all of that."""
    config = {"boot-source": {"kernel_image_path": "hello.elf"}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}, "drives": [], **sections}
    pathlib.Path(directory, "vm.json").write_text(json.dumps(config))
    done = subprocess.run([program, "--no-api", "--config-file", "vm.json"], cwd=directory, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done


@pytest.fixture
def stage():
    with Stage() as made:
        yield made


def test_layers(program, stage):
    (command,) = commands(next(block for block in blocks("disks", "console") if "mote layer" in block), "$")
    with open(stage / "base.img", "wb") as file:
        file.write(b"an image".ljust(1 << 20, b"\0"))
    path = f"{pathlib.Path(program).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", command], cwd=stage.path, env={**os.environ, "PATH": path}, check=True)
    ends_well(program, stage.path, piece("disks", "overlay"))


@pytest.mark.skipif(not shutil.which("qemu-storage-daemon"), reason="qemu-storage-daemon (package qemu-system-common) is not installed")
def test_a_disk_of_another_process(program, stage):
    (command,) = commands(next(block for block in blocks("disks", "console") if "qemu-storage-daemon" in block), "$")
    sections = piece("disks", '"socket"')
    (drive,) = sections["drives"]
    assert drive["socket"] in command, "the page speaks of two sockets"
    command, drive["socket"] = command.replace(drive["socket"], stage / "disk.sock"), stage / "disk.sock"
    with subprocess.Popen(["bash", "-ec", f"exec {command}"], cwd=stage.path) as daemon:
        try:
            end = time.monotonic() + 20
            while not os.path.exists(drive["socket"]):
                assert time.monotonic() < end and daemon.poll() is None
                time.sleep(0.05)
            ends_well(program, stage.path, sections)
        finally:
            daemon.kill()


@pytest.mark.skipif(not shutil.which("nft"), reason="nft (package nftables) is not installed")
def test_networks(program, stage):
    """In a network of its own, as the page's taps and tables are the host's."""
    page = (DOCS / "networks.md").read_text().partition("**In the guest**")[0]
    steps = [command for block in re.findall(r"^```console\n(.*?)^```", page, re.M | re.S) for command in commands(block, "#")]
    assert len(steps) >= 9 and any("masquerade" in step for step in steps) and any("br0" in step for step in steps)
    config = {"boot-source": {"kernel_image_path": "hello.elf"}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}, "drives": [],
              **piece("networks", "tap0")}  # fmt: skip
    pathlib.Path(stage / "vm.json").write_text(json.dumps(config))
    script = "\n".join([*steps, f"exec {program} --no-api --config-file vm.json"])
    done = subprocess.run(["unshare", "-n", "bash", "-ec", script], cwd=stage.path, env={**os.environ, "USER": "root"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (script, done)
