"""Memberships over valid time: the factors of a connection never sum to more than the whole at any time."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.site.commands import JoinSharing
from schemas.site.events import SharingJoined, SiteRefusal
from tests.unit.site.registered import joined, refused, site

WHOLE = 1_000_000


def test_a_later_factor_counts_from_its_own_start() -> None:
    ann = site(joined("c1", WHOLE, 0), joined("c1", 400_000, 10))
    assert ann.when(JoinSharing("c2", 600_000, 10), actor="ann") == [joined("c2", 600_000, 10)]


def test_before_that_start_the_earlier_factor_counts() -> None:
    ann = site(joined("c1", WHOLE, 0), joined("c1", 400_000, 10))
    assert ann.when(JoinSharing("c2", 600_000, 9), actor="ann") == refused(
        "JoinSharing", "c2", SiteRefusal.PARTICIPATION_EXCEEDED, WHOLE, 1_600_000
    )


def test_a_later_peak_refuses_an_earlier_start() -> None:
    # At its start everything is free; the other membership begins only at 20.
    ann = site(joined("c1", 700_000, 20))
    assert ann.when(JoinSharing("c2", 400_000, 5), actor="ann") == refused(
        "JoinSharing", "c2", SiteRefusal.PARTICIPATION_EXCEEDED, WHOLE, 1_100_000
    )


def test_a_back_dated_factor_holds_up_to_the_next_start() -> None:
    # c2's own factor from 20 on stays 300 000, so 700 000 before it harm nobody.
    ann = site(joined("c1", 700_000, 20), joined("c2", 300_000, 20))
    assert ann.when(JoinSharing("c2", 700_000, 5), actor="ann") == [joined("c2", 700_000, 5)]


def test_leaving_makes_room() -> None:
    ann = site(joined("c1", WHOLE, 0))
    assert ann.when(JoinSharing("c1", 0, 30), actor="ann") == [joined("c1", 0, 30)]
    assert ann.when(JoinSharing("c2", WHOLE, 30), actor="ann") == [joined("c2", WHOLE, 30)]


def test_the_same_start_again_replaces_the_factor() -> None:
    ann = site(joined("c1", WHOLE, 5))
    assert ann.when(JoinSharing("c1", 200_000, 5), actor="ann") == [joined("c1", 200_000, 5)]
    assert ann.when(JoinSharing("c2", 800_000, 5), actor="ann") == [joined("c2", 800_000, 5)]


WISHES = st.lists(
    st.tuples(
        st.sampled_from(["c1", "c2", "c3"]),
        st.sampled_from([0, 1, 250_000, 400_000, 600_000, 999_999, WHOLE]),
        st.integers(0, 6),
    ),
    max_size=14,
)


def naive_sums(facts: list[SharingJoined]) -> list[int]:
    """The sum of factors at each time: the latest start wins, then the last recorded (as the fact says)."""
    sums = []
    for at in range(8):
        newest: dict[str, tuple[int, int, int]] = {}
        for n, fact in enumerate(facts):
            if fact.valid_from <= at:
                candidate = (fact.valid_from, n, fact.factor_ppm)
                newest[fact.community] = max(newest.get(fact.community, candidate), candidate)
        sums.append(sum(factor for _, _, factor in newest.values()))
    return sums


@given(WISHES)
def test_no_sum_is_above_the_whole_and_no_wish_is_refused_without_reason(
    wishes: list[tuple[str, int, int]],
) -> None:
    ann = site()
    accepted: list[SharingJoined] = []
    for community, factor, valid_from in wishes:
        candidate = joined(community, factor, valid_from)
        fact = ann.when(JoinSharing(community, factor, valid_from), actor="ann")[0]
        fits = max(naive_sums([*accepted, candidate])) <= WHOLE
        if type(fact) is SharingJoined:
            assert fact == candidate
            accepted.append(fact)
            assert fits
        elif fact.reason is SiteRefusal.PARTICIPATION_EXCEEDED:
            assert not fits
            assert fact.found == max(naive_sums([*accepted, candidate]))
        else:
            assert fact.reason is SiteRefusal.ALREADY_MEMBER
            assert naive_sums([*accepted, candidate])[valid_from] == naive_sums(accepted)[valid_from]
