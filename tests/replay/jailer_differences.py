"""The reviewed list: where mote-jailer differs from what Firecracker's jailer was recorded to do.

A case that differs in a field without an entry here fails, as does an entry that no case needs.
"""

from difference import Difference

NO_CAPABILITIES = "0000000000000000"
REFUSED = ("exit", "stderr_nonempty", "tree", "runs", "pid_file_names_the_started_process", "cgroups_made")


def is_restricted(mounts):
    """The root takes no program and no set-user-id file; the monitor's file is by itself, and read-only."""
    monitor, root = mounts
    same_file = monitor[0] == root[0] + monitor[1] and root[1] == "/"
    return same_file and monitor[2] == "ro,nosuid,nodev" and root[2] == "rw,nosuid,noexec" and not monitor[3] and not root[3]


def as_before(tree):
    """Nothing but what was there before: the case's own preparations are root's, and none of them is a device or names a process."""
    return all(row["owner"] == "0:0" and row["type"] != "char" and not row["path"].endswith(".pid") for row in tree)


DIFFERENCES = (
    # Rights that are always given up.
    Difference("no capability can be had again", r".*", ("status CapBnd",), now=lambda now: now == NO_CAPABILITIES),
    Difference("nothing that is executed brings rights", r".*", ("status NoNewPrivs",), now=lambda now: now == "1"),
    Difference("the monitor is under a filter from its start on, not from its guest's on", r".*", ("status Seccomp",), now=lambda now: now == "2"),
    Difference("user 0 has none in a jail either", r"uid 0.*", ("status CapPrm", "status CapEff"), now=lambda now: now == NO_CAPABILITIES),
    Difference("mounts allow what a jail needs", r".*", ("mounts",), now=is_restricted),
    # A jail that cannot be finished leaves nothing.
    Difference("a netns is looked at first", r"netns (missing|is a plain file)", ("tree",), now=as_before),
    Difference("a limit that the kernel refuses", r"resource limit no-file=3000000000", ("tree",), now=as_before),
    Difference("an id that stands for none is no id", r"[ug]id 4294967295", ("tree",), now=as_before),
    Difference("the monitor's file is looked at first", r"exec file (not executable|is text)", ("tree",), now=as_before),
    Difference("an earlier jail is left as it is", r"jail is there with (the binary|dev)", ("tree",), now=as_before),
    Difference("cgroups go with the jail", r"cgroup (blkio\.weight=500|cpu\.shares=x|cpu\.nope=1|cpu\.shares= 100)", ("tree", "cgroups_made"),
               now=lambda now: now == [] or as_before(now)),
    # Limits are the monitor's, and so are the ends that they lead to.
    Difference("the jailer opens and writes its own files without the monitor's limits", r"resource limit (no-file|fsize)=0",
               ("exit", "tree", "pid_file_names_the_started_process")),
    # Refused.
    Difference("ids are ASCII", r"id é", REFUSED),
    Difference("a link below the base is a way out of it", r"root of the jail is a link", REFUSED),
    Difference("there is no such version of cgroups", r"cgroup version 3", REFUSED),
    # Done.
    Difference("a cpuset gets what its parent has, as it takes no process without CPUs and memory nodes", r"cgroup cpuset\.(cpus|mems)=0",
               may_be_absent=True),
)
