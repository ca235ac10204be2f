"""What stays is kept out of the collector's rounds, and what became garbage afterwards is found all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from consumers.garbage import BUSY_AFTER, CALM_AFTER, EVERY_RECORDS, Garbage, kept


class Knot:
    """Garbage that only the collector finds, once nobody holds it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def garbage() -> Iterator[Garbage]:
    gc.collect()
    made = Garbage()
    with made.watched():
        yield made
    assert gc.get_freeze_count() == 0


def knot() -> tuple[list[Knot], "weakref.ref[Knot]"]:
    made = Knot()
    return [made], weakref.ref(made)


def test_what_has_come_to_stay_is_frozen_and_young_garbage_is_not(garbage: Garbage) -> None:
    stays = [Knot() for _ in range(1_000)]
    garbage.grown(EVERY_RECORDS - 1)
    before = gc.get_freeze_count()
    holder, gone = knot()
    holder.clear()
    garbage.grown(1)
    assert gone() is None, "it would be frozen with all others"
    assert gc.get_freeze_count() >= before + len(stays)
    assert not [one for one in gc.get_objects() if type(one) is Knot]


def test_garbage_of_what_was_frozen_is_found_in_a_calm_moment_and_not_before_it_is_worth_it(garbage: Garbage) -> None:
    holder, gone = knot()
    for n in range(CALM_AFTER):
        garbage.grown(EVERY_RECORDS)
        holder.clear()
        gc.collect()
        assert gone() is not None
        if n < CALM_AFTER - 1:
            garbage.calm()
    assert gone() is not None
    garbage.calm()
    assert gone() is None
    before = gc.get_freeze_count()
    assert before, "what stays is frozen again"


def test_who_never_has_a_calm_moment_makes_a_whole_round_some_day(
    garbage: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.garbage.BUSY_AFTER", 3)
    assert BUSY_AFTER > CALM_AFTER
    holder, gone = knot()
    garbage.grown(EVERY_RECORDS)
    holder.clear()
    garbage.grown(EVERY_RECORDS)
    assert gone() is not None
    garbage.grown(EVERY_RECORDS)
    assert gone() is None


def test_a_memory_that_was_given_up_is_looked_for_at_once(garbage: Garbage) -> None:
    holder, gone = knot()
    garbage.grown(EVERY_RECORDS)
    holder.clear()
    garbage.calm()
    assert gone() is not None
    garbage.dropped()
    garbage.calm()
    assert gone() is None


def test_a_process_that_is_not_watched_is_left_alone() -> None:
    garbage, before = Garbage(), gc.get_freeze_count()
    for _ in range(3):
        garbage.grown(EVERY_RECORDS)
    garbage.dropped()
    garbage.calm()
    assert gc.get_freeze_count() == before == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_made_to_stay_is_frozen_and_the_collector_is_afterwards_as_it_was(enabled: bool) -> None:
    stays = list[Knot]()
    if not enabled:
        gc.disable()
    try:
        with pytest.raises(KeyError), kept():
            _read(stays)
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() >= len(stays)
    finally:
        gc.enable()
        gc.unfreeze()


def _read(stays: list[Knot]) -> None:
    assert not gc.isenabled()
    stays += [Knot() for _ in range(1_000)]
    raise KeyError
