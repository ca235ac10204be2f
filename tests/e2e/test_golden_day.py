"""A golden day for every family: the facts of one short day, bound to the logic numbers that decided them."""

import hashlib

from domain.families import DECIDERS
from schemas.catalog import FAMILIES
from tests.simulation.crashes import Crashes
from tests.simulation.runs import SimulatedApp, Simulation
from tests.simulation.world import World

SEED = 11

GOLDEN: dict[str, tuple[int, str]] = {
    "party": (1, "59ee467505dde99aec41a0016379f3cb"),
    "site": (1, "178c149c7e0c98bb613f2f22628f5cd1"),
    "community": (1, "63e907e3106aac4e8cfb662e4afa7af9"),
    "market": (1, "b472db4e6fa88a6f15e2d2c926e124d0"),
    "programme": (1, "336a0f99b8397a9f99bdfab4cff4ddc5"),
    "meter": (1, "32b04a19ee56a6f1fc5c74c71d2359f2"),
    "reference": (1, "cf617fc8e90e23d7b3aa2effd7112b84"),
    "settlement": (1, "3adfbf84e351b47752c6c20a4eba24ca"),
    "billing": (1, "c11f2cf161d79f6b539e19eb5139efe9"),
}
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
