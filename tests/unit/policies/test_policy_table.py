"""Walks the whole policy table: every wish of a policy is answered for, and no wish chases its own tail."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

import domain.policies
from domain.families import DECIDERS
from domain.policies.table import POLICIES
from domain.policy import ENDS_HERE, Policy
from schemas.catalog import messages_of
from schemas.envelope import CommandMeta, Moment
from schemas.message import Kind
from tests.unit.any_message import any_message
from tests.unit.written import codec, recorded

BY_NAME: Mapping[str, Policy] = {policy.name: policy for policy in POLICIES}
EACH = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)

Node = tuple[str, type]
"""A family and one of its messages: classes of the same name stand in several families."""


def outcomes(policy: Policy) -> set[type]:
    """The facts that may answer the policy's command."""
    return set(DECIDERS[policy.target].OUTCOMES[policy.sends])


def listening_to(family: str, fact: type) -> set[str]:
    """The policies that take a fact further."""
    return {p.name for p in POLICIES if (p.source, p.on) == (family, fact)}


def test_the_table_holds_every_policy_once() -> None:
    written = [
        policy
        for module in pkgutil.iter_modules(domain.policies.__path__)
        if "_to_" in module.name
        for policy in importlib.import_module(f"domain.policies.{module.name}").POLICIES
    ]
    assert sorted(p.name for p in written) == sorted(p.name for p in POLICIES)
    assert len(BY_NAME) == len(POLICIES), "a receiver keeps one cursor per policy name: names are unique"


@EACH
def test_the_name_says_from_where_to_where_and_what(policy: Policy) -> None:
    module = f"{policy.source}_to_{policy.target}"
    assert policy.commands.__module__ == f"domain.policies.{module}"
    assert re.fullmatch(rf"{module}\.[a-z]+(_[a-z]+)*", policy.name)
    assert policy.source != policy.target, "within a family the decider itself goes on"


@EACH
def test_a_policy_leads_from_a_fact_of_its_source_to_a_wish_of_its_target(policy: Policy) -> None:
    facts = {m.cls for m in messages_of(policy.source) if m.kind is Kind.EVENT}
    wishes = {m.cls for m in messages_of(policy.target) if m.kind is Kind.COMMAND}
    assert policy.on in facts
    assert policy.sends in wishes
    assert policy.sends in DECIDERS[policy.target].OUTCOMES


@EACH
def test_every_outcome_has_an_answer_and_nothing_else_has(policy: Policy) -> None:
    assert set(policy.answers) == outcomes(policy)


@EACH
def test_an_answer_is_an_existing_policy_or_the_end(policy: Policy) -> None:
    for fact, answer in policy.answers.items():
        next_ones = listening_to(policy.target, fact)
        if answer == ENDS_HERE:
            assert not next_ones, f"{fact.__name__} is said to end here, but {next_ones} take it further"
        else:
            assert answer in next_ones, f"{answer} does not take {fact.__name__} of {policy.target} further"


def cycle(edges: Mapping[Node, set[Node]]) -> list[Node] | None:
    """A cycle of the graph, or none: depth first, with the path at hand."""
    done: set[Node] = set()

    def visit(node: Node, path: list[Node]) -> list[Node] | None:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return None
        for following in sorted(edges.get(node, ()), key=str):
            found = visit(following, [*path, node])
            if found:
                return found
        done.add(node)
        return None

    return next((found for node in sorted(edges, key=str) if (found := visit(node, []))), None)


def flow(policies: tuple[Policy, ...]) -> dict[Node, set[Node]]:
    """Fact → wish of its policies → facts that may answer it → …"""
    edges: dict[Node, set[Node]] = {}
    for policy in policies:
        wish = (policy.target, policy.sends)
        edges.setdefault((policy.source, policy.on), set()).add(wish)
        edges.setdefault(wish, set()).update((policy.target, fact) for fact in outcomes(policy))
    return edges


def test_no_wish_leads_back_to_itself() -> None:
    assert cycle(flow(POLICIES)) is None


def test_the_walk_would_find_a_loop() -> None:
    first = POLICIES[0]
    answer = next(iter(outcomes(first)))
    back = Policy("x", first.target, answer, first.source, next(iter(_leading_to(first))), first.commands, {})
    assert cycle(flow((*POLICIES, back))) is not None


def _leading_to(policy: Policy) -> Iterator[type]:
    """Wishes that the policy's own fact may answer."""
    for wish, facts in DECIDERS[policy.source].OUTCOMES.items():
        if policy.on in facts:
            yield wish


@EACH
def test_any_fact_gives_commands_that_can_be_written(policy: Policy) -> None:
    meta = CommandMeta("c", f"policy:{policy.name}", "correlation", None, Moment(1, 0), None)

    @settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(any_message(policy.on))
    def check(body: Any) -> None:
        fact = recorded(policy.source, "key", body)
        commands = list(policy.commands(fact))
        assert commands == list(policy.commands(fact)), "a pure function of the fact"
        for key, wish in commands:
            assert type(wish) is policy.sends
            assert type(key) is str
            assert 1 <= len(key) <= 96
            assert codec().decode(codec().encode(meta, wish)) == (meta, wish)

    check()


@EACH
def test_some_fact_gives_a_command(policy: Policy) -> None:
    quick = settings(phases=(Phase.generate,), max_examples=500, database=None)
    try:
        find(
            any_message(policy.on),
            lambda body: bool(list(policy.commands(recorded("", "key", body)))),
            settings=quick,
        )
    except NoSuchExample:
        pytest.fail(f"{policy.name} never sends anything")
