"""The records of Firecracker's behaviour (data/README.md), and the comparison with what a monitor does now."""

import concurrent.futures
import json
import lzma
import os

from stage import DATA


def load(name):
    """The cases of data/NAME.jsonl.xz."""
    with lzma.open(DATA / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def differing(record, outcome):
    """{field: (recorded, now)} of a case; a record may have several outcomes that are all right."""
    candidates = [record, *({**record, **other} for other in record.get("varies", ()))]
    return min(({field: (wanted.get(field), got) for field, got in outcome.items() if wanted.get(field) != got} for wanted in candidates), key=len)


def run(cases, play, workers=0):
    """[(record, outcome)] of all, side by side, as most of a case is waiting."""
    with concurrent.futures.ThreadPoolExecutor(workers or 4 * os.cpu_count()) as pool:
        return list(zip(cases, pool.map(play, cases)))


def judge(results, differences):
    """Holds [(record, outcome)] against a reviewed list: (lines about what differs and is not in it, what of it did not differ)."""
    unexpected, met = [], set()
    for record, outcome in results:
        for field, (recorded, now) in differing(record, outcome).items():
            known = next((entry for entry in differences if entry.covers(record["name"], field, recorded, now)), None)
            if known:
                met.add(known)
                continue
            unexpected.append(f"{record['name']}: {field}\n    recorded {json.dumps(recorded)[:500]}\n    now      {json.dumps(now)[:500]}")
    return unexpected, [entry for entry in differences if entry not in met and not entry.may_be_absent]
