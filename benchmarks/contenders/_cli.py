"""What all contenders share: their command line, and where a table belongs."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

RULES = (
    "missing_transaction_id",
    "missing_customer_id",
    "missing_timestamp",
    "missing_amount",
    "missing_quantity",
    "non_positive_amount",
    "non_positive_quantity",
    "discount_out_of_range",
    "rating_out_of_range",
    "future_timestamp",
    "duplicate_transaction_id",
)
"""The cleaning rules, in the order in which a row lists those that it broke."""


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
