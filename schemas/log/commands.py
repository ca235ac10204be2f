"""What the runtime itself wishes: of the clock, and of an operator who gives a family more partitions."""

from schemas.message import command
from schemas.values import PartitionCount, TickNumber, TimeUs


@command
class Tick:
    """A tick of the deployment's clock, sent to every command partition."""

    n: TickNumber
    at: TimeUs


@command
class EndGeneration:
    """The last command of the partition: its family's next generation has so many partitions."""

    partitions: PartitionCount
