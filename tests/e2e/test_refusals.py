"""What mote-vmm and mote run refuse: one message that names the thing, the documented status, nothing left behind."""

import json
import struct

import pytest

from harness import drive, program, run_process, vm_config

REFUSED = 1  # of mote-vmm: the configuration cannot be had
BAD_ARGUMENTS = 153  # of mote-vmm: its command line is wrong
NOT_RUN = 125  # of mote run
PROTOCOL_LIMIT = 2048  # the longest command line, its ending zero included


def elf(segments=((0x1000000, b"\xf4"),), entry=0x1000000, machine=62, truncate=None):
    """A 64-bit ELF program with these (address, content) segments."""
    offset = 64 + 56 * len(segments)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    body = b""
    for address, content in segments:
        head += struct.pack("<IIQQQQQQ", 1, 5, offset + len(body), address, address, len(content), len(content), 0x1000)
        body += content
    return (head + body)[:truncate]


KERNELS = {
    "empty": b"",
    "short": b"\x7fELF",
    "text": b"#!/bin/sh\necho kernel\n" * 200,
    "32 bit": b"\x7fELF\x01" + elf()[5:],
    "of another processor": elf(machine=183),
    "cut in its headers": elf(truncate=100),
    "cut in a segment": elf(segments=((0x1000000, b"\xf4" * 8192),), truncate=4096),
    "without segments": elf(segments=()),
    "above memory": elf(segments=((0x80000000, b"\xf4"),), entry=0x80000000),
    "across the end of memory": elf(segments=(((256 << 20) - 4096, b"\xf4" * 8192),), entry=(256 << 20) - 4096),
    "over the zero page": elf(segments=((0x7000, b"\xf4" * 4096),), entry=0x7000),
    "wrapping around": elf(segments=((0xFFFFFFFFFFFFF000, b"\xf4" * 8192),), entry=0xFFFFFFFFFFFFF000),
    "with its entry elsewhere": elf(entry=0x2000000),
}


def check_refused(outcome, *words, status=REFUSED):
    assert outcome.status == status, outcome
    said = outcome.text + outcome.errors
    for word in words:
        assert word in said, f"the message does not name {word!r}\n{outcome}"
    assert "Sanitizer" not in said and "terminate called" not in said, outcome


@pytest.mark.parametrize("kind", KERNELS)
def test_kernels(vmm, tmp_path, kind):
    path = tmp_path / "the-kernel"
    path.write_bytes(KERNELS[kind])
    check_refused(vmm.run(vm_config(path)), "the-kernel")


def test_a_kernel_that_is_missing(vmm, tmp_path):
    check_refused(vmm.run(vm_config(tmp_path / "none")), str(tmp_path / "none"))


def test_a_kernel_that_is_a_directory(vmm, tmp_path):
    check_refused(vmm.run(vm_config(tmp_path)), str(tmp_path))


def test_an_initrd_that_does_not_fit(vmm, kernel, tmp_path):
    initrd = tmp_path / "the-initrd"
    with open(initrd, "wb") as file:
        file.truncate(300 << 20)
    check_refused(vmm.run(vm_config(kernel, initrd=initrd)), "the-initrd")


def test_a_command_line_that_is_too_long(vmm, kernel):
    check_refused(vmm.run(vm_config(kernel, "x" * PROTOCOL_LIMIT)), "command line", str(PROTOCOL_LIMIT - 1))


@pytest.mark.parametrize("field, value", [
    ("vcpu_count", 0), ("vcpu_count", 33), ("vcpu_count", -1), ("vcpu_count", 1.5), ("vcpu_count", "2"), ("vcpu_count", 1 << 70),
    ("mem_size_mib", 0), ("mem_size_mib", 1 << 40), ("mem_size_mib", 2**64 - 1),
    ("smt", "yes"), ("huge_pages", "1G"), ("no_such_field", 1),
])
def test_machine_config(vmm, kernel, field, value):
    config = vm_config(kernel)
    config["machine-config"][field] = value
    check_refused(vmm.run(config), field)


def test_memory_that_the_kernel_does_not_fit_in(vmm, kernel):
    check_refused(vmm.run(vm_config(kernel, memory=1)), str(kernel), "1 MiB")


def test_memory_in_whole_huge_pages(vmm, kernel):
    check_refused(vmm.run(vm_config(kernel, memory=255, huge_pages="2M")), "mem_size_mib")


def test_fields_that_are_missing(vmm, kernel):
    config = vm_config(kernel)
    del config["machine-config"]["vcpu_count"]
    check_refused(vmm.run(config), "vcpu_count")
    config = vm_config(kernel)
    del config["boot-source"]["kernel_image_path"]
    check_refused(vmm.run(config), "kernel_image_path")


def test_disks(vmm, kernel, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"\0" * 4096)

    def refused(*drives, words):
        check_refused(vmm.run(vm_config(kernel, drives=drives)), *words)

    refused(drive(disk, "same"), drive(disk, "same"), words=["same"])
    refused(drive(disk, "one", root=True), drive(disk, "two", root=True), words=["two"])
    refused(drive(tmp_path / "none"), words=[str(tmp_path / "none")])
    refused(drive(tmp_path), words=[str(tmp_path)])
    refused(drive(disk, io_engine="Fast"), words=["io_engine"])
    refused(drive(disk, cache_type=7), words=["cache_type"])
    refused({"path_on_host": str(disk), "is_root_device": False}, words=["drive_id"])


@pytest.mark.parametrize("section, value", [
    ("cpu-config", "template.json"), ("no-such-section", {}),
])
def test_sections_that_are_not_there(vmm, kernel, section, value):
    check_refused(vmm.run({**vm_config(kernel), section: value}), section)


@pytest.mark.parametrize("section, value, words", [
    ("mmds-config", {"network_interfaces": []}, ["network_interfaces"]),
    ("mmds-config", {"network_interfaces": ["eth0"]}, ['"eth0"']),
    ("mmds-config", {"network_interfaces": ["eth0"], "ipv4_address": "10.0.0.1"}, ["ipv4_address"]),
    ("entropy", {"z": 1}, ["entropy.z"]), ("entropy", [], ["entropy"]),
    ("entropy", {"rate_limiter": {"ops": {"size": -1, "refill_time": 1}}}, ["ops.size"]),
    ("network-interfaces", [{"iface_id": "a"}], ['"a"', "host_dev_name"]),
    ("network-interfaces", [{"iface_id": "a", "host_dev_name": "t0", "guest_mac": "x"}], ['"a"', "guest_mac"]),
    ("network-interfaces", [{"iface_id": "a", "host_dev_name": "t0"}, {"iface_id": "a", "host_dev_name": "t1"}], ["a"]),
    ("network-interfaces", [{"iface_id": "a", "host_dev_name": "t0"}, {"iface_id": "b", "host_dev_name": "t0"}], ["t0"]),
    ("network-interfaces", [{"iface_id": name, "host_dev_name": name, "guest_mac": "06:00:00:00:00:01"} for name in "ab"],
     ["06:00:00:00:00:01"]),
    ("network-interfaces", [{"iface_id": f"i{n}", "host_dev_name": f"t{n}"} for n in range(18)], ["18 devices", "17"]),
    ("vsock", {"uds_path": "v.sock"}, ["vsock.guest_cid"]), ("vsock", {"guest_cid": 3}, ["vsock.uds_path"]),
    ("vsock", {"guest_cid": 3, "uds_path": "x" * 200}, ["vsock", "uds_path"]),
    ("balloon", {"amount_mib": 4096, "deflate_on_oom": False}, ["balloon", "4096"]),
    ("balloon", {"amount_mib": 1}, ["balloon.deflate_on_oom"]),
])
def test_devices(vmm, kernel, section, value, words):
    check_refused(vmm.run({**vm_config(kernel), section: value}), *words)


NOT_CONFIGURATIONS = {
    "empty": "",
    "cut": "{",
    "null": "null",
    "list": "[]",
    "number": "7",
    "string": '"text"',
    "nothing in it": "{}",
    "null section": '{"boot-source":null}',
    "comma": '{"boot-source":{},}',
    "quotes": "{'boot-source':{}}",
    "twice": '{"boot-source":{"kernel_image_path":"a","kernel_image_path":"b"}}',
    "deep lists": "[" * 1000 + "]" * 1000,
    "deep objects": '{"boot-source":' * 1000 + "1" + "}" * 1000,
    "half a surrogate": '{"boot-source": {"kernel_image_path": "\\ud800"}}',
    "two documents": "{} {}",
}


@pytest.mark.parametrize("kind", NOT_CONFIGURATIONS)
def test_files_that_are_not_a_configuration(vmm, kind):
    check_refused(vmm.run(NOT_CONFIGURATIONS[kind], timeout=10), "vm.json")


def test_a_file_of_100_mb(vmm, tmp_path):
    (tmp_path / "vm.json").write_bytes(b'{"boot-source":{"boot_args":"' + b"x" * 100_000_000 + b'"}}')
    outcome = run_process([program("mote-vmm"), "--no-api", "--config-file", tmp_path / "vm.json"], timeout=30)
    check_refused(outcome)


@pytest.mark.parametrize("flags", [["--no-such-flag"], ["--config-file"], ["stray"], ["--no-api", "--no-api", "--config-file", "x", "--config-file", "y"]])
def test_arguments(flags):
    check_refused(run_process([program("mote-vmm"), *flags], timeout=10), status=BAD_ARGUMENTS)


@pytest.mark.unjailed("the jailer gives the id")
def test_an_id_that_is_no_id(vmm, kernel):
    check_refused(vmm.run(vm_config(kernel), "--id", "a/b"), "a/b", status=BAD_ARGUMENTS)


def test_version_and_help():
    for name in ("mote", "mote-vmm"):
        for flag in ("--version", "--help"):
            outcome = run_process([program(name), flag], timeout=10)
            assert outcome.status == 0 and outcome.stdout and not outcome.stderr, outcome


@pytest.mark.parametrize("options", [
    ["--cpus", "0"], ["--cpus", "33"], ["--cpus", "two"], ["--memory", "0"], ["--memory", "1M"], ["--memory", "lots"], ["--memory", "-1G"],
    ["--env", "=x"], ["--no-such-option"], ["--kernel", "/no/such/kernel"], ["--rootfs", "/no/such/root"], ["--rootfs", "/dev/null"],
])
def test_options_of_mote_run(kernel, rootfs, options):
    command = [program("mote"), "run"]
    if "--kernel" not in options:
        command += ["--kernel", kernel]
    if "--rootfs" not in options:
        command += ["--rootfs", rootfs]
    outcome = run_process([*command, *options, "--", "/bin/true"], timeout=20)
    assert outcome.status == NOT_RUN, outcome
    assert options[-1] in outcome.errors or options[0] in outcome.errors, outcome
    assert outcome.stdout == b"", outcome


def test_mote_run_without_a_command(rootfs):
    outcome = run_process([program("mote"), "run", "--rootfs", rootfs, "--"], timeout=10)
    assert outcome.status == NOT_RUN and outcome.errors and not outcome.stdout, outcome


def test_an_image_of_no_file_system(mote, tmp_path):
    image = tmp_path / "the-image"
    image.write_bytes(json.dumps({"not": "a file system"}).encode() * 1000)
    outcome = mote.run("/bin/true", rootfs=image, timeout=20)
    assert outcome.status == NOT_RUN and "the-image" in outcome.errors, outcome


def test_a_root_without_anything(mote, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = mote.run("/bin/true", rootfs=tmp_path / "empty")
    assert outcome.status == 127 and "/bin/true" in outcome.errors + outcome.text, outcome
