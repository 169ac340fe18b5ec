"""What ``conf/*/parameters_*.yml`` may say, and within which bounds.

These models are checked before any node runs, because nodes name them in their type
hints: a parameter that is unknown, of the wrong type or out of bounds stops the run
with its name and the reason. Their descriptions are the text of
docs/configuration.md, which is made of them.
"""

import difflib
import zoneinfo
from datetime import UTC, date, datetime
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from dask_etl.retail.schema import ACTIONS, PRICE_CATEGORIES, RULES, TAKEN, UTC_ZONE
from dask_etl.validation import Strict, shown

MAX_PARTITIONS = 1_000_000
"""Of generated data."""

SCORES = range(1, 6)
"""Of customers, by recency, frequency and money spent: 5 is best."""


def _day(value: Any) -> date:
    """Accept a date, also as ISO 8601 text; a number is none, though it looks like one."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(
        f"{shown(value)} is not a date; write it as ISO 8601, e.g. 2024-12-31"
    )


def _moment(value: Any) -> datetime:
    """Accept a moment or a date, also as ISO 8601 text; UTC unless it says otherwise."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day)
    if not isinstance(moment, datetime):
        raise ValueError(
            f"{shown(value)} is not a moment; write it as ISO 8601, e.g. "
            "2025-01-01T00:00:00+00:00, or null for the moment the run starts"
        )
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            f"{shown(value)} is beyond the years 1 to 9999 in UTC; write one within them"
        ) from None


def _scores(value: Any) -> Any:
    """Accept a list of scores, none of them beyond 1–5."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError(f"must be a list of scores from 1 to 5, it is {shown(value)}")
    if not value:
        raise ValueError("is an empty list; leave it out if the score may be any")
    for score in value:
        if type(score) is not int or score not in SCORES:
            raise ValueError(f"{shown(score)} is not a score; they run from 1 to 5")
    return value


def _zone(value: Any) -> Any:
    """Accept the name of a time zone that this machine knows."""
    if isinstance(value, str) and value != UTC_ZONE:
        try:
            zoneinfo.ZoneInfo(value)
        except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
            known = zoneinfo.available_timezones()
            near = difflib.get_close_matches(value, known, 1)
            raise ValueError(
                f"there is no time zone {shown(value)}"
                f"{f'; did you mean {near[0]!r}?' if near else ''} Write its IANA name, "
                "e.g. Europe/Berlin"
            ) from None
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Day = Annotated[
    date, Field(ge=date(1900, 1, 1), le=date(2200, 12, 31)), BeforeValidator(_day)
]
Scores = Annotated[frozenset[int], BeforeValidator(_scores)]
AsOf = Annotated[AwareDatetime, BeforeValidator(_moment)]
TimeZone = Annotated[str, BeforeValidator(_zone)]


DefectShare = Annotated[
    Share,
    Field(
        description="share of the rows with this defect, one a row; all together at "
        "most 1"
    ),
]
MissingShare = Annotated[
    Share, Field(description="share of the rows in which it is null")
]


class Defects(Strict):
    """Share of the generated rows that carry each defect; one defect a row at most."""

    duplicate_transaction_id: DefectShare = 0.01
    missing_transaction_id: DefectShare = 0.0005
    missing_customer_id: DefectShare = 0.01
    missing_timestamp: DefectShare = 0.0005
    missing_amount: DefectShare = 0.001
    missing_quantity: DefectShare = 0.001
    non_positive_amount: DefectShare = 0.005
    non_positive_quantity: DefectShare = 0.001
    discount_out_of_range: DefectShare = 0.001
    rating_out_of_range: DefectShare = 0.001
    value_out_of_range: DefectShare = 0.0005
    future_timestamp: DefectShare = 0.002

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

    region: MissingShare = 0.01
    product_category: MissingShare = 0.005
    discount: MissingShare = 0.02
    rating: MissingShare = 0.3
    is_returned: MissingShare = 0.01


class Generation(Strict):
    """How many transactions to generate, over which period, and how dirty."""

    rows: int = Field(
        10_000_000,
        ge=0,
        le=1_000_000_000,
        description="how many; at most a million partitions of them",
    )
    customers: int = Field(
        500_000,
        ge=1,
        le=100_000_000,
        description="how many may buy",
    )
    # So many that each still is one of the 4096 entries of a lookup.
    regions: int | None = Field(
        None,
        ge=1,
        le=2_000,
        description="how many regions; `null`: the named ones",
    )
    categories: int | None = Field(
        None,
        ge=1,
        le=500,
        description="how many product categories; `null`: the named ones",
    )
    start: Day = Field(
        date(2023, 1, 1),
        description="first day of the period",
    )
    end: Day = Field(
        date(2024, 12, 31),
        description="last day, not before the first",
    )
    seed: int = Field(
        42,
        ge=0,
        lt=2**63,
        description="the same seed makes the same rows",
    )
    rows_per_partition: int = Field(
        500_000,
        ge=1,
        le=10_000_000,
        description="rows of a file",
    )
    returns: Literal["flag", "negative_lines"] = Field(
        "flag",
        description="`flag`: `is_returned` tells what came back. `negative_lines`: lines "
        "of negative quantity do, for `cleaning.returns: negative_lines`",
    )
    order_lines: float | None = Field(
        None,
        ge=1,
        le=100,
        description="mean lines of an order; `null`: there is no `order_id`",
    )
    guests: Share = Field(
        0.0,
        description="share of the orders (of the lines, without orders) of nobody known; "
        "they break `missing_customer_id`, which `cleaning.rules` may `keep`, and add to "
        "that defect",
    )
    defects: Defects = Defects()
    missing: Missing = Missing()

    @model_validator(mode="after")
    def _period_runs_forward(self) -> "Generation":
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self

    @model_validator(mode="after")
    def _partitions_can_be_planned(self) -> "Generation":
        if self.rows > self.rows_per_partition * MAX_PARTITIONS:
            raise ValueError(
                f"{self.rows:,} rows in parts of {self.rows_per_partition:,} are more "
                f"than {MAX_PARTITIONS:,} parts; raise rows_per_partition"
            )
        return self


class Threshold(Strict):
    """Share of the rows read above which a rule warns, or fails the run."""

    warn_above: Share | None = Field(
        None, description="share of what is read; past it the run warns"
    )
    fail_above: Share | None = Field(
        None, description="past it the run fails and changes nothing"
    )


class Limits(Strict):
    """How far a line may reach; beyond it, ``value_out_of_range``.

    ``amount`` and ``quantity`` bound the magnitude, ``timestamp`` is the earliest. They
    may not exceed what can be added up exactly: 2**53 cents, 2**53 millionths.
    """

    amount: float = Field(
        1e9,
        gt=0,
        le=9e13,
        description="largest unit price, whatever its sign; beyond it a row is "
        "`value_out_of_range`. What is allowed at most is exact in cents",
    )
    quantity: float = Field(
        1e6,
        ge=1,
        le=9e9,
        description="largest quantity, whatever its sign",
    )
    timestamp: AsOf = Field(
        datetime(1900, 1, 1, tzinfo=UTC),
        description="earliest timestamp",
    )


class Cleaning(Strict):
    """Which rows are sales, which are returns, and how many that are neither to bear.

    A run that would keep none of its rows fails unless ``allow_nothing_kept``.
    """

    limits: Limits = Limits()
    quantity: Literal["whole", "decimal"] = Field(
        "whole",
        description="`whole`: units are whole numbers. `decimal`: they have up to six "
        "decimals, as for what is sold by weight",
    )
    returns: Literal["flag", "negative_lines"] = Field(
        "flag",
        description="`flag`: `is_returned` tells what came back. `negative_lines`: "
        "lines of negative quantity do; see "
        "[returns](data_dictionary.md#returns)",
    )
    revenue: Literal["computed", "total"] = Field(
        "computed",
        description="`computed`: price × quantity, less the discount. `total`: the "
        "line's [`line_total`](data_dictionary.md#line-totals), where it "
        "has one",
    )
    keep: tuple[str, ...] = Field(
        (),
        description="[further raw columns](data_dictionary.md#further-columns) that "
        "stay in clean and rejected transactions",
    )
    rules: dict[Literal[RULES], Literal["reject", "blank", "keep"]] = Field(  # type: ignore[valid-type]
        {},
        description="what becomes of a row that breaks the rule: `reject`, which is "
        "what all do if not named; `keep` or `blank` where the [rule allows"
        " it](data_dictionary.md#cleaning-rules)",
    )
    allow_nothing_kept: bool = Field(
        False,
        description="bear a run that keeps no row of its input",
    )
    thresholds: dict[Literal[("any", *RULES)], Threshold] = Field(  # type: ignore[valid-type]
        {"any": Threshold(warn_above=0.1, fail_above=0.5)},
        description="`<rule>` is a [cleaning rule](data_dictionary.md#cleaning-rules), "
        "or `any` for all rejected rows together",
    )

    @field_validator("rules")
    @classmethod
    def _rules_allow_their_actions(cls, value: dict[str, str]) -> dict[str, str]:
        for rule, action in value.items():
            allowed = ("reject", *ACTIONS.get(rule, ()))
            if action not in allowed:
                raise ValueError(
                    f"{rule} cannot be {shown(action)}; it can be {' or '.join(allowed)}"
                )
        return value

    @field_validator("keep")
    @classmethod
    def _kept_columns_have_names_of_their_own(cls, value: tuple[str, ...]) -> Any:
        for position, name in enumerate(value):
            if name in value[:position]:
                raise ValueError(f"names {shown(name)} twice")
            if name in TAKEN:
                raise ValueError(
                    f"{shown(name)} is a column that the tables have anyway; leave it out"
                )
        return value

    def action(self, rule: str) -> str:
        """Return what becomes of rows that break a rule: reject, blank or keep."""
        return self.rules.get(rule, "reject")


class Currency(Strict):
    """What money is in: ``label`` is shown; a unit has 10 ** ``digits`` cents.

    Cents stand for the smallest unit of any currency, of which amounts are added up.
    """

    label: str | None = Field(
        None,
        description="what reports and figures write beside amounts, e.g. `EUR`; `null`:"
        ' "currency units"',
    )
    digits: int = Field(
        2,
        ge=0,
        le=3,
        description="decimals of amounts. Revenue is whole numbers of the smallest unit"
        ' ("cents")',
    )

    @property
    def cents(self) -> int:
        """How many cents a currency unit has."""
        return int(10**self.digits)

    @property
    def unit(self) -> str:
        """Return what is written beside amounts."""
        return self.label or "currency units"


class Calendar(Strict):
    """Whose days, months and weekdays the tables have."""

    timezone: TimeZone = Field(
        UTC_ZONE,
        description="whose clocks tell day, month and weekday: the IANA name of a time "
        "zone, e.g. `Europe/Berlin`. Moments stay UTC in all tables",
    )


class Etl(Strict):
    """Which raw files a run processes: those that are new, or all; and how much at once."""

    mode: Literal["auto", "full", "incremental"] = Field(
        "auto",
        description="`auto`: only raw files that are new are processed, where that "
        "makes the same tables as a full run; else all. `full`: all, judged"
        " now. `incremental`: a run that would have to be full is refused. "
        "[More](operations.md#every-day)",
    )
    replay: Literal[("any", *RULES)] | None = Field(  # type: ignore[valid-type]
        None,
        description="judge files again of which rows are quarantined by this [cleaning "
        "rule](data_dictionary.md#cleaning-rules); `any`: by whatever rule."
        " [More](operations.md#replay)",
    )
    rows_per_partition: int = Field(
        500_000,
        ge=1,
        description="rows of raw transactions that one task of the Dask engine reads; "
        "[fewer](performance.md#defaults-chosen-by-measurement) take less memory",
    )


class Features(Strict):
    """Upper bounds (included, currency units) of the price categories but the last."""

    price_bounds: tuple[float, float, float] = Field(
        (10.0, 50.0, 200.0),
        description="upper bounds (included) of Low, Medium and High, currency units; "
        "finite, above 0, ascending",
    )

    @field_validator("price_bounds", mode="wrap")
    @classmethod
    def _ascending(cls, value: Any, validate) -> tuple[float, ...]:
        try:
            bounds = validate(value)
        except ValueError:
            bounds = ()
        if not bounds or bounds[0] <= 0 or list(bounds) != sorted(set(bounds)):
            *names, _ = PRICE_CATEGORIES
            raise ValueError(
                f"must be {len(names)} finite numbers above 0 that ascend, the upper "
                f"bounds of {', '.join(names)}; they are {shown(value)}"
            )
        return bounds


class SegmentRule(Strict):
    """Scores (1–5) that a customer must have, all of them, to belong to a segment."""

    recency: Scores = Field(
        frozenset(SCORES),
        description="scores, 1 to 5, of those who belong to the segment; left out: any",
    )
    frequency: Scores = Field(frozenset(SCORES), description="the same")
    monetary: Scores = Field(frozenset(SCORES), description="the same")

    @property
    def cells(self) -> set[tuple[int, int, int]]:
        """The (recency, frequency, monetary) scores that fit."""
        return {*product(self.recency, self.frequency, self.monetary)}


class Segments(Strict):
    """Segments by name, in order; a customer belongs to the first that fits."""

    rules: dict[str, SegmentRule]

    @model_validator(mode="after")
    def _every_cell_and_every_rule_is_reached(self) -> "Segments":
        left = {*product(SCORES, repeat=3)}
        for position, (name, rule) in enumerate(self.rules.items()):
            if not rule.cells & left:
                before = [*self.rules][:position]
                takers = [o for o in before if self.rules[o].cells & rule.cells]
                raise ValueError(
                    f"segment {name!r} is never reached: {', '.join(takers)}, before "
                    "it, take all its scores; move it up, or remove it"
                )
            left -= rule.cells
        if left:
            raise ValueError(
                f"no segment covers the (R, F, M) scores {sorted(left)[:3]}"
                f"{' …' if len(left) > 3 else ''}: end the list with a rule for all"
            )
        return self


class Clock(Strict):
    """When the data are judged."""

    as_of: AsOf | None = Field(
        None,
        description="the moment that the data are judged at: later rows are in the "
        "future, recency counts back from here. `null`: when the run "
        "starts. ISO 8601, UTC unless it says otherwise; never a number",
    )

    def resolve(self) -> datetime:
        """Return ``as_of``, or the present moment where it is null."""
        return self.as_of or datetime.now(UTC)
