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
    "site": (2, "1dcf5e738b01e296603569cd290b92b3"),
    "community": (1, "63e907e3106aac4e8cfb662e4afa7af9"),
    "market": (3, "6ef9905dbf7826e8b28e98603b93981e"),
    "programme": (1, "bcbb38ea087a56858e3b5d0eeb40b802"),
    "meter": (1, "4413d528e20279e7a7e7e3ff32e77694"),
    "reference": (1, "cf617fc8e90e23d7b3aa2effd7112b84"),
    "settlement": (1, "2368bce4da8a7812df2ddc39a716eea7"),
    "billing": (1, "a7d33863cccc470c36d6deeaa2c4d089"),
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
