"""The seeded simulation: a short day that dies at every kind of point, in lock-step and by chance.

10 seeds by default; `pytest tests/simulation --seeds 200` runs more. A seed that fails fails again.
"""

import pytest

from tests.simulation.crashes import Crashes
from tests.simulation.runs import Make, Outcome, SimulatedApp, Simulation, run_account
from tests.simulation.world import World

POINTS = {
    "before append",
    "after append",
    "before send",
    "within send",
    "after send",
    "before projection",
    "after projection",
}


def simulation(dsn: str, seed: int, crashes: Crashes, make: Make = SimulatedApp) -> Simulation:
    return Simulation(World(seed), dsn, f"sim_{seed}", 1 + seed % 3, crashes, make)


async def undisturbed(dsn: str, seed: int) -> Outcome:
    return await simulation(dsn, seed, Crashes(seed, 0.0, 0)).run_in_lock_step()


async def dying(dsn: str, seed: int, make: Make = SimulatedApp) -> Outcome:
    return await simulation(dsn, seed, Crashes(seed, 0.02, 12), make).run_in_lock_step()


async def test_a_day_that_dies_ends_as_the_undisturbed_one(postgres_dsn: str, seeds: range) -> None:
    died: set[str] = set()
    for seed in seeds:
        calm, stormy = await undisturbed(postgres_dsn, seed), await dying(postgres_dsn, seed)
        assert calm.problems == [], f"seed {seed}"
        assert stormy.problems == [], f"seed {seed}, died at {stormy.crashed_at}"
        assert run_account(stormy) == run_account(calm), f"seed {seed}, died at {stormy.crashed_at}"
        died |= set(stormy.crashed_at)
    if len(seeds) >= 20:
        assert died == POINTS, "the seeds together die at every kind of point"


async def test_without_lock_step_the_invariants_hold(postgres_dsn: str, seeds: range) -> None:
    for seed in seeds:
        run = simulation(postgres_dsn, seed, Crashes(seed, 0.003, 6))
        outcome = await run.run_by_chance(seed)
        assert outcome.problems == [], f"seed {seed}, died at {outcome.crashed_at}"


def test_a_world_is_short_and_the_same_for_its_seed() -> None:
    assert World(7).steps == World(7).steps
    assert all(World(seed).commands <= 200 for seed in range(50))


async def test_something_of_everything_happens(postgres_dsn: str) -> None:
    happened: set[str] = set()
    for seed in range(3):
        outcome = await undisturbed(postgres_dsn, seed)
        happened |= {body.split("(")[0] for bodies in outcome.facts.values() for body in bodies}
    assert {
        "TradeMade",
        "OrdersCancelled",
        "ContractLapsed",
        "SiteOptedOut",
        "MeasurementCompleted",
        "RunPosted",
        "LinesPosted",
        "InvoiceIssued",
        "CreditNoteIssued",
        "AllotmentLowered",
        "CommandRefused",
    } <= happened


@pytest.mark.parametrize("name", ["position", "views", "cursor", "tick"])
async def test_a_planted_bug_is_caught(name: str, postgres_dsn: str) -> None:
    from tests.simulation.planted import PLANTED

    for seed in range(10):
        calm = await undisturbed(postgres_dsn, seed)
        try:
            stormy = await dying(postgres_dsn, seed, PLANTED[name])
        except AssertionError:
            return
        if stormy.problems or run_account(stormy) != run_account(calm):
            return
    pytest.fail(f"the bug {name!r} lived through ten seeds")
