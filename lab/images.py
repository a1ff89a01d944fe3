"""What the lab boots: the stock Debian kernel, unpacked but never installed, and an initramfs with a few of its modules."""

import contextlib
import dataclasses
import fcntl
import hashlib
import lzma
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


class ImageError(Exception):
    pass


@dataclasses.dataclass
class Images:
    kernel: pathlib.Path
    initrd: pathlib.Path
    modules: pathlib.Path  # holds a directory for the kernel's release


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("MOTE_CACHE") or pathlib.Path(base) / "mote") / "lab"


def prepare():
    """Returns the images, made first when the cache lacks them. Safe against a second lab doing the same."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = cache / "kernel"
        if not (tree / "vmlinux").exists():
            fetch_kernel(tree)
        release = next((tree / "modules").iterdir()).name
        initrd = cache / f"initrd-{initrd_key(release)}"
        if not initrd.exists():
            make_initrd(tree, release, initrd)
    return Images(tree / "vmlinux", initrd, tree / "modules")


def call(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **options)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def fetch_kernel(tree):
    print("lab: fetching the stock Debian kernel (once)", file=sys.stderr)
    with scratch_beside(tree) as scratch:
        try:
            download_kernel(scratch)
        except ImageError:  # the package lists may be missing or old
            call(*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get", "update", "-q")
            download_kernel(scratch)
        package = next(scratch.glob("*.deb"))
        call("dpkg-deb", "-x", package.name, "root", cwd=scratch)
        package.unlink()
        root = scratch / "root"
        release = next((root / "lib/modules").iterdir()).name
        call("/sbin/depmod", "-b", str(root), release)
        image = (root / "boot" / f"vmlinuz-{release}").read_bytes()
        (scratch / "vmlinux").write_bytes(unpack_kernel(image))
        (root / "lib/modules").rename(scratch / "modules")
        shutil.rmtree(root)
        shutil.rmtree(tree, ignore_errors=True)
        scratch.rename(tree)


def download_kernel(directory):
    depends = call("apt-cache", "depends", "linux-image-amd64")
    name = next((line.split()[1] for line in depends.splitlines() if "Depends:" in line), None)
    if name is None:
        raise ImageError("apt-cache knows no linux-image-amd64: apt-get update")
    call("apt-get", "download", "-q", name, cwd=directory)


def unpack_kernel(image):
    """The vmlinux inside a bzImage that is packed with xz. QEMU enters it through PVH; unpacking it here once saves
    the emulated processor four seconds at every start. Header offsets: Documentation/x86/boot.rst."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[start:start + length])
    except lzma.LZMAError as error:
        raise ImageError(f"the kernel's payload is not xz: {error}") from error


def initrd_key(release):
    key = hashlib.sha256(release.encode())
    for part in (HERE / "init", HERE / "modules", HERE / "images.py", pathlib.Path(busybox())):
        key.update(part.read_bytes())
    return key.hexdigest()[:16]


def busybox():
    found = shutil.which("busybox")
    if not found:
        raise ImageError("busybox is missing: apt-get install busybox-static")
    return found


def make_initrd(tree, release, initrd):
    with scratch_beside(initrd) as scratch:
        root = scratch / "root"
        for name in ("bin", "dev", "proc", "sys", "host", "top", "new", "modules"):
            (root / name).mkdir(parents=True)
        shutil.copy(busybox(), root / "bin/busybox")
        shutil.copy(HERE / "init", root / "init")
        (root / "init").chmod(0o755)
        order = []
        for path in module_files(tree, release):
            if path.name not in order:
                order.append(path.name)
                shutil.copy(path, root / "modules" / path.name)
        (root / "modules/order").write_text("\n".join(order) + "\n")
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, check=True,
                                input=names.encode(), stdout=subprocess.PIPE).stdout
        (scratch / "initrd").write_bytes(packed)
        (scratch / "initrd").rename(initrd)


def module_files(tree, release):
    """The files to insert, in order: modprobe names what each wanted module depends on first."""
    with tempfile.TemporaryDirectory() as base:  # modprobe looks for lib/modules below its root
        (pathlib.Path(base) / "lib").mkdir()
        (pathlib.Path(base) / "lib/modules").symlink_to(tree / "modules")
        for line in (HERE / "modules").read_text().splitlines():
            name = line.partition("#")[0].strip()
            if name:
                shown = call("/sbin/modprobe", "-d", base, "-S", release, "--show-depends", name)
                for step in shown.splitlines():
                    if step.startswith("insmod "):
                        yield pathlib.Path(step.split()[1]).resolve()


@contextlib.contextmanager
def scratch_beside(path):
    scratch = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
