"""A tiny process for the supervisor's tests: `python tiny_role.py ROLE KIND [FOLDER]`, each kind with its own fate."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path


def dies(folder: Path) -> None:
    """At once, every time."""
    with (folder / "lives").open("a") as lives:
        lives.write(f"{time.monotonic()}\n")
    os._exit(3)


def misconfigured() -> None:
    print("GRIDBOOK_PARTITION is no setting: did you mean GRIDBOOK_PARTITIONS?", file=sys.stderr)
    sys.exit(2)


def stubborn() -> None:
    """Does not end when it is told to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stubborn", flush=True)
    time.sleep(60)


def chatty() -> None:
    """Says what any child may say."""
    out = sys.stdout.buffer
    out.write(b'{"event": "mine"}\n')
    out.write(b'{"role": "other", "pid": 1,   "event": "as it is"}\n')
    out.write(b"{no json\n\xff plain\n")
    out.write(b"x" * 1_500_000 + b"\n")
    sys.stderr.write("and errors\n")
    out.write(b"the last, without its end")


def endless() -> None:
    """Says more than anybody reads."""
    while True:
        print('{"event": "again"}', flush=True)


def orphan(ignores: bool) -> None:
    """Ends with its parent, in order or hard."""
    from gateways.parent import end_with_parent

    if ignores:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_parent(last_seconds=0.3)
    print("waits", flush=True)
    while True:  # busy: no event loop would get a turn
        pass


async def well(role: str) -> None:
    """As the product's processes: health, a log, an end in order."""
    from consumers.report import Condition
    from gateways.parent import end_with_parent
    from gateways.settings import read_settings
    from infra.telemetry.telemetry import Telemetry

    parent, stop = end_with_parent(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = read_settings()
    async with Telemetry(role, f"{role}@{os.getpid()}", port=settings.health_port) as telemetry:
        parent.tell(telemetry.url)
        telemetry.say("told", DATABASE_URL=os.environ.get("DATABASE_URL"))
        telemetry.say("settings", deployment=settings.deployment, data=settings.data, log=settings.log_format)
        telemetry.condition("part", Condition.RUNNING)
        await stop.wait()
        telemetry.say("ended in order")


def main() -> None:
    role, kind, *rest = sys.argv[1:]
    match kind:
        case "dies":
            dies(Path(rest[0]))
        case "misconfigured":
            misconfigured()
        case "stubborn":
            stubborn()
        case "chatty":
            chatty()
        case "endless":
            endless()
        case "orphan":
            orphan("ignores" in rest)
        case "well":
            asyncio.run(well(role))


if __name__ == "__main__":
    main()
