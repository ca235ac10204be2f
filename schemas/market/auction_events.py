"""Facts about call auctions of a market. Key: the market."""

from enum import StrEnum


class Rationing(StrEnum):
    """Who is filled at the one price level that is accepted in part: by `time` the earlier, `pro_rata` all a share."""

    TIME = "time"
    PRO_RATA = "pro_rata"
