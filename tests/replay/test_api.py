"""Firecracker's recorded answers of the API's socket, played against mote-vmm."""

from api import results
from api_differences import DIFFERENCES
from record import judge


def test_api(program):
    unexpected, unmet = judge(results(program), DIFFERENCES)
    assert not unexpected, "\n".join([f"{len(unexpected)} differences that are on no list:", *unexpected])
    assert not unmet, f"on the list, and not met: {[entry.cases for entry in unmet]}"
