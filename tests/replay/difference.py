"""An entry of the reviewed list (cli_differences.py): where mote-vmm is not as Firecracker was recorded."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Difference:
    reason: str
    cases: str  # a regular expression that fits the whole name of a case
    fields: tuple = ()  # those that may differ; none: any
    recorded: object = None  # a test of what was recorded for the field; none: anything
    now: object = None  # a test of what the field must be instead; none: anything
    may_be_absent: bool = False  # it depends on the host, or on timing

    def covers(self, name, field, recorded, now):
        return bool(
            re.fullmatch(self.cases, name)
            and (not self.fields or field in self.fields)
            and (self.recorded is None or self.recorded(recorded))
            and (self.now is None or self.now(now)))
