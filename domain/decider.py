"""What a family's decider is: five functions and two constants, written as a module `domain/<family>/decider.py`.

* `decide(state, command, now)` judges a wish against the whole state of its key and says which facts
  follow, `CommandRefused` when a rule forbids it. It changes nothing. It refuses first, in the order
  of the family's refusal enum, and then succeeds.
* `advance(state, now, limit)` says which facts time alone brings about, at most `limit` of them; what
  it leaves over comes with the key's next command or tick. It changes nothing.
* `due(state)` is the next time (UTC µs) at which `advance` has something to say, or none.
* `evolve(state, fact)` returns the state after a fact, judging nothing; it may change and return the
  same object, its caller keeps no other.
* `initial(key)` is the state of a key without facts.
* `LOGIC` is raised with every change of `decide`, `advance` or `evolve` that changes a result.
* `OUTCOMES` names, for every command type, the facts that may answer it; policies are checked against it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from schemas.envelope import Command, Moment, Recorded


class Decider(Protocol):
    """A family's rules. State is whatever the family keeps per key; bodies are its event classes."""

    LOGIC: int
    OUTCOMES: Mapping[type, tuple[type, ...]]

    def initial(self, key: str) -> Any: ...

    def decide(self, state: Any, command: Command[Any], now: Moment) -> Iterable[Any]: ...

    def advance(self, state: Any, now: Moment, limit: int) -> Iterable[Any]: ...

    def due(self, state: Any) -> int | None: ...

    def evolve(self, state: Any, fact: Recorded[Any]) -> Any: ...
