"""Communities, their rules of sharing and their members."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View
from schemas.community.events import CommunityFounded, MemberAdmitted, SharingRulesAdopted
from schemas.envelope import Recorded


def _founded(fact: Recorded[CommunityFounded]) -> Iterable[Row]:
    founded = fact.body
    yield {
        "community": founded.community,
        "zone": founded.zone,
        "organiser": founded.organiser,
        "currency": founded.currency,
    }


def _rules(fact: Recorded[SharingRulesAdopted]) -> Iterable[Row]:
    rules = fact.body
    yield {
        "community": rules.community,
        "organiser": rules.organiser,
        "version": rules.version,
        "key": rules.key.value,
        "interval_min": rules.interval_min,
        "currency": rules.currency,
        "consumer_price_nano_per_kwh": rules.consumer_price_nano_per_kwh,
        "producer_price_nano_per_kwh": rules.producer_price_nano_per_kwh,
        "points_per_kwh": rules.points_per_kwh,
        "notice_days": rules.notice_days,
        "valid_from": rules.valid_from,
    }


def _member(fact: Recorded[MemberAdmitted]) -> Iterable[Row]:
    member = fact.body
    yield {"community": member.community, "party": member.party, "rules_version": member.rules_version}


COMMUNITIES = View(
    name="communities",
    mode=Mode.CURRENT,
    columns={"community": "text", "zone": "text", "organiser": "text", "currency": "text"},
    key=("community",),
    on={CommunityFounded: _founded},
)

SHARING_RULES = View(
    name="sharing_rules",
    mode=Mode.HISTORY,
    columns={
        "community": "text",
        "organiser": "text",
        "version": "bigint",
        "key": "text",
        "interval_min": "bigint",
        "currency": "text",
        "consumer_price_nano_per_kwh": "bigint",
        "producer_price_nano_per_kwh": "bigint",
        "points_per_kwh": "bigint",
        "notice_days": "bigint",
        "valid_from": "bigint",
    },
    on={SharingRulesAdopted: _rules},
    indexes=("community",),
)

MEMBERS = View(
    name="members",
    mode=Mode.HISTORY,
    columns={"community": "text", "party": "text", "rules_version": "bigint"},
    on={MemberAdmitted: _member},
    indexes=("community",),
)

VIEWS = (COMMUNITIES, SHARING_RULES, MEMBERS)

QUESTIONS = (
    Question(
        "communities",
        "SELECT c.community, c.zone, c.organiser, c.currency,"
        " (SELECT count(*) FROM members m WHERE m.community = c.community) AS members,"
        " (SELECT max(r.version) FROM sharing_rules r WHERE r.community = c.community) AS rules_version"
        " FROM communities c ORDER BY c.community",
    ),
    Question(
        "sharing_rules",
        "SELECT community, version, key, interval_min, currency, consumer_price_nano_per_kwh,"
        " producer_price_nano_per_kwh, points_per_kwh, notice_days, valid_from"
        " FROM sharing_rules ORDER BY community, version",
    ),
    Question("members", "SELECT community, party, rules_version, at FROM members ORDER BY community, party"),
)
