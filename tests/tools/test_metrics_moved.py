"""tests/data/metrics_moved.txt knows each key of Firecracker's metrics, and tells the truth of what it names."""

import json
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]


def rows():
    """{key: [where, what it is called there]}"""
    lines = (TOP / "tests/data/metrics_moved.txt").read_text().splitlines()
    return {words[0]: words[1:] for words in map(str.split, lines) if words[0] != "#"}


def test_every_key_is_there():
    tree = json.loads((TOP / "tests/data/firecracker_metrics.json").read_text())["all_devices"]["tree"]
    keys = {f"{group}.{key}" for group, members in tree.items() if isinstance(members, dict) and not re.search("_[dnp]1$", group) for key in members}
    assert set(rows()) == keys


def test_each_is_met_where_it_says():
    reasons = (TOP / "docs/observability.md").read_text().partition("so that it stays 0:")[2].partition("\n\n###")[0]
    for key, (where, *names) in rows().items():
        name = names[0] if names else key.partition(".")[2]
        if where == "never":
            assert f"`{key}`" in reasons, key
        elif where != "life":
            assert re.search(rf"\b{name}\b", (TOP / where).read_text()), (key, where)
