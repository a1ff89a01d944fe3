"""Every field of every request, in every state of the microVM: missing, twice, and of each value that a client gets wrong. Each
is answered, soon, with JSON and a status of the contract; one that is refused has changed nothing."""

import json
import pathlib
import time

import pytest

from monitor import Monitor
from stage import Stage
from wire import decode

TOP = pathlib.Path(__file__).resolve().parents[2]
OPENAPI = json.loads((TOP / "docs/openapi.json").read_text())

BUCKET = {"size": 1000, "one_time_burst": 10, "refill_time": 100}
LIMITS = {"bandwidth": BUCKET, "ops": BUCKET}
MODIFIERS = [{"register": "ecx", "bitmap": "0bx"}]
CPU = {"kvm_capabilities": ["!56"], "cpuid_modifiers": [{"leaf": "0x1", "subleaf": "0x0", "flags": 0, "modifiers": MODIFIERS}],
       "msr_modifiers": [{"addr": "0x10", "bitmap": "0bx"}]}  # fmt: skip
# A sound body of each request that has one, with each of its fields. `<dir>` is the monitor's directory.
SOUND = {
    "PUT /actions": {"action_type": "FlushMetrics"},
    "PUT /boot-source": {"kernel_image_path": "<dir>/idle.elf", "initrd_path": "<dir>/disk.img", "boot_args": "a", "boot_protocol": "auto"},
    "PUT /machine-config": {"vcpu_count": 1, "mem_size_mib": 128, "smt": False, "track_dirty_pages": False, "huge_pages": "None",
                            "cpu_template": "None", "forkable": False},
    "PATCH /machine-config": {"vcpu_count": 1, "mem_size_mib": 128, "smt": False, "track_dirty_pages": False, "huge_pages": "None",
                              "cpu_template": "None", "forkable": False},
    "PUT /cpu-config": CPU,
    "PUT /drives/{drive_id}": {"drive_id": "a", "path_on_host": "<dir>/disk.img", "is_root_device": False, "partuuid": "1-01",
                               "is_read_only": False, "cache_type": "Unsafe", "io_engine": "Sync", "rate_limiter": LIMITS, "socket": None,
                               "direct": False, "serial": "s", "num_queues": 1, "format": "raw", "backing_files": False, "layers": []},
    "PATCH /drives/{drive_id}": {"drive_id": "a", "path_on_host": "<dir>/disk2.img", "rate_limiter": LIMITS},
    "PUT /network-interfaces/{iface_id}": {"iface_id": "a", "host_dev_name": "t0", "guest_mac": "06:00:00:00:00:01", "mtu": 1500,
                                           "rx_rate_limiter": LIMITS, "tx_rate_limiter": LIMITS, "num_queues": 1, "tap_fds": []},
    "PATCH /network-interfaces/{iface_id}": {"iface_id": "a", "rx_rate_limiter": LIMITS, "tx_rate_limiter": LIMITS},
    "PUT /pmem/{id}": {"id": "a", "path_on_host": "<dir>/pmem.img", "root_device": False, "read_only": False, "rate_limiter": LIMITS},
    "PATCH /pmem/{id}": {"id": "a", "rate_limiter": LIMITS},
    "PUT /vsock": {"guest_cid": 3, "uds_path": "<dir>/v.sock", "vsock_id": "v"},
    "PUT /entropy": {"rate_limiter": LIMITS},
    "PUT /balloon": {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1, "free_page_hinting": True,
                     "free_page_reporting": True},
    "PATCH /balloon": {"amount_mib": 4},
    "PATCH /balloon/statistics": {"stats_polling_interval_s": 2},
    "PATCH /balloon/hinting/start": {"acknowledge_on_stop": True},
    "PUT /hotplug/memory": {"total_size_mib": 256, "block_size_mib": 2, "slot_size_mib": 128, "requested_size_mib": 0},
    "PATCH /hotplug/memory": {"requested_size_mib": 128},
    "PUT /serial": {"serial_out_path": "<dir>/serial", "rate_limiter": BUCKET},
    "PUT /logger": {"log_path": "<dir>/log", "level": "Error", "show_level": True, "show_log_origin": True, "module": ""},
    "PUT /metrics": {"metrics_path": "<dir>/metrics", "emit_id": True, "properties": {"a": "b"}},
    "PUT /mmds/config": {"version": "V2", "network_interfaces": ["a"], "ipv4_address": "169.254.169.254", "imds_compat": True},
    "PUT /mmds": {"a": {"b": "c"}},
    "PATCH /mmds": {"a": "d"},
    "PUT /snapshot/create": {"snapshot_path": "<dir>/state", "mem_file_path": "<dir>/memory", "snapshot_type": "Full"},
    "PUT /snapshot/load": {"snapshot_path": "<dir>/disk.img", "mem_backend": {"backend_type": "File", "backend_path": "<dir>/disk.img"},
                           "mem_file_path": None, "track_dirty_pages": False, "enable_diff_snapshots": False, "resume_vm": True,
                           "clock_realtime": False, "huge_pages": "None", "prefetch": False,
                           "network_overrides": [{"iface_id": "a", "host_dev_name": "t0", "guest_mac": "06:00:00:00:00:02"}],
                           "vsock_override": {"uds_path": "<dir>/v2.sock", "guest_cid": 4},
                           "drive_overrides": [{"drive_id": "a", "path_on_host": "<dir>/disk2.img", "layers": []}],
                           "pmem_overrides": [{"id": "a", "path_on_host": "<dir>/pmem.img"}],
                           "console_overrides": [{"port": 0, "path": "<dir>/port"}], "mmds": {"a": "b"},
                           "serial": {"serial_out_path": "<dir>/serial", "rate_limiter": BUCKET}, "logger": {"level": "Error", "module": ""}},
    # From here on a paused one runs.
    "PATCH /vm": {"state": "Resumed"},
    "PUT /console": {"ports": [{"mode": "Null", "path": None, "name": "p", "is_console": True}]},
}
# In place of a field's value, as it is written.
WRONG = [b"null", b"true", b"0", b"-1", b"1.5", b"2147483648", b"4294967296", b"9007199254740993", b"18446744073709551615",
         b"18446744073709551616", b"-9223372036854775809", b"1e400", b"NaN", b"01", b'""', b'"a"', b'"/"', b'"a/b"', b'"-1"', b"[]", b"{}", b"[[]]",
         b'{"a":1}', b'"' + b"a" * 65536 + b'"', b'"\xff\xfe"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"a\x00b"', b'"a\\u0000b"', b'"\\ud800"',
         b'"\\x"', "\"\u00e9\U0001f600\"".encode(), b"[" * 200 + b"]" * 200, b"[" * 20000, b""]  # fmt: skip
MARK = "the value in question"
STATES = ("before the start", "running", "paused")
BEFORE_START = ("/boot-source", "/drives/{drive_id}", "/pmem/{id}", "/balloon", "/hotplug/memory", "/entropy")


def places(value, path=()):
    """The ways to each value within `value`, itself not among them."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(value, path, new):
    """A copy with `new` at `path`; None: without it."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if new is None:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


def bodies(sound):
    """(what is wrong, the body), of everything that can be wrong with a field."""
    yield "nothing", json.dumps(sound).encode()
    for path in places(sound):
        yield f"{path} is missing", json.dumps(put(sound, path, None)).encode()
        template = json.dumps(put(sound, path, MARK)).encode()
        for value in WRONG:
            yield f"{path} is {value[:40]!r}", template.replace(json.dumps(MARK).encode(), value)
        if isinstance(path[-1], str):
            twice = b'1, "%b": 1' % path[-1].encode()
            yield f"{path} is there twice", template.replace(json.dumps(MARK).encode(), twice)
            yield f"beside {path} is an unknown one", template.replace(json.dumps(MARK).encode(), b'1, "unknown": 1')
    whole = json.dumps(sound).encode()
    for what, text in (("no body", b""), ("two", whole + whole), ("a rest", whole + b"x"), ("not its end", whole[:-1]), ("a list", b"[" + whole + b"]"),
                       ("a BOM", b"\xef\xbb\xbf" + whole), ("a comment", whole + b"// c"), ("one quote", whole.replace(b'"', b"'"))):  # fmt: skip
        yield what, text


class Client:
    """One connection, which stays; made anew where the monitor ends it."""

    def __init__(self, monitor):
        self.monitor, self.socket = monitor, monitor.connect(20)

    def ask(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        data, answer = b"", None
        while answer is None:
            more = self.socket.recv(1 << 16)
            assert more, (method, path, body[:200], data)
            answer, rest = decode(data := data + more)
        assert not rest, (method, path, body[:200], rest)
        return answer


def check(client, method, path, what, body):
    request = (method, path, what, body[:300])
    before = client.ask("GET", "/vm/config").body
    began = time.monotonic()
    answer = client.ask(method, path, body)
    assert time.monotonic() - began < 10, request
    assert answer.status in (200, 204, 400, 413), (request, answer)
    if answer.status >= 400:
        assert json.loads(answer.body)["fault_message"], (request, answer)
        assert client.ask("GET", "/vm/config").body == before, request
    return answer.status


@pytest.fixture(params=STATES)
def client(request, program):
    arguments = ["--api-sock", "<dir>/api.sock", "--level", "Off", "--http-api-max-payload-size", "1000000"]
    with Stage() as stage, Monitor(program, arguments, stage) as monitor:
        monitor.await_socket()
        client = Client(monitor)
        if request.param != STATES[0]:
            for path in BEFORE_START:
                body = {key: value for key, value in SOUND[f"PUT {path}"].items() if key not in ("initrd_path", "socket", "serial")}
                assert client.ask("PUT", path.partition("{")[0] + ("a" if "{" in path else ""), expand(monitor, body)).status == 204, path
            assert client.ask("PUT", "/actions", b'{"action_type":"InstanceStart"}').status == 204
        if request.param == STATES[2]:
            assert client.ask("PATCH", "/vm", b'{"state":"Paused"}').status == 204
        yield client
        assert monitor.process.poll() is None and client.ask("GET", "/").status == 200


def expand(monitor, body):
    return json.dumps(body).encode().replace(b"<dir>", monitor.stage.path.encode())


def test_every_field(client):
    statuses = {}
    for name, sound in SOUND.items():
        method, path = name.split(" ")
        path = path.partition("{")[0] + ("a" if "{" in path else "")
        for what, body in bodies(sound):
            status = check(client, method, path, what, body.replace(b"<dir>", client.monitor.stage.path.encode()))
            statuses.setdefault(name, set()).add(status)
    # A walk of which nothing but refusals came has not met what it looks for.
    accepted = sum(bool(found & {200, 204}) for found in statuses.values())
    assert accepted >= 7, statuses
    for path in ("/", "/version", "/machine-config", "/mmds", "/hotplug/memory"):
        client.ask("GET", path)
    counters = json.loads(client.ask("GET", "/vm/metrics").body)
    groups = {name: counters[name] for name in ("get_api_requests", "put_api_requests", "patch_api_requests", "deprecated_api")}
    assert [f"{name}.{key}" for name, group in groups.items() for key, number in group.items() if number == 0] == []


def test_the_walk_is_whole():
    """A request of the API that the walk does not know, or a field of one."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" not in schema:
                continue
            fields = OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
            assert set(SOUND.get(name, {})) == set(fields), name


@pytest.mark.parametrize("path", ["/vm//config", "/vm/config/", "//vm/config", "/vm%2fconfig", "/vm/./config", "/VM/config", "/vm/config?x=1", "/vm/config#x",
                                  "/drives/a%00", "/drives/\u00e9", "/drives/" + "a" * 900, "/../vm/config", "*", "vm/config"])  # fmt: skip
def test_odd_paths(program, path):
    """Each is answered, whatever it means, and nothing is made of it."""
    with Stage() as stage, Monitor(program, ["--api-sock", "<dir>/api.sock", "--level", "Off"], stage) as monitor:
        monitor.await_socket()
        client = Client(monitor)
        for method in ("GET", "PUT", "PATCH", "DELETE", "POST", "BREW"):
            body = b"" if method in ("GET", "DELETE") else b"{}"
            assert client.ask(method, path, body).status in (200, 204, 400), (method, path)
        assert json.loads(client.ask("GET", "/vm/config").body)["drives"] == []
