"""A ring of io_uring in another process, worked by an intruder who reads and writes its memory."""

import ctypes
import os
import pathlib
import re
import struct

from door import Scratch, call

READV, FIXED_FILE = 1, 1
OTHERS = {"read": 22, "write": 23, "openat": 18, "connect": 16, "socket": 45, "openat2": 28, "statx": 21, "sendmsg": 9, "accept": 13, "unlinkat": 36, "renameat": 35,
          "mkdirat": 37, "splice": 30, "epoll_ctl": 29, "files_update": 20, "provide_buffers": 31, "close": 19, "nop": 0}  # fmt: skip
GET_EVENTS = 1
VECTOR, FAR = 256, 8192  # places in the data: a vector, and where nothing else lies


def offsets(entries):
    """{name: where it lies in a ring of so many entries}, as the kernel tells for one of our own."""
    parameters = bytearray(120)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(425, entries, ctypes.byref((ctypes.c_char * 120).from_buffer(parameters)))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    os.close(fd)
    _, sq_tail, sq_mask, _, _, _, array = struct.unpack_from("<7I", parameters, 40)
    _, cq_tail, cq_mask, _, _, cqes = struct.unpack_from("<6I", parameters, 80)
    return {"sq_tail": sq_tail, "sq_mask": sq_mask, "array": array, "cq_tail": cq_tail, "cq_mask": cq_mask, "cqes": cqes}


class Ring:
    """The ring that the process has."""

    def __init__(self, intruder, pid):
        self.intruder = intruder
        self.fd = next(int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir() if "io_uring" in os.readlink(entry))
        found = re.findall(r"^([0-9a-f]+)-\S+ \S+ ([0-9a-f]+) .*io_uring", pathlib.Path(f"/proc/{pid}/maps").read_text(), re.M)
        places = {int(offset, 16): int(start, 16) for start, offset in found}
        self.ring, self.entries = places[0], places[0x10000000]
        self.at = offsets(self.read("<I", offsets(1)["sq_mask"]) + 1)

    def read(self, layout, offset):
        size = struct.calcsize(layout)
        answer = self.intruder.make("machine", [call("copy", Scratch(0), self.ring + offset, size)])
        values = struct.unpack(layout, answer.data[:size])
        return values[0] if len(values) == 1 else values

    def submit(self, operation, flags=0, address=None, length=1):
        """Makes one request, of the first file, whose memory is by default a vector for 512 bytes; its result."""
        address = address or self.intruder.base + VECTOR
        entry = struct.pack("<BBHiQQII", operation, flags, 0, 0, 0, address, length, 0).ljust(64, b"\0")
        tail, mask = self.read("<I", self.at["sq_tail"]), self.read("<I", self.at["sq_mask"])
        index = tail & mask
        answer = self.intruder.make("machine", [
            call("copy", Scratch(VECTOR), struct.pack("<QQ", self.intruder.base + FAR, 512), 16),
            call("copy", self.entries + 64 * index, entry, 64), call("copy", self.ring + self.at["array"] + 4 * index, struct.pack("<I", index), 4),
            call("copy", self.ring + self.at["sq_tail"], struct.pack("<I", tail + 1), 4),
            call("io_uring_enter", self.fd, 1, 1, GET_EVENTS, 0, 0),
            call("copy", Scratch(0), self.ring + self.at["cq_tail"], 4)])  # fmt: skip
        assert answer.complete, answer
        last = (struct.unpack("<I", answer.data[:4])[0] - 1) & self.read("<I", self.at["cq_mask"])
        return self.read("<Qi", self.at["cqes"] + 16 * last)[1]
