"""Communities, their rules of sharing and their members."""

from projections.view import Mode, Question, View, copied
from schemas.community.events import CommunityFounded, MemberAdmitted, SharingRulesAdopted

COMMUNITIES = View(
    name="communities",
    mode=Mode.CURRENT,
    columns={"community": "text", "zone": "text", "organiser": "text", "currency": "text"},
    key=("community",),
    on={CommunityFounded: copied("community", "zone", "organiser", "currency")},
)

_SHARING_RULES_COLUMNS = {
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
}

SHARING_RULES = View(
    name="sharing_rules",
    mode=Mode.HISTORY,
    columns=_SHARING_RULES_COLUMNS,
    on={SharingRulesAdopted: copied(*_SHARING_RULES_COLUMNS)},
    indexes=("community",),
)

MEMBERS = View(
    name="members",
    mode=Mode.HISTORY,
    columns={"community": "text", "party": "text", "rules_version": "bigint"},
    on={MemberAdmitted: copied("community", "party", "rules_version")},
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
