"""The moment that each source file is judged at: that of the Dask engine's run."""

from datetime import datetime

import pandas as pd

from dask_etl.datasets.earlier import Earlier
from dask_etl.datasets.pandas_parquet import SOURCES
from dask_etl.pipelines.batch import moments, plan
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Etl, Features

from .cleaning import AsOf


def judge_at(
    raw_transactions: pd.DataFrame,
    earlier: Earlier | None,
    as_of: datetime,
    etl: Etl,
    cleaning: Cleaning,
    features: Features,
    calendar: Calendar,
    currency: Currency,
) -> AsOf:
    """Return the moment that rows are judged at; by source file where they differ.

    This engine makes its tables anew in every run, from all files. They equal those of
    the Dask engine, which may have added file after file, if each file is judged at the
    moment that its ledger has.

    Args:
        raw_transactions: raw rows, with what is known of their files.
        earlier: the tables of the Dask engine.
        as_of: the moment that files are judged at that are not in them.
        etl: whether all are judged anew.
        cleaning: parameters that the tables depend on.
        features: likewise.
        calendar: likewise.
        currency: likewise.
    """
    sources = raw_transactions.attrs.get(SOURCES)
    if sources is None:
        return as_of
    settings = [cleaning, features, calendar, currency]
    return moments(plan(sources, earlier, as_of, etl, settings).files)
