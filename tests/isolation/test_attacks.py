"""Each attack of attacks.py against each wall that is meant to stop it, with no other wall there, and without any."""

import pathlib

import pytest

import api
import attacks
import walls
from attacks import ATTACKS
from door import Call, Result

BAD_CALL = 148


def thread_of(name):
    return name.partition(" ")[0]


def prepare(world):
    (world.directory / "removable").touch()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_would_work_without_walls(world, attack):
    """Else nothing is shown by its failure behind one."""
    prepare(world)
    with walls.behind(None, world) as (intruder, site):
        answer = intruder.make("machine", attack.calls(site))
        assert answer.complete or answer.error in attack.fails_with, answer


@pytest.mark.parametrize("thread", walls.THREADS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_filters(world, attack, thread):
    prepare(world)
    with walls.behind("filters", world, thread) as (intruder, site):
        decisive = attack.calls(site)[attack.decisive]
        # By itself, as the calls before it may be ones that this thread may not make either.
        decisive = Call(0 if isinstance(each, Result) else each for each in decisive)
        answer = intruder.make(thread_of(thread), [decisive])
        if thread in attack.filters:
            assert not answer.results and answer.user is None, answer
            assert intruder.bad_call() == (NAMES.get(decisive[0], decisive[0]), BAD_CALL)
        else:
            assert answer.results, "the table says that this thread may"


# The log names them by the number that they come with.
NAMES = {"int80": "writev", 0x40000000 + 39: "unknown"}

ALONE = [(attack, wall, error) for attack in ATTACKS for wall, error in attack.walls().items()]


@pytest.mark.parametrize("attack, wall, error", ALONE, ids=lambda each: getattr(each, "name", str(each)))
def test_another_wall_alone(world, attack, wall, error):
    if wall == "landlock" and api.landlock_abi() < attack.landlock_version:
        pytest.skip(f"this kernel's landlock has version {api.landlock_abi()}")
    # What this host does not have at all.
    errors = (error, "ENOSYS") if "ENOSYS" in attack.fails_with else (error,)
    prepare(world)
    for thread in walls.THREADS if wall == "landlock" else ["machine with an API"]:
        with walls.behind(wall, world, thread) as (intruder, site):
            answer = intruder.make(thread_of(thread), attack.calls(site))
            if wall == "landlock" and thread not in attack.landlock_threads:
                assert answer.complete or answer.error in attack.fails_with, "the table says that this thread may"
                continue
            assert answer.error in errors and not answer.complete, (thread, answer)


def test_the_documentation_has_the_table():
    text = (pathlib.Path(__file__).parent.parent.parent / "docs/attacks.md").read_text()
    assert "\n".join(attacks.table()) in text, "python3 tests/isolation/attacks.py prints it anew"
