"""One measured number, with what it stands beside."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement; what does not apply is none.

    `against` names what was measured beside it in the same run, `ratio` is value ÷ its value. `target`
    is a promise about the ratio (or about the value, where there is nothing beside it), `holds` says
    whether it is kept; without a promise both are none.
    """

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None
    target: float | None = None
    holds: bool | None = None

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)
