"""The demo: two real neighbourhoods live through a day of electricity, on one log, in one command.

`make demo` (embedded), `make demo ARGS='--kafka'`, `ARGS='--json FILE'`, `--data DIR`, `--fresh`.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from consumers.layout import Counts
from examples import account, story
from examples.day import Day
from examples.names import invented_name
from examples.sample_files import SampleFileError
from examples.world import SAMPLE
from gateways.app import FAILURES, App, UnusableFolder, forget_local, open_vault
from gateways.running import AlreadyRuns, demand_nobody
from gateways.servers import Servers, servers
from infra.vault.vault import PersonalData, Vault

DATA: Final = Path(".gridbook/demo")
_FAILURES: Final[tuple[type[Exception], ...]] = (*FAILURES, SampleFileError, AlreadyRuns)


async def live(app: App, day: Day, show: Callable[[str, int], None]) -> None:
    """Lives through the day, or goes on where an earlier process was killed.

    The last tick that every partition has passed is known from the log; its wishes are sent again, and
    those that were answered before are answered as repeated.
    """
    passed = app.drive.passed
    for step in day.steps:
        if step.moment.n < passed:
            continue
        if step.moment.n > passed:
            await app.drive.tick(step.moment)
        if step.commands:
            await app.drive.send(app.door.admit(step.commands))
            await app.drive.settle()
        show(step.title, step.moment.n)


async def introduce(vault: Vault, parties: Sequence[str]) -> None:
    """Puts invented names of the sample's parties into the vault; the log never hears them."""
    await vault.start()
    if await vault.get(parties[-1]) is None:
        for party in parties:
            await vault.put(party, PersonalData(name=invented_name(party)))


async def prove(places: Servers, partitions: int | Counts = 1) -> tuple[dict[str, bool], bool, list[str]]:
    """Both proofs by an `App` that wrote nothing: what holds, whether the chain does, and what does not."""
    app = App(places.backend(), places.dsn, places.deployment, partitions)
    try:
        await app.open()
        verdicts = await app.verify_decisions()
        differing = await app.verify_projections()
    finally:
        await app.close()
    problems = [d for verdict in verdicts for d in verdict.differences]
    problems += [f"view {name}: live {live}, rebuilt {again}" for name, (live, again) in differing.items()]
    proofs = {"decisions": all(v.holds for v in verdicts), "projections": not differing}
    return proofs, all(v.chain for v in verdicts), problems


async def _run(places: Servers, day: Day, console: Console) -> dict[str, Any]:
    started = time.monotonic()
    app = App(places.backend(), places.dsn, places.deployment)
    try:
        await app.start()
        columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("starting", total=len(day.steps), completed=app.drive.passed)
            await live(app, day, lambda title, n: progress.update(task, description=title, completed=n))
            progress.update(task, description="deciding everything again")
            proofs, chain, problems = await prove(places)
        found = await account.gather(app) | {"verified": proofs, "chain": chain}
        vault = open_vault(places.dsn, places.vault_key)
        await introduce(vault, [party.party for place in day.places for party in place.community.parties])
        await story.tell(app, vault, day, found, console)
        for problem in problems:
            console.print(problem, style="bold red", markup=False)
        return found | {"seconds": round(time.monotonic() - started, 1)}
    finally:
        await app.close()


def bind_sample(data: Path, sample: Path) -> None:
    """A data folder lives through one sample: with another one it would be no day at all.

    Raises:
        UnusableFolder: the folder began with other files.
    """
    digest = hashlib.sha256()
    for file in sorted(sample.rglob("*.csv")):
        digest.update(str(file.relative_to(sample)).encode() + file.read_bytes())
    bound = data / "sample"
    if not bound.exists():
        bound.write_text(digest.hexdigest())
    if bound.read_text() != digest.hexdigest():
        raise UnusableFolder(f"{data} lives through another sample: use --fresh, or another --data")


def main(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the account as one JSON object.")] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="Run on Kafka instead of the embedded log.")] = False,
    data: Annotated[Path, typer.Option("--data", help="Where everything is kept.")] = DATA,
    sample: Annotated[Path, typer.Option("--sample", help="The sample communities' folder.")] = SAMPLE,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew.")] = False,
) -> None:
    """Two neighbourhoods, one day: trade, share, respond, measure, settle, bill, correct, explain, prove."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    started = time.monotonic()
    try:
        day = Day(sample)  # before anything is touched: of a damaged file nothing is recorded
        if json_file is not None and not json_file.absolute().parent.is_dir():
            raise UnusableFolder(f"{json_file}: there is no such folder: choose another --json")
        if fresh and data.is_dir():
            demand_nobody(data)
            forget_local(data)
        with servers(data, kafka) as places:
            bind_sample(data, sample)
            found = asyncio.run(_run(places, day, console))
    except _FAILURES as failure:
        console.print(str(failure), style="bold red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    found["seconds"] = round(time.monotonic() - started, 1)
    console.print(f"All of it took {found['seconds']} s.")
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    if not (all(found["verified"].values()) and found["chain"]):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
