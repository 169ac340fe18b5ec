"""A mapping proposed from what the columns of a source are called and what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dask_etl.retail.column_names import UNIQUE, match
from dask_etl.sources.detect import ColumnLook, Look


@dataclass(frozen=True)
class Answers:
    """What a person says; None where nobody did.

    Attributes:
        returns: how the data tell what came back: flag or negative_lines.
        unit: of discounts: percent or fraction.
        key: columns that name a line; one of them may be "number", for the number of
            the row among those that have the others alike.
        timezone: where clocks show what is written.
        currency: what amounts are in.
        columns: columns of the source by ours.
        keep: columns that travel along.
    """

    returns: str | None = None
    unit: str | None = None
    key: tuple[str, ...] | None = None
    timezone: str | None = None
    currency: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()


@dataclass
class Proposal:
    """A mapping, parameters, and what a person should know of both.

    Attributes:
        mapping: as ``source.yml`` has it.
        parameters: by group.
        notes: for columns of ours, why they are what they are.
        doubts: what was decided and might be wrong: (what, what was done, how to say
            otherwise).
    """

    mapping: dict[str, Any]
    parameters: dict[str, Any]
    notes: dict[str, str]
    doubts: list[tuple[str, str, str]]


def propose(look: Look, answers: Answers) -> Proposal:
    """Propose a mapping for a source that looks so.

    Args:
        look: what the source looks like.
        answers: what a person says of it.
    """
    found = match(look, answers.columns)
    made = Proposal({}, {}, {}, [])
    columns: dict[str, Any] = {}
    kinds = look.columns
    columns["transaction_id"] = _key(look, found, answers, made)
    if "order_id" in found:
        columns["order_id"] = {"from": found["order_id"]}
    for ours in ("customer_id", "product_category", "region", "rating", "is_returned"):
        if ours in found:
            columns[ours] = {"from": found[ours]}
    _money(look, found, columns, made)
    _discount(look, found, columns, answers, made)
    _moment(look, found, columns, answers, made)
    _customers(found, kinds, made)
    if "quantity" in found and kinds[found["quantity"]].negative:
        _returns(found, kinds, answers, made)
    elif answers.returns:
        made.parameters.setdefault("cleaning", {})["returns"] = answers.returns
    if answers.currency:
        made.parameters["currency"] = {"label": answers.currency}
    if answers.timezone:
        made.parameters["calendar"] = {"timezone": answers.timezone}
    writing = {"decimal": look.decimal, "thousands": look.thousands}
    plain = {k: v for k, v in writing.items() if v not in (None, ".") or k != "decimal"}
    made.mapping = {
        **{name: value for name, value in plain.items() if value is not None},
        **({"timezone": answers.timezone} if answers.timezone else {}),
        "columns": columns,
    }
    if answers.keep:
        made.mapping["keep"] = [*answers.keep]
        made.parameters.setdefault("cleaning", {})["keep"] = [*answers.keep]
    return made


def _key(
    look: Look, found: Mapping[str, str], answers: Answers, made: Proposal
) -> dict[str, Any]:
    """Say what names a line."""
    if answers.key:
        names = [name for name in answers.key if name != "number"]
        if len(names) == 1 and "number" not in answers.key:
            return {"from": names[0]}
        return {
            "compose": names,
            **({"numbered": True} if "number" in answers.key else {}),
        }
    if "transaction_id" in found:
        return {"from": found["transaction_id"]}
    order = found.get("order_id")
    if order and look.columns[order].distinct >= UNIQUE:
        return {"from": order}
    if order and "position" in found:
        both = look.rows.select([order, found["position"]])
        if len(both.group_by(both.column_names).aggregate([])) >= UNIQUE * len(both):
            made.notes["transaction_id"] = "no column is different in every row"
            return {"compose": [order, found["position"]]}
    base = (
        [order]
        if order
        else [found[n] for n in ("customer_id", "timestamp") if n in found]
    )
    said = " + ".join(base) if base else "nothing"
    made.doubts.append(
        (
            "no column names a line",
            f"{said} + the number of the row among its like",
            "--key COLUMN[,COLUMN…][,number]",
        )
    )
    made.notes["transaction_id"] = "no column is different in every row"
    return {"compose": base or [*look.columns][:1], "numbered": True}


def _money(
    look: Look, found: Mapping[str, str], columns: dict[str, Any], made: Proposal
) -> None:
    if "quantity" in found:
        kind = look.columns[found["quantity"]].kind
        columns["quantity"] = {"from": found["quantity"]}
        if kind == "decimal":
            columns["quantity"]["type"] = "decimal"
            made.parameters.setdefault("cleaning", {})["quantity"] = "decimal"
    else:
        columns["quantity"] = {"constant": 1}
        made.doubts.append(
            ("no column of units", "every line is one unit", "--map quantity=COLUMN")
        )
    if "amount" in found:
        columns["amount"] = {"from": found["amount"]}
    elif "line_total" in found:
        columns["amount"] = {"from": found["line_total"]}
        if "quantity" in found:
            columns["amount"]["divide_by"] = ["quantity"]
            made.notes["amount"] = "a unit price is a total ÷ units"
    else:
        numbers = [c for c, one in look.columns.items() if one.kind == "decimal"]
        made.doubts.append(
            (
                "no column of prices",
                f"{numbers[0] if numbers else 'nothing'} is taken for it",
                "--map amount=COLUMN, or --map line_total=COLUMN",
            )
        )
        columns["amount"] = {"from": numbers[0]} if numbers else {"constant": 1}


def _discount(
    look: Look,
    found: Mapping[str, str],
    columns: dict[str, Any],
    answers: Answers,
    made: Proposal,
) -> None:
    if "discount" not in found:
        return
    name = found["discount"]
    largest = max(abs(look.columns[name].least or 0), abs(look.columns[name].most or 0))
    is_percent = answers.unit == "percent" or (answers.unit is None and largest > 1)
    columns["discount"] = {"from": name, **({"unit": "percent"} if is_percent else {})}
    if is_percent:
        made.notes["discount"] = f"up to {largest:g}: percent, not a fraction"
    if answers.unit is None and is_percent and "%" not in name:
        made.doubts.append(
            (
                f"{name} goes up to {largest:g}",
                "it is taken for percent",
                "--discount fraction, or --discount percent",
            )
        )


def _moment(
    look: Look,
    found: Mapping[str, str],
    columns: dict[str, Any],
    answers: Answers,
    made: Proposal,
) -> None:
    name = found.get("timestamp")
    if name is None:
        made.doubts.append(
            ("no column of dates", "none is mapped", "--map timestamp=COLUMN")
        )
        columns["timestamp"] = {"constant": "1900-01-01"}
        return
    formats = look.columns[name].formats
    time = next((c for c, one in look.columns.items() if one.kind == "time"), None)
    chosen = formats[0] if formats else None
    column: dict[str, Any] = {"from": name}
    if time is not None and (chosen is None or "%H" not in chosen):
        parts = max(value.count(":") for value in look.columns[time].sample)
        clock = "%H:%M:%S" if parts == 2 else "%H:%M"
        column = {"compose": [name, time], "separator": " "}
        if chosen is not None:
            chosen = f"{chosen} {clock}"
    if chosen is not None:
        column["format"] = chosen
    if len(formats) > 1:
        made.doubts.append(
            (
                f"{name} could be {' or '.join(formats[:3])}",
                f"it is taken for {formats[0]}",
                "correct 'format' in source.yml",
            )
        )
    if answers.timezone is None:
        made.doubts.append(
            (
                "moments have no time zone",
                "they are taken for UTC",
                "--timezone Europe/Berlin",
            )
        )
    columns["timestamp"] = column


def _customers(
    found: Mapping[str, str], kinds: Mapping[str, ColumnLook], made: Proposal
) -> None:
    filled = kinds[found["customer_id"]].filled if "customer_id" in found else 0.0
    if filled >= 1:
        return
    made.parameters.setdefault("cleaning", {})["rules"] = {
        "missing_customer_id": "keep"
    }
    made.doubts.append(
        (
            f"{1 - filled:.1%} of the lines have no customer",
            "they count as sales, and belong to no customer",
            "cleaning.rules.missing_customer_id: reject",
        )
    )


def _returns(
    found: Mapping[str, str],
    kinds: Mapping[str, ColumnLook],
    answers: Answers,
    made: Proposal,
) -> None:
    name = found["quantity"]
    returns = answers.returns or "negative_lines"
    made.parameters.setdefault("cleaning", {})["returns"] = returns
    if answers.returns is None:
        made.doubts.append(
            (
                f"{kinds[name].negative:,} lines have a negative {name}",
                "they are taken for returns",
                "--returns flag, or --returns negative_lines",
            )
        )
