"""`gridbook topics`: the topics that a deployment stands on, and more partitions for a family."""

import asyncio
from typing import Annotated

import typer

from gateways.app import App, deployment_of
from gateways.app.processes import snapshots_of, topics_of
from gateways.grow import grow as grow_family
from gateways.servers import Servers
from gateways.settings import Settings
from gateways.terminal import Data, Json, ends, print_rows, reached, settings_of
from schemas.catalog import FAMILIES
from schemas.values import MAX_PARTITIONS

app = typer.Typer(help="Make the deployment's topics on Kafka; give a family more partitions.")


@app.callback(invoke_without_command=True)
def topics(
    context: typer.Context,
    data: Data = None,
    show: Annotated[bool, typer.Option("--show", help="Only show what there is and what is wanted.")] = False,
    as_json: Json = False,
) -> None:
    """Makes the deployment's topics on Kafka, or says why one that exists is refused; once more changes nothing."""

    if context.invoked_subcommand is not None:
        return

    async def work(places: Servers, settings: Settings) -> bool:
        assert places.bootstrap is not None
        deployment = deployment_of(places.deployment, settings.layout().families)
        at = topics_of(places.bootstrap, places.deployment, places.copies)
        made = [] if show else await at.create(deployment.layout)
        states = await at.describe(deployment.layout)
        rows = [
            {
                "topic": state.topic.name,
                "partitions": f"{state.partitions} of {state.topic.partitions}",
                "copies": state.copies,
                "made now": state.topic.name in made,
                "differs": "; ".join(state.differences),
            }
            for state in states
        ]
        print_rows("topics", rows, as_json)
        return not any(row["differs"] for row in rows)

    def found() -> bool:
        settings, folder = settings_of(data)
        with reached(settings, folder, True) as places:
            return asyncio.run(work(places, settings))

    ends(found)


@app.command()
def grow(
    family: Annotated[str, typer.Argument(help="The family, for example `market`.")],
    partitions: Annotated[int, typer.Argument(help="How many it has from now on.", min=1, max=MAX_PARTITIONS)],
    data: Data = None,
) -> None:
    """Ends the partitions that a family has and makes new ones; the deployment's processes must be stopped."""
    if family not in FAMILIES:
        raise typer.BadParameter(f"no family {family!r}: expected one of {', '.join(FAMILIES)}")

    async def work(places: Servers, settings: Settings) -> bool:
        assert places.bootstrap is not None
        snapshots = snapshots_of(settings, data, places.deployment)
        made = App(places.backend(), places.dsn, places.deployment, settings.layout().families, snapshots)
        topics = topics_of(places.bootstrap, places.deployment, places.copies)
        try:
            layout = await grow_family(made, family, partitions, topics.seal)
        finally:
            await made.close()
        told = ",".join(f"{name}={'+'.join(map(str, counts))}" for name, counts in layout.families.items())
        typer.echo(f"{family} has {partitions} partitions. Every process and command needs this setting from now on:")
        typer.echo(f"GRIDBOOK_FAMILY_PARTITIONS={told}")
        return True

    def found() -> bool:
        settings, folder = settings_of(data)
        with reached(settings, folder, True) as places:
            return asyncio.run(work(places, settings))

    ends(found)
