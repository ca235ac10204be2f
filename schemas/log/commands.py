"""The clock's only wish."""

from schemas.message import command
from schemas.values import TickNumber, TimeUs


@command
class Tick:
    """A tick of the deployment's clock, sent to every command partition."""

    n: TickNumber
    at: TimeUs
