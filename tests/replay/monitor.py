"""A monitor that runs for a case, and its clients."""

import ctypes
import os
import signal
import socket
import subprocess
import time

from wire import Answer, decode, encode

PATIENCE = 5  # seconds in which it has to come up
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Monitor:
    def __init__(self, program, arguments, stage, socket_path="api.sock", stderr=subprocess.STDOUT):
        self.stage, self.path = stage, stage / socket_path
        own_network = not stage.taps

        def prepare():
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            if own_network and libc.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")

        with open(stage / "stdout", "wb") as out:
            self.process = subprocess.Popen(
                [program, *(stage.expand(argument) for argument in arguments)], cwd=stage.path, stdin=subprocess.DEVNULL,
                stdout=out, stderr=stderr, preexec_fn=prepare)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def await_socket(self, patience=PATIENCE):
        """Waits until it listens, or has ended."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.001)

    def connect(self, timeout=10):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        try:
            client.connect(self.path)
        except OSError:
            client.close()
            raise
        return client

    def ask(self, request, timeout=10):
        """The answer to a recorded request, on a connection of its own."""
        try:
            client = self.connect(timeout)
        except OSError:
            return Answer("closed")
        with client:
            data = b""
            try:
                client.sendall(encode(request, self.stage))
            except OSError:
                pass  # it may have answered and closed before it read everything
            while True:
                answer, rest = decode(data)
                if answer and answer.status != 100:
                    return answer
                try:
                    more = client.recv(1 << 16)
                except TimeoutError:
                    return Answer("timeout")
                except OSError:
                    more = b""
                if not more:
                    return Answer("closed")
                data = (rest if answer else data) + more

    def exit(self):
        """How it ended: a status, or `signal N`."""
        code = self.process.returncode
        return code if code >= 0 else f"signal {-code}"

    def thread_names(self):
        """The names of its threads but those of KVM's own, in order."""
        tasks = f"/proc/{self.process.pid}/task"
        names = []
        for task in sorted(os.listdir(tasks), key=int):
            with open(f"{tasks}/{task}/comm", encoding="utf-8") as comm:
                names.append(comm.read().strip())
        return [name for name in names if not name.startswith("kvm-")]

    def output(self):
        with open(self.stage / "stdout", encoding="utf-8", errors="replace") as out:
            return out.read()


def play_earlier(record, program, stage):
    """What came before a case, in another process, which is then killed: the statuses of its requests."""
    with Monitor(program, ["--api-sock", "<dir>/api.sock", *record.get("earlier_args", ())], stage) as earlier:
        earlier.await_socket()
        statuses = [earlier.ask(request).status for request in record["earlier"]]
    for name in ("api.sock", "v.sock"):
        if os.path.exists(stage / name):
            os.unlink(stage / name)
    return statuses
