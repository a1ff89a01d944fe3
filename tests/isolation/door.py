"""The back door of a monitor that was built with one (backdoor/backdoor.h): system calls of our choice in any of its threads."""

import collections
import errno
import functools
import pathlib
import re
import select
import socket
import struct
import subprocess
import time

PATIENCE = 30  # seconds, on a machine that has other work
THREADS = {"machine": 0, "api": 1, "vcpu": 2, "worker": 3}
PSEUDO = {"copy": 1 << 20, "touch": (1 << 20) + 1, "int80": (1 << 20) + 2}
HELLO = b"This monitor has a test's back door"

Result = collections.namedtuple("Result", "call")  # what an earlier call of the same request returned
Space = collections.namedtuple("Space", "size")  # room for an answer, zeroed
Scratch = collections.namedtuple("Scratch", "offset")  # an address in SCRATCH bytes, zeroed, at a page's beginning
SCRATCH = 512


class Call(tuple):
    """A system call: its name, then its arguments. Text and bytes are put into memory, of which the call gets the address."""


def call(name, *arguments):
    return Call((name, *arguments))


@functools.cache
def numbers():
    """{name: number} of this architecture's system calls."""
    text = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text()
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)} | PSEUDO


def encode(thread, calls, times=1):
    """One message."""
    words, data = [], bytearray(SCRATCH)
    for name, *arguments in calls:
        words.append(numbers()[name] if isinstance(name, str) else name)
        for argument in [*arguments, 0, 0, 0, 0, 0, 0][:6]:
            if isinstance(argument, pathlib.Path):
                argument = str(argument)
            if isinstance(argument, str):
                argument = argument.encode() + b"\0"
            if isinstance(argument, Space):
                argument = bytes(argument.size)
            if isinstance(argument, bytes):
                data += bytes(-len(data) % 8)
                words += [1, len(data)]
                data += argument
            elif isinstance(argument, Scratch):
                words += [1, argument.offset]
            elif isinstance(argument, Result):
                words += [2, argument.call]
            else:
                words += [0, argument & (1 << 64) - 1]
    return struct.pack("<IIQ", THREADS[thread], len(calls), times) + struct.pack(f"<{len(words)}Q", *words) + bytes(data)


class Answer:
    """What became of a request: `results` of the calls that were made, `data` as they are then. Where the monitor became
    another program, `user` is the effective user that it runs as; where it died, `results` is empty."""

    def __init__(self, message=None, calls=0, data_size=0):
        self.user = struct.unpack("<I", message)[0] if message and len(message) == 4 else None
        assert message is None or self.user is not None or len(message) >= data_size, message
        made = (len(message) - data_size) // 8 if message and self.user is None else 0
        self.results = list(struct.unpack(f"<{made}q", message[:8 * made])) if made else []
        self.data = message[8 * made:] if made else b""
        self.complete = self.user is not None or (len(self.results) == calls and self.results[-1] >= 0)

    @property
    def error(self):
        """The name of the error that the last call failed with, if it did."""
        return errno.errorcode.get(-self.results[-1], str(self.results[-1])) if self.results and self.results[-1] < 0 else None

    def __repr__(self):
        return f"results {self.results}, {self.error or ''}, user {self.user}"


class Intruder:
    """A monitor with a back door, running, which its guest has opened."""

    def __init__(self, command, output, **options):
        self.output = pathlib.Path(output)
        self.door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # An answer is at most this large.
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        options = {"stdin": subprocess.DEVNULL} | options
        with theirs, open(output, "wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=theirs, **options)
        said = self.take(self.process) or b""
        self.base, self.said = int.from_bytes(said[:8], "little"), said[8:]  # of the data, and its greeting

    def __enter__(self):
        assert self.said == HELLO, (self.said, self.output.read_text())
        return self

    def __exit__(self, *error):
        self.door.close()
        self.process.kill()
        self.process.wait()

    def take(self, process=None):
        """The next message; none where the monitor ended."""
        end = time.monotonic() + PATIENCE
        while not select.select([self.door], [], [], 0.2)[0]:
            assert time.monotonic() < end, f"no answer from {self.process.args}"
            if process and process.poll() not in (None, 0):
                return None
        try:
            return self.door.recv(1 << 17) or None
        except ConnectionResetError:
            return None

    def send(self, thread, calls, **options):
        """Has the calls made; take_answer() has what became of it."""
        message = encode(thread, calls, **options)
        self.expected = len(calls), len(message) - 16 - 104 * len(calls)
        self.door.send(message)

    def take_answer(self):
        return Answer(self.take(), *self.expected)

    def make(self, thread, calls, **options):
        self.send(thread, calls, **options)
        return self.take_answer()

    def bad_call(self):
        """The name of the call that a filter ended the monitor for, by its log, and the status that it ended with."""
        status = self.process.wait(PATIENCE)
        found = re.findall(r"System call (-?\d+) \((\w+)\)", self.output.read_text(errors="replace"))
        return (found[-1][1] if found else None), status
