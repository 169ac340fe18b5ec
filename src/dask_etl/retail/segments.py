"""Customer segments: scores by percent rank, and the table that names the cells."""

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import SCORES, Segments


def percent_rank_scores(values: np.ndarray) -> np.ndarray:
    """Score every value by the share of values strictly below it.

    With *n* values, *k* of them smaller: score = 1 + floor(5·k/n), so equal values
    share a score. Pass negated values where a larger one is worse.

    Args:
        values: numbers, better ones larger.

    Returns:
        int8 scores 1–5, in the order of ``values``.
    """
    n = len(values)
    if not n:
        return np.empty(0, np.int8)
    # floor(5·k/n) ≥ s means that at least ceil(s·n/5) values are smaller: the value
    # lies above the one that stands there in ascending order. So four values decide.
    places = [-(-s * n // len(SCORES)) - 1 for s in SCORES[:-1]]
    bounds = np.partition(values, places)[places]
    return (1 + np.searchsorted(bounds, values, side="left")).astype(np.int8)


def segment_table(segments: Segments) -> np.ndarray:
    """Return which rule takes each of the 125 cells.

    Returns:
        5 × 5 × 5 array, indexed by (recency, frequency, monetary score) − 1, of
        positions in ``segments.rules``.
    """
    table = np.empty((len(SCORES),) * 3, np.intp)
    # The first rule that fits wins, so it is written last.
    for position, rule in reversed([*enumerate(segments.rules.values())]):
        cells = (rule.recency, rule.frequency, rule.monetary)
        table[np.ix_(*([score - 1 for score in sorted(axis)] for axis in cells))] = (
            position
        )
    return table


def segment_names(
    recency: np.ndarray,
    frequency: np.ndarray,
    monetary: np.ndarray,
    segments: Segments,
) -> pd.api.extensions.ExtensionArray:
    """Name the segment of every customer from the three scores (1–5)."""
    positions = segment_table(segments)[recency - 1, frequency - 1, monetary - 1]
    return pd.array(list(segments.rules), dtype="str").take(positions)
