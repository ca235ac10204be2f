"""Names of deployments: one rule for the log's streams, the schema of the views and everything beside them."""

import re
from typing import Final

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Lower case letters, digits and underscores: the same name in SQL with and without quotes, no separator in it."""

REBUILT: Final = "_rebuilt"
"""Ends the schema in which a deployment's views are built again; no deployment's own name ends so."""

_TAKEN: Final = frozenset({"log", "vault", "switchboard", "public", "information_schema"})


class InvalidDeployment(ValueError):
    """A deployment cannot have this name."""


def checked(name: str) -> str:
    """The name, if a deployment may have it.

    Raises:
        InvalidDeployment: it is no such name, or the database needs it for something else.
    """
    if not NAME.fullmatch(name) or name in _TAKEN or name.startswith("pg_") or name.endswith(REBUILT):
        raise InvalidDeployment(
            "deployment: expected 1 to 40 lower case letters, digits and '_', a letter first, not"
            f" {', '.join(sorted(_TAKEN))}, pg_… or …{REBUILT}, found {name[:80]!r}: choose another name"
        )
    return name
