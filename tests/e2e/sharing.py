"""Several pytest processes, each in a lab of its own, take the same tests in turns (scripts/e2e-labs).

They meet in the directory $LAB_OUT: a test belongs to whoever makes its directory in `claims`. What came out is a line of
JSON in a file of each lab's own, so that what is done stays done when a lab stops."""

import hashlib
import json
import os
import pathlib
import time


class Sharing:
    def __init__(self, directory, name):
        self.claims, self.name = directory / "claims", name
        self.file = (directory / f"{name}.jsonl").open("a")
        self.reports = {}

    def claim(self, item):
        directory = self.claims / hashlib.sha256(item.nodeid.encode()).hexdigest()[:24]
        try:
            directory.mkdir()
        except FileExistsError:
            return None
        (directory / "by").write_text(f"{self.name} {item.nodeid}")
        return directory

    def mine(self, items):
        """Those of `items` that this process gets, each claimed one test ahead of its turn, as pytest wants to know the next."""
        for item in items:
            directory = self.claim(item)
            if directory:
                yield item, directory

    def pytest_runtestloop(self, session):
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted("errors during collection")
        if session.config.option.collectonly:
            return True
        mine = self.mine(session.items)
        current = next(mine, None)
        while current:
            item, directory = current
            following = next(mine, None)
            (directory / "running").write_text(str(time.time()))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following[0] if following else None)
            self.record(item.nodeid)
            if session.shouldfail or session.shouldstop:
                raise session.Interrupted(session.shouldfail or session.shouldstop)
            current = following
        return True

    def pytest_runtest_logreport(self, report):
        self.reports.setdefault(report.nodeid, []).append(report)

    def record(self, test):
        reports = self.reports.pop(test, [])
        failed = [report for report in reports if report.failed]
        skipped = [report for report in reports if report.skipped]
        outcome, text = "passed", ""
        if failed:
            outcome, text = "failed", "\n".join(report.longreprtext for report in failed)
        elif skipped:
            longrepr = skipped[0].longrepr
            outcome, text = "skipped", longrepr[2] if isinstance(longrepr, tuple) else skipped[0].longreprtext
        seconds = sum(report.duration for report in reports)
        self.file.write(json.dumps({"test": test, "outcome": outcome, "text": text, "seconds": seconds}) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())


def plugin():
    """None where this process has all tests to itself."""
    name = os.environ.get("E2E_LAB")
    return Sharing(pathlib.Path(os.environ["LAB_OUT"]), name) if name else None
