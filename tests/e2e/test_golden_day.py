"""A golden day for every family: the facts of one short day, bound to the logic numbers that decided them."""

import hashlib

from domain.families import DECIDERS
from schemas.catalog import FAMILIES
from tests.simulation.crashes import Crashes
from tests.simulation.runs import SimulatedApp, Simulation
from tests.simulation.world import World

SEED = 11

GOLDEN: dict[str, tuple[int, str]] = {}
"""Family → (LOGIC, digest of its facts in the day of this seed)."""


async def test_no_rule_changed_without_its_logic_number(postgres_dsn: str) -> None:
    run = Simulation(World(SEED), postgres_dsn, "golden", 1, Crashes(0, 0.0, 0), SimulatedApp)
    outcome = await run.run_in_lock_step()
    found = {}
    for family in FAMILIES:
        digest = hashlib.sha256()
        for (of, key), bodies in sorted(outcome.facts.items()):
            if of == family:
                digest.update("\n".join([key, *bodies]).encode())
        found[family] = (DECIDERS[family].LOGIC, digest.hexdigest()[:32])
    changed = [f for f in FAMILIES if found[f] != GOLDEN.get(f)]
    assert not changed, (
        f"the golden day of {', '.join(changed)} is another one: if a rule was meant to change, raise LOGIC in its"
        f" decider and write down what it gives now: { ({f: found[f] for f in changed}) }"
    )
