"""Whatever is sent to a market: the door refuses it with a sentence, or the market does with a fact; nothing breaks."""

import json
import random
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, fields, replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.layout import Layout
from domain.market import decider
from gateways.door import Door, DoorCommand, InvalidCommand
from infra.schemas import load_codec
from schemas.catalog import messages_of
from schemas.envelope import Command, CommandMeta, Moment
from schemas.form import Many, Maybe, Part, part_of
from schemas.market.commands import AmendOrder, CancelOrder, SubmitOrder
from schemas.market.events import CommandRefused, MarketRefusal, OrderAccepted
from schemas.message import Kind
from schemas.values import INT64_MAX
from tests.unit.any_message import any_message
from tests.unit.given import Scenario, only
from tests.unit.market.world import KWH, MARKET, NOON, OPERATOR, POLICY, QUARTER, buy, open_market, sell, submit
from tests.unit.written import only_judges

MALFORMED: Final = 10_000
SAID: Final = re.compile(r"^market\.\w+[\w.: \[\]'\\]*: .+, found .+; correct it and send again$", re.DOTALL)
"""What, what was expected, what was found, what to do."""

COMMANDS: Final = [m for m in messages_of("market") if m.kind is Kind.COMMAND]
ODD: Final = (
    None,
    True,
    -1,
    0,
    1.5,
    float("inf"),
    INT64_MAX + 1,
    -INT64_MAX - 2,
    10**400,
    "",
    "\0",
    "a\0b",
    "x" * 97,
    "\u202e",
    "no_such_symbol",
    "12",
    [],
    [None],
    [[]],
    {},
    {"surprise": 7},
)


def a_door() -> Door:
    return Door(load_codec(), Layout.of({"market": 3}), lambda: Moment(1, NOON))


@pytest.fixture(scope="module", name="door")
def opened() -> Door:
    return a_door()


def spoilt(payload: Any, chance: random.Random) -> Any:
    """The payload with something else in one place, however deep, or with a field too many or too few."""
    if isinstance(payload, dict) and payload and chance.random() < 0.8:
        name = chance.choice(list(payload))
        draw = chance.random()
        if draw < 0.1:
            return {key: value for key, value in payload.items() if key != name}
        if draw < 0.2:
            return {**payload, "surprise": chance.choice(ODD)}
        return {**payload, name: spoilt(payload[name], chance)}
    if isinstance(payload, list | tuple) and payload and chance.random() < 0.8:
        place = chance.randrange(len(payload))
        return [*payload[:place], spoilt(payload[place], chance), *payload[place + 1 :]]
    return chance.choice(ODD)


@pytest.fixture(scope="module", name="bodies")
def of_every_command() -> list[Any]:
    """Some good bodies of every command, each value that a command may leave out in every second one of them."""
    found: list[Any] = []

    @settings(max_examples=8, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        for message in COMMANDS:
            body = data.draw(any_message(message.cls))
            found.append(body)
            for name, form in part_of(message.cls).fields:
                if isinstance(form, Maybe) and isinstance(form.inner, Part):
                    found.append(replace(body, **{name: data.draw(any_message(form.inner.cls))}))

    collect()
    return found


def nested() -> Iterator[tuple[str, str]]:
    """The fields of commands that are values, or have some."""
    for message in COMMANDS:
        for name, form in part_of(message.cls).fields:
            inner = form.inner if isinstance(form, Maybe) else form
            if isinstance(inner.item if isinstance(inner, Many) else inner, Part):
                yield message.cls.__name__, name


def test_ten_thousand_malformed_commands(door: Door, bodies: list[Any]) -> None:
    """Half of them come as JSON, half as messages. What the door lets through is a whole command."""
    chance, said, codec = random.Random(5), list[str](), load_codec()
    assert {type(body) for body in bodies} == {message.cls for message in COMMANDS}
    for n in range(MALFORMED):
        body = bodies[n % len(bodies)]
        try:
            if n // len(bodies) % 2:
                spoilt_body = door.read("market", type(body).__name__, json.dumps(spoilt(asdict(body), chance)))
            elif fields(body):
                name = chance.choice(fields(body)).name
                spoilt_body = replace(body, **{name: spoilt(getattr(body, name), chance)})
            ((_, record),) = door.admit([DoorCommand("market", "m", "ann", f"c{n}", spoilt_body)])
        except InvalidCommand as error:
            said.append(str(error))
        else:
            # Nothing was wrong with it: an odd value of the right kind. The market judges it.
            assert type(codec.decode(record.value)[1]) is type(body)
    assert len(said) > MALFORMED * 3 // 4
    for sentence in said:
        assert SAID.match(sentence), sentence
    places = [sentence.split(":")[0].split(".") for sentence in said]
    assert {(place[1], place[2]) for place in places if len(place) > 3} >= set(nested()), "deep in every value"


def test_many_together_are_refused_together(door: Door) -> None:
    good = DoorCommand("market", "m", "ann", "c1", buy("ann", 1, 10))
    bad = replace(good, command_id="c2", body=replace(buy("ann", 1, 10), quantity_wh=-1))
    with pytest.raises(InvalidCommand, match=r"quantity_wh: expected .*, found -1; correct it and send again"):
        door.admit([good, bad])


@pytest.mark.parametrize("quantity", [-1, INT64_MAX + 1, 1.5, "7", None])
def test_no_such_quantity_comes_to_the_log(door: Door, quantity: Any) -> None:
    wish = replace(buy("ann", 1, 10), quantity_wh=quantity)
    with pytest.raises(InvalidCommand, match="quantity_wh"):
        door.admit([DoorCommand("market", "m", "ann", "c1", wish)])


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (buy("ann", 0, 10), MarketRefusal.QUANTITY_ZERO),
        (replace(buy("ann", 1, 10), quantity_wh=KWH + 1), MarketRefusal.QUANTITY_OFF_LOT),
        (replace(buy("ann", 1, 10), quantity_wh=INT64_MAX // 100 * 100), MarketRefusal.QUANTITY_ABOVE_MAXIMUM),
        (replace(buy("ann", 1, 10), limit_price_nano_per_kwh=1), MarketRefusal.PRICE_OFF_TICK),
        (buy("ann", 1, 10, start=NOON - QUARTER), MarketRefusal.INSTRUMENT_UNKNOWN),
        (buy("ann", 1, 10, start=NOON + 1000 * QUARTER), MarketRefusal.INSTRUMENT_UNKNOWN),
        (replace(buy("ann", 1, 10), duration_min=60), MarketRefusal.INSTRUMENT_UNKNOWN),
        (replace(buy("ann", 1, 10), connection="of another market"), MarketRefusal.CONNECTION_UNKNOWN),
        (CancelOrder("of another market"), MarketRefusal.ORDER_UNKNOWN),
        (AmendOrder("of another market", KWH, 0, None), MarketRefusal.ORDER_UNKNOWN),
    ],
)
def test_what_a_market_cannot_do_is_a_recorded_refusal(wish: Any, reason: MarketRefusal) -> None:
    """`only_judges` also holds that deciding changed nothing."""
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 10))
    before = without_position(market)
    (fact,) = only_judges(market, wish, "ann")
    assert isinstance(fact, CommandRefused)
    assert fact.reason is reason
    assert without_position(market) == before


def test_what_is_filled_cannot_be_amended() -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 10))
    submit(market, buy("ann", 1, 10))
    before = without_position(market)
    (fact,) = market.when(AmendOrder(only(market.facts, OrderAccepted)[0].order, KWH, 0, None), "bob")
    assert fact.reason is MarketRefusal.ORDER_NOT_OPEN
    assert without_position(market) == before


def without_position(market: Scenario) -> Any:
    """The state but for where its last fact stands: a refusal is a fact, too."""
    state = deepcopy(market.state)
    state.reached_seq = 0
    return state


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_door_lets_through_is_decided(data: st.DataObject) -> None:
    """Strange numbers and names of the right kind: an answer, and where it is a refusal nothing else changes."""
    market = market_of_the_day()
    message = data.draw(st.sampled_from(COMMANDS))
    actor = data.draw(st.sampled_from(["ann", OPERATOR, POLICY]))
    body = data.draw(any_message(message.cls))
    if isinstance(body, SubmitOrder) and data.draw(st.booleans()):
        body = replace(body, party="ann", connection="ann-cp", delivery_start_at=NOON, duration_min=15)
    meta = CommandMeta("c", actor, "correlation", None, None, None)
    before = without_position(market)
    answer = list(decider.decide(market.state, Command(MARKET, meta, body), market.now))
    assert answer
    if all(type(fact) is CommandRefused for fact in answer):
        market.given(*answer)
        assert without_position(market) == before


def market_of_the_day() -> Scenario:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 10))
    return market
