"""How the columns of a source become raw transactions: ``conf/<env>/source.yml``."""

from collections.abc import Mapping as MappingOf
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from dask_etl.retail import schema
from dask_etl.retail.parameters import Threshold
from dask_etl.sources.lookups import MappingError, read_lookups
from dask_etl.sources.mapped import TYPES, Plan
from dask_etl.sources.mapping import Column, Kind, Writing, in_order
from dask_etl.sources.tables import LINE_RULES
from dask_etl.sources.thresholds import check_shares
from dask_etl.validation import Strict, shown

KINDS: MappingOf[str, tuple[Kind, ...]] = {
    "transaction_id": ("text", "integer"),
    "customer_id": ("text", "integer"),
    "product_category": ("text",),
    "region": ("text",),
    "amount": ("decimal",),
    "quantity": ("integer", "decimal"),
    "discount": ("decimal",),
    "timestamp": ("moment",),
    "rating": ("decimal",),
    "is_returned": ("flag",),
    "order_id": ("text", "integer"),
    "line_total": ("decimal",),
}
"""What each column may be; the first unless the mapping says otherwise."""

REQUIRED = ("transaction_id", "amount", "quantity", "timestamp")
"""Columns without which no row would be kept."""

OPTIONAL = ("order_id", "line_total")
"""Columns that raw transactions have only where they are mapped."""


class Mapping(Writing):
    """Where each column of raw transactions comes from; and which others are kept.

    ``decimal``, ``thousands``, ``strip``, ``format``, ``timezone`` and ``nulls`` hold
    for all columns that do not say otherwise. ``keep`` lists columns of the source that
    travel along as they are, as text; or maps names to columns like the others.
    """

    columns: dict[Literal[tuple(KINDS)], Column]  # type: ignore[valid-type]
    keep: dict[str, Column] = Field(
        {},
        description="columns of the source that travel along to `clean_transactions`, "
        "by name (as text) or told like `columns`",
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, list):
            wrong = [one for one in value if not isinstance(one, str)]
            if wrong:
                raise ValueError(f"must be names of columns, {shown(wrong[0])} is none")
            return {name: {"from": name} for name in value}
        return value

    @model_validator(mode="after")
    def _makes_raw_transactions(self) -> "Mapping":
        problems = [
            f"columns.{name}: is missing; without it no row is a sale"
            for name in REQUIRED
            if name not in self.columns
        ]
        problems += (
            f"keep.{name}: is a column of raw transactions; map it under columns, or "
            "give it another name"
            for name in self.keep
            if name in KINDS
        )
        for name, column in self.columns.items():
            problems += _problems(name, column, KINDS[name])
        if not problems:
            try:
                [*in_order({**self.columns, **self.keep})]
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def plan(self) -> Plan:
        """Make the mapping ready; files for lookups are read.

        Raises:
            MappingError: what is wrong with them, or with a constant, all of it.
        """
        columns = {**self.columns, **self.keep}
        return Plan(columns, self.kinds(), self, read_lookups(columns))

    def fields(self) -> dict[str, pa.DataType]:
        """Return the columns of raw transactions under this mapping, and their types."""
        kinds = self.kinds()
        ids = {
            name: TYPES[kinds[name]]
            for name in ("transaction_id", "customer_id", "quantity")
            if name in kinds
        }
        plain = schema.raw(**{"customer_id": pa.string(), **ids})
        more = [n for n in (*OPTIONAL, *self.keep) if n in kinds]
        return {
            **dict(zip(plain.names, plain.types, strict=True)),
            **{name: TYPES[kinds[name]] for name in more},
        }

    def kinds(self) -> dict[str, Kind]:
        """Tell what each mapped column is."""
        return {
            **{name: one.type or KINDS[name][0] for name, one in self.columns.items()},
            **{name: one.type or "text" for name, one in self.keep.items()},
        }


def _problems(name: str, column: Column, kinds: tuple[Kind, ...]) -> list[str]:
    found = []
    kind = column.type or kinds[0]
    if kind not in kinds:
        found.append(
            f"columns.{name}.type: must be {' or '.join(kinds)}, it is {shown(kind)}"
        )
    for part in (column, *column.parts()):
        if kind != "decimal" and (part.unit or part.divide_by):
            found.append(
                f"columns.{name}: unit and divide_by are for decimal numbers; it is "
                f"{kind}"
            )
        if part.sign != "as_is" and kind not in ("integer", "decimal"):
            found.append(f"columns.{name}.sign: is for numbers; it is {kind}")
    if column.compose and kind not in ("text", "moment"):
        found.append(f"columns.{name}.compose: makes text; it is {kind}")
    if column.parts() and kind != "decimal":
        found.append(f"columns.{name}: only decimal numbers are joined; it is {kind}")
    return found


class Ingestion(Strict):
    """How a source is taken in, and how many bad lines are borne."""

    mode: Literal["auto", "full"] = Field(
        "auto",
        description="`auto`: what is new, and all of it where that would not be right. "
        "`full`: all of it, in the order it came in",
    )
    thresholds: dict[Literal[("any", *LINE_RULES)], Threshold] = Field(  # type: ignore[valid-type]
        {"any": Threshold(warn_above=0.01, fail_above=0.2)},
        description="`<rule>` is a [line rule](data_dictionary.md#line-rules), or `any` "
        "for all rejected lines together",
    )

    def check(self, ledger: pd.DataFrame) -> None:
        """Warn of, or refuse, a share of rejected lines above its threshold.

        Args:
            ledger: of what this run takes in.

        Raises:
            MappingError: a rule is past its ``fail_above``, or no row is left.
        """
        read = int(ledger["lines_read"].sum())
        if read and not ledger["rows_written"].any():
            counts = ledger[list(LINE_RULES)].sum().sort_values(ascending=False)
            most = ", ".join(f"{rule} {n:,}" for rule, n in counts.head(3).items() if n)
            raise MappingError(
                f"none of the {read:,} lines is a row. Most of them were taken by {most}. "
                "Nothing was changed. Correct the source in the catalog, or the mapping "
                "(source.yml)."
            )
        limits = {
            rule: (each.warn_above, each.fail_above)
            for rule, each in self.thresholds.items()
        }
        check_shares(ledger, read, limits)
