"""How the programs of a release are made: read from the files themselves, and from the compiler's command lines where the
file does not show it. $MOTE_BIN is the folder of the programs; compile_commands.json lies beside it."""

import json
import os
import pathlib
import re
import subprocess

import pytest

BIN = pathlib.Path(os.environ["MOTE_BIN"])
# mote-init is C on musl: there are no calls through pointers of C++ to check, and musl has no fortified functions.
PROGRAMS = sorted(path.name for path in BIN.iterdir() if path.is_file())
MONITOR = "mote-vmm"
CPP = [name for name in PROGRAMS if name != "mote-init"]


def readelf(name, *options):
    return subprocess.run(["readelf", "-W", *options, BIN / name], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="module")
def code():
    """The disassembled text of a program, made once."""
    texts = {}

    def of(name):
        if name not in texts:
            texts[name] = subprocess.run(["objdump", "-d", "--no-show-raw-insn", BIN / name], stdout=subprocess.PIPE, text=True,
                                         check=True).stdout
        return texts[name]

    return of


def segments(name):
    """[(type, flags)] of the program headers."""
    lines = readelf(name, "-l").splitlines()
    found = [re.match(r"\s+([A-Z_]+)\s+0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3}) ", line) for line in lines]
    return [(match[1], match[2].replace(" ", "")) for match in found if match]


def test_the_programs_are_there():
    assert {MONITOR, "mote", "mote-init", "firecracker"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_lies_at_a_random_address_and_needs_no_library(name):
    assert re.search(r"Type:\s+DYN \(Position-Independent Executable", readelf(name, "-h"))
    kinds = [kind for kind, _ in segments(name)]
    assert "INTERP" not in kinds
    assert "NEEDED" not in readelf(name, "-d")


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_writable_and_executable(name):
    found = segments(name)
    assert [flags for kind, flags in found if kind == "LOAD"], found
    assert not [each for each in found if "W" in each[1] and "E" in each[1]]
    assert ("GNU_STACK", "RW") in found


@pytest.mark.parametrize("name", PROGRAMS)
def test_relocations_are_done_at_once_and_then_read_only(name):
    assert "GNU_RELRO" in [kind for kind, _ in segments(name)]
    assert re.search(r"FLAGS_1.*NOW", readelf(name, "-d"))
    assert "TEXTREL" not in readelf(name, "-d")


@pytest.mark.parametrize("name", PROGRAMS)
def test_tells_nothing_of_its_maker(name):
    assert "no symbols" in subprocess.run(["nm", BIN / name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                          check=False).stdout
    assert "RPATH" not in readelf(name, "-d") and "RUNPATH" not in readelf(name, "-d")


@pytest.mark.parametrize("name", PROGRAMS)
def test_stacks_are_guarded(name, code):
    # Each guarded function reads the canary of its thread twice. musl and hand-written code are without.
    assert code(name).count("%fs:0x28") > (1000 if name == MONITOR else 50)


@pytest.mark.parametrize("name", CPP)
def test_calls_through_pointers_are_checked(name, code):
    # clang's trap of a failed check of control flow: ud1 with a displacement of 2, the number of that check.
    traps = len(re.findall(r"\bud1\s+0x2\(%eax\),%eax", code(name)))
    assert traps > (300 if name == MONITOR else 20)


def test_every_source_is_compiled_with_the_guards():
    commands = json.loads((BIN.parent / "compile_commands.json").read_text())
    ours = [each for each in commands if "/src/" in each["file"] and each["file"].endswith((".cc", ".c"))]
    assert len(ours) > 100
    for each in ours:
        for option in ("-fstack-protector-strong", "-ftrivial-auto-var-init=zero", "-D_FORTIFY_SOURCE=3", "-fPI", "-flto=thin"):
            assert f" {option}" in each["command"], (each["file"], option)
        if each["file"].endswith(".cc"):
            assert "-fsanitize=cfi-vcall,cfi-icall,cfi-nvcall" in each["command"], each["file"]
