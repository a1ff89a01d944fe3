"""Commands of the pages in docs/, as somebody pastes them into a shell."""

import contextlib
import os
import pty
import re
import signal
import threading
import time

from harness import BOOT_SECONDS, TOP, program


def page(name):
    return (TOP / "docs" / name).read_text()


def blocks(text, language):
    """What the fenced blocks of that language have."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(block):
    """Of a console block: what is behind each `$ `, with the lines that it goes on in, and without what is said of it."""
    found = [re.sub(r"(?m)\s+#.*$", "", command).rstrip() for command in re.split(r"^\$ ", block, flags=re.M)[1:]]
    assert found
    return found


class Shell:
    """A bash at a terminal, in a directory of its own, which finds mote's programs. `places` are put for what the page says instead."""

    def __init__(self, directory, places):
        self.places = places
        self.said = directory / "shell.out"
        path = f"{program('.').resolve()}:{os.environ['PATH']}"
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], {**os.environ, "PATH": path, "PS1": "", "HISTFILE": "/dev/null"})
        self.said.touch()
        threading.Thread(target=self.read, daemon=True).start()
        self.run("stty -echo")

    def read(self):
        with open(self.said, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while data := os.read(self.terminal, 65536):
                file.write(data.replace(b"\r", b""))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def text(self):
        return self.said.read_text(errors="replace")

    def paste(self, command, status=0):
        """run() of what a page has, with places of ours."""
        return self.run(re.sub("|".join(map(re.escape, self.places)), lambda found: str(self.places[found[0]]), command), status)

    def run(self, command, status=0):
        """What it says, at once or, for a program that goes on behind it, so far."""
        start = len(self.text())
        # The mark is put together by the shell: in a terminal's echo it is none.
        os.write(self.terminal, f'{command}\necho "::"$?"::"\n'.encode())
        end = time.monotonic() + BOOT_SECONDS
        while not (found := re.search(r"::(\d+)::\n", new := self.text()[start:])):
            assert time.monotonic() < end, (command, new[-3000:])
            time.sleep(0.02)
        said = new[: found.start()]
        assert int(found[1]) == status and "fault_message" not in said, (command, found[1], said)
        return said
