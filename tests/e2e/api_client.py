"""A client of Firecracker's API, from its contract alone: a method a request, with the contract's names.

Standard library only. A refused request is an `ApiError`; an answer that is not as the contract has it is an AssertionError."""

import http.client
import json
import socket
import time

MEMORY_STATUS = {"total_size_mib": int, "slot_size_mib": int, "block_size_mib": int, "plugged_size_mib": int, "requested_size_mib": int}
# What an answer must have; a tuple: one of these.
ANSWERS = {
    "GET /": {"app_name": str, "id": str, "state": ("Not started", "Running", "Paused"), "vmm_version": str},
    "GET /version": {"firecracker_version": str},
    "GET /machine-config": {"vcpu_count": int, "mem_size_mib": int},
    "GET /balloon": {"amount_mib": int, "deflate_on_oom": bool},
    "GET /balloon/statistics": {"target_pages": int, "actual_pages": int, "target_mib": int, "actual_mib": int},
    "GET /balloon/hinting/status": {"host_cmd": int},
    "GET /hotplug/memory": MEMORY_STATUS,
    "GET /vm/config": {"drives": list, "boot-source": dict, "machine-config": dict, "network-interfaces": list, "pmem": list},
}


class ApiError(Exception):
    """A request that was refused, with its status and its fault_message."""

    def __init__(self, request, status, message):
        super().__init__(f"{request}: {status}: {message}")
        self.status, self.message = status, message


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        for tries in range(50):
            try:
                return self.sock.connect(self.path)
            except ConnectionRefusedError:  # the socket is there before anybody listens
                if tries == 49:
                    raise
                time.sleep(0.1)


def check(request, answer):
    """Holds an answer against ANSWERS."""
    for name, kind in ANSWERS.get(request, {}).items():
        assert name in answer, f"{request}: no {name} in {answer}"
        fits = answer[name] in kind if isinstance(kind, tuple) else isinstance(answer[name], kind)
        assert fits, f"{request}: {name} is {answer[name]!r}"


class Client:
    """One connection to the socket at `path`, which stays."""

    def __init__(self, path, timeout=60):
        self.connection = Connection(str(path), timeout)

    def close(self):
        self.connection.close()

    def ask(self, method, path, body=None):
        """The JSON of a 200, None for a 204."""
        request = f"{method} {path}"
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status not in (200, 204):
            error = json.loads(text)
            assert isinstance(error["fault_message"], str), error
            raise ApiError(request, response.status, error["fault_message"])
        assert (response.status == 204) == (not text) and (response.status == 204) == (method != "GET"), (request, response.status, text)
        answer = json.loads(text) if text else None
        check(request, answer)
        return answer

    # What it is
    def instance(self):
        return self.ask("GET", "/")

    def version(self):
        return self.ask("GET", "/version")["firecracker_version"]

    def vm_config(self):
        return self.ask("GET", "/vm/config")

    # Before the start
    def put_boot_source(self, **fields):
        self.ask("PUT", "/boot-source", fields)

    def put_machine_config(self, **fields):
        self.ask("PUT", "/machine-config", fields)

    def patch_machine_config(self, **fields):
        self.ask("PATCH", "/machine-config", fields)

    def machine_config(self):
        return self.ask("GET", "/machine-config")

    def put_cpu_config(self, **fields):
        self.ask("PUT", "/cpu-config", fields)

    def put_drive(self, drive_id, **fields):
        self.ask("PUT", f"/drives/{drive_id}", {"drive_id": drive_id, **fields})

    def put_network_interface(self, iface_id, **fields):
        self.ask("PUT", f"/network-interfaces/{iface_id}", {"iface_id": iface_id, **fields})

    def put_pmem(self, pmem_id, **fields):
        self.ask("PUT", f"/pmem/{pmem_id}", {"id": pmem_id, **fields})

    def put_vsock(self, **fields):
        self.ask("PUT", "/vsock", fields)

    def put_entropy(self, **fields):
        self.ask("PUT", "/entropy", fields)

    def put_serial(self, **fields):
        self.ask("PUT", "/serial", fields)

    def put_logger(self, **fields):
        self.ask("PUT", "/logger", fields)

    def put_metrics(self, **fields):
        self.ask("PUT", "/metrics", fields)

    def load_snapshot(self, **fields):
        self.ask("PUT", "/snapshot/load", fields)

    # Before and after
    def act(self, action_type):
        self.ask("PUT", "/actions", {"action_type": action_type})

    def put_mmds_config(self, **fields):
        self.ask("PUT", "/mmds/config", fields)

    def mmds(self):
        return self.ask("GET", "/mmds")

    def put_mmds(self, data):
        self.ask("PUT", "/mmds", data)

    def patch_mmds(self, data):
        self.ask("PATCH", "/mmds", data)

    def put_balloon(self, **fields):
        self.ask("PUT", "/balloon", fields)

    def balloon(self):
        return self.ask("GET", "/balloon")

    def put_memory_hotplug(self, **fields):
        self.ask("PUT", "/hotplug/memory", fields)

    # After the start
    def patch_vm(self, state):
        self.ask("PATCH", "/vm", {"state": state})

    def create_snapshot(self, **fields):
        self.ask("PUT", "/snapshot/create", fields)

    def patch_drive(self, drive_id, **fields):
        self.ask("PATCH", f"/drives/{drive_id}", {"drive_id": drive_id, **fields})

    def patch_network_interface(self, iface_id, **fields):
        self.ask("PATCH", f"/network-interfaces/{iface_id}", {"iface_id": iface_id, **fields})

    def patch_pmem(self, pmem_id, **fields):
        self.ask("PATCH", f"/pmem/{pmem_id}", {"id": pmem_id, **fields})

    def patch_balloon(self, amount_mib):
        self.ask("PATCH", "/balloon", {"amount_mib": amount_mib})

    def balloon_statistics(self):
        return self.ask("GET", "/balloon/statistics")

    def patch_balloon_statistics(self, stats_polling_interval_s):
        self.ask("PATCH", "/balloon/statistics", {"stats_polling_interval_s": stats_polling_interval_s})

    def start_hinting(self, **fields):
        self.ask("PATCH", "/balloon/hinting/start", fields or None)

    def hinting(self):
        return self.ask("GET", "/balloon/hinting/status")

    def stop_hinting(self):
        self.ask("PATCH", "/balloon/hinting/stop")

    def memory_hotplug(self):
        return self.ask("GET", "/hotplug/memory")

    def patch_memory_hotplug(self, requested_size_mib):
        self.ask("PATCH", "/hotplug/memory", {"requested_size_mib": requested_size_mib})
