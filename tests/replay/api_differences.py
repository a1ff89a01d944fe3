"""The reviewed list: where mote-vmm's API answers otherwise than Firecracker was recorded to do. docs/differences.md says it for people.

A case that differs in a field without an entry here fails, as does an entry that no case needs.
"""

from difference import Difference

# What follows where a request is refused that was done, or the other way round.
ANSWER = ("status", "body", "headers", "config_changed")
STAGE = ANSWER + ("before_status", "state", "then_answers", "alive", "exit")


def refused(reason, cases, more=()):
    return Difference(reason, cases, ANSWER + more, now=is_refusal)


def is_refusal(now):
    """A field of an answer that says no, whichever it is."""
    return now in (400, {"fault_message": "<string>"}, "json", None) or now == DEPRECATED or now in ("Not started", "Running")


DEPRECATED = [["Connection", "keep-alive"], ["Content-Length", "<int>"], ["Content-Type", "application/json"],
              ["Deprecation", "true"], ["Server", "<string>"]]  # fmt: skip


def same_statuses(recorded, now):
    return [answer["status"] for answer in recorded] == [answer["status"] for answer in now]


NUL = r"\"a\\u0000b\""
NO_DISK = r"(|sub|/dev/null|/dev/zero)"
TOO_MUCH = r"(134217728|1099511627776|17592186044415|17592186044416|18446744073709551615)"

DIFFERENCES = (
    # What is not built yet.
    Difference("a page-fault handler that stays silent is an error, after ten seconds", r"load: uffd with a listener that does nothing", STAGE),
    # Snapshots.
    Difference("a load that is refused leaves a process of which nothing was asked", r"(fresh: PUT /snapshot/load|(snapshot-)?load: ).*", ("alive", "exit", "state"),
               now=lambda now: now in (True, None, "Not started")),
    Difference("... which then answers", r"load: (network|vsock) override, .*|load: huge pages 2M|config after a load of (vsock|cpu-config) #2", STAGE + ("files",)),
    Difference("the stage has a small file there", r"snapshot-load: mem_backend.backend_path = \"\.\./x\"", STAGE),
    Difference("a drive is as large as its driver believes, and so is a pmem", r"load: (drive|pmem) file smaller", STAGE),
    Difference("one file cannot hold both", r"create: one file for both", STAGE),
    Difference("nothing is left of a snapshot that was not made", r"create: no directory for memory", ("files",)),
    Difference("metadata may come at any time", r"config after a load of .*", ("then_answers",), now=lambda now: now[-1] == {"status": 200, "body": {}}),
    Difference("a second file of metrics is refused before it is made", r"metrics twice, other file", ("files",), may_be_absent=True),
    # JSON.
    refused("an enum written as an object is an accident of a JSON library", r".* = \{\"\w+\":null\}", ("state",)),
    refused("a list in the place of an object is the same", r"cpu-config: body \"\[\]\""),
    refused("an unknown field is a misspelt one, or asks for what would not be done", r".*\"z\":1\}\]\}|metrics: unknown field",
            ("state", "before_status")),
    Difference("... so the start is without it", r"start after cpu-config .*\"z\":1\}\]\}", STAGE),
    refused("a name given twice is refused everywhere", r"metrics properties \{\"a\":\"b\",\"a\":\"c\"\}"),
    Difference("null is absence for every optional field", r"drive: cache_type = null", ANSWER),
    # Texts that would be another thing for the host or the guest.
    refused("a NUL would end the text there", r"(boot-source: boot_args|serial: serial_out_path|net: host_dev_name|pmem: path_on_host) = " + NUL),
    refused("a kernel's command line is printable ASCII", r"start with boot args \"(\\u00e9|a\\tb|a\\nb)\"", ("state",)),
    refused("ids are ASCII: they end up in paths, logs and names of metrics", r"id: (drive|net|pmem) é"),
    refused("nobody could find the socket", r"vsock: uds_path = \"\""),
    refused("no file has an empty name", r"pmem: path_on_host = \"\""),
    refused("what is no regular file or block device has no sectors", r"drive (file|file read-only|patch to file): " + NO_DISK),
    # Numbers.
    refused("more memory than a process can map is refused when it is asked for",
            r"(machine-config|machine-config-patch|limit): (/machine-config )?mem_size_mib = \d{10,}"),
    Difference("... so the start is of the memory that there was; the original aborts at 2^44", r"start with " + TOO_MUCH + " MiB", STAGE),
    Difference("addresses for so much are there where the processor has them", r"limit and start: /hotplug/memory total_size_mib = (1048576|16777216)",
               STAGE, may_be_absent=True),
    Difference("a limit of any refill time holds and is told", r".*rate_limiter\.(bandwidth|ops)\.refill_time = 18446744073709551615", ("config_changed",)),
    Difference("a command line of 2047 bytes fits", r"start with boot args of (2046|2047) bytes", STAGE),
    # What is asked of what is not there.
    refused("there is no such pmem, whether something is to change or not", r"(running|paused|loaded|loaded-resumed): PATCH /pmem/p1"),
    refused("a path with more behind it is another one", r"path: GET /(vm/config|version|mmds|mmds/config)/x|path: GET /mmds/x"),
    refused("the original answers with the metadata; the contract has no such request", r"(fresh|full): GET /mmds/config"),
    Difference("metadata may come at any time", r"(running|paused|loaded|loaded-resumed): (GET|PUT|put) /mmds", ANSWER),
    Difference("the interface keeps the metadata service that was asked for", r"mmds config, then the interface is put again", ("config_changed",)),
    # HTTP.
    Difference("errors of the HTTP layer are valid JSON, under both names", r".*", ("body",), recorded=lambda recorded: recorded == {"error": "<string>"},
               now=lambda now: now == {"error": "<string>", "fault_message": "<string>"}),
    Difference("... after which the next request cannot always be told", r".*= \"<a\*65536>\"|path: .*|method:  /.*|mmds (put|patch) \{\"a\":\"<a\*51193>\"\}|http: limit .*",
               ("headers",), now=lambda now: ["Connection", "close"] in now),
    Difference("errors of the HTTP layer, as above; pipelines, chunked bodies and long headers are taken; requests with two lengths, or that are none, "
               "are refused, and end the connection", r"http: .*", ("responses", "closed_by_server", "unparsed_bytes")),
)
