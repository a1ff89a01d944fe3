"""What the benches share: where things are, statistics, tables, results as JSON, bars and their verdicts."""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20


class BenchError(Exception):
    """Something the bench needs is not there; the text says what and how to get it."""


def add_build_option(parser):
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", metavar="DIR",
                        help="build directory with bin/, bench/ and bare/ (default: build/release)")


def need(path, how):
    path = pathlib.Path(path)
    if not path.exists():
        raise BenchError(f"{path} is not there; {how}")
    return path


def bench_program(build, name):
    return need(build / "bench" / name, "build it: cmake --build --preset release")


def bare_guest(build, name):
    return need(build / "bare" / f"{name}.elf", "build it: cmake --build --preset release --target bare-guests")


def host():
    """What a reader must know to compare figures."""
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "lab": "LAB" in os.environ,
            "date": time.strftime("%Y-%m-%d", time.gmtime()), "load": round(os.getloadavg()[0], 2)}


def version(program):
    """The first line that `program --version` prints, for the record."""
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return ((run.stdout or run.stderr).strip().splitlines() or ["unknown"])[0]


def summary(values):
    """Median, least and ninth decile."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "p90": ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)],
            "n": len(ordered)}


def bar(what, value, limit, unit=""):
    """One promise and whether it is kept: at most `limit`."""
    return {"what": what, "value": round(value, 3), "bar": limit, "unit": unit, "ok": value <= limit}


def table(head, rows):
    """A Markdown table that also reads well on a terminal."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


BAR_COLUMNS = ["bar", "measured", "at most", ""]


def bars_table(bars):
    return table(BAR_COLUMNS,
                 [[b["what"], f"{b['value']:g}{b['unit']}", f"{b['bar']:g}{b['unit']}", "ok" if b["ok"] else "**not met**"]
                  for b in bars])


def report(result, text, path):
    """Prints the text (a table) and the verdicts on the bars; writes the result, with the text in it, where asked."""
    result = {**result, "host": host(), "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]), "text": text}
    print(text)
    if result["bars"]:
        print("\n" + bars_table(result["bars"]))
    if path:
        pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


def main(function):
    """Runs a bench's main function; its errors are one line."""
    try:
        sys.exit(function())
    except BenchError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def in_path(name):
    return shutil.which(name)
