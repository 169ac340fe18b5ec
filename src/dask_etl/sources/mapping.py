"""What a mapping may say of a column: where it comes from, and what is written there.

The models know no table; which columns there are, and of which kinds, is said by who
uses them. All that is wrong with a mapping is reported at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, create_model, field_validator, model_validator

from dask_etl.sources.moments import EPOCHS, is_timezone
from dask_etl.validation import Strict, shown

NULLS = ("", "NULL", "null", "NaN", "nan", "\\N")
"""What stands for nothing where a mapping does not say otherwise."""

Kind = Literal["text", "integer", "decimal", "flag", "moment"]
Plain = bool | int | float | str

_PARTS = {"from", "constant", "compose", "chained", "added"}
"""Ways to say where a column comes from; a column has one of them."""

# "from" is a word of Python's, too, which only a class statement minds.
_SOURCE = Field(
    None, description="the column of the source; in JSON, dots lead into objects"
)
_From: Any = create_model("_From", __base__=Strict, **{"from": (str | None, _SOURCE)})  # type: ignore[call-overload]


class Lookup(Strict):
    """A small file in which a value is looked up: product → category."""

    file: str = Field(
        description="a CSV or Parquet file with a key and its value: product → category",
    )
    key: str = Field(
        description="its column that has what is in ours",
    )
    value: str = Field(
        description="its column that has what is meant",
    )
    separator: str = Field(
        ",",
        description="of a CSV file",
    )
    encoding: str = Field(
        "utf-8",
        description="of a CSV file",
    )
    missing: Literal["null", "reject"] = Field(
        "null",
        description="what the file does not have is missing (`null`), or rejects the "
        "line (`reject`)",
    )


class Writing(Strict):
    """How numbers, moments and nothing are written; columns may differ from it."""

    decimal: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="the mark before decimals; `null`: a point",
    )
    thousands: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="the mark between thousands; it must have three digits behind it",
    )
    strip: str | None = Field(
        None,
        description="characters around numbers that are no part of them, e.g. `€`",
    )
    format: list[str] | None = Field(
        None,
        description="how moments are written, one way or several, tried in this order: "
        "as `strptime` has it (`%d.%m.%Y %H:%M`), or `epoch_s`, `epoch_ms`,"
        " `epoch_us`, `excel`; `null`: ISO 8601",
    )
    timezone: str | None = Field(
        None,
        description="where clocks show what is written without an offset, e.g. "
        "`Europe/Berlin`; `null`: UTC. An hour that comes twice is the "
        "earlier",
    )
    nulls: list[str] | None = Field(
        None,
        description="what stands for nothing; `null`: nothing, `NULL`, `null`, `NaN`, "
        "`nan`, `\\N`",
    )

    @field_validator("format", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        formats = [value] if isinstance(value, str) else value
        for one in formats if isinstance(formats, list) else []:
            if one in EPOCHS or one == "excel":
                continue
            if not isinstance(one, str) or not ("%Y" in one or "%y" in one):
                raise ValueError(
                    f"{shown(one)} is no format of a moment: write it as strptime has "
                    f"it, with a year, e.g. %d.%m.%Y; or {', '.join(EPOCHS)}, excel"
                )
        return formats

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and not is_timezone(value):
            raise ValueError(
                f"there is no time zone {shown(value)}; write it as Europe/Berlin or UTC"
            )
        return value

    @model_validator(mode="after")
    def _marks_differ(self) -> "Writing":
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise ValueError(
                f"decimal and thousands are both {shown(self.thousands)}; give each a "
                "mark of its own"
            )
        return self


class Value(Writing, _From):
    """A column of the source, or a constant, as a number, a text, a moment or a flag."""

    constant: Plain | None = Field(
        None,
        description="the same in every row",
    )
    type: Literal["text", "integer", "decimal", "flag", "moment"] | None = Field(
        None,
        description="`text`, `integer`, `decimal`, `flag` or `moment`, where there is a"
        " choice: ids are text or integer, quantities integer or decimal, "
        "kept columns anything; `null`: the first of these",
    )
    unit: Literal["fraction", "percent", "currency", "cents"] | None = Field(
        None,
        description="`percent` and `cents` are divided by 100; `fraction` and "
        "`currency` are as they are",
    )
    sign: Literal["as_is", "positive", "reversed"] = Field(
        "as_is",
        description="`as_is`, `positive` (its magnitude) or `reversed`",
    )
    divide_by: list[str] = Field(
        [],
        description="columns of ours that it is divided by: the units make a unit price "
        "of a total, price and units a fraction of a reduction in money",
    )
    trim: bool = Field(
        True,
        description="without white space around it",
    )
    fold: Literal["lower", "upper", "title"] | None = Field(
        None,
        description="`lower`, `upper` or `title`, and one space where there are several",
    )
    values: dict[str, Plain] = Field(
        {},
        description="what is written → what is meant",
    )
    otherwise: Literal["keep", "null", "reject"] = Field(
        "keep",
        description="what is not among `values` stays (`keep`), is missing (`null`) or "
        "rejects the line (`reject`)",
    )
    lookup: Lookup | None = None
    unparsable: Literal["reject", "null"] = Field(
        "reject",
        description="what is no number, moment or flag rejects the line, or is missing "
        "(`null`)",
    )
    default: Plain | None = Field(
        None,
        description="what stands in for what is missing",
    )

    @field_validator("values", mode="before")
    @classmethod
    def _keys_are_text(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {_as_written(key): meant for key, meant in value.items()}

    @property
    def source(self) -> str | None:
        """The column of the source that it is taken from."""
        found: str | None = getattr(self, "from")
        return found

    def needs(self) -> list[str]:
        """List the columns of the source that it is made of."""
        return [self.source] if self.source is not None else []


class Column(Value):
    """A column of ours: a :class:`Value`, or made of several columns of the source."""

    compose: list[str] = Field(
        [],
        description="columns that are joined as text",
    )
    separator: str = Field(
        "-",
        description="what stands between them",
    )
    numbered: bool = Field(
        False,
        description="append the number of the row among those of its file that have the"
        " same text: a key for lines of receipts that have none",
    )
    chained: list[Value] = Field(
        [],
        description="discounts one after the other: 1 − (1 − a)(1 − b)",
    )
    added: list[Value] = Field(
        [],
        description="discounts that add up",
    )

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> "Column":
        given = sorted(_PARTS & self.model_fields_set)
        if len(given) != 1:
            said = " and ".join(given) if given else "nothing"
            raise ValueError(
                f"{said} is given; say where the column comes from by one of "
                f"{', '.join(sorted(_PARTS))}"
            )
        if self.numbered and not self.compose:
            raise ValueError("numbered: only what is composed can be; give compose")
        return self

    def needs(self) -> list[str]:
        """List the columns of the source that it is made of."""
        parts = [name for part in self.parts() for name in part.needs()]
        return [*super().needs(), *self.compose, *parts]

    def parts(self) -> list[Value]:
        """The values that are joined to one."""
        return [*self.chained, *self.added]

    def divisors(self) -> set[str]:
        """The columns of ours that it, or a part of it, is divided by."""
        return {name for one in (self, *self.parts()) for name in one.divide_by}


def in_order(columns: Mapping[str, Column]) -> Iterator[str]:
    """Yield columns so that those come first which others are divided by.

    Raises:
        ValueError: they wait for each other, or for a column that is not mapped.
    """
    done: list[str] = []
    waiting = dict(columns)
    while waiting:
        ready = [name for name, one in waiting.items() if one.divisors() <= {*done}]
        if not ready:
            name, one = next(iter(waiting.items()))
            lacking = sorted(one.divisors() - {*done})
            raise ValueError(
                f"columns.{name}.divide_by: {', '.join(lacking)} is not mapped, or "
                "waits for it in turn"
            )
        for name in ready:
            del waiting[name]
            done.append(name)
            yield name


def _as_written(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return str(key)
