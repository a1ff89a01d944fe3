"""One recorded run of Firecracker's jailer, played again with mote's."""

import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import time

import record as records
from cli import ours
from monitor import Monitor
from stage import Stage
from wire import describe

CGROUPS = pathlib.Path("/sys/fs/cgroup")
PATIENCE = 5  # seconds in which the monitor has to come up, or the jailer to end
STATUS = ("Name", "Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "pid_namespaces_deep")
FACTS = ("namespaces_of_its_own", "cgroup_differs", "environ", "cmdline", "cwd", "root", "exe", "session_leader", "group_leader",
         "parent_is_the_caller", "oom_score_adj", "threads")


def hidden(text):
    return re.sub(r"\d+", "<int>", text)


def without_ids(path):
    return re.sub(r"\[\d+\]", "[<int>]", path)


def row_of(path, stage):
    """What is compared of a file: its kind, mode, owner, and what kind of device or how many links."""
    status = os.lstat(path)
    kinds = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFCHR: "char", stat.S_IFSOCK: "socket", stat.S_IFLNK: "link"}
    row = {"path": stage.fold(path), "type": kinds[stat.S_IFMT(status.st_mode)], "mode": f"{stat.S_IMODE(status.st_mode):o}",
           "owner": f"{status.st_uid}:{status.st_gid}"}
    if row["type"] == "char":
        same = path.endswith("userfaultfd") and status.st_rdev == os.stat("/dev/userfaultfd").st_rdev
        row["device"] = "as the host's" if same else f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if row["type"] == "link":
        row["target"] = stage.fold(os.readlink(path))
    if row["type"] == "file":
        if path.endswith(".pid"):
            row["content"] = hidden(pathlib.Path(path).read_text(encoding="ascii"))
        row["links"] = status.st_nlink
    return row


def tree_of(base, stage):
    if not os.path.isdir(base):
        return None
    return [row_of(os.path.join(top, name), stage) for top, directories, files in os.walk(base) for name in sorted(directories + files)]


def files_below(base):
    return [os.path.join(top, name) for top, _, files in os.walk(base) for name in files]


def text_if_there(path):
    try:
        return pathlib.Path(path).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def limits_of(pid):
    """Those that the caller has as well are not told apart: they are the host's."""
    def read(process):
        lines = pathlib.Path(f"/proc/{process}/limits").read_text(encoding="ascii").splitlines()[1:]
        return {line[:26].strip(): line[26:].split()[:2] for line in lines}
    own = read("self")
    return {name: value for name, value in read(pid).items() if value != own[name]}


def facts_of(pid, stage):
    """What a running process looks like from outside."""
    proc = pathlib.Path(f"/proc/{pid}")
    text = lambda name: (proc / name).read_text(encoding="utf-8", errors="replace")
    status = dict(line.split(":", 1) for line in text("status").splitlines() if ":" in line)
    facts = {f"status {name}": " ".join(status[name].split()) for name in STATUS if name in status}
    facts["status pid_namespaces_deep"] = len(status["NSpid"].split())
    facts["limits"] = limits_of(pid)
    mounts = [line.split(" - ")[0].split() for line in text("mountinfo").splitlines()]
    facts["mounts"] = [[stage.fold(fields[3]), fields[4], fields[5].replace(",relatime", ""), fields[6:]] for fields in mounts]
    own = pathlib.Path("/proc/self")
    facts["namespaces_of_its_own"] = sorted(name for name in os.listdir(proc / "ns") if os.readlink(proc / "ns" / name) != os.readlink(own / "ns" / name))
    mine = set((own / "cgroup").read_text(encoding="ascii").splitlines())
    facts["cgroup_differs"] = sorted(line.split(":", 1)[1] for line in set(text("cgroup").splitlines()) - mine)
    facts["environ"] = [word for word in text("environ").split("\0") if word]
    words = [stage.fold(word) for word in text("cmdline").split("\0")[:-1]]
    facts["cmdline"] = ["<int>" if before.endswith("-us") else word for before, word in zip(["", *words], words)]
    descriptors = {int(name): without_ids(stage.fold(os.readlink(proc / "fd" / name))) for name in os.listdir(proc / "fd")}
    facts["descriptors"] = notable(descriptors.items())
    for name in ("cwd", "root", "exe"):
        facts[name] = stage.fold(os.readlink(proc / name))
    numbers = text("stat").rsplit(")", 1)[1].split()
    facts.update(session_leader=int(numbers[3]) == pid, group_leader=int(numbers[2]) == pid, parent_is_the_caller=int(numbers[1]) == os.getpid(),
                 oom_score_adj=int(text("oom_score_adj")))
    names = (text(f"task/{task}/comm").strip() for task in os.listdir(proc / "task"))
    facts["threads"] = sorted(name for name in names if not name.startswith("kvm-"))
    return facts


def notable(descriptors):
    """The standard streams, and what else is not of the kinds that a monitor makes for itself."""
    return sorted([number, path] for number, path in descriptors if number < 3 or not path.startswith(("anon_inode:", "socket:")))


def recorded_facts(process):
    """A record's `process` in the form of facts_of()."""
    facts = {f"status {name}": process["status"][name] for name in STATUS}
    limited = {name: process["limits"][name] for name in ("Max open files", "Max file size")}
    facts["limits"] = {name: value for name, value in limited.items() if value[0] != "unlimited"}
    facts["mounts"] = [[mount["root"], mount["at"], mount["options"].replace(",relatime", ""), mount["propagation"]] for mount in process["mountinfo"]]
    facts["descriptors"] = notable(process["descriptors"])
    return facts | {name: process[name] for name in FACTS}


def cgroups_now():
    return {os.path.join(top, name) for top, names, _ in os.walk(CGROUPS) for name in names
            if re.search(r"/(firecracker|obs[a-z-]*)(/|$)", os.path.join(top, name))}


def cgroup_row(path, pid, arguments):
    row = {"path": str(path.relative_to(CGROUPS))}
    if pid:
        row["holds_the_process"] = str(pid) in (path / "cgroup.procs").read_text(encoding="ascii").split()
    for argument in arguments:
        name = argument.partition("=")[0]
        if re.fullmatch(r"[a-z]+\.[a-z_.]+", name) and (path / name).exists():
            row[name] = (path / name).read_text(encoding="ascii").strip()
    return row


def made_cgroups(before, pid, arguments):
    """Those of the jail; one that is there for the jails of a monitor is left out, as it may have been there before."""
    new = sorted(path for path in cgroups_now() - before if not path.endswith("/firecracker"))
    return [cgroup_row(pathlib.Path(path), pid, arguments) for path in new]


class Jail:
    """The jailer of a case, and the monitor that it starts."""

    def __init__(self, record, program, jailer, stage):
        self.record, self.stage = record, stage
        self.base = stage / record.get("base", "srv")
        os.mkdir(stage / "bin")
        for name in record.get("copies", ["firecracker"]):
            shutil.copy(program, stage / f"bin/{name}")
        stage.prepare(record.get("prepare"))
        for path in record.get("make_cgroups", ()):
            (CGROUPS / path).mkdir(exist_ok=True)
        words = [stage.expand(word) for word in record["args"]]
        with open(stage / "stdout", "wb") as out, open(stage / "stderr", "wb") as err, open(stage / "text.txt", "rb") as leaked:
            self.process = subprocess.Popen([jailer, *words], cwd=stage.path, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            pass_fds=(leaked.fileno(),), env={"PATH": "/usr/bin:/bin", "OBS_LEAK": "1"}, umask=record.get("umask", 0o022))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for pid in {self.process.pid, self.monitor()} - {None}:
            if pid != self.process.pid or self.process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def monitor(self):
        """The id of the monitor's process, while it runs."""
        if self.process.poll() is None:
            return self.process.pid
        named = [text_if_there(path) for path in files_below(self.base) if path.endswith(".pid")]
        alive = [int(text) for text in named if text and os.path.exists(f"/proc/{text}/exe")]
        return alive[0] if alive else None

    def sockets(self):
        # What is being taken away again may be gone when it is looked at, and is none.
        return [path for path in files_below(self.base) if pathlib.Path(path).is_socket()]

    def await_start(self):
        """Waits until the monitor serves, or nothing will."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.sockets():
            if self.process.poll() is not None and not self.monitor():
                return
            time.sleep(0.005)
        time.sleep(0.1)

    def exit(self):
        code = self.process.poll()
        return "running" if code is None else code if code >= 0 else f"signal {-code}"


def observe(record, jail, cgroups):
    stage, pid = jail.stage, jail.monitor()
    outcome = {"exit": jail.exit(), "stderr_nonempty": os.path.getsize(stage / "stderr") > 0}
    first = record.get("first_line")
    line = pathlib.Path(stage / "stdout").read_text(encoding="utf-8").partition("\n")[0]
    outcome["first_line"] = first if first and re.match(first, line) else None
    for path in files_below(jail.base):
        if path.endswith(".pid"):
            outcome["pid_file_names_the_started_process"] = pathlib.Path(path).read_text(encoding="ascii") == str(jail.process.pid)
    outcome["tree"] = tree_of(jail.base, stage)
    outcome["runs"] = pid is not None
    if pid:
        outcome.update(facts_of(pid, stage))
    outcome["cgroups_made"] = made_cgroups(cgroups, pid, record["args"])
    if record.get("ask") and jail.sockets():
        monitor = Monitor.__new__(Monitor)  # one that somebody else started
        monitor.stage, monitor.path, monitor.process = stage, jail.sockets()[0], jail.process
        outcome["get_root"] = ours(describe(monitor.ask({"method": "GET", "path": "/"}), stage).get("body"))
    return outcome


def remove_cgroups(before):
    for path in sorted(cgroups_now() - before, key=len, reverse=True):
        for _ in range(100):
            try:
                os.rmdir(path)
                break
            except OSError:
                time.sleep(0.01)


def play(record, program, jailer):
    """The outcome of a case: fields as in a record, of those that are compared."""
    cgroups = cgroups_now()
    netns = record.get("netns")
    if netns:
        subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        with Stage() as stage:
            os.chmod(stage.root, 0o755)
            with Jail(record, program, jailer, stage) as jail:
                jail.await_start()
                return observe(record, jail, cgroups)
    finally:
        remove_cgroups(cgroups)
        if netns:
            subprocess.run(["ip", "netns", "del", netns], check=True)


def expected(record):
    """The record in the form of an outcome of play()."""
    wanted = {name: record.get(name) for name in ("name", "exit", "stderr_nonempty", "first_line", "tree", "get_root")}
    if "pid_file_names_the_started_process" in record:
        wanted["pid_file_names_the_started_process"] = record["pid_file_names_the_started_process"]
    wanted["runs"] = "process" in record
    if wanted["runs"]:
        wanted.update(recorded_facts(record["process"]))
    made = [{name: value for name, value in row.items() if value != "as the parent's"} for row in record.get("cgroups_made", ())]
    wanted["cgroups_made"] = [row for row in made if not row["path"].endswith("/firecracker")]
    return wanted


def needs_cgroups(record):
    return any(word.startswith(("--cgroup", "--parent-cgroup")) for word in record["args"])


def results(program, pattern=""):
    """[(record, outcome)] of the cases whose names fit, with the jailer that lies beside the monitor. Those that make cgroups or namespaces, which have names of the host's, play one by one."""
    cases = [record for record in records.load("jailer") if re.search(pattern, record["name"])]
    one_by_one = [record for record in cases if needs_cgroups(record) or record.get("netns")]
    jailer = str(pathlib.Path(program).with_name("jailer"))
    beside = [record for record in cases if record not in one_by_one]
    played = records.run(beside, lambda record: play(record, program, jailer))
    played += records.run(one_by_one, lambda record: play(record, program, jailer), workers=1)
    return [(expected(record), outcome) for record, outcome in played]
