"""Attacks of somebody who runs code in a monitor, and the walls that stop each: what test_attacks.py tries, and the table of
docs/attacks.md, which `python3 attacks.py` prints."""

import dataclasses
import errno
import mmap
import os
import resource
import signal
import socket
import struct
from typing import Callable

import probe
from door import Result, Scratch, Space, call
from walls import CGROUP, THREADS, WALLS, Site

AT_CWD, EMPTY_PATH = -100, 0x1000
ALL = THREADS
# Otherwise the machine thread may do it for clients of the API, who replace disks and make snapshots.
UNLESS_SERVED = tuple(each for each in THREADS if each != "machine with an API")
# Otherwise the machine thread may do it.
OTHERS = ("api", "vcpu", "worker")


@dataclasses.dataclass
class Attack:
    name: str  # as it stands behind "may somebody ..."
    calls: Callable[[Site], list]  # which all work where there is no wall
    filters: tuple = ALL  # threads whose filters do not allow the decisive call
    decisive: int = -1  # which of the calls that is
    # What a wall makes of it by itself: the error of the call that fails. None: it is not meant to stop it.
    landlock: str | None = None
    mounts: str | None = None
    user: str | None = None
    capabilities: str | None = None
    pids: str | None = None
    network: str | None = None
    dumpable: str | None = None
    landlock_threads: tuple = ALL
    landlock_version: int = 1  # that knows of it
    fails_with: tuple = ()  # errors without a wall: this host has no such call, or the attack is one that changes nothing

    def walls(self):
        """{wall: error} of those beside the filters."""
        return {wall: getattr(self, wall) for wall in WALLS if wall != "filters" and getattr(self, wall)}


def unix(name):
    """The arguments of connect() that make an address."""
    name = name if isinstance(name, bytes) else str(name).encode() + b"\0"
    return struct.pack("<H", socket.AF_UNIX) + name, 2 + len(name)


def inet(port):
    return struct.pack("<HH4s8x", socket.AF_INET, socket.htons(port), bytes([127, 0, 0, 1])), 16


def bytes_of(*values):
    return struct.pack(f"<{len(values)}Q", *(value & (1 << 64) - 1 for value in values))


def program():
    image = probe.image()
    return image, len(image)


NAMED = {"landlock": "EACCES", "mounts": "ENOENT", "user": "EACCES"}
RIGHT = {"user": "EPERM", "capabilities": "EPERM"}
FILES = [
    Attack("read a file of the host", lambda at: [call("openat", AT_CWD, at.secret, os.O_RDONLY), call("read", Result(0), Space(6), 6)],
           UNLESS_SERVED, 0, **NAMED),
    Attack("make a file outside", lambda at: [call("openat", AT_CWD, at.outside / f"made-{at.pid}", os.O_CREAT | os.O_WRONLY, 0o600)],
           UNLESS_SERVED, **NAMED),
    Attack("open another microVM's disk", lambda at: [call("openat", AT_CWD, at.disk, os.O_RDWR), call("read", Result(0), Space(6), 6)],
           UNLESS_SERVED, 0, **NAMED),
    Attack("climb to a file by `..`", lambda at: [call("openat", AT_CWD, at.climb(), os.O_RDONLY)], UNLESS_SERVED, **NAMED),
    Attack("reach a file through another process's root", lambda at: [call("openat", AT_CWD, f"/proc/{at.victim}/root{at.secret}", os.O_RDONLY)],
           UNLESS_SERVED, landlock="EACCES", mounts="ENOENT"),
    Attack("leave its root by a descriptor (chroot, fchdir, `..`)",
           lambda at: [call("openat", AT_CWD, ".", os.O_RDONLY | os.O_DIRECTORY), call("chroot", "sub"), call("fchdir", Result(0)),
                       call("openat", AT_CWD, at.climb(), os.O_RDONLY)],
           decisive=1, landlock="EACCES", mounts="ENOENT", **RIGHT),
    Attack("open a file by its handle",
           lambda at: [call("copy", Scratch(0), struct.pack("<II", 120, 0), 8), call("name_to_handle_at", AT_CWD, at.secret, Scratch(0), Scratch(160), 0),
                       call("openat", AT_CWD, at.program, os.O_RDONLY), call("open_by_handle_at", Result(2), Scratch(0), os.O_RDONLY)], **RIGHT),
    Attack("remove a file outside", lambda at: [call("unlink", at.outside / "removable")], OTHERS, **NAMED),
    Attack("rename a file outside", lambda at: [call("rename", at.outside / "removable", at.outside / "renamed")], UNLESS_SERVED, **NAMED),
    Attack("link to a file outside", lambda at: [call("linkat", AT_CWD, at.secret, AT_CWD, at.own / "linked", 0)], mounts="ENOENT"),
    Attack("give a file away", lambda at: [call("fchownat", AT_CWD, at.own / "disk", 12345, 12345, 0)], **RIGHT),
    Attack("make a device node", lambda at: [call("mknodat", AT_CWD, at.own / "node", 0o20600, os.makedev(1, 1))], landlock="EACCES", **RIGHT),
    Attack("leave its cgroup", lambda at: [call("openat", AT_CWD, at.cgroup / "cgroup.procs", os.O_WRONLY), call("write", Result(0), b"0", 1)],
           UNLESS_SERVED, 0, **NAMED, fails_with=() if (CGROUP / "cgroup.procs").exists() else ("ENOENT",)),
    Attack("write to its own code through /proc", lambda at: [call("openat", AT_CWD, "/proc/self/mem", os.O_RDWR)], UNLESS_SERVED,
           landlock="EACCES", mounts="ENOENT"),
]
MOUNTS = [
    Attack("mount", lambda at: [call("mount", "none", at.own / "sub", "tmpfs", 0, 0), call("umount2", at.own / "sub", 0)], decisive=0, landlock="EPERM", **RIGHT),
    Attack("make a mount by fsopen", lambda at: [call("fsopen", "tmpfs", 0)], **RIGHT),
    Attack("copy a mount by open_tree", lambda at: [call("open_tree", AT_CWD, "/", 1)], **RIGHT),
    Attack("take another root by pivot_root", lambda at: [call("pivot_root", "/", "/")], landlock="EPERM", **RIGHT, fails_with=("EBUSY", "EINVAL")),
    Attack("make namespaces of its own (unshare)", lambda at: [call("unshare", 0x20000)], **RIGHT),
    Attack("enter another process's namespaces (setns)", lambda at: [call("pidfd_open", at.victim, 0), call("setns", Result(0), 0x40000000)],
           landlock="EPERM", **RIGHT, pids="ESRCH"),
    Attack("be root in a user namespace", lambda at: [call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)]),
]
PROCESSES = [
    Attack("fork", lambda at: [call("fork")]),
    Attack("vfork", lambda at: [call("vfork")]),
    Attack("clone itself", lambda at: [call("clone", signal.SIGCHLD, 0, 0, 0, 0)]),
    Attack("clone itself by clone3", lambda at: [call("clone3", bytes_of(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0), 88)]),
    Attack("start a thread", lambda at: [call("clone", 0x50f00, 0, 0, 0, 0)]),
    Attack("execute a program", lambda at: [call("execve", at.program, 0, 0)], landlock="EACCES", mounts="EACCES"),
    Attack("execute a program that lies in memory",
           lambda at: [call("memfd_create", "program", 0), call("write", Result(0), *program()), call("execveat", Result(0), "", 0, 0, EMPTY_PATH)]),
    Attack("trace another process (ptrace)", lambda at: [call("ptrace", 0x4206, at.victim, 0, 0)], landlock="EPERM", **RIGHT, pids="ESRCH", dumpable="EPERM"),
    Attack("read another microVM's memory",
           lambda at: [call("process_vm_readv", at.victim, bytes_of(at.base, 64), 1, bytes_of(at.address, 64), 1, 0)],
           landlock="EPERM", **RIGHT, pids="ESRCH", dumpable="EPERM"),
    Attack("write to another microVM's memory",
           lambda at: [call("copy", Scratch(0), Scratch(64), 8), call("process_vm_readv", at.victim, bytes_of(at.base, 8), 1, bytes_of(at.address, 8), 1, 0),
                       call("process_vm_writev", at.victim, bytes_of(at.base, 8), 1, bytes_of(at.address, 8), 1, 0)],
           landlock="EPERM", **RIGHT, pids="ESRCH", dumpable="EPERM"),
    Attack("look into another monitor by /proc", lambda at: [call("openat", AT_CWD, f"/proc/{at.victim}/mem", os.O_RDONLY)], UNLESS_SERVED,
           landlock="EACCES", mounts="ENOENT"),
    Attack("take another process's descriptors", lambda at: [call("pidfd_open", at.victim, 0), call("pidfd_getfd", Result(0), 0, 0)],
           landlock="EPERM", **RIGHT, pids="ESRCH", dumpable="EPERM"),
    Attack("send another process a signal (kill)", lambda at: [call("kill", at.victim, signal.SIGURG)], landlock="EPERM", landlock_version=6, **RIGHT, pids="ESRCH"),
    Attack("send a thread of another process a signal", lambda at: [call("tgkill", at.victim, at.victim, signal.SIGURG)],
           landlock="EPERM", landlock_version=6, **RIGHT, pids="ESRCH"),
    Attack("send a signal with forged contents",
           lambda at: [call("rt_sigqueueinfo", at.victim, signal.SIGURG, struct.pack("<iii", signal.SIGURG, 0, -1) + bytes(116))],
           landlock="EPERM", landlock_version=6, **RIGHT, pids="ESRCH"),
    Attack("send a signal by a descriptor of a process", lambda at: [call("pidfd_open", at.victim, 0), call("pidfd_send_signal", Result(0), signal.SIGURG, 0, 0)],
           landlock="EPERM", landlock_version=6, **RIGHT, pids="ESRCH"),
    Attack("have the kernel send another process a signal (F_SETOWN)", lambda at: [call("fcntl", 1, 8, at.victim)], pids="ESRCH"),
]
MEMORY = [
    Attack("map executable memory", lambda at: [call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)]),
    Attack("make memory executable", lambda at: [call("mprotect", Scratch(0), 4096, mmap.PROT_READ | mmap.PROT_EXEC)]),
    Attack("the same with bits that the kernel overlooks", lambda at: [call("mprotect", Scratch(0), 4096, 1 << 40 | mmap.PROT_READ | mmap.PROT_EXEC)],
           fails_with=("EINVAL",)),
    Attack("make memory executable by a protection key", lambda at: [call("pkey_mprotect", Scratch(0), 4096, mmap.PROT_READ | mmap.PROT_EXEC, -1)]),
    Attack("map a file executable",
           lambda at: [call("openat", AT_CWD, at.program, os.O_RDONLY), call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, Result(0), 0)],
           mounts="EPERM", landlock="EACCES"),
    Attack("map executable memory that has no name",
           lambda at: [call("memfd_create", "code", 0), call("ftruncate", Result(0), 4096),
                       call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_SHARED, Result(0), 0)]),
    Attack("attach executable shared memory", lambda at: [call("shmget", 0, 4096, 0o1700), call("shmat", Result(0), 0, 0o100000), call("shmctl", Result(0), 0, 0)],
           decisive=1),
    Attack("have all memory executable (personality)", lambda at: [call("personality", 0x400000)]),
    Attack("keep memory that is another's (System V)", lambda at: [call("shmget", 0, 4096, 0o1700), call("shmctl", Result(0), 0, 0)], decisive=0),
    Attack("handle faults of memory (userfaultfd)", lambda at: [call("userfaultfd", os.O_CLOEXEC)], **RIGHT),
    Attack("change segments (modify_ldt)", lambda at: [call("modify_ldt", 0, Space(64), 64)]),
]
DEVICES = [
    Attack("make another virtual machine", lambda at: [call("openat", AT_CWD, "/dev/kvm", os.O_RDWR), call("ioctl", Result(0), 0xAE01, 0)],
           landlock="EACCES", landlock_threads=UNLESS_SERVED),
    Attack("handle faults of memory (/dev/userfaultfd)", lambda at: [call("openat", AT_CWD, "/dev/userfaultfd", os.O_RDWR), call("ioctl", Result(0), 0xAA00, 0)],
           landlock="EACCES", landlock_threads=UNLESS_SERVED, fails_with=("ENOENT",)),
    Attack("make a network device",
           lambda at: [call("openat", AT_CWD, "/dev/net/tun", os.O_RDWR), call("ioctl", Result(0), 0x400454CA, struct.pack("<16sH22x", f"mt{at.pid}".encode(), 2))],
           landlock="EACCES", landlock_threads=UNLESS_SERVED, **RIGHT),
    Attack("type on a terminal (TIOCSTI)",
           lambda at: [call("openat", AT_CWD, "/dev/ptmx", os.O_RDWR | os.O_NOCTTY), call("ioctl", Result(0), 0x5412, b"x")],
           landlock="EACCES", mounts="ENOENT"),
    Attack("use ports of the processor (iopl)", lambda at: [call("iopl", 3)], fails_with=("ENOSYS",)),
    Attack("use ports of the processor (ioperm)", lambda at: [call("ioperm", 0x80, 1, 1)], fails_with=("ENOSYS",)),
]
NETWORK = [
    Attack("connect to a server", lambda at: [call("socket", socket.AF_INET, socket.SOCK_STREAM, 0), call("connect", Result(0), *inet(at.port))],
           decisive=0, landlock="EACCES", landlock_version=4, network="ENETUNREACH"),
    Attack("serve a port", lambda at: [call("socket", socket.AF_INET, socket.SOCK_STREAM, 0), call("bind", Result(0), *inet(0)), call("listen", Result(0), 1)],
           decisive=0, landlock="EACCES", landlock_version=4),
    Attack("send a datagram", lambda at: [call("socket", socket.AF_INET, socket.SOCK_DGRAM, 0), call("sendto", Result(0), b"x", 1, 0, *inet(at.port))],
           decisive=0, network="ENETUNREACH"),
    Attack("send packets (AF_PACKET)", lambda at: [call("socket", socket.AF_PACKET, socket.SOCK_RAW, 0)], **RIGHT),
    Attack("send packets (raw IP)", lambda at: [call("socket", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)], **RIGHT),
    Attack("speak to the kernel by AF_NETLINK", lambda at: [call("socket", socket.AF_NETLINK, socket.SOCK_RAW, 0)]),
    Attack("speak to other machines by AF_VSOCK", lambda at: [call("socket", socket.AF_VSOCK, socket.SOCK_STREAM, 0)], fails_with=("EAFNOSUPPORT",)),
    Attack("use the kernel's ciphers by AF_ALG", lambda at: [call("socket", socket.AF_ALG, socket.SOCK_SEQPACKET, 0)], fails_with=("EAFNOSUPPORT",)),
    Attack("connect to a socket with a path", lambda at: [call("socket", socket.AF_UNIX, STREAM, 0), call("connect", Result(0), *unix(at.socket))],
           OTHERS, mounts="ENOENT", user="EACCES"),
    Attack("connect to an abstract socket", lambda at: [call("socket", socket.AF_UNIX, STREAM, 0), call("connect", Result(0), *unix(b"\0" + at.abstract.encode()))],
           OTHERS, landlock="EPERM", landlock_version=6, network="ECONNREFUSED"),
    Attack("send a datagram to a socket with a path", lambda at: [call("socket", socket.AF_UNIX, socket.SOCK_DGRAM, 0)]),
]
KERNEL = [
    Attack("make a ring of io_uring", lambda at: [call("io_uring_setup", 4, Space(120))]),
    Attack("load a program of BPF", lambda at: [call("copy", Scratch(256), BPF, len(BPF)), call("bpf", 5, bpf(at), 72)], **RIGHT),
    Attack("watch the host (perf_event_open)", lambda at: [call("perf_event_open", struct.pack("<II5Q", 1, 112, 0, 0, 0, 0, 0) + bytes(64), -1, 0, -1, 0)],
           user="EACCES", capabilities="EACCES"),
    Attack("keep keys (add_key)", lambda at: [call("add_key", "user", f"mote{at.pid}", b"x", 1, -2)]),
    Attack("keep keys (keyctl)", lambda at: [call("keyctl", 0, -3, 1)]),
    Attack("load a module", lambda at: [call("init_module", Space(8), 0, "")], **RIGHT, fails_with=("ENOEXEC", "ENOSYS")),
    Attack("start another kernel (kexec_load)", lambda at: [call("kexec_load", 0, 0, 0, 0)], fails_with=("ENOSYS",)),
    Attack("restart the host", lambda at: [call("reboot", 0, 0, 0, 0)], **RIGHT, fails_with=("EINVAL",)),
    Attack("set the clock", lambda at: [call("settimeofday", 0, 0)], **RIGHT),
    Attack("use a file for swapping", lambda at: [call("swapon", "nothing", 0)], **RIGHT, fails_with=("ENOENT",)),
    Attack("read the kernel's log", lambda at: [call("syslog", 3, Space(64), 64)], **RIGHT),
    Attack("watch all files (fanotify)", lambda at: [call("fanotify_init", 0x4, 0)], **RIGHT),
    Attack("make its calls as programs of 32 bits do", lambda at: [call("int80", 20)], fails_with=("EFAULT", "ENOSYS")),
    Attack("make its calls by x32's numbers", lambda at: [call(0x40000000 + 39)], fails_with=("ENOSYS",)),
]
RIGHTS = [
    Attack("become root", lambda at: [call("setresuid", 0, 0, 0)], user="EPERM"),
    Attack("join groups", lambda at: [call("setgroups", 1, struct.pack("<I", 0))], **RIGHT),
    Attack("run before all others (a real-time scheduler)", lambda at: [call("sched_setscheduler", 0, 1, struct.pack("<I", 1))], **RIGHT),
    Attack("run before others (nice)", lambda at: [call("setpriority", 0, 0, -20)], user="EACCES", capabilities="EACCES"),
    Attack("change its limits", lambda at: [call("prlimit64", 0, resource.RLIMIT_CORE, bytes_of(0, 0), 0)]),
    Attack("lock all its memory", lambda at: [call("mlockall", 2)]),
    Attack("let itself be looked into (PR_SET_DUMPABLE)", lambda at: [call("prctl", 4, 1, 0, 0, 0)]),
    Attack("outlive its parent (PR_SET_PDEATHSIG)", lambda at: [call("prctl", 1, 0, 0, 0, 0)]),
]
ATTACKS = FILES + MOUNTS + PROCESSES + MEMORY + DEVICES + NETWORK + KERNEL + RIGHTS

STREAM = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK


# Returns 0; with its license behind it.
BPF = bytes.fromhex("b700000000000000 9500000000000000") + b"GPL\0"


def bpf(at):
    """What loads BPF, at Scratch(256), to run at each packet (BPF_PROG_TYPE_XDP)."""
    return struct.pack("<IIQQ", 6, 2, at.base + 256, at.base + 272) + bytes(48)


def table():
    """The lines of docs/attacks.md's table."""
    columns = [wall for wall in WALLS if wall != "filters"]
    lines = ["| may somebody ... | filters | " + " | ".join(columns) + " |", "| --- " * (2 + len(columns)) + "|"]
    names = {ALL: "all threads", UNLESS_SERVED: "all but the machine thread with an API", OTHERS: "all but the machine thread"}
    for attack in ATTACKS:
        walls = attack.walls()
        cells = [walls.get(wall, "") for wall in columns]
        notes = ["not with an API"] if attack.landlock_threads != ALL else []
        notes += [f"from version {attack.landlock_version}"] if attack.landlock_version > 1 else []
        if notes:
            cells[columns.index("landlock")] += f" ({', '.join(notes)})"
        lines.append(f"| {attack.name} | {names[attack.filters]} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
