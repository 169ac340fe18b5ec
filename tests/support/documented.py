"""The code that documents show, block by block, and what they say of running it."""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^<!-- (not run|run by): ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    ``reason`` says why no test runs it, ``by`` which test does; one of them, or none
    on a page that is run from top to bottom.
    """

    kind: str
    text: str
    reason: str | None
    by: str | None


def blocks(path: Path) -> list[Block]:
    """Find the blocks of a page."""
    return [
        Block(
            kind,
            text,
            said if mark == "not run" else None,
            said if mark == "run by" else None,
        )
        for mark, said, kind, text in BLOCK.findall(path.read_text())
    ]
