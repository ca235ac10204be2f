"""What is kept of parties beyond their limit: calls with a deadline, and defaults until the party is reinstated."""

from dataclasses import dataclass, field

from schemas.market.credit_events import LossLayer


@dataclass(slots=True)
class MarginCall:
    """A call that is neither met nor passed; `met` says that its end waits to be written out."""

    number: int
    deadline_at: int
    met: bool = False


@dataclass(slots=True)
class Default:
    """How far a default is: positions are closed and summed up, then the loss is shared, then `shares` is empty.

    `shares` are what is still to be written out: layer, who bears it, how much.
    """

    number: int
    loss_micro: int = 0
    settled: bool = False
    shares: list[tuple[LossLayer, str, int]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing of it waits to be written out."""
        return self.settled and not self.shares


@dataclass(slots=True)
class Standing:
    """Who is called and who is in default; `number` counts what is due."""

    calls: dict[str, MarginCall] = field(default_factory=dict)
    defaults: dict[str, Default] = field(default_factory=dict)
    number: int = 0
