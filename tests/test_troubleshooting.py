"""docs/troubleshooting.md quotes errors: the source still says them, word for word."""

import ast
import re
from collections.abc import Iterator

import pytest

from support.kedro_project import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
QUOTED = [
    " ".join(line.replace("\\*", "*") for line in re.findall(r"^> (.*)$", block, re.M))
    for block in re.findall(r"(?:^> .*\n)+", PAGE, re.M)
]


def messages() -> Iterator[str]:
    """Every text of the source, with ``…`` where it puts something in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


MESSAGES = [" ".join(text.split()) for text in messages()]


@pytest.mark.parametrize("quoted", QUOTED)
def test_the_source_says_it(quoted):
    pieces = [piece for piece in quoted.split("…") if piece.strip()]
    assert sum(map(len, pieces)) > 12, "too little to be found by"
    pattern = re.compile(".*".join(re.escape(piece.strip()) for piece in pieces))
    assert [text for text in MESSAGES if pattern.search(text)]


def test_there_is_something_to_find():
    assert len(QUOTED) > 20
