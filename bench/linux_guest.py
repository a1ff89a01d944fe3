"""The Linux guest whose boot is timed: an initramfs with bench/init.c as /init and a console, as a newc archive."""

import stat


def entry(name, mode, content=b"", major=0, minor=0):
    name = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name), 0]
    data = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    data += b"\0" * (-len(data) % 4)
    return data + content + b"\0" * (-len(content) % 4)


def initramfs(init):
    """`init`: the program's bytes."""
    return (entry("dev", stat.S_IFDIR | 0o755) + entry("dev/console", stat.S_IFCHR | 0o600, major=5, minor=1) +
            entry("init", stat.S_IFREG | 0o755, init) + entry("TRAILER!!!", 0))
