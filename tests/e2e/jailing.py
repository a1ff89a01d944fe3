"""The e2e tests in jails: with MOTE_JAILED=1, each mote-vmm that a test starts runs under mote-jailer, as a user with no rights.

Paths stay what they are: in a mount namespace of its own, what the configuration names is mounted into the jail's root at the same place.
"""

import contextlib
import itertools
import os
import pathlib
import resource
import shutil
import stat
import subprocess
import tempfile

UID, GID = 31416, 27182
JAILED = os.environ.get("MOTE_JAILED") == "1"
# Values in a configuration, and of flags, that are paths; those of a descriptor are not.
FIELDS = ("kernel_image_path", "initrd_path", "path_on_host", "uds_path", "log_path", "metrics_path", "socket", "state_path", "file", "path")
FLAGS = ("--config-file", "--metadata", "--log-path", "--metrics-path", "--api-sock")

numbers = itertools.count()


def absolute(value, directory, found):
    """The value of a configuration with its paths made absolute, which go into `found`."""
    if isinstance(value, dict):
        return {name: absolute_path(inner, directory, found) if name in FIELDS and isinstance(inner, str) and inner else absolute(inner, directory, found)
                for name, inner in value.items()}
    return [absolute(inner, directory, found) for inner in value] if isinstance(value, list) else value


def absolute_path(text, directory, found):
    # As os.path.join: a path may have more characters than any can have.
    path = os.path.join(directory, text)
    found.append(path)
    return path


def give(directory):
    """Everything that a test made in its directory is the jail's user's, who may have to write it."""
    for top, directories, files in os.walk(directory):
        for name in [".", *directories, *files]:
            os.chown(os.path.join(top, name), UID, GID, follow_symlinks=False)


def let_in(path):
    """What a test made after the start, and a monitor is to open or connect to."""
    if JAILED:
        os.chown(path, UID, GID)


def make_node(path, root):
    """A device of the host's, for the jail's user: in the jail's own /dev, over which the host's cannot be mounted."""
    inside = root / path.lstrip("/")
    inside.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    status = os.stat(path)
    os.mknod(inside, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev)
    os.chown(inside, UID, GID)


def places(paths, directory):
    """The directories that are mounted: those of the paths, the outermost of each other's only."""
    wanted = sorted({str(directory), *(os.path.dirname(path) for path in paths if os.path.isdir(os.path.dirname(path)))})
    return [path for path in wanted if not any(path.startswith(outer + "/") for outer in wanted if outer != path)]


def tap_owner():
    """What `ip tuntap add` needs to know of a tap that a monitor opens."""
    return ("user", str(UID)) if JAILED else ()


@contextlib.contextmanager
def tap(name):
    """A tap that a monitor makes itself, where it may."""
    if JAILED:
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr", *tap_owner()], check=True)
    try:
        yield
    finally:
        if JAILED:
            subprocess.run(["ip", "link", "del", name], check=True)


def command(programs, config, directory, flags):
    """(a command that runs mote-vmm in a jail, its configuration, the file for that)."""
    paths = []
    config = absolute(config, directory, paths)
    words = [absolute_path(word, directory, paths) if before in FLAGS else word for before, word in zip(["", *flags], flags)]
    base = pathlib.Path(tempfile.mkdtemp(prefix="mote-jails-", dir="/run"))
    name = f"e2e-{os.getpid()}-{next(numbers)}"
    root = base / "mote-vmm" / name / "root"
    mounts = []
    paths = [path for path in paths if "\0" not in path and len(path) < 4096]
    devices = {path for path in paths if path.startswith("/dev/") and os.path.exists(path)}
    for path in devices:
        make_node(path, root)
    for place in places([path for path in paths if path not in devices], directory):
        inside = root / place.lstrip("/")
        inside.mkdir(parents=True, mode=0o755)
        mounts.append(f"mount --bind '{place}' '{inside}'")
        if place.startswith(tempfile.gettempdir()):
            give(place)
    # As many as without a jail: a test may hold hundreds of connections.
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    jailer = [programs / "mote-jailer", "--id", name, "--exec-file", programs / "mote-vmm", "--uid", UID, "--gid", GID, "--chroot-base-dir", base,
              "--resource-limit", f"no-file={descriptors}", "--"]
    script = " && ".join([*mounts, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, jailer), "--no-api", "--config-file", "/vm.json", *words], config, root / "vm.json"


def remove():
    """What jails have left, when nothing runs any more."""
    for path in pathlib.Path("/run").glob("mote-jails-*"):
        shutil.rmtree(path, ignore_errors=True)
