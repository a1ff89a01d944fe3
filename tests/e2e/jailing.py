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


class Jail:
    """One that is made for one monitor; `program` is the monitor's file, `id` its name."""

    def __init__(self, program, id=None):
        self.program, self.id = program, id or f"e2e-{os.getpid()}-{next(numbers)}"
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="mote-jails-", dir="/run"))
        self.root = self.base / program.name / self.id / "root"
        self.script = []  # of the shell that starts the jailer, in a mount namespace of its own

    def show(self, place):
        """The directory is in the jail at its own path."""
        self.script.append(f"mkdir -p '{self.root}{place}' && mount --bind '{place}' '{self.root}{place}'")

    def command(self, *flags):
        # As many descriptors as without a jail: a test may hold hundreds of connections.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        jailer = [self.program.parent / "mote-jailer", "--id", self.id, "--exec-file", self.program, "--uid", UID, "--gid", GID, "--chroot-base-dir", self.base,
                  "--resource-limit", f"no-file={descriptors}", "--"]
        script = " && ".join([*self.script, 'exec "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, jailer), *map(str, flags)]


def command(programs, config, directory, flags):
    """(a command that runs mote-vmm in a jail, its configuration, the file for that)."""
    paths = []
    config = absolute(config, directory, paths)
    words = [absolute_path(word, directory, paths) if before in FLAGS else word for before, word in zip(["", *flags], flags)]
    jail = Jail(programs / "mote-vmm")
    paths = [path for path in paths if "\0" not in path and len(path) < 4096]
    devices = {path for path in paths if path.startswith("/dev/") and os.path.exists(path)}
    for path in devices:
        make_node(path, jail.root)
    for place in places([path for path in paths if path not in devices], directory):
        jail.show(place)
        if place.startswith(tempfile.gettempdir()):
            give(place)
    jail.root.mkdir(parents=True, exist_ok=True, mode=0o755)
    return jail.command("--no-api", "--config-file", "/vm.json", *words), config, jail.root / "vm.json"


def take_jail_away(root, name):
    """What the jailer made for a monitor that has ended, in the root that the next one gets."""
    for directory in ("dev", "run"):
        shutil.rmtree(root / directory, ignore_errors=True)
    for file in (name, f"{name}.pid"):
        (root / file).unlink(missing_ok=True)


def is_of_one_test(path):
    """Whether it is what pytest made for one test: directories of a test are in it."""
    return path.parent.name.startswith("pytest-") and path.parent.parent.name.startswith("pytest-of-")


def served(program, directory, *flags, has_directory_to_itself=False):
    """A command that runs a monitor with these flags, which is asked by its API: in a jail, where all of the test's directory and the
    images that tests boot have their own paths. Where it has `directory` to itself, that is also what relative paths lead from, as they do
    outside: in a jail, from the root."""
    if not JAILED:
        return [str(word) for word in (program, *flags)]
    flags = list(map(str, flags))
    at = flags.index("--id") if "--id" in flags else None
    jail = Jail(program.parent.resolve() / program.name, flags[at + 1] if at is not None else None)
    if at is not None:
        del flags[at:at + 2]
    jail.root.mkdir(parents=True)
    top = next((path for path in (directory, *directory.parents) if is_of_one_test(path)), directory)
    if has_directory_to_itself:
        take_jail_away(directory, program.name)
        jail.script.append(f"mount --bind '{directory}' '{jail.root}'")
    images = [os.environ[name] for name in ("MOTE_KERNEL", "MOTE_ROOTFS", "MOTE_DEBIAN", "MOTE_CLOUD") if os.environ.get(name)]
    reference = os.path.join(os.environ.get("MOTE_SHARED", ""), "kernel")
    for place in {str(top), *map(os.path.dirname, images), *([reference] if os.path.isdir(reference) else [])}:
        jail.show(place)
    give(top)
    flags = [os.path.join(directory, word) if before in FLAGS else word for before, word in zip(["", *flags], flags)]
    return jail.command(*flags)


def remove():
    """What jails have left, when nothing runs any more."""
    for path in pathlib.Path("/run").glob("mote-jails-*"):
        shutil.rmtree(path, ignore_errors=True)
