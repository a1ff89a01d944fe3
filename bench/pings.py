"""The host's side of guests that ping it over a tap (bench/trips.h)."""

import contextlib
import subprocess

from benchlib import BenchError

TAP, ADDRESS = "motebench0", "10.77.0.1/24"
CMDLINE = "console=ttyS0 reboot=t panic=-1 quiet"


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"ip {' '.join(words)}: {done.stderr.strip()} (the bench needs root)")


@contextlib.contextmanager
def tap():
    ip("tuntap", "add", TAP, "mode", "tap", "vnet_hdr")
    try:
        ip("address", "add", ADDRESS, "dev", TAP)
        ip("link", "set", TAP, "up")
        yield
    finally:
        ip("link", "delete", TAP)
