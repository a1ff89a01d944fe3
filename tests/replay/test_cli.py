"""Firecracker's recorded command lines, configuration files and signals, played against mote-vmm."""

from cli import results
from cli_differences import DIFFERENCES
from record import judge


def test_command_lines(program):
    unexpected, unmet = judge(results(program), DIFFERENCES)
    assert not unexpected, "\n".join([f"{len(unexpected)} differences that are on no list:", *unexpected])
    assert not unmet, f"on the list, and not met: {[entry.cases for entry in unmet]}"
