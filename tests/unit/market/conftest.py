"""How many seeded days of each kind the market is held beside its oracle."""

import pytest

DAYS_PER_SEED = 5
"""A day of the market is short: the suite's ten seeds are two of each kind."""


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    return range(max(1, int(request.config.getoption("--seeds")) // DAYS_PER_SEED))
