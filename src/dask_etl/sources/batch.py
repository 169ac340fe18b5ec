"""What every source tells: what is new in it, and how each piece of that is read."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from dask_etl.errors import ExplainedError
from dask_etl.storage.segments import grouped

logger = logging.getLogger(__name__)


class SourceError(ExplainedError, ValueError):
    """A source cannot be read, or does not have what a mapping needs."""


@dataclass(frozen=True)
class Unit:
    """What is taken in as a whole and known again: a file, the new rows of a query.

    Attributes:
        name: as ledgers have it.
        checksum: of its content; None where only a cursor tells what is new.
        bytes: its size.
        modified: when it was changed, where that can be told.
        cursor: the last value of the cursor column that is in it.
    """

    name: str
    checksum: str | None = None
    bytes: int | None = None
    modified: str | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class Batch:
    """New units, and the items that they are read by, one task each.

    Attributes:
        units: in the order in which their rows come.
        items: what :attr:`read` takes, in order; each knows the numbers of its units.
        read: reads an item; runs in a Dask task.
        reason: why all is read and not just what is new; None where that is so.
    """

    units: Sequence[Unit]
    items: Sequence[Any]
    read: Callable[[Any], "Sequence[Rows]"]
    reason: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A line that is no row.

    Attributes:
        line: its number in the unit, from 1.
        rule: the name of what is wrong.
        text: the line.
        column: of the source, where one is to blame.
        value: what stands there.
    """

    line: int
    rule: str
    text: str | None
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Rows:
    """Rows of one unit as the source has them.

    Attributes:
        unit: its number in the batch.
        table: the columns that the mapping needs.
        rejected: the lines that are no rows.
        place: tells for row numbers of the table the lines that they are on, and their
            texts.
    """

    unit: int
    table: pa.Table
    place: Callable[[np.ndarray], tuple[Sequence[int], Sequence[str | None]]]
    rejected: Sequence[Rejected] = field(default=())


class Source(Protocol):
    """What a source dataset loads as: a description, from which batches are made."""

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read; a change of it means to read all anew."""

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """Find what is new, and in how many pieces it is read.

        Args:
            needs: the columns that are wanted.
            coded: those of them that are best read as codes.
            known: what was taken in before, in order.
            mode: whether what is known is read again.
        """

    def columns(self) -> Sequence[str]:
        """Return the names of all columns there are."""


def new_units(
    found: Sequence[Unit], known: Sequence[Unit], mode: Literal["auto", "full"]
) -> tuple[list[Unit], str | None]:
    """Tell which of the units of a folder are new, in the order to read them.

    A unit that is known by its content under another name is no news.

    Returns:
        The units to read, and the reason why all are read; None where only new ones are.
    """
    places = {unit.name: place for place, unit in enumerate(known)}
    # First seen, then by name: a full run takes rows in the order they came in.
    everything = _once(
        sorted(found, key=lambda unit: places.get(unit.name, len(known))),
        {unit.name: unit.checksum for unit in known},
    )
    if mode == "full":
        return everything, "ingestion.mode is full"
    if not known:
        return everything, "nothing has been taken in before"
    present = {unit.name: unit for unit in found}
    contents = {unit.checksum for unit in found}
    for unit in known:
        if unit.name not in present:
            if unit.checksum in contents:
                continue
            return everything, f"{unit.name}, taken in before, is gone"
        if present[unit.name].checksum != unit.checksum:
            return everything, f"{unit.name} is not as it was when it was taken in"
    seen = {unit.checksum for unit in known}
    fresh = [unit for unit in everything if unit.name not in places]
    return [unit for unit in fresh if unit.checksum not in seen], None


def _once(units: Sequence[Unit], known: Mapping[str, str | None]) -> list[Unit]:
    """Leave out what is there already under another name, and say so."""
    names: dict[str | None, str] = {}
    kept = []
    for unit in units:
        first = names.setdefault(unit.checksum, unit.name)
        if first == unit.name:
            kept.append(unit)
        elif unit.name not in known:
            logger.warning("%s: left out, it is the same as %s", unit.name, first)
    return kept


def together(pieces: Sequence[Any], size: int) -> list[tuple[Any, ...]]:
    """Group consecutive pieces, so that a task reads about so many bytes.

    Each has a ``size``.
    """
    return grouped(pieces, lambda piece: piece.size, size)


def refuse_misfits(problems: Sequence[str]) -> None:
    """Refuse a source for all that is wrong with it.

    Raises:
        SourceError: there is something.
    """
    if problems:
        raise SourceError("\n  ".join(["the source does not fit:", *problems]))


def missing_columns(
    needs: Sequence[str], there: Sequence[str], where: str
) -> str | None:
    """Say which columns a source lacks, and which it has that are near."""
    import difflib  # noqa: PLC0415  (start-up)

    lacking = [name for name in needs if name not in there]
    if not lacking:
        return None
    said = []
    for name in lacking:
        folded = {one.casefold().strip(): one for one in there}
        near = difflib.get_close_matches(name.casefold().strip(), folded, 1)
        meant = f" (did you mean '{folded[near[0]]}'?)" if near else ""
        said.append(f"'{name}'{meant}")
    return (
        f"{where}: there is no column {', '.join(said)}; there are "
        f"{', '.join(there)}. Correct the mapping (source.yml)"
    )
