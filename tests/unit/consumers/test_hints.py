"""Positions noted now and then: often enough to save work, never so often that noting becomes the work."""

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

import consumers.hints as module
from consumers.hints import Notes as Noting
from consumers.limits import HINT_EVERY_S, IDLE_WAIT_S
from consumers.ports import Partition
from tests.unit.consumers.loops import PARTY, Notes, Seen


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_000.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.seconds))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


OTHER = Partition("site", 3)


class Hinted:
    """The position of one reader in one partition."""

    def __init__(self, noting: Noting, partition: Partition = PARTY) -> None:
        self._noting, self._partition = noting, partition

    async def load(self) -> int:
        return await self._noting.load(self._partition)

    async def note(self, position: int, *, last: bool = False) -> None:
        await self._noting.note(self._partition, position, last=last)


def hinted(notes: Notes, seen: Seen | None = None) -> Hinted:
    return Hinted(Noting("react", notes, seen or Seen()))


async def test_a_reader_begins_where_it_noted_last(time: Time) -> None:
    notes = Notes()
    assert await hinted(notes).load() == 0
    await hinted(notes).note(7)
    assert await hinted(notes).load() == 7
    assert await Hinted(Noting("calculate", notes, Seen())).load() == 0, "each reader has its own"


async def test_a_position_is_noted_at_most_once_a_second(time: Time) -> None:
    notes = Notes()
    position = hinted(notes)
    await position.load()
    for n in range(1, 1_001):
        time.seconds += HINT_EVERY_S / 100
        await position.note(n)
    assert notes.count == pytest.approx(10, abs=1)
    assert notes.noted["react", PARTY] > 900


async def test_the_last_position_is_noted_at_once(time: Time) -> None:
    notes = Notes()
    position = hinted(notes)
    await position.note(1)
    await position.note(2)
    assert notes.noted["react", PARTY] == 1
    await position.note(2, last=True)
    assert notes.noted["react", PARTY] == 2


async def test_the_same_position_is_not_noted_again(time: Time) -> None:
    notes = Notes()
    notes.noted["react", PARTY] = 5
    position = hinted(notes)
    await position.load()
    for _ in range(5):
        time.seconds += 10
        await position.note(5, last=True)
    assert notes.count == 0


async def test_the_positions_of_a_process_are_noted_together(time: Time) -> None:
    notes = Notes()
    noting = Noting("react", notes, Seen())
    mine, other = Hinted(noting), Hinted(noting, OTHER)
    for second in range(1, 11):
        time.seconds += HINT_EVERY_S
        await mine.note(second)
        await other.note(100 + second)
        assert notes.count == second
        assert noting.patience(PARTY, second) == IDLE_WAIT_S
        assert noting.patience(OTHER, 100 + second) == pytest.approx(HINT_EVERY_S)
    assert (notes.noted["react", PARTY], notes.noted["react", OTHER]) == (10, 109)
    await other.note(110, last=True)
    assert notes.noted["react", OTHER] == 110


async def test_who_has_given_a_partition_up_notes_nothing_for_it_later(time: Time) -> None:
    """Else it would take back what its successor has noted."""
    notes = Notes()
    noting = Noting("react", notes, Seen())
    mine, other = Hinted(noting), Hinted(noting, OTHER)
    notes.refuses = {"hint"}
    await other.note(7, last=True)
    notes.refuses = set()
    notes.noted["react", OTHER] = 9
    time.seconds += HINT_EVERY_S
    await mine.note(1)
    assert notes.noted == {("react", PARTY): 1, ("react", OTHER): 9}


async def test_a_position_that_was_noted_is_not_noted_again_with_those_of_others(time: Time) -> None:
    notes = Notes()
    noting = Noting("react", notes, Seen())
    mine, other = Hinted(noting), Hinted(noting, OTHER)
    await other.note(7)
    notes.noted["react", OTHER] = 9
    time.seconds += HINT_EVERY_S
    await mine.note(1)
    assert notes.noted == {("react", PARTY): 1, ("react", OTHER): 9}


@pytest.mark.parametrize("error", [RuntimeError("views are away"), ValueError("no idea")])
async def test_a_store_that_is_away_is_told_and_asked_again_a_second_later(time: Time, error: Exception) -> None:
    notes, seen = Notes(), Seen()
    position, hint = hinted(notes, seen), notes.hint

    async def away(reader: str, positions: Mapping[Partition, int]) -> None:
        notes.count += 1
        raise error

    notes.hint = away  # type: ignore[method-assign]
    for n in range(100):
        await position.note(n + 1)
    assert notes.count == 1, "an outage is no reason to ask at every step"
    assert seen.told("position not noted") == [str(error)]
    notes.hint = hint  # type: ignore[method-assign]
    time.seconds += HINT_EVERY_S + 0.01
    await position.note(100)
    assert notes.noted["react", PARTY] == 100


async def test_a_store_that_is_away_at_the_beginning_is_the_callers_matter() -> None:
    notes = Notes()
    notes.refuses = {"hints"}
    with pytest.raises(RuntimeError, match="views are away"):
        await hinted(notes).load()
