"""Later releases of this checkout, each in a folder: a fact gets a field, read first, written one release later."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.faults.processes import CHECKOUT

_ROOMS: Final = ("schemas", "domain", "projections", "consumers", "infra", "gateways")
_TESTS: Final = ("faults", "simulation")
_NUMBER: Final = re.compile(r"^RELEASE: Final = (\d+)$", re.MULTILINE)
_FIELD: Final = ("    expires_at: TimeUs | None\n\n\n@event\nclass TradeMade", "    channel: Count = 0\n")
"""Behind the last field of `OrderAccepted`."""

NEW_SCHEMA: Final = "market.OrderAccepted.2.avsc"


def read_first(folder: Path) -> Path:
    """The next release: `OrderAccepted` has a field more, which it reads and does not write yet."""
    for room in _ROOMS:
        _copy(CHECKOUT / room, folder / room)
    for tests in _TESTS:
        _copy(CHECKOUT / "tests" / tests, folder / "tests" / tests)
    _copy(CHECKOUT / "examples", folder / "examples")
    events = folder / "schemas" / "market" / "events.py"
    place, field = _FIELD
    text = events.read_text()
    assert text.count(place) == 1, "OrderAccepted has changed: say here where its last field is"
    line = place.splitlines(keepends=True)[0]
    events.write_text(text.replace(place, place.replace(line, line + field)))
    _raise_number(folder)
    subprocess.run([sys.executable, "-m", "infra.schemas"], cwd=folder, check=True, capture_output=True, timeout=60)
    assert (folder / "schemas" / "published" / NEW_SCHEMA).exists()
    return folder


def then_written(before: Path, folder: Path) -> Path:
    """The release after it: the same messages, and the new field is written."""
    _copy(before, folder)
    _raise_number(folder)
    return folder


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".gridbook"))


def _raise_number(folder: Path) -> None:
    file = folder / "schemas" / "release.py"
    text, times = _NUMBER.subn(lambda found: f"RELEASE: Final = {int(found[1]) + 1}", file.read_text())
    assert times == 1, f"no number of a release in {file}"
    file.write_text(text)
