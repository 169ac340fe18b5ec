"""What all contenders share: their command line, names, and where a table belongs."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text())
"""What the tables of all contenders have in common; the project's tests check it."""

RULES = tuple(CONTRACT["rules"])
"""The cleaning rules, in the order in which a row lists those that it broke."""

PRICE_CATEGORIES = tuple(CONTRACT["price_categories"])
PRICE_BOUNDS = tuple(CONTRACT["price_bounds"])
"""Upper bounds, included, of the price categories but the last."""

UNKNOWN = CONTRACT["unknown"]
"""The label of a region or product category that is missing."""

TABLES = {table: tuple(key) for table, key in CONTRACT["tables"].items()}
"""What every contender makes, and the columns that identify a row."""

LIMITS = CONTRACT["limits"]
MOST_AMOUNT, MOST_QUANTITY, MOST_CENTS = LIMITS["amount"], LIMITS["quantity"], 2**53
EARLIEST = datetime.fromisoformat(LIMITS["timestamp"])
"""The limits of ``value_out_of_range``."""

WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
"""An id of nothing else is missing."""


def parser(doc: str) -> argparse.ArgumentParser:
    """Return the command line that every contender has.

    Args:
        doc: the docstring of the contender.
    """
    command = argparse.ArgumentParser(description=doc.splitlines()[0])
    command.add_argument("raw_dir", type=Path, help="directory of part-*.parquet")
    command.add_argument("out_dir", type=Path, help="new directory for the tables")
    command.add_argument(
        "--as-of",
        type=_moment,
        required=True,
        help="ISO timestamp, UTC if it names no zone; later rows are rejected",
    )
    return command


def memory(text: str) -> int:
    """Return the bytes that a text such as 1500MB or 2GB stands for."""
    units = {"MB": 10**6, "GB": 10**9}
    return int(float(text[:-2]) * units[text[-2:].upper()])


def raw_files(raw_dir: Path) -> list[Path]:
    """Return the raw files in raw order, which is that of their names."""
    files = sorted(raw_dir.glob("part-*.parquet"))
    if not files:
        raise SystemExit(f"no part-*.parquet in {raw_dir}")
    return files


def table_file(out_dir: Path, table: str) -> Path:
    """Return the file to write a table to; its directory exists afterwards."""
    directory = out_dir / table
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "part-00000.parquet"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
