"""What contracts deliver against the meters: vector CS6, firm contracts, and what a split must keep."""

from hypothesis import given
from hypothesis import strategies as st

from domain.settlement.delivery import Promise, deliver_as_metered, deliver_firm
from schemas.settlement.events import LineKind
from tests.unit.settlement.world import World


def test_cs6_pro_rata_with_redistribution():
    """CS6, domain rules §9: 3200/4800 capped by A's import 3000, the 200 go to B: 3000/5000."""
    promises = [Promise("A", "s", "a", 4000), Promise("B", "s", "b", 6000)]
    delivered = deliver_as_metered(promises, {"s": 8000}, {"a": 3000, "b": 6000})
    assert delivered == {"A": 3000, "B": 5000}


def test_cs6_whole_run_pays_100_ct():
    world = World().connect("s", "a", "b").read("s", [0], [8000]).read("a", [3000], [0]).read("b", [6000], [0])
    world.contract("A", "s", "a", 4000, price_nano_per_kwh=100_000_000)
    world.contract("B", "s", "b", 6000, price_nano_per_kwh=140_000_000)
    result = world.result()
    sold = {line.reference: line for line in result.of(LineKind.DELIVERED_SALE, "s")}
    assert {c: sum(line.energy_wh) for c, line in sold.items()} == {"A": 3000, "B": 5000}
    assert sum(line.amount_micro for line in sold.values()) == 1_000_000  # 100.0 ct
    assert result.one(LineKind.DELIVERED_PURCHASE, "b").amount_micro == -700_000
    assert result.wh(LineKind.RESIDUAL, "b") == 1000
    assert result.of(LineKind.SURPLUS, "s") == []
    assert result.of(LineKind.RESIDUAL, "a") == []


def test_both_meters_cap():
    """A buyer with two sellers, a seller with two buyers: the scarcest meter splits first."""
    promises = [Promise("1", "s", "a", 600), Promise("2", "t", "a", 600), Promise("3", "t", "b", 600)]
    delivered = deliver_as_metered(promises, {"s": 600, "t": 400}, {"a": 500, "b": 600})
    # t serves a third of what is asked: 200/200; a has 300 left, which s can serve.
    assert delivered == {"1": 300, "2": 200, "3": 200}


def test_the_odd_wh_goes_to_the_largest_remainder_and_then_to_the_smaller_id():
    promises = [Promise("1", "s", "a", 10), Promise("2", "s", "b", 10), Promise("3", "s", "c", 10)]
    assert deliver_as_metered(promises, {"s": 11}, {"a": 9, "b": 9, "c": 9}) == {"1": 4, "2": 4, "3": 3}
    # The smaller id has no room for its Wh: the next one gets it.
    assert deliver_as_metered(promises, {"s": 1}, {"a": 0, "b": 9, "c": 9}) == {"1": 0, "2": 1, "3": 0}


def test_of_equally_scarce_meters_the_one_with_the_smaller_name_splits_first():
    """a's export and a's import can both serve 5/8 of what is asked; the export comes first."""
    promises = [Promise("0", "a", "b", 4), Promise("1", "a", "a", 4), Promise("2", "b", "a", 4)]
    assert deliver_as_metered(promises, {"a": 5, "b": 3}, {"a": 5, "b": 4}) == {"0": 3, "1": 2, "2": 3}


def test_as_delivered_beyond_the_meters_is_paid_nowhere():
    """Domain rules §4.1: paid volume = min(contracted, export, import); both rests go to supplier and off-taker."""
    world = World().connect("s", "b").contract("k", "s", "b", 1000)
    result = world.read("s", [0], [400]).read("b", [900], [0]).result()
    assert result.one(LineKind.DELIVERED_SALE, "s").settled_wh == 400
    assert result.wh(LineKind.RESIDUAL, "b") == 500
    assert result.of(LineKind.IMBALANCE) == []


def test_a_contract_that_delivered_nothing_has_a_line_that_says_so():
    world = World().connect("s", "b").contract("k", "s", "b", 1000)
    line = world.read("s", [0], [0]).read("b", [900], [0]).result().one(LineKind.DELIVERED_SALE, "s")
    assert (line.energy_wh, line.settled_wh, line.amount_micro) == ((0,), 0, 0)


def test_firm_counts_what_is_metered():
    assert deliver_firm({"1": 10}, 7) == {"1": 7}
    assert deliver_firm({"1": 10}, 12) == {"1": 10}
    assert deliver_firm({"1": 10, "2": 20}, 10) == {"1": 3, "2": 7}


def test_order_sharing_then_firm_then_as_delivered_then_rest():
    """Domain rules §9 rule 5, on one meter with 1000 Wh: 300 shared, 500 firm, 200 of 400 as delivered."""
    world = World().connect("s", "m", "f", "d").rules("eeg").join("eeg", 1_000_000, "s", "m")
    world.contract("firm", "s", "f", 500, mode="firm").contract("soft", "s", "d", 400).price(0)
    world.read("s", [0], [1000]).read("m", [300], [0]).read("f", [500], [0]).read("d", [400], [0])
    result = world.result()
    assert result.wh(LineKind.SHARED_PRODUCTION, "s") == 300
    assert {ln.reference: sum(ln.energy_wh) for ln in result.of(LineKind.DELIVERED_SALE, "s")} == {
        "firm": 500,
        "soft": 200,
    }
    assert result.of(LineKind.SURPLUS, "s") == []
    assert result.of(LineKind.IMBALANCE, "s") == [], "sharing and as-delivered contracts cause no imbalance"


IDS = st.sampled_from("abcd")
PROMISES = st.lists(st.tuples(IDS, IDS, st.integers(0, 50)), max_size=9).map(
    lambda rows: [Promise(f"k{n}", s, b, q) for n, (s, b, q) in enumerate(rows)]
)
METERS = st.fixed_dictionaries({i: st.integers(0, 120) for i in "abcd"})


@given(PROMISES, METERS, METERS)
def test_every_wh_once_and_nothing_left_that_somebody_could_take(promises, export, imported):
    delivered = deliver_as_metered(promises, export, imported)
    export_left, import_left = dict(export), dict(imported)
    for promise in promises:
        wh = delivered.get(promise.contract, 0)
        assert 0 <= wh <= promise.quantity_wh
        export_left[promise.seller_connection] -= wh
        import_left[promise.buyer_connection] -= wh
    assert min(export_left.values()) >= 0
    assert min(import_left.values()) >= 0
    for promise in promises:
        room = min(export_left[promise.seller_connection], import_left[promise.buyer_connection])
        assert delivered.get(promise.contract, 0) == promise.quantity_wh or room == 0


@given(PROMISES, METERS, METERS, st.randoms())
def test_the_order_of_contracts_means_nothing(promises, export, imported, random):
    shuffled = random.sample(promises, len(promises))
    assert deliver_as_metered(shuffled, export, imported) == deliver_as_metered(promises, export, imported)
