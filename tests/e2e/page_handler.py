"""A handler of page faults, written from Firecracker's contract alone: it listens at a Unix socket, is sent where guest memory lies (JSON) with a
userfaultfd (SCM_RIGHTS), and brings the pages of a memory file. What the monitor gives back (the balloon) is zeros from then on.

    page_handler.py SOCKET MEMORY-FILE     prints `ready`, and at its end `pages=N removed=N`
"""

import array
import ctypes
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys

# include/uapi/linux/userfaultfd.h
UFFDIO_COPY = 0xC028AA03
UFFDIO_ZEROPAGE = 0xC020AA04
EVENT_PAGEFAULT, EVENT_REMOVE = 0x12, 0x15
MESSAGE = 32
EEXIST, EAGAIN, ENOENT = 17, 11, 2


class Handler:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.removed, self.pages, self.removals = [], 0, 0

    def meet(self, listener):
        client, _ = listener.accept()
        text, rights, _, _ = client.recvmsg(1 << 16, socket.CMSG_LEN(4))
        self.uffd = array.array("i", rights[0][2])[0]
        self.regions = json.loads(text)
        for region in self.regions:
            assert {"base_host_virt_addr", "size", "offset", "page_size"} <= set(region), region
        end = max(region["offset"] + region["size"] for region in self.regions)
        assert end <= len(self.memory), (end, len(self.memory))
        return client

    def is_removed(self, page):
        return any(start <= page < end for start, end in self.removed)

    def bring(self, address):
        region = next(region for region in self.regions if 0 <= address - region["base_host_virt_addr"] < region["size"])
        size = region["page_size"]
        page = address & ~(size - 1)
        if self.is_removed(page):
            zeros = ctypes.create_string_buffer(size) if size > 4096 else None
            request = bytearray(struct.pack("QQQQq", page, ctypes.addressof(zeros), size, 0, 0) if zeros else struct.pack("QQQq", page, size, 0, 0))
            call = UFFDIO_COPY if zeros else UFFDIO_ZEROPAGE
        else:
            source = self.address + region["offset"] + page - region["base_host_virt_addr"]
            request, call = bytearray(struct.pack("QQQQq", page, source, size, 0, 0)), UFFDIO_COPY
        try:
            fcntl.ioctl(self.uffd, call, request)
            self.pages += 1
        except OSError as error:
            # Another thread's fault has brought it; a removal has to be read first, and then the fault comes again.
            if error.errno == EAGAIN:
                return False
            if error.errno not in (EEXIST, ENOENT):
                raise
        return True

    def serve(self, client):
        waiting = []
        watched = select.poll()
        watched.register(self.uffd, select.POLLIN)
        watched.register(client, select.POLLRDHUP)
        while True:
            for fd, _ in watched.poll():
                if fd == client.fileno():
                    return
            try:
                data = os.read(self.uffd, MESSAGE * 64)
            except BlockingIOError:
                continue
            faults = waiting
            for at in range(0, len(data), MESSAGE):
                event = data[at]
                first, second = struct.unpack_from("QQ", data, at + 8)
                if event == EVENT_PAGEFAULT:
                    faults.append(second)
                elif event == EVENT_REMOVE:
                    self.removed.append((first, second))
                    self.removals += 1
            waiting = [address for address in faults if not self.bring(address)]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    handler = Handler(sys.argv[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(1)
        print("ready", flush=True)
        client = handler.meet(listener)
    handler.serve(client)
    print(f"pages={handler.pages} removed={handler.removals}", flush=True)


if __name__ == "__main__":
    main()
