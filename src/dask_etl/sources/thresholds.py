"""How many lines of a source may be rejected."""

import logging
from collections.abc import Mapping

import pandas as pd

from dask_etl.sources.batch import SourceError

logger = logging.getLogger(__name__)


def check_shares(
    ledger: pd.DataFrame,
    read: int,
    limits: Mapping[str, tuple[float | None, float | None]],
) -> None:
    """Warn of, or refuse, a share of rejected lines.

    Args:
        ledger: of one run.
        read: the lines that it read.
        limits: by rule, or ``any``: the shares above which it warns, and fails.

    Raises:
        SourceError: a rule is past what it may reject.
    """
    refused = []
    for rule, (warn_above, fail_above) in limits.items():
        column = "lines_rejected" if rule == "any" else rule
        lines = int(ledger[column].sum())
        share = lines / read if read else 0.0
        said = f"rule '{rule}': {lines:,} of {read:,} lines ({share:.2%})"
        if fail_above is not None and share > fail_above:
            files = ledger.loc[ledger[column] > 0, "source_file"].tolist()
            refused.append(
                f"{said} are no rows, more than fail_above = {fail_above:.2%}, in "
                f"{', '.join(files[:3])}{' …' * (len(files) > 3)}. Nothing was changed. "
                "Correct the source or the mapping (dask-etl adopt shows what is wrong), "
                f"or raise ingestion.thresholds.{rule}.fail_above."
            )
        elif warn_above is not None and share > warn_above:
            logger.warning(
                "%s are no rows, more than warn_above = %.2f%%", said, 100 * warn_above
            )
    if refused:
        raise SourceError("\n".join(refused))
