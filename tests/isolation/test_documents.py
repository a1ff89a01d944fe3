"""What docs/security.md and docs/attacks.md call a test is one, and each line of a table that has a column for tests names some."""

import functools
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
DOCUMENTS = ("security.md", "attacks.md")


@functools.cache
def functions():
    """Names of the tests that are written in Python."""
    return {name for path in (TOP / "tests").rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}


def is_test(name):
    if "/" in name:
        return (TOP / name).exists()
    return name in functions()


def names_in(text):
    return re.findall(r"`((?:tests|fuzz|bench)/[\w/.-]+|test_\w+(?:\.py)?)`", text)


def tables(text):
    """[(cells of the head, cells of a line)] of each line of a table."""
    lines = re.findall(r"(?:^\|.*\n)+", text, re.M)
    found = []
    for table in lines:
        rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in table.splitlines()]
        found += [(rows[0], row) for row in rows[2:]]
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_test_that_is_named_is_there(document):
    names = names_in((TOP / "docs" / document).read_text())
    assert len(names) > 5
    assert [name for name in names if not is_test(name)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_line_of_a_table_of_claims_names_a_test(document):
    lines = [(head, row) for head, row in tables((TOP / "docs" / document).read_text()) if head[-1].lower() in ("test", "tests")]
    assert lines
    assert [row[0] for _, row in lines if not names_in(row[-1])] == []


def test_each_layer_names_a_test():
    text = (TOP / "docs/security.md").read_text()
    layers = re.search(r"^## Layers.*?(?=^## What)", text, re.M | re.S)[0]
    sections = re.split(r"^### ", layers, flags=re.M)[1:]
    assert len(sections) >= 6
    for section in sections:
        assert names_in(section), section.splitlines()[0]
        for claim in re.findall(r"^- .*(?:\n  .*)*", section, re.M):
            assert names_in(claim), claim
