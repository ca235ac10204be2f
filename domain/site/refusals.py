"""How this family says no."""

from typing import Any

from schemas.site.events import CommandRefused, SiteRefusal


def refused(wish: Any, subject: str, reason: SiteRefusal, limit: int = 0, found: int = 0) -> CommandRefused:
    """The one fact of a wish that a rule forbids."""
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)
