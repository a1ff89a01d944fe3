"""CPU templates as Linux sees them."""

import pathlib
import re

from harness import make_initrd, vm_config

GUEST = """
echo "flags=$(grep -m 1 ^flags /proc/cpuinfo | cut -d : -f 2)"
echo "same=$(grep ^flags /proc/cpuinfo | sort -u | wc -l)"
echo "stepping=$(grep -m 1 ^stepping /proc/cpuinfo | cut -d : -f 2)"
reboot -f
"""


def modifier(leaf, **bitmaps):
    return {"leaf": leaf, "subleaf": "0x0", "flags": 0,
            "modifiers": [{"register": register, "bitmap": bitmap} for register, bitmap in bitmaps.items()]}


def test_a_custom_template_hides_features_from_every_processor(vmm, kernel, tmp_path):
    host = re.search(r"^flags\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split()
    assert {"pclmulqdq", "lahf_lm"} <= set(host), "there is something to hide"
    config = vm_config(kernel, initrd=make_initrd(tmp_path / "initrd", GUEST), vcpus=2)
    config["cpu-config"] = {
        "cpuid_modifiers": [modifier("0x1", eax="0b1011", ecx="0b0x"), modifier("0x80000001", ecx="0b0")]}
    outcome = vmm.run(config)
    assert outcome.status == 0, outcome
    facts = outcome.facts
    flags = facts["flags"].split()
    assert "pni" in flags and not {"pclmulqdq", "lahf_lm"} & set(flags), outcome
    assert (facts["same"], facts["stepping"].strip()) == ("1", "11"), outcome


def test_a_named_template_is_for_its_processors(vmm, kernel):
    """No host is of both makers."""
    said = [vmm.run(vm_config(kernel, cpu_template=name)) for name in ("T2A", "T2CL")]
    assert any(outcome.status == 1 and "cpu_template" in outcome.text + outcome.errors for outcome in said), said
