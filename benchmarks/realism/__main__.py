"""Measure and print; with ``--write``, put table and pictures into the documents."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.realism.delivery import DELIVERY_FACTS
from benchmarks.realism.facts import FACTS
from benchmarks.realism.figures import PICTURES, save
from benchmarks.realism.samples import Sample, generated, real
from dask_etl.retail.parameters import Generation

ROWS = 1_000_000
LINES_PER_CUSTOMER = 20
"""As in the default parameters; what a customer spends depends on it."""

DOCS = Path(__file__).parents[2] / "docs"
_MARKED = re.compile(r"(<!-- facts -->\n).*?(<!-- end of facts -->)", re.S)


def table(samples: Sequence[Sample]) -> list[str]:
    """Return lines of a Markdown table of all facts; generated rows come first."""
    names = [sample.name for sample in samples]
    lines = [
        f"| fact | asked for | {' | '.join(names)} | met |",
        "|---" * (len(names) + 3) + "|",
    ]
    for fact in (*FACTS, *DELIVERY_FACTS):
        values = [fact.of(sample) for sample in samples]
        mine = values[0]
        asked, met = f"{_figure(fact.low)} to {_figure(fact.high)}", ""
        if mine is None:
            asked = "–"
        else:
            met = "yes" if fact.low <= mine <= fact.high else "**no**"
        shown = " | ".join("–" if v is None else _figure(v) for v in values)
        lines.append(f"| {fact.name} | {asked} | {shown} | {met} |")
    return lines


def _figure(value: float) -> str:
    """Two decimals, or as many as a small number is read with."""
    return f"{value:.2f}" if value >= 0.1 or not value else f"{value:.4f}".rstrip("0")


def main(arguments: Sequence[str]) -> None:
    """Generate, read, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realism")
    parser.add_argument("rows", type=int, nargs="?", default=ROWS)
    parser.add_argument("--write", action="store_true", help="into docs/data.md")
    options = parser.parse_args(arguments)
    customers = max(1, options.rows // LINES_PER_CUSTOMER)
    others, missing = real()
    for said in missing:
        print(said, file=sys.stderr)
    samples = [
        generated(Generation(rows=options.rows, customers=customers)),
        *others,
    ]
    lines = table(samples)
    print("\n".join(lines))
    if not options.write:
        return
    page = DOCS / "data.md"
    text = page.read_text(encoding="utf-8")
    made = "\n".join(lines)
    page.write_text(
        _MARKED.sub(lambda found: f"{found[1]}{made}\n{found[2]}", text),
        encoding="utf-8",
    )
    for name, draw in PICTURES.items():
        save(draw(samples), DOCS / "images" / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
