"""How many seeds the simulation runs."""

import pytest


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    return range(int(request.config.getoption("--seeds")))
