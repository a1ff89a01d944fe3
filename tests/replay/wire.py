"""HTTP as a record has it: requests to bytes, bytes to answers, answers to what is compared of them."""

import dataclasses
import json

# The headers that answers with and without a body have, which a record calls by a word.
USUAL_HEADERS = {
    "none": [["Connection", "keep-alive"], ["Server", "<string>"]],
    "json": [["Connection", "keep-alive"], ["Content-Length", "<int>"], ["Content-Type", "application/json"], ["Server", "<string>"]],
}
# Values that differ from program to program.
OPEN_FIELDS = ("vmm_version", "firecracker_version")


@dataclasses.dataclass
class Answer:
    status: object  # a number, or "closed" or "timeout"
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    protocol: str = ""
    reason: str = ""


def encode(request, stage):
    """The bytes of a recorded request."""
    body = request.get("body")
    content = None if body is None else stage.expand(body)
    headers = request.get("headers")
    if headers is None:
        headers = [] if content is None else [["Content-Type", "application/json"]]
    lines = [request["method"].encode() + b" " + stage.expand(request["path"]) + b" HTTP/1.1", b"Host: localhost", b"Accept: application/json"]
    lines += [name.encode() + b": " + stage.expand(value) for name, value in headers]
    if content is not None:
        lines.append(b"Content-Length: %d" % len(content))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (content or b"")


def decode(data):
    """The answer that `data` begins with and the bytes behind it; (None, data) while it is not whole."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None, data
    first, *fields = head.decode("latin1").split("\r\n")
    protocol, status, reason = first.split(" ", 2)
    headers = [tuple(field.split(": ", 1)) for field in fields]
    size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    if len(rest) < size:
        return None, data
    return Answer(int(status), headers, rest[:size], protocol, reason), rest[size:]


def _without_versions(value):
    if isinstance(value, dict):
        return {name: "<string>" if name in OPEN_FIELDS else _without_versions(inner) for name, inner in value.items()}
    return [_without_versions(inner) for inner in value] if isinstance(value, list) else value


def _body(answer, stage):
    """What is compared of a body: all of it, but for the texts of an error."""
    try:
        value = json.loads(answer.body)
    except ValueError:
        return "<text>"
    if answer.status >= 400:
        return {name: "<string>" if isinstance(inner, str) else inner for name, inner in value.items()} if isinstance(value, dict) else "<text>"
    return json.loads(stage.fold(json.dumps(_without_versions(value))))


def _headers(answer):
    masks = {"server": "<string>", "date": "<string>", "content-length": "<int>"}
    shown = [[name, masks.get(name.lower(), value)] for name, value in sorted(answer.headers)]
    return next((word for word, usual in USUAL_HEADERS.items() if usual == shown), shown)


def describe(answer, stage):
    """An answer as a record has it."""
    if not isinstance(answer.status, int):
        return {"status": answer.status}
    shown = {"status": answer.status}
    if answer.body:
        shown["body"] = _body(answer, stage)
    shown["headers"] = _headers(answer)
    return shown
