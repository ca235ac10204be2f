"""`gridbook run`, `up`, `topics`: the processes of a deployment, and the topics that they stand on."""

import asyncio
from typing import Annotated, Final, Literal

import typer

from consumers.limits import OwnerLimits
from consumers.ports import LogDiffers
from gateways.app import deployment_of
from gateways.app.processes import serve
from gateways.parent import end_with_parent
from gateways.roles import ROLES, Choices
from gateways.running import AlreadyRuns
from gateways.settings import InvalidSettings, Settings
from gateways.supervise import CONFIGURATION
from gateways.supervise import up as run_all
from gateways.terminal import SAID, Data, Kafka, complain, reached, settings_of

RoleName = Literal["decide", "react", "project", "calculate", "clock"]
Families = Annotated[list[str] | None, typer.Option("--family", help="Only this family (again for more).")]
Standby = Annotated[bool, typer.Option("--standby", help="Follow every partition ahead, take over in one step.")]
Without = Annotated[list[str] | None, typer.Option("--without", help="A role that runs elsewhere, as `clock`.")]


_SAID: Final[tuple[type[Exception], ...]] = (*SAID, OSError)


def run(
    role: Annotated[RoleName, typer.Argument(help="What it does.")],
    data: Data = None,
    kafka: Kafka = False,
    family: Families = None,
    standby: Standby = False,
) -> None:
    """Runs one process of the deployment until it is told to stop (SIGTERM)."""
    parent = end_with_parent()
    try:
        settings, folder = settings_of(data)
        choices = choices_of(settings, tuple(family or settings.families), standby or settings.standby)
        with reached(settings, folder, kafka) as places:
            made = deployment_of(places.deployment, settings.layout().families)
            asyncio.run(serve(role, places.backend(), places.dsn, made, settings, choices, folder, parent))
    except (LogDiffers, InvalidSettings) as failure:
        complain(failure)
        raise typer.Exit(CONFIGURATION) from None
    except _SAID as failure:
        complain(failure)
        raise typer.Exit(1) from None


def up(data: Data = None, kafka: Kafka = False, without: Without = None) -> None:
    """Runs all processes of the deployment on this machine, keeps them running, and ends them together (SIGTERM)."""
    try:
        settings, folder = settings_of(data)
        roles = tuple(role for role in ROLES if role not in (without or ()))
        code = run_all(settings, kafka, folder, roles)
    except (LogDiffers, InvalidSettings, AlreadyRuns) as failure:
        complain(failure)
        raise typer.Exit(CONFIGURATION) from None
    except SAID as failure:
        complain(failure)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


def choices_of(settings: Settings, families: tuple[str, ...], standby: bool) -> Choices:
    """What the settings say about one process."""
    limits = OwnerLimits(
        settings.batch_commands,
        settings.batch_bytes,
        settings.batch_ms / 1_000,
        settings.append_deadline_s,
        settings.max_set_aside,
        settings.snapshot_every,
    )
    return Choices(
        families, standby, limits, settings.tick_ms * 1_000, settings.note_ms / 1_000, settings.tick_multiples()
    )
