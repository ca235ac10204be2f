"""What a policy is: one row of a table, from a fact of one family to commands of another."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.envelope import Recorded

ENDS_HERE: Final = "ends here"
"""In `Policy.answers`: nobody has to hear of this outcome."""

Wish = tuple[str, Any]
"""The key and the body of a command."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A fact of type `on` in family `source` becomes commands of type `sends` in family `target`.

    `commands` is a pure function of the fact alone: events carry what their readers need. `answers`
    says for every outcome of the command (`OUTCOMES` of the target's decider) which policy takes it
    further, or `ENDS_HERE`; a test walks the table.
    """

    name: str
    source: str
    on: type
    target: str
    sends: type
    commands: Callable[[Recorded[Any]], Iterable[Wish]]
    answers: Mapping[type, str]
