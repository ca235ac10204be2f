"""Facts as they stand on the log: written with today's schemas and read again, then evolved from nothing."""

import copy
from functools import cache
from typing import Any

from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import Command, CommandMeta, FactMeta, Moment, Recorded
from tests.unit.given import Scenario

_FIRST_TICK = Moment(1, 0)


@cache
def codec() -> Codec:
    """A codec for today's messages, with a ledger of its own."""
    return Codec({number: avro_schema(message) for number, message in enumerate(all_messages(), 1)})


def recorded(family: str, key: str, body: Any, seq: int = 0, tick: Moment = _FIRST_TICK) -> Recorded[Any]:
    """A fact that stands on the log."""
    meta = FactMeta(seq, tick, "c", 0, "actor", "correlation", None, 1)
    return Recorded(family, 0, key, meta, body)


def read_again(body: Any) -> Any:
    """The fact as a reader of the log finds it."""
    return codec().decode(codec().encode(recorded("", "", body).meta, body))[1]


def rebuilt(scenario: Scenario) -> Any:
    """The state of the scenario's key, made again from its facts alone."""
    state = scenario.decider.initial(scenario.key)
    for seq, (body, tick) in enumerate(zip(scenario.facts, scenario.moments, strict=True)):
        fact = recorded(scenario.family, scenario.key, read_again(body), seq, tick)
        state = scenario.decider.evolve(state, fact)
    return state


def only_judges(scenario: Scenario, body: Any, actor: str) -> list[Any]:
    """`when`, after a trial that must leave the state as it was: `decide` changes nothing."""
    before = copy.deepcopy(scenario.state)
    meta = CommandMeta("trial", actor, "correlation", None, None, None)
    list(scenario.decider.decide(scenario.state, Command(scenario.key, meta, body), scenario.now))
    assert scenario.state == before, f"{type(body).__name__} changed the state while it was judged"
    return scenario.when(body, actor)
