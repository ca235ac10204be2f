"""The lock-step drive after an error: dead until it is started again, and nothing is lost then."""

import secrets
from collections.abc import Sequence
from typing import Any

import pytest

from consumers.ports import LogUnavailable, NewRecord, Partition
from gateways.app import App
from gateways.app.backends import Backend, memory_backend
from infra.embedded.memory import MemoryStore
from tests.simulation.world import World


class FailingCommands:
    """A command log whose sends of policies fail when told: half of what was sent stands."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.fail_in = inner, -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        self.fail_in -= 1
        if self.fail_in == 0:
            await self._inner.send(commands[: len(commands) // 2], deadline)
            raise LogUnavailable("half of it stands")
        await self._inner.send(commands, deadline)


@pytest.mark.parametrize("fail_in", [1, 2, 3, 4])
async def test_a_failed_send_loses_nothing_after_a_new_start(postgres_dsn: str, fail_in: int) -> None:
    name, store = f"drive_{secrets.token_hex(4)}", MemoryStore()
    inner = memory_backend(name, store)
    failing = FailingCommands(inner.commands)
    app = App(Backend(inner.events, failing), postgres_dsn, name)  # type: ignore[arg-type]
    await app.start()
    try:
        for step in World(3).steps[:4]:
            failing.fail_in = fail_in
            while True:
                try:
                    if app.drive.passed < step.moment.n:
                        await app.drive.tick(step.moment)
                    await app.drive.send(app.door.admit(step.commands))
                    await app.drive.settle()
                    break
                except LogUnavailable:
                    with pytest.raises(LogUnavailable, match="start it again"):
                        await app.drive.settle()
                    failing.fail_in = -1
                    await app.drive.start()
        wanted = {
            "members": "SELECT count(*) AS n FROM members",
            "points": "SELECT count(*) AS n FROM metering_points",
            "participants": "SELECT count(*) AS n FROM participants",
            "credits": "SELECT count(*) AS n FROM credits",
        }
        found = {name: (await app.views(sql, {}))[0]["n"] for name, sql in wanted.items()}
        homes = World(3).homes
        points = 2 * len(homes) + sum(h.plant for h in homes)
        assert found == {"members": 6, "points": points, "participants": 3, "credits": 3}
        assert all(v.holds for v in await app.verify_decisions())
        assert await app.verify_projections() == {}
    finally:
        await app.views.drop()
        await app.close()
