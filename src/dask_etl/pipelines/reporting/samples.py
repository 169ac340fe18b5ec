"""Some of the rejected rows, for people to look at."""

from collections.abc import Callable, Sequence

import pandas as pd

from dask_etl.retail.schema import RULES

SAMPLES = 20
"""Rows of each rule."""


def sample_rejected(
    parts: Sequence[Callable[[], pd.DataFrame]], row_ledger: pd.DataFrame
) -> pd.DataFrame:
    """Take the first rows that broke each rule, reading no more parts than it takes.

    Args:
        parts: of ``rejected_transactions``, each read when it is called.
        row_ledger: says how many there are to be found.

    Returns:
        ``rule``, and the columns of ``rejected_transactions`` with ``reasons`` as text;
        a row that broke several rules may come under each.
    """
    wanted = {rule: min(SAMPLES, int(row_ledger[rule].sum())) for rule in RULES}
    found: dict[str, list[pd.DataFrame]] = {rule: [] for rule in RULES}
    for read in parts:
        if not any(wanted.values()):
            break
        rows = read()
        reasons = rows["reasons"].map(frozenset)
        for rule in RULES:
            if not wanted[rule]:
                continue
            broke = reasons.map(lambda names, rule=rule: rule in names)
            first = rows[broke.to_numpy(bool)].head(wanted[rule])
            wanted[rule] -= len(first)
            found[rule].append(first.assign(rule=rule))
    some = [rows for rule in RULES for rows in found[rule] if len(rows)]
    if not some:
        return pd.DataFrame({"rule": [], "reasons": []})
    # As they are shown: parts may differ in which columns have nulls.
    table = pd.concat([rows.astype(object) for rows in some], ignore_index=True)
    return table.assign(reasons=[", ".join(names) for names in table["reasons"]])
