"""How well the cleaning rules find what the generator spoiled."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Cleaning
from dask_etl.retail.schema import RULES
from dask_etl.retail.tables import RULE_ACCURACY
from dask_etl.wording import counted

Parts = Sequence[Callable[[], pd.DataFrame]]

_COUNTS = ("planted", "found", "both")


def measure_rules(
    planted: Parts, rejected: Parts, row_ledger: pd.DataFrame, cleaning: Cleaning
) -> pd.DataFrame:
    """Compare the rows that rules rejected with those that were spoiled for them.

    Both are pairs of a row and a rule: a row that broke several rules counts under
    each. They are read file by file, since there may be many.

    Args:
        planted: parts of ``generated_defects``, one per source file; none for data that
            the generator did not make.
        rejected: parts of ``rejected_transactions``: source_file, source_row, reasons.
        row_ledger: of the same run; where its files are not those of ``planted``, other
            data were processed.
        cleaning: rules that let rows stay are left out: they reject none.

    Returns:
        ``rule_accuracy``; no rows where nothing is known of the data.
    """
    files = set(row_ledger["source_file"])
    counts = dict.fromkeys(_COUNTS, np.zeros(len(RULES), np.int64))
    if not planted or len(planted) != len(files):
        return _table(counts, [])
    found = _pairs_by_file(rejected, "reasons")
    ahead: dict[str, np.ndarray] = {}
    for file, wanted in _pairs_by_file(planted, "rule"):
        if file not in files:
            return _table(counts, [])
        # Both come in raw order, so that hardly more than one file is ever held.
        while file not in ahead and (group := next(found, None)):
            ahead[group[0]] = group[1]
        counts = _add(counts, wanted, ahead.pop(file, wanted[:0]))
    for pairs in (*ahead.values(), *(pairs for _, pairs in found)):
        counts = _add(counts, pairs[:0], pairs)
    return _table(counts, [r for r in RULES if cleaning.action(r) == "reject"])


def _pairs_by_file(parts: Parts, rules: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each file that has pairs, and these as numbers: row × rules + rule."""
    file: str | None = None
    held: list[np.ndarray] = []
    for read in parts:
        rows = read()
        if not len(rows):
            continue
        # Of each row its rules, one behind the other: a rule, or a list of them.
        broken, times = rows[rules], np.int64(1)
        if rules == "reasons":
            times = broken.map(len).to_numpy(np.int64)
            broken = np.concatenate(broken.to_numpy())
        numbers = pd.Categorical(broken, categories=RULES).codes
        pairs = np.repeat(rows["source_row"].to_numpy(np.int64), times) * len(RULES)
        pairs += numbers
        codes, files = pd.factorize(rows["source_file"])
        codes = np.repeat(codes, times)
        edges = np.flatnonzero(np.diff(codes)) + 1
        for start, some in zip([0, *edges], np.split(pairs, edges), strict=True):
            name = str(files[codes[start]])
            if file is not None and name != file:
                yield file, np.concatenate(held)
                held = []
            file = name
            held.append(some)
    if file is not None:
        yield file, np.concatenate(held)


def _add(
    counts: dict[str, np.ndarray], planted: np.ndarray, found: np.ndarray
) -> dict[str, np.ndarray]:
    pairs = (planted, found, np.intersect1d(planted, found))
    return {
        name: counts[name] + np.bincount(some % len(RULES), minlength=len(RULES))
        for name, some in zip(_COUNTS, pairs, strict=True)
    }


def _table(counts: dict[str, np.ndarray], rules: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"rule": RULES, **counts})
    table = table[table["rule"].isin(rules)].reset_index(drop=True)
    for name, whole in (("precision", "found"), ("recall", "planted")):
        table[name] = table["both"] / table[whole].where(table[whole] > 0)
    return table[RULE_ACCURACY.schema.names]


def accuracy_finding(rule_accuracy: pd.DataFrame) -> str:
    """Say in a sentence whether the rules found what was planted, and nothing else."""
    planted, found, both = (int(rule_accuracy[name].sum()) for name in _COUNTS)
    if planted == found == both:
        return f"The rules found all {planted:,} planted defects and nothing else"
    return (
        f"Of {counted(planted, 'planted defect')} the rules missed {planted - both:,}, "
        f"and they found {found - both:,} that nobody planted"
    )
