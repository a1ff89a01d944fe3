"""The pages of docs/ that show a configuration or a load: each piece of it is one that the monitor takes, and each field is explained."""

import json
import pathlib
import re
import subprocess

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
SCHEMAS = json.loads((DOCS / "openapi.json").read_text())["components"]["schemas"]
PAGES = ("console", "cpu-templates", "disks", "entropy", "getting-started", "memory", "metadata", "networks", "rate-limits", "vsock")
# A machine for those that leave it out; its kernel is looked for when all of the configuration has been found good.
MACHINE = {"boot-source": {"kernel_image_path": "/none/kernel"}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 256}, "drives": []}
ENTRIES = {"drive_id": "drives", "iface_id": "network-interfaces"}
SECTIONS = {"disks": ["BlockConfig"], "networks": ["NetConfig"], "vsock": ["VsockConfig"], "entropy": ["RngConfig"], "console": ["ConsoleConfig", "PortConfig"],
            "memory": ["BalloonConfig", "PmemConfig", "MemConfig"], "rate-limits": ["RateLimiterConfig", "TokenBucketConfig"],
            "snapshots": ["SnapshotCreate", "SnapshotLoad", "MemoryBackend", "NetworkOverride", "VsockOverride", "DriveOverride", "PmemOverride", "ConsoleOverride"],
            "fork": ["ForkAnswer"]}  # fmt: skip
# Pages that show what a load has.
LOADS = ("snapshots", "clones")
LOAD = {"mem_backend": {"backend_type": "File", "backend_path": "/none/memory"}, "resume_vm": True}


def shown(of=PAGES):
    """(page, text) of each piece of a configuration, or of a load."""
    found = []
    for page in of:
        for text in re.findall(r"^```json\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.M | re.S):
            found.append((page, text))
    return found


@pytest.mark.parametrize("page, text", shown())
def test_what_a_page_shows_is_taken(program, tmp_path, page, text):
    whole = text.startswith("{")
    piece = json.loads(text if whole else f"{{{text}}}")
    for name, section in ENTRIES.items():
        piece = {section: [piece]} if name in piece else piece
    config = {**MACHINE, **piece}
    config["boot-source"] = {**config["boot-source"], **MACHINE["boot-source"]}
    (tmp_path / "vm.json").write_text(json.dumps(config))
    done = subprocess.run([program, "--no-api", "--config-file", "vm.json"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "open '/none/kernel'" in done.stderr, (page, text, done)


@pytest.mark.parametrize("page, text", shown(LOADS))
def test_a_load_that_a_page_shows_is_taken(program, page, text):
    """Up to its state, which is read when all fields have been found good."""
    body = {**LOAD, **json.loads(text if text.startswith("{") else f"{{{text}}}"), "snapshot_path": "/none/state"}
    done = subprocess.run([program, "--no-api", "--load", json.dumps(body)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "open '/none/state'" in done.stderr, (page, text, done)


@pytest.mark.parametrize("page", SECTIONS)
def test_each_field_is_explained(page):
    text = (DOCS / f"{page}.md").read_text()
    fields = [field for name in SECTIONS[page] for field in SCHEMAS[name]["properties"]]
    assert fields and [field for field in fields if f"`{field}`" not in text and f'"{field}"' not in text] == []
