"""Filters of one's own, from the command line on: what `mote seccomp` prints and makes, and monitors that run with it, or die of it."""

import json
import struct
import subprocess

import pytest

import api
from test_seldom import configure, expect_done

PATIENCE = 30
THREADS = ["launch", "setup", "vmm", "served", "api", "vcpu", "worker"]


def mote(*words, status=0):
    run = subprocess.run([api.BIN / "mote", "seccomp", *words], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == status, run
    return run.stdout if status == 0 else run.stderr


def compiled(directory, rules, *flags):
    """The file that rules make."""
    (directory / "rules").write_text(rules)
    mote("compile", *flags, directory / "rules", "--output-file", directory / "filters")
    return directory / "filters"


def run_guest(directory, filters):
    """A bare guest that says X, without an API."""
    return subprocess.run([api.BIN / "mote-vmm", "--no-api", *configure(directory, "hello"), "--seccomp-filter", filters], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE)


def firecrackers(rules):
    """What `mote seccomp show --json` prints, as Firecracker's JSON has it."""
    filters = {}
    for thread, lines in rules.items():
        filters[thread] = {"default_action": "trap", "filter_action": "allow", "filter": [
            {"syscall": line["syscall"], "comment": line["reason"],
             "args": [{"index": one["index"], "type": one["type"], "val": one["val"], "op": {"masked_eq": one["mask"]} if one["op"] == "masked_eq" else one["op"]}
                      for one in line["args"]]} if line["args"] else {"syscall": line["syscall"]} for line in lines]}
    return json.dumps(filters)


def test_each_rule_is_shown_with_its_reason():
    text = mote("show")
    assert {line[1:-1] for line in text.splitlines() if line.startswith("[")} == set(THREADS)
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    assert len(lines) > 100 and [line for line in lines if not line.partition(" : ")[2].strip()] == []
    assert json.loads(mote("show", "--json")).keys() == set(THREADS)


def test_one_thread_is_shown_alone():
    text = mote("show", "vcpu")
    assert "[vcpu]" in text and text.count("[") - text.count("(_, [") == 1 and "KVM_RUN" in text, text
    assert text.strip() in mote("show")
    said = mote("show", "nobody", status=2)
    assert "nobody" in said and all(thread in said for thread in THREADS), said


@pytest.mark.parametrize("form", ["rules", "json"])
def test_a_guest_runs_under_what_is_shown(tmp_path, form):
    rules = mote("show") if form == "rules" else firecrackers(json.loads(mote("show", "--json")))
    filters = compiled(tmp_path, rules)
    run = run_guest(tmp_path, filters)
    assert run.returncode == 0 and "X" in run.stdout, run
    with api.Monitor(tmp_path, "--seccomp-filter", filters) as monitor:
        client = monitor.client()
        expect_done(client, "PUT", "/boot-source", {"kernel_image_path": str(api.BARE / "idle.elf")})
        expect_done(client, "PUT", "/actions", {"action_type": "InstanceStart"})
        expect_done(client, "PATCH", "/vm", {"state": "Paused"})


def test_a_file_is_as_seccompiler_writes_it(tmp_path):
    """bincode: a count; of each filter its name's length, the name, how many instructions it has, and those, of eight bytes."""
    data = compiled(tmp_path, mote("show")).read_bytes()
    (count,), at, found = struct.unpack_from("<Q", data), 8, {}
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", data, at)
        name = data[at + 8:at + 8 + length].decode()
        (instructions,) = struct.unpack_from("<Q", data, at + 8 + length)
        begin = at + 16 + length
        found[name] = data[begin:begin + 8 * instructions]
        at = begin + 8 * instructions
    assert at == len(data) and found.keys() == set(THREADS)
    # The first loads the architecture (offset 4 of seccomp_data).
    assert {program[:8] for program in found.values()} == {struct.pack("<HBBI", 0x20, 0, 0, 4)}
    compiled(tmp_path, mote("show"), "--split-output")
    assert {name: (tmp_path / f"filters.{name}").read_bytes() for name in THREADS} == found


@pytest.mark.parametrize("missing, call", [("ioctl(_, KVM_RUN)", "ioctl"), ("mmap", "mmap"), ("epoll_ctl", "epoll_ctl")])
def test_what_a_filter_of_ones_own_lacks_ends_the_monitor(tmp_path, missing, call):
    rules = "\n".join(line for line in mote("show").splitlines() if not line.removeprefix("often ").startswith(missing))
    run = run_guest(tmp_path, compiled(tmp_path, rules + "\n"))
    assert run.returncode == 148 and f"({call})" in run.stdout + run.stderr, run


def test_threads_that_are_missing_are_told(tmp_path):
    shown = {thread: mote("show", thread) for thread in THREADS}
    for missing in ("vmm", "api", "vcpu"):
        filters = compiled(tmp_path, "".join(text for thread, text in shown.items() if thread != missing and (missing, thread) != ("vmm", "served")))
        run = run_guest(tmp_path, filters)
        assert run.returncode == 1 and missing in run.stderr and "X" not in run.stdout, run


def test_a_file_with_firecrackers_three_threads_is_enough(tmp_path):
    # Its vmm thread does all that the machine thread does.
    rules = mote("show", "setup").replace("[setup]", "[vmm]") + mote("show", "api") + mote("show", "vcpu")
    run = run_guest(tmp_path, compiled(tmp_path, rules))
    assert run.returncode == 0 and "X" in run.stdout, run


def test_a_file_that_is_none_is_told(tmp_path):
    whole = compiled(tmp_path, mote("show")).read_bytes()
    wrong = {"empty": b"", "cut": whole[:100], "more": whole + b"\0", "text": mote("show").encode(), "counts": struct.pack("<Q", 1 << 63) + whole[8:],
             "no-program": whole[:-8] + struct.pack("<HBBI", 0xFFFF, 0, 0, 0)}
    for name, data in wrong.items():
        (tmp_path / name).write_bytes(data)
    for name in (*wrong, "not-there"):
        run = run_guest(tmp_path, tmp_path / name)
        assert run.returncode == 1 and "--seccomp-filter" in run.stderr and "X" not in run.stdout, (name, run)


@pytest.mark.parametrize("rules, says", [
    ("[vmm]\nopenit : typed wrong\n", "openit"), ("[vmm]\nread\n", "reason"), ("read : in no section\n", ":1"), ("", "no thread"), ("{", "line 1, column 2")])
def test_rules_that_are_wrong_are_told_with_their_place(tmp_path, rules, says):
    (tmp_path / "rules").write_text(rules)
    said = mote("compile", tmp_path / "rules", "--output-file", tmp_path / "filters", status=1)
    assert said.startswith("mote: ") and says in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["rules"]


def test_another_architecture(tmp_path):
    assert mote("compile", "--target-arch", "mips", tmp_path / "none", status=1)
    (tmp_path / "rules").write_text("[vmm]\nread : events\n")
    for architecture, number in ("x86_64", 0xC000003E), ("aarch64", 0xC00000B7):
        mote("compile", "--target-arch", architecture, "--input-file", tmp_path / "rules", "--output-file", tmp_path / architecture)
        assert struct.pack("<I", number) in (tmp_path / architecture).read_bytes()
