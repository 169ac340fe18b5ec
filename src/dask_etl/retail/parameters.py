"""What ``conf/*/parameters_*.yml`` may say, and within which bounds.

Kedro checks these models before any node runs, because nodes name them in their
type hints: a parameter that is unknown, of the wrong type or out of bounds stops
the run with its name and the reason.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from dask_etl.retail.schema import PRICE_CATEGORIES, RULES

Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Refuses unknown names; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given):
        """Say which names there are, which pydantic does not."""
        unknown = sorted(set(given) - set(cls.model_fields)) if given else []
        if unknown:
            raise ValueError(
                f"there is no {', '.join(map(repr, unknown))}; there are "
                f"{', '.join(sorted(cls.model_fields))}"
            )
        return given


class Defects(Strict):
    """Share of the generated rows that carry each defect; one defect a row at most."""

    duplicate_transaction_id: Share = 0.01
    missing_transaction_id: Share = 0.0005
    missing_customer_id: Share = 0.01
    missing_timestamp: Share = 0.0005
    missing_amount: Share = 0.001
    missing_quantity: Share = 0.001
    non_positive_amount: Share = 0.005
    non_positive_quantity: Share = 0.001
    discount_out_of_range: Share = 0.001
    rating_out_of_range: Share = 0.001
    future_timestamp: Share = 0.002

    @model_validator(mode="after")
    def _leaves_good_rows(self) -> "Defects":
        total = sum(getattr(self, name) for name in type(self).model_fields)
        if total > 1:
            raise ValueError(
                f"the shares add up to {total:g}; they may reach 1 at most"
            )
        return self


class Missing(Strict):
    """Share of the generated rows in which an optional column is null."""

    region: Share = 0.01
    product_category: Share = 0.005
    discount: Share = 0.02
    rating: Share = 0.3
    is_returned: Share = 0.01


class Generation(Strict):
    """How many transactions to generate, over which period, and how dirty.

    ``regions`` and ``categories``: how many; null for the few named ones.
    """

    rows: int = Field(10_000_000, ge=0, le=1_000_000_000)
    customers: int = Field(500_000, ge=1, le=100_000_000)
    # So many that each still is one of the 4096 entries of a lookup.
    regions: int | None = Field(None, ge=1, le=2_000)
    categories: int | None = Field(None, ge=1, le=500)
    start: date = date(2023, 1, 1)
    end: date = date(2024, 12, 31)
    seed: int = Field(42, ge=0, lt=2**63)
    rows_per_partition: int = Field(500_000, ge=1, le=10_000_000)
    defects: Defects = Defects()
    missing: Missing = Missing()

    @model_validator(mode="after")
    def _period_runs_forward(self) -> "Generation":
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self


class Threshold(Strict):
    """Share of the rows read above which a rule warns, or fails the run."""

    warn_above: Share | None = None
    fail_above: Share | None = None


class Cleaning(Strict):
    """Thresholds by rule name; ``any`` is the share of rows rejected by any rule."""

    thresholds: dict[Literal[("any", *RULES)], Threshold] = {}  # type: ignore[valid-type]


class Features(Strict):
    """Upper bounds (included, currency units) of the price categories but the last."""

    price_bounds: tuple[float, float, float] = (10.0, 50.0, 200.0)

    @field_validator("price_bounds")
    @classmethod
    def _ascending(cls, bounds: tuple[float, ...]) -> tuple[float, ...]:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError(f"{bounds} must ascend; they bound {PRICE_CATEGORIES}")
        return bounds


class SegmentRule(Strict):
    """Scores (1–5) that a customer must have, all of them, to belong to a segment."""

    recency: set[int] = {1, 2, 3, 4, 5}
    frequency: set[int] = {1, 2, 3, 4, 5}
    monetary: set[int] = {1, 2, 3, 4, 5}


class Segments(Strict):
    """Segments by name, in order; a customer belongs to the first that fits."""

    rules: dict[str, SegmentRule]

    @model_validator(mode="after")
    def _covers_every_cell(self) -> "Segments":
        missing = [
            (r, f, m)
            for r in range(1, 6)
            for f in range(1, 6)
            for m in range(1, 6)
            if not any(
                r in rule.recency and f in rule.frequency and m in rule.monetary
                for rule in self.rules.values()
            )
        ]
        if missing:
            raise ValueError(
                f"no segment covers the (R, F, M) scores {missing[:3]}"
                f"{' …' if len(missing) > 3 else ''}: end the list with a rule for all"
            )
        return self


def _utc_if_naive(value):
    """A date or a time without zone is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is not a date; write it as ISO 8601, e.g. "
                "2025-01-01T00:00:00+00:00, or null for the moment the run starts"
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


AsOf = Annotated[AwareDatetime, BeforeValidator(_utc_if_naive)]


class Clock(Strict):
    """``as_of``: the moment the data is judged at; null is when the run starts."""

    as_of: AsOf | None = None

    def resolve(self) -> datetime:
        """Return ``as_of``, or the present moment where it is null."""
        return (self.as_of or datetime.now(UTC)).astimezone(UTC)
