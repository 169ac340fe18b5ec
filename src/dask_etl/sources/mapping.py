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
_From: Any = create_model("_From", __base__=Strict, **{"from": (str | None, None)})  # type: ignore[call-overload]


class Lookup(Strict):
    """A small file in which a value is looked up: product → category.

    ``file`` is CSV or Parquet; ``key`` and ``value`` are columns of it. What it does
    not have becomes null, or rejects the line.
    """

    file: str
    key: str
    value: str
    separator: str = ","
    encoding: str = "utf-8"
    missing: Literal["null", "reject"] = "null"


class Writing(Strict):
    """How numbers, moments and nothing are written; columns may differ from it.

    ``format`` is one or several of ``strptime``, or ``epoch_s``, ``epoch_ms``,
    ``epoch_us``, ``excel``; without it ISO 8601. ``timezone`` is where clocks show
    what is written without an offset.
    """

    decimal: str | None = Field(None, min_length=1, max_length=1)
    thousands: str | None = Field(None, min_length=1, max_length=1)
    strip: str | None = None
    format: list[str] | None = None
    timezone: str | None = None
    nulls: list[str] | None = None

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
    """A column of the source, or a constant, as a number, a text, a moment or a flag.

    ``unit``: percent and cents are divided by 100. ``sign``: as it is, its magnitude,
    or turned round. ``divide_by``: other columns of ours, e.g. the units that a total
    is of. ``values``: what is written → what is meant; ``otherwise`` says what becomes
    of all else. ``unparsable``: what is no such value rejects the line, or is null.
    """

    constant: Plain | None = None
    type: Literal["text", "integer", "decimal", "flag", "moment"] | None = None
    unit: Literal["fraction", "percent", "currency", "cents"] | None = None
    sign: Literal["as_is", "positive", "reversed"] = "as_is"
    divide_by: list[str] = Field([])
    trim: bool = True
    fold: Literal["lower", "upper", "title"] | None = None
    values: dict[str, Plain] = Field({})
    otherwise: Literal["keep", "null", "reject"] = "keep"
    lookup: Lookup | None = None
    unparsable: Literal["reject", "null"] = "reject"
    default: Plain | None = None

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
    """A column of ours.

    Besides what a :class:`Value` is: ``compose`` joins columns as text with
    ``separator``, and ``numbered`` appends the number of the row among those of its
    file that have the same text (a key for lines of receipts that have none).
    ``chained`` joins discounts one after the other (1 − (1 − a)(1 − b)), ``added``
    adds them up.
    """

    compose: list[str] = Field([])
    separator: str = "-"
    numbered: bool = False
    chained: list[Value] = Field([])
    added: list[Value] = Field([])

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
