"""The names of a table's parts: their place, who wrote them, and what they must hold."""

import re
import uuid

_OURS = re.compile(r"part-(\d{5,})-([0-9a-f]{8})-([0-9a-f]{16})\.parquet")


def new_attempt() -> str:
    """Name an attempt at writing, so that no part of it is called like another's."""
    return uuid.uuid4().hex[:8]


def part_name(number: int, attempt: str, checksum: str) -> str:
    """Name a part: its place in the table, who wrote it, and what it must hold."""
    return f"part-{number:05d}-{attempt}-{checksum}.parquet"


def is_ours(name: str) -> bool:
    """Tell whether a file has the name of a part that this project wrote."""
    return _OURS.fullmatch(name) is not None


def checksum_in(name: str) -> str | None:
    """Return the checksum that a part of ours carries in its name."""
    found = _OURS.fullmatch(name)
    return found and found[3]


def number_in(name: str) -> int:
    """Return the place of a part of ours in its table."""
    found = _OURS.fullmatch(name)
    if found is None:
        raise ValueError(f"{name}: no part of this project's making")
    return int(found[1])


def stable_name(name: str) -> str:
    """Return the name by which people know a part: the same whoever wrote it when."""
    return name_of_part(number_in(name)) if is_ours(name) else name


def name_of_part(number: int) -> str:
    """Return the stable name of a part of ours, by its place in its table."""
    return f"part-{number:05d}.parquet"


def attempt_in(name: str) -> str | None:
    """Return the attempt that wrote a part of ours."""
    found = _OURS.fullmatch(name)
    return found and found[2]
