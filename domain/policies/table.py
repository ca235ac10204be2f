"""Every policy of the platform, in one table; reactors run it, a test walks it."""

from domain.policies import (
    billing_to_market,
    market_to_site,
    party_to_community,
    party_to_market,
    settlement_to_billing,
    settlement_to_market,
    site_to_market,
    site_to_meter,
    site_to_programme,
)
from domain.policy import Policy

POLICIES: tuple[Policy, ...] = (
    *party_to_community.POLICIES,
    *party_to_market.POLICIES,
    *site_to_meter.POLICIES,
    *site_to_market.POLICIES,
    *market_to_site.POLICIES,
    *site_to_programme.POLICIES,
    *billing_to_market.POLICIES,
    *settlement_to_billing.POLICIES,
    *settlement_to_market.POLICIES,
)
