"""The entropy device, and rate limits as a Linux guest feels them."""

from harness import drive, make_initrd, vm_config

GUEST = r"""
now() { cut -d ' ' -f 1 /proc/uptime; }
echo "current=$(cat /sys/class/misc/hw_random/rng_current)"
echo "first=$(head -c 64 /dev/hwrng | md5sum)"
echo "second=$(head -c 64 /dev/hwrng | md5sum)"
# What there was at the start is used up; 12 KiB more come at 4 KiB a second.
dd if=/dev/hwrng of=/dev/null bs=1024 count=4 2>/dev/null
echo "hwrng_begin=$(now)"
echo "hwrng_bytes=$(dd if=/dev/hwrng bs=1024 count=12 2>/dev/null | wc -c)"
echo "hwrng_end=$(now)"
dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null
echo "disk_begin=$(now)"
echo "disk_bytes=$(dd if=/dev/vda bs=64k skip=16 count=48 iflag=direct 2>/dev/null | wc -c)"
echo "disk_end=$(now)"
reboot -f
"""


def test_entropy_and_limits(vmm, kernel, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"d" * (4 << 20))
    bandwidth = {"size": 1 << 20, "refill_time": 1000}
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST),
                       drives=[drive(disk, rate_limiter={"bandwidth": bandwidth})])
    config["entropy"] = {"rate_limiter": {"bandwidth": {"size": 4096, "refill_time": 1000}}}
    outcome = vmm.run(config)
    assert outcome.status == 0, outcome
    facts = outcome.facts
    assert facts["current"].startswith("virtio_rng"), outcome
    assert facts["first"] != facts["second"], outcome
    for what, size in (("hwrng", 12 << 10), ("disk", 3 << 20)):
        assert facts[f"{what}_bytes"] == str(size), outcome
        # 3 s. More where the host has other work; less than the limit allows never, but for what the bucket gained
        # between the first read and the clock.
        seconds = float(facts[f"{what}_end"]) - float(facts[f"{what}_begin"])
        assert 2.5 < seconds < 6, (what, seconds, outcome)


def test_without_the_device(vmm, kernel, tmp_path):
    script = 'echo "current=$(cat /sys/class/misc/hw_random/rng_current)"\nreboot -f\n'
    outcome = vmm.run(vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", script)))
    assert outcome.status == 0, outcome
    assert outcome.facts["current"] == "none", outcome
