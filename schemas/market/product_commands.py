"""Wishes about energy products. Key: the market."""

from schemas.market.product_events import ProductTerms
from schemas.message import command
from schemas.values import Count, Id


@command
class RegisterProduct:
    """A seller or aggregator offers a commodity made of these resources; it is tradable once it is verified.

    `product` is a name that its owner gives, once in this market. The actor is the owner.
    """

    product: Id
    terms: ProductTerms


@command
class VerifyProduct:
    """The operator's finding, against the resources that are allotted to the market, about this version."""

    product: Id
    version: Count


@command
class AmendProduct:
    """The owner changes the product: a new version, which has to be verified again."""

    product: Id
    terms: ProductTerms


@command
class SuspendProduct:
    """The owner or the operator takes the product off the market until it is resumed."""

    product: Id


@command
class ResumeProduct:
    """Who suspended the product, or the operator, lets it be traded again."""

    product: Id


@command
class RetireProduct:
    """The owner or the operator takes the product off the market for good."""

    product: Id
