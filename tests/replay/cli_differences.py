"""The reviewed list: where mote-vmm's command line, configuration file and end differ from what Firecracker was recorded to do.

A case that differs in a field without an entry here fails, as does an entry that no case needs.
"""

from difference import Difference


def is_abort(recorded):
    return recorded == "signal 6"


NUMBERS = r"--(http-api-max-payload-size|mmds-size-limit|(parent|start-time)(-cpu)?(-time)?-us)"
NUMBER_CASES = NUMBERS + r" (empty|-1|abc|1\.5|18446744073709551616| 5|0x10)"
IDS = r"--id (empty|a_b|a\.b|a b|a/b|<a\*65>)"

DIFFERENCES = (
    Difference("SIGRTMIN is how vCPUs are interrupted, and ends nothing", r"SIGRTMIN running.*", ("exit", "get_root")),
    # What is not built yet: refused as a wrong argument, or, in a configuration file, as an error.
    Difference("--enable-pci is not built yet", r".*(--enable-pci once|PCI|with --enable-pci).*"),
    # A wrong argument or file is no reason to crash: a message and a status.
    Difference("a number that is none is a wrong argument", NUMBER_CASES, ("exit", "stderr_nonempty"), may_be_absent=True),
    Difference("a wrong id is a wrong argument", IDS, ("exit", "stderr_nonempty")),
    Difference("a file that cannot be read is an error", r"--(config-file|metadata) empty|--metadata missing file.*|config (missing|is a directory|not UTF-8).*",
               ("exit", "stderr_nonempty", "log")),
    Difference("metadata that is no JSON is an error", r"--metadata (invalid|empty file).*", ("exit", "stderr_nonempty", "log")),
    Difference("a configuration file is checked for UTF-8 where it is parsed, when the socket is there", r"config not UTF-8", ("leaves",)),
    # Decisions.
    Difference("persistent memory is flushed by a thread of its own", r"process running, all devices", ("threads",)),
    Difference("ids are ASCII", r"--id é", recorded=lambda recorded: recorded != 153),
    Difference("an API that nobody can reach is refused", r"--api-sock empty"),
    Difference("a drive given twice in a file is a mistake", r"config same drive twice.*"),
    Difference("a file's unknown sections are refused", r"config (unknown|serial) key.*"),
    Difference("an end in order writes a last line of metrics", r"SIG(TERM|INT) (running|paused).*", ("metrics_lines",)),
    Difference("what there is to debug is said in other lines", r"log lines with both and debug", ("log",), may_be_absent=True),
    Difference("a log that is there is kept, and appended to", r"log to an existing file keeps it", ("log_files",)),
)
