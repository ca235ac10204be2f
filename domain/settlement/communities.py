"""The communities of a run: who shares in an interval, with which part of their energy, under which rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from domain.calculation import Inputs, Row
from domain.settlement.known import InputMissing, Period, Timeline, grouped, timelines
from domain.settlement.sharing import Shares, community_parts, share_dynamically

_NO_KEY, _DYNAMIC = "none", "dynamic"
_WHOLE_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Shared:
    """One interval of one community: its rules and what they shared."""

    rules: Row
    shares: Shares


class Communities:
    """Memberships and rules as known at the cut-off.

    Every community shares by itself: what one leaves unused does not move to another.
    """

    def __init__(self, inputs: Inputs, period: Period, currency: str) -> None:
        self._period, self._currency = period, currency
        self._rules = timelines(inputs["sharing_rules"], "community")
        self._memberships: dict[str, dict[str, Timeline]] = {
            connection: timelines(rows, "community")
            for connection, rows in grouped(inputs["sharing_memberships"], "connection").items()
        }

    def share(self, interval: int, import_wh: Mapping[str, int], export_wh: Mapping[str, int]) -> Iterator[Shared]:
        """What is shared in this interval of the connections' imports and exports, community by community.

        Raises:
            InputMissing: no rules at this time, rules that do not fit the run, or factors above 100 %.
        """
        consumption: dict[str, dict[str, int]] = {}
        feed_in: dict[str, dict[str, int]] = {}
        for connection, communities in self._memberships.items():
            if connection in import_wh:
                factors = self._factors(connection, communities, interval)
                for parts, energy in ((consumption, import_wh), (feed_in, export_wh)):
                    for community, part in community_parts(energy[connection], factors).items():
                        parts.setdefault(community, {})[connection] = part
        for community in sorted(consumption):
            rules = self._rules_of(community, interval)
            if rules["key"] != _NO_KEY:
                yield Shared(rules, share_dynamically(consumption[community], feed_in[community]))

    def _factors(self, connection: str, communities: Mapping[str, Timeline], interval: int) -> dict[str, int]:
        start = self._period.start_of(interval)
        versions = ((community, timeline.at(start)) for community, timeline in communities.items())
        factors = {community: v["factor_ppm"] for community, v in versions if v is not None and v["factor_ppm"]}
        if sum(factors.values()) > _WHOLE_PPM:
            raise InputMissing("sharing_factors", connection, start)
        return factors

    def _rules_of(self, community: str, interval: int) -> Row:
        start = self._period.start_of(interval)
        timeline = self._rules.get(community)
        rules = None if timeline is None else timeline.at(start)
        if rules is None:
            raise InputMissing("sharing_rules", community, start)
        if rules["key"] not in (_NO_KEY, _DYNAMIC):
            raise InputMissing("sharing_key", community, start)
        if rules["key"] == _DYNAMIC:
            if rules["interval_min"] != self._period.interval_min:
                raise InputMissing("sharing_interval", community, start)
            if rules["currency"] != self._currency:
                raise InputMissing("sharing_currency", community, start)
        return rules
