"""Run as a program: days of a market in this process, and a hash of all that came of them, as JSON.

`python -m tests.unit.infra.compiled_day plain|compiled`: a program, because what is imported here is what is
compared, and a test has imported much already.
"""

import json
import sys
from hashlib import sha256

from infra.compiled import MODULES, compiled_codec, use_compiled

if __name__ == "__main__":
    said = use_compiled() if sys.argv[1] == "compiled" else "plain Python: as asked"

    import copy
    import pickle

    from benchmarks import bids, market_day
    from benchmarks.owner_path import make_decider
    from consumers.layout import Layout
    from consumers.partition import PartitionDecider
    from consumers.ports import Partition, StoredRecord
    from consumers.snapshot import taken, written
    from domain.market import decider
    from gateways.door import Door
    from infra.schemas import load_codec
    from schemas.envelope import FactMeta, Moment, Recorded
    from tests.unit.market.test_golden_day import day, digest

    found: dict[str, object] = {"said": said, "golden": digest(day().facts)}

    # A day of 7,000 orders: the facts and the state, and the state written down and read again.
    spoken = market_day.language()
    state, meta = decider.initial("m"), FactMeta(0, Moment(0, 0), "c", 0, "a", "c", None, 1)
    facts = sha256()
    for command in market_day.preparation(spoken):
        for fact in decider.decide(state, command, Moment(0, 0)):
            decider.evolve(state, Recorded("market", 0, "m", meta, fact))
    for now, commands in market_day.day(spoken):
        for wish in commands:
            for fact in [*decider.advance(state, now, 100), *decider.decide(state, wish.command, now)]:
                facts.update(repr(fact).encode())
                decider.evolve(state, Recorded("market", 0, "m", meta, fact))
    found["facts"] = facts.hexdigest()
    found["state"] = sha256(repr(state).encode()).hexdigest()
    assert copy.deepcopy(state) == state == pickle.loads(pickle.dumps(state))

    # An owner's way: bytes to bytes, the chain over them, and a snapshot between two appends.
    codec = load_codec(compiled_codec())
    at, key = Partition("market", 0), market_day.MARKET.encode()
    prepared, orders = list(bids.preparation(codec)), list(bids.bids(codec, 4_000))
    stored = [StoredRecord(n, r.key, r.value, r.headers) for n, r in enumerate([*prepared, *orders])]
    records = sha256()
    owner: PartitionDecider = make_decider(codec)(at, ())
    for begin in range(0, len(stored), 1_000):
        for record in owner.decide(stored[begin : begin + 1_000]):
            records.update(repr(record).encode())
        follower = make_decider(codec)(at, ())
        taken(at, follower, written(at, owner, 0))
        owner = follower
    found["records"] = records.hexdigest()

    # A door: pydantic makes messages in its own way.
    order = '{"party": "ann", "connection": "c", "delivery_start_at": 1, "side": "buy", "quantity_wh": 7'
    order += ', "limit_price_nano_per_kwh": -8, "restriction": "ioc", "expires_at": null}'
    door = Door(codec, Layout.of({"market": 1}), lambda: Moment(1, 1))
    found["door"] = repr(door.read("market", "SubmitOrder", order))
    found["native"] = sorted(m for m in MODULES if m in sys.modules and str(sys.modules[m].__file__).endswith(".so"))
    print(json.dumps(found))
