"""The values of one register of a meter, packed: one page of arrays for each UTC day.

A dictionary of objects would take ten times the memory (96 values are 1.6 kB here). A missing value
is never zero: whether a place holds a value says its version, 0 for none.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.meter.events import Quality

_DAY_MIN: Final = 1440
_QUALITY: Final = {quality: place for place, quality in enumerate(Quality)}


@dataclass(slots=True)
class Page:
    """The intervals of one UTC day: energy (Wh), version (0: missing) and quality of each."""

    energy_wh: "array[int]"
    version: "array[int]"
    quality: "array[int]"

    @classmethod
    def empty(cls, size: int) -> "Page":
        """A page of `size` missing values."""
        zeros = bytes(size)
        return cls(array("q", zeros * 8), array("I", zeros * 4), array("B", zeros))


@dataclass(slots=True)
class Register:
    """Values by number of the interval, counted from 1970-01-01T00:00Z.

    The page of an interval length that does not divide a day holds as many whole intervals as fit in one.
    """

    interval_min: int
    pages: dict[int, Page] = field(default_factory=dict)

    def holds(self, first: int, energy_wh: Sequence[int], quality: Quality) -> bool:
        """True if every interval from number `first` on has this value with this quality already."""
        code = _QUALITY[quality]
        for number, there, here in self._pieces(first, len(energy_wh)):
            page = self.pages.get(number)
            if page is None or 0 in page.version[there]:
                return False
            if page.energy_wh[there] != array("q", energy_wh[here]):
                return False
            if page.quality[there] != array("B", [code]) * (there.stop - there.start):
                return False
        return True

    def latest_version(self, first: int, count: int) -> int:
        """The highest version of any of the intervals; 0 if all are missing."""
        found = [0]
        for number, there, _ in self._pieces(first, count):
            page = self.pages.get(number)
            if page is not None:
                found.extend(page.version[there])
        return max(found)

    def put(self, first: int, energy_wh: Sequence[int], quality: Quality, version: int) -> None:
        """Replaces the values of consecutive intervals from number `first` on."""
        code = _QUALITY[quality]
        for number, there, here in self._pieces(first, len(energy_wh)):
            page = self.pages.get(number)
            if page is None:
                page = self.pages[number] = Page.empty(self._page_size)
            count = there.stop - there.start
            page.energy_wh[there] = array("q", energy_wh[here])
            page.version[there] = array("I", [version]) * count
            page.quality[there] = array("B", [code]) * count

    @property
    def _page_size(self) -> int:
        return _DAY_MIN // self.interval_min

    def _pieces(self, first: int, count: int) -> Iterator[tuple[int, slice, slice]]:
        """Cuts a batch at the pages: (number of the page, places in the page, places in the batch)."""
        size, begin = self._page_size, 0
        while begin < count:
            page, at = divmod(first + begin, size)
            end = min(count, begin + size - at)
            yield page, slice(at, at + end - begin), slice(begin, end)
            begin = end
