"""Firecracker's recorded jails, made again by mote-jailer around mote-vmm."""

from jailer import results
from jailer_differences import DIFFERENCES
from record import judge


def test_jails(program):
    unexpected, unmet = judge(results(program), DIFFERENCES)
    assert not unexpected, "\n".join([f"{len(unexpected)} differences that are on no list:", *unexpected])
    assert not unmet, f"on the list, and not met: {[entry.cases for entry in unmet]}"
