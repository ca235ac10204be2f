"""A whole run computed a second time, plainly: no function of the product, one Wh and one fraction at a time."""

from collections import Counter
from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from domain.settlement.decider import CALCULATOR
from schemas.settlement.events import LineKind, RunCompleted, RunPartRecorded
from tests.unit.given import Scenario
from tests.unit.settlement.world import World, started

CONNECTIONS = ("a", "b", "c", "d")
COMMUNITIES = ("X", "Y")
AREAS = ("zone", "elsewhere")


def rounded(amount):
    """To whole numbers, halves away from zero."""
    sign = -1 if amount < 0 else 1
    return sign * floor(abs(amount) + Fraction(1, 2))


def split(total, weights):
    """Largest remainder, written as: give the next Wh to whoever is furthest below the exact part."""
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(weights, 0)
    exact = {name: Fraction(total * weight, whole) for name, weight in weights.items()}
    given_out = {name: floor(part) for name, part in exact.items()}
    for name in sorted(exact, key=lambda n: (floor(exact[n]) - exact[n], n))[: total - sum(given_out.values())]:
        given_out[name] += 1
    return given_out


def parts_of(energy, factors):
    """The communities' parts of a connection's energy; "~" is what no factor covers."""
    parts = split(energy, {**factors, "~": 1_000_000 - sum(factors.values())})
    return {community: parts[community] for community in factors}


def deliver(contracts, export, imported):
    """Pro rata with redistribution: the meter with the smallest fraction to give settles its contracts first."""
    room = {("export", c): wh for c, wh in export.items()} | {("import", c): wh for c, wh in imported.items()}
    ends = {k: (("export", s), ("import", b)) for k, s, b, _ in contracts}
    asked = {k: q for k, _, _, q in contracts}
    done = {}

    def give(contract, wh):
        done[contract] = done.get(contract, 0) + wh
        for meter in ends[contract]:
            room[meter] -= wh

    while True:
        waiting = {m: [k for k in asked if m in ends[k] and k not in done] for m in room}
        short = {
            m: Fraction(room[m], sum(asked[k] for k in names))
            for m, names in waiting.items()
            if names and room[m] < sum(asked[k] for k in names)
        }
        if not short:
            break
        meter = min(short, key=lambda m: (short[m], m))
        exact = {k: short[meter] * asked[k] for k in waiting[meter]}
        for contract, part in exact.items():
            give(contract, floor(part))
        for contract in sorted(exact, key=lambda k: (floor(exact[k]) - exact[k], k)):
            if all(room[m] > 0 for m in ends[contract]):
                give(contract, 1)
    for contract in [k for k in asked if k not in done]:
        give(contract, asked[contract])
    return done


PAYS = 100_000_000


def gets(contract):
    """The price of a contract's seller: in turn the buyer's, less, more, and what the buyer of energy is paid for."""
    return (PAYS, 33_333_333, 166_666_667, -100_000_001)[int(contract[1:]) % 4]


def settle(meters, factors, firm, soft, prices, home, area):
    """Wh, and pico units of money, by (kind, connection, reference) of the connections in an area."""
    energy, pico = Counter(), Counter()
    inside = [c for c in CONNECTIONS if home[c] == area]
    soft = [row for row in soft if row[1] in inside]

    def book(kind, connection, reference, wh, price=0, settled=None):
        energy[kind, connection, reference] += wh
        pico[kind, connection, reference] += price * (wh if settled is None else settled)

    for t in range(INTERVALS):
        imported = {c: meters[c][0][t] for c in inside}
        export = {c: meters[c][1][t] for c in inside}
        deviation = {}
        shares_c = {c: parts_of(imported[c], factors[c]) for c in inside}
        shares_g = {c: parts_of(export[c], factors[c]) for c in inside}
        for community in COMMUNITIES:
            wants = {c: shares_c[c][community] for c in inside}
            gives = {c: shares_g[c][community] for c in inside}
            shared = min(sum(wants.values()), sum(gives.values()))
            for c, wh in split(shared, wants).items():
                imported[c] -= wh
                book("shared_consumption", c, community, wh, -120_000_000)
            for c, wh in split(shared, gives).items():
                export[c] -= wh
                book("shared_production", c, community, wh, 100_000_000)
        for kind, left, end, sign in (
            ("delivered_purchase", imported, 2, -1),
            ("delivered_sale", export, 1, 1),
        ):
            for c in inside:
                mine = {row[0]: row[3][t] for row in firm if row[end] == c and row[3][t]}
                if mine:
                    delivered = split(min(left[c], sum(mine.values())), mine)
                    left[c] -= sum(delivered.values())
                    # Paid as contracted: sold and not exported is short, bought and not used is over.
                    deviation[c] = deviation.get(c, 0) - sign * (sum(mine.values()) - sum(delivered.values()))
                    for k, wh in delivered.items():
                        if kind == "delivered_sale":
                            book(kind, c, k, wh, gets(k), mine[k])
                        else:
                            book(kind, c, k, wh, -PAYS, mine[k])
                            book("price_difference", c, k, mine[k], PAYS - gets(k))
        for k, s, b, q in firm:
            # Somebody outside is stood in for: as if the operator sold here what is bought, and the reverse.
            if (s in inside) is not (b in inside):
                sign, c = (1, b) if b in inside else (-1, s)
                book("transit", c, k, sign * q[t], gets(k))
        now = [(k, s, b, q[t]) for k, s, b, q in soft if q[t]]
        for (k, s, b, _), wh in zip(now, map(deliver(now, export, imported).get, (r[0] for r in now)), strict=True):
            export[s] -= wh
            imported[b] -= wh
            book("delivered_sale", s, k, wh, gets(k))
            book("delivered_purchase", b, k, wh, -PAYS)
            book("price_difference", b, k, wh, PAYS - gets(k))
        for c in inside:
            reference = "imbalance" if c in deviation else "tariff"
            book("residual", c, reference, imported[c])
            book("surplus", c, reference, export[c])
            if c in deviation:
                book("imbalance", c, "imbalance-price", deviation[c] + export[c] - imported[c], prices[t])
    return energy, pico


WH = st.integers(0, 40)
INTERVALS = 2


@st.composite
def worlds(draw):
    meters = {c: [draw(st.lists(WH, min_size=INTERVALS, max_size=INTERVALS)) for _ in range(2)] for c in CONNECTIONS}
    factors = {
        c: dict(zip(COMMUNITIES, draw(st.sampled_from([(10**6, 0), (0, 0), (600_000, 400_000), (333_333, 500_001)])),
                    strict=True))
        for c in CONNECTIONS
    }  # fmt: skip
    contracts = []
    for n in range(draw(st.integers(0, 8))):
        seller, buyer = draw(st.permutations(CONNECTIONS))[:2]
        contracts.append((f"k{n}", seller, buyer, draw(st.lists(WH, min_size=INTERVALS, max_size=INTERVALS))))
    home = {c: draw(st.sampled_from(AREAS)) for c in CONNECTIONS}
    number = draw(st.integers(0, len(contracts)))
    firm = [row for n, row in enumerate(contracts) if n < number or home[row[1]] != home[row[2]]]
    soft = [row for row in contracts if row not in firm]
    prices = draw(st.lists(st.integers(-(10**9), 10**9), min_size=INTERVALS, max_size=INTERVALS))
    return meters, factors, firm, soft, prices, home


def world_of(meters, factors, firm, soft, prices, home):
    world = World(INTERVALS).rules("X").rules("Y").price(*prices)
    for connection in CONNECTIONS:
        world.connect(connection, zone=home[connection])
        world.read(connection, *meters[connection])
        for community, factor in factors[connection].items():
            world.join(community, factor, connection)
    for contracts, mode in ((firm, "firm"), (soft, "as_delivered")):
        for contract, seller, buyer, quantities in contracts:
            buyer_zone = home[buyer] if home[buyer] != home[seller] else None
            zones = {"zone": home[seller], "buyer_zone": buyer_zone}
            zones["seller_price_nano_per_kwh"] = None if gets(contract) == PAYS else gets(contract)
            world.contract(contract, seller, buyer, *quantities, mode=mode, **zones)
    return world


def inhabited(drawn):
    """The areas with connections: of another one there is nothing to settle."""
    return [area for area in AREAS if area in drawn[-1].values()]


def results(drawn):
    """The run of every area."""
    return [world_of(*drawn).result(area) for area in inhabited(drawn)]


@given(worlds(), st.sampled_from(AREAS))
def test_both_computations_agree(drawn, area):
    if area not in inhabited(drawn):
        assert world_of(*drawn).proposals(area)[0].missing == f"connections/{area}"
        return
    energy, pico = settle(*drawn, area)
    result = world_of(*drawn).result(area)
    found = {(str(li.kind), li.connection, li.reference): li for li in result.lines}
    assert len(found) == len(result.lines)
    assert {k: sum(li.energy_wh) for k, li in found.items() if any(li.energy_wh)} == {
        k: wh
        for k, wh in energy.items()
        if (k[0] != "price_difference" or gets(k[2]) != PAYS) and (wh or (k in found and any(found[k].energy_wh)))
    }
    for key, line in found.items():
        # The operator has what two rounded amounts leave; that they sum to zero is a promise of its own.
        off = 1 if key[0] == "price_difference" else 0
        assert abs(line.amount_micro - rounded(Fraction(pico[key], 10**6))) <= off


@given(worlds())
def test_every_metered_wh_is_attributed_exactly_once(drawn):
    """Domain rules §9 rule 5, per connection, direction and interval; nothing negative."""
    withdrawn = (LineKind.SHARED_CONSUMPTION, LineKind.DELIVERED_PURCHASE, LineKind.RESIDUAL)
    injected = (LineKind.SHARED_PRODUCTION, LineKind.DELIVERED_SALE, LineKind.SURPLUS)
    found = results(drawn)
    assert sorted(b.connection for result in found for b in result.balances) == list(CONNECTIONS)
    for result in found:
        for balance in result.balances:
            for metered, kinds in ((balance.import_wh, withdrawn), (balance.export_wh, injected)):
                attributed = Counter()
                for line in result.lines:
                    if line.connection == balance.connection and line.kind in kinds:
                        assert min(line.energy_wh) >= 0
                        attributed.update(dict(enumerate(line.energy_wh, line.first_interval)))
                assert [attributed[t] for t in range(INTERVALS)] == list(metered)


@given(worlds())
def test_what_is_paid_under_contracts_sums_to_zero(drawn):
    """In every area with what stands in for its neighbour, and without that over all of them."""
    transit = (LineKind.TRANSIT,)
    metered = LineKind.DELIVERED_PURCHASE, LineKind.DELIVERED_SALE, LineKind.PRICE_DIFFERENCE
    found = results(drawn)
    for result in found:
        assert sums(result.lines, metered + transit) == (0, 0, 0)
    lines = [line for result in found for line in result.lines]
    assert sums(lines, metered) == sums(lines, transit) == (0, 0, 0)


def sums(lines, kinds):
    """Net energy that is settled, money and points; a purchase takes energy out."""
    mine = [line for line in lines if line.kind in kinds]
    signs = {LineKind.DELIVERED_PURCHASE: -1, LineKind.PRICE_DIFFERENCE: 0}
    energy = sum(signs.get(li.kind, 1) * li.settled_wh for li in mine)
    return energy, sum(line.amount_micro for line in mine), sum(line.points_micro for line in mine)


@given(worlds())
def test_what_is_computed_passes_the_check(drawn):
    """Both areas' runs, with their crossings, are recorded and completed."""
    for area in inhabited(drawn):
        scenario = Scenario("settlement", area).given(started(INTERVALS, area=area))
        facts = [scenario.when(proposal, CALCULATOR)[0] for proposal in world_of(*drawn).proposals(area)]
        assert [type(fact) for fact in facts] == [RunPartRecorded] * (len(facts) - 1) + [RunCompleted], facts


@given(worlds(), st.randoms())
def test_the_order_of_rows_changes_nothing(drawn, random):
    world = world_of(*drawn)
    expected = [world.proposals(area) for area in AREAS]
    for view, rows in world.inputs.items():
        world.inputs[view] = random.sample(rows, len(rows))
    assert [world.proposals(area) for area in AREAS] == expected
