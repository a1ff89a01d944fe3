"""The lab's machine as a process: QEMU, woken from a saved state where there is one, else booted and saved."""

import contextlib
import hashlib
import json
import os
import pathlib
import select
import shlex
import socket
import subprocess
import tempfile
import time

import images

# What TCG does not emulate is switched off by name, and with it features of the real processor that a nested guest
# would be told of and could not use.
CPU = ("EPYC,+svm,+npt,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsavec")
KERNEL_ARGUMENTS = "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off tsc=reliable"
WAKE_SECONDS = 60  # a woken machine answers in a second or two; after this it is taken for dead
SAVED_MACHINES = 3  # states kept, one for each combination of memory, processors and lab version


class MachineError(Exception):
    pass


def read_before(descriptor, deadline):
    """Some bytes; none at the end of the stream. TimeoutError when the deadline (of time.monotonic) passes."""
    if not select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
        raise TimeoutError
    return os.read(descriptor, 4096)


class Machine:
    """`ports` are descriptors that take what the lab's command writes to stdout and stderr."""

    def __init__(self, scratch, memory, cpus, output, ports):
        self.scratch, self.output, self.ports = scratch, output, ports
        self.images = images.prepare()
        self.shape = self.shape_arguments(memory, cpus)
        self.qemu = None

    def shape_arguments(self, memory, cpus):
        """The part of QEMU's arguments that a saved state depends on."""
        return [
            "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU,
            "-m", str(memory), "-smp", str(cpus), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(self.images.kernel), "-initrd", str(self.images.initrd), "-append", KERNEL_ARGUMENTS,
            "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
            "-device", "vmgenid,guid=auto",  # woken twice, the kernel's random numbers must differ
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host", "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control",
            "-device", "virtserialport,chardev=out,name=out", "-device", "virtserialport,chardev=err,name=err",
        ]

    def run_arguments(self):
        out, err = self.ports
        shared = str(self.output or self.scratch).replace(",", ",,")
        return [
            "-serial", f"file:{self.scratch}/console",
            "-chardev", "stdio,id=control,signal=off",
            "-add-fd", f"fd={out},set=1", "-chardev", "file,id=out,path=/dev/fdset/1,append=on",
            "-add-fd", f"fd={err},set=2", "-chardev", "file,id=err,path=/dev/fdset/2,append=on",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-fsdev", f"local,id=out,path={shared},security_model=none",
        ]

    def saved_state(self):
        version = subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE, check=True).stdout
        kernel = self.images.kernel.stat()
        key = hashlib.sha256(repr((version, kernel.st_size, kernel.st_mtime_ns, self.shape)).encode())
        return images.cache_directory() / f"state-{key.hexdigest()[:16]}"

    def launch(self, cold, deadline):
        """Brings the machine up, and gives it the order in the scratch directory."""
        state = self.saved_state()
        if not cold and state.exists():
            if self.wake(state):
                return
            self.kill()
            state.unlink(missing_ok=True)
        self.boot(deadline, None if cold else state)

    def wake(self, state):
        os.utime(state)
        with open(state, "rb") as saved:
            self.spawn(["-incoming", f"fd:{saved.fileno()}"], [saved.fileno()])
        try:
            return self.order(time.monotonic() + WAKE_SECONDS)
        except (TimeoutError, OSError):
            return False

    def boot(self, deadline, state):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.spawn(["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "monitor,mode=control"],
                       [theirs.fileno()])
            theirs.close()
            if not self.expect(b"up\n", deadline):
                raise MachineError(f"the machine does not boot: {self.errors()}")
            if state:
                with contextlib.suppress(OSError, MachineError):  # a full disk, say: the next start is slow again
                    save(ours, state)
            if not self.order(deadline):
                raise MachineError(f"the machine stopped before the command started: {self.errors()}")

    def spawn(self, arguments, descriptors):
        with open(self.scratch / "qemu", "w") as errors:
            self.qemu = subprocess.Popen(  # whatever becomes of us, the machine does not stay
                ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *self.shape, *self.run_arguments(), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
                pass_fds=[*self.ports, *descriptors], start_new_session=True)

    def order(self, deadline):
        lines = [str(self.scratch), str(self.images.modules), "1" if self.output else "0", str(int(time.time()))]
        self.qemu.stdin.write(("\n".join(lines) + "\n").encode())
        return self.expect(b"go\n", deadline)

    def expect(self, line, deadline):
        got = b""
        while not got.endswith(line):
            data = read_before(self.qemu.stdout.fileno(), deadline)
            if not data:
                return False
            got += data
        return True

    def errors(self):
        """How QEMU ended and what it said."""
        status = self.qemu.wait()
        lines = (self.scratch / "qemu").read_text(errors="replace").splitlines()
        told = [line for line in lines if "TCG doesn't support" not in line]
        return "; ".join([f"QEMU ended with status {status}", *told])

    def kill(self):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()


def save(monitor, state):
    """Writes the machine behind a QMP socket to a file, and lets it go on. (A machine stopped first would wake stopped.)"""
    with tempfile.NamedTemporaryFile(dir=state.parent, prefix=".state-", delete=False) as file:
        draft = pathlib.Path(file.name)
    try:
        channel = monitor.makefile("rw")
        channel.readline()  # the greeting
        ask(channel, "qmp_capabilities")
        ask(channel, "migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        ask(channel, "migrate", uri=f"exec:cat > {shlex.quote(str(draft))}")
        while (progress := ask(channel, "query-migrate").get("status")) not in ("completed", "failed"):
            time.sleep(0.05)
        ask(channel, "cont")
        if progress == "failed":
            raise MachineError("QEMU could not save the machine")
        draft.rename(state)
        saved = sorted(state.parent.glob("state-*"), key=lambda path: path.stat().st_mtime)
        for old in saved[:-SAVED_MACHINES]:
            old.unlink(missing_ok=True)
    finally:
        draft.unlink(missing_ok=True)


def ask(channel, command, **arguments):
    channel.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    channel.flush()
    while True:
        line = channel.readline()
        answer = json.loads(line) if line else {"error": "the monitor is gone"}
        if "error" in answer:
            raise MachineError(f"QEMU refuses {command}: {answer['error']}")
        if "return" in answer:
            return answer["return"]
