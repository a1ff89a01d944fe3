"""How a microVM ends, told by the status of mote run and of mote-vmm: from inside, by the guest's crash, by signals."""

import shlex
import signal

import pytest

from harness import drive, make_image, make_initrd, make_tree, processes, run_process, send_after_output, vm_config

LOST = 125  # of mote run: the microVM ended, and its command had no status to give


@pytest.mark.parametrize("how, script", [
    ("panic", "echo c > /proc/sysrq-trigger; sleep 60"),
    ("reboot", "reboot -f; sleep 60"),
    ("poweroff", "poweroff -f; sleep 60"),
])
def test_mote_run_says_that_the_vm_ended_before_the_command(mote, how, script):
    # A kernel that ends at once takes along what its serial port has not sent yet.
    outcome = mote.sh(f"echo before; sleep 1; {script}")
    assert outcome.text.startswith("before\n"), outcome
    assert outcome.status == LOST, (how, outcome)
    assert outcome.errors.strip(), "nothing says why"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_mote_run_and_its_vm(mote, number):
    outcome, seconds = send_after_output(mote.command("/bin/sh", "-c", "echo ready; sleep 1000"), b"ready", number)
    assert outcome.status == -number, outcome  # that no monitor is left, the fixture checks
    assert seconds < 10, outcome


def test_a_reader_that_goes_away_ends_mote_run(mote):
    command = " ".join(shlex.quote(str(part)) for part in mote.command("yes"))
    outcome = run_process(["bash", "-c", f'{command} | head -n 2; exit "${{PIPESTATUS[0]}}"'])
    assert outcome.text == "y\ny\n", outcome
    assert outcome.status == 128 + signal.SIGPIPE, outcome


ENDS = {
    "reboot": ("reboot -f", "reset"),
    "poweroff": ("poweroff -f", "shutdown"),
    "panic": ("echo c > /proc/sysrq-trigger", "reset"),  # panic=-1 reboots at once
}


@pytest.mark.parametrize("how", ENDS)
def test_mote_vmm_ends_with_the_guest(vmm, kernel, tmp_path, how):
    script, reason = ENDS[how]
    initrd = make_initrd(tmp_path / "initrd", f"echo alive=yes; sleep 1; {script}; sleep 60")
    # With earlyprintk a kernel that panics before it has its console says so too.
    outcome = vmm.run(vm_config(kernel, "earlyprintk=ttyS0", initrd=initrd, vcpus=2))
    # The kernel's last words may come in front of the line's end.
    assert "alive=yes" in outcome.text, outcome
    assert outcome.status == 0, outcome
    assert f"The microVM ended: {reason}" in outcome.text, outcome


def test_init_that_is_missing_is_a_panic_with_an_end(vmm, kernel, tmp_path):
    image = make_image("ext4", make_tree(tmp_path / "tree"), tmp_path / "image")
    outcome = vmm.run(vm_config(kernel, "init=/no/such/init loglevel=5", drives=[drive(image, root=True)]))
    assert outcome.status == 0, outcome
    assert "panic" in outcome.text, outcome


def test_the_exit_port_hands_a_status_over(vmm, kernel, tmp_path):
    initrd = make_initrd(tmp_path / "initrd", r"printf '\052' | dd of=/dev/port bs=1 seek=1281 2>/dev/null; reboot -f; sleep 60")
    config = vm_config(kernel, initrd=initrd)
    assert vmm.run(config, "--exit-port").status == 42
    assert vmm.run(config).status == 0  # without the flag there is no such port


@pytest.mark.parametrize("number, status", [
    (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT), (signal.SIGHUP, 156)])
def test_signals_end_mote_vmm(vmm, kernel, tmp_path, number, status):
    initrd = make_initrd(tmp_path / "initrd", "echo up=yes; sleep 1000")
    command = vmm.command(vm_config(kernel, initrd=initrd, vcpus=2))
    outcome, seconds = send_after_output(command, b"up=yes", number, cwd=vmm.directory)
    assert outcome.status == status, outcome
    assert seconds < 10, outcome


def test_sigkill_of_mote_takes_the_monitor_along(mote):
    before = processes("mote-vmm")
    send_after_output(mote.command("/bin/sh", "-c", "echo ready; sleep 1000"), b"ready", signal.SIGKILL)
    assert processes("mote-vmm") - before == set()
