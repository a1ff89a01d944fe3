"""A program of a few bytes that tells, on standard error, as which user it runs: four bytes. It needs no library."""

import struct

CODE = bytes.fromhex("b86b000000"  # geteuid()
                     "0f05"
                     "50"
                     "4889e6"  # write(2, it, 4)
                     "ba04000000"
                     "bf02000000"
                     "b801000000"
                     "0f05"
                     "31ff"  # exit_group(0)
                     "b8e7000000"
                     "0f05")
BASE = 0x400000


def image():
    size = 64 + 56 + len(CODE)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 4096)
    return header + segment + CODE


def write(path, mode=0o755):
    path.write_bytes(image())
    path.chmod(mode)
    return path
