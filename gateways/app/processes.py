"""The composition root of the processes: what a role is connected to, who watches it, its life until a signal."""

import asyncio
import os
import socket
from importlib.metadata import version
from pathlib import Path
from typing import Final

from consumers.newer import NewerSchemas
from consumers.ports import Snapshots
from consumers.report import Report
from gateways.app import CALCULATIONS, demand_whole, open_log, views_of
from gateways.app.backends import Backend
from gateways.deployment import Deployment
from gateways.parent import Parent
from gateways.roles import Choices, Pipes, live, made, on_signals
from gateways.settings import Settings
from infra.kafka.topics import KafkaTopics, TopicSettings
from infra.postgres.switchboard import PostgresSwitchboard
from infra.schemas import load_ledger
from infra.snapshots import FolderSnapshots
from infra.telemetry.logs import Logs
from infra.telemetry.telemetry import Telemetry

RELEASE: Final = version("gridbook")
"""What processes call themselves to operators."""


def pipes_of(
    role: str, backend: Backend, dsn: str, deployment: Deployment, snapshots: Snapshots, report: Report
) -> Pipes:
    """What a process of this role is connected to."""
    events, commands = backend.events, backend.commands
    views, switchboard = views_of(dsn, deployment.name), PostgresSwitchboard(dsn, deployment.name)
    newer = NewerSchemas(deployment.codec, backend.schemas, load_ledger(), report)

    async def connect() -> None:
        await demand_whole(dsn, deployment.name)
        await backend.start()
        await open_log(deployment, backend)
        await newer.publish()

    async def close() -> None:
        await asyncio.gather(backend.close(), views.close(), switchboard.close())

    return Pipes(events, commands, connect, close, backend.group(role), views, snapshots, switchboard, report, newer)


def topics_of(bootstrap: str, deployment: str, copies: tuple[int, int]) -> KafkaTopics:
    """The topics of a deployment."""
    return KafkaTopics(bootstrap, deployment, TopicSettings(*copies))


def snapshots_of(settings: Settings, data: Path | None, deployment: str) -> FolderSnapshots:
    """Where a deployment's snapshots are on this machine."""
    return FolderSnapshots(settings.snapshot_folder(data) / deployment)


def process_log(role: str, settings: Settings) -> Logs:
    """The log of a process that is no role: the supervisor's."""
    return Logs(role, f"{role}@{socket.gethostname()}:{os.getpid()}", settings.log_format, settings.log_level)


async def serve(
    role: str,
    backend: Backend,
    dsn: str,
    deployment: Deployment,
    settings: Settings,
    choices: Choices,
    data: Path,
    parent: Parent,
) -> None:
    """One process of a deployment, from start to signal; the end of its supervisor is one too.

    Raises:
        LogDiffers: the log is not the deployment's.
        OSError: nobody can listen at the health port.
    """
    stop = asyncio.Event()
    on_signals(stop)
    name = f"{role}@{socket.gethostname()}:{os.getpid()}"
    telemetry = Telemetry(
        role,
        name,
        deployment.name,
        RELEASE,
        host=settings.health_host,
        port=settings.health_port,
        log_format=settings.log_format,
        log_level=settings.log_level,
    )
    async with telemetry:
        parent.tell(telemetry.url)
        snapshots = snapshots_of(settings, data, deployment.name)
        pipes = pipes_of(role, backend, dsn, deployment, snapshots, telemetry)
        try:
            await live(name, role, made(role, deployment, pipes, choices, CALCULATIONS), pipes, RELEASE, stop)
        finally:
            telemetry.say("stopping")
            await pipes.close()
