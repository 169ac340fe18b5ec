"""Precision and recall: what was planted against what the rules found."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from dask_etl.datasets import DaskParquetDataset, PartsParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.pipelines.data_generation.generator import (
    generate_partition,
    partition_count,
)
from dask_etl.pipelines.reporting.accuracy import accuracy_finding, measure_rules
from dask_etl.retail.parameters import Cleaning, Currency, Defects, Generation
from dask_etl.retail.rules import broken_rules, reasons
from dask_etl.retail.schema import RULES, raw
from dask_etl.retail.tables import GENERATED_DEFECTS, RULE_ACCURACY

AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
LEDGER = pd.DataFrame({"source_file": ["a", "b", "c"]})
PLANTED = [
    ("a", 0, "missing_amount"),
    ("a", 7, "future_timestamp"),
    ("a", 7, "missing_amount"),
    ("c", 0, "missing_amount"),
]


def planted(pairs):
    """A part per file, also where nothing is planted."""
    table = pd.DataFrame(pairs, columns=["source_file", "source_row", "rule"])
    return [
        lambda file=file: table[table["source_file"] == file].astype(
            {"source_file": "category", "rule": "category"}
        )
        for file in LEDGER["source_file"]
    ]


def rejected(pairs, rows_per_part=2):
    """Rows of any files in parts of any size."""
    table = pd.DataFrame(pairs, columns=["source_file", "source_row", "rule"])
    rows = table.groupby(["source_file", "source_row"])["rule"].agg(list)
    rows = rows.rename("reasons").reset_index()
    starts = range(0, len(rows), rows_per_part)
    return [lambda i=i: rows.iloc[i : i + rows_per_part] for i in starts]


def measured(wanted, found, ledger=LEDGER, cleaning=None, **options):
    table = measure_rules(
        planted(wanted), rejected(found, **options), ledger, cleaning or Cleaning()
    )
    assert list(table) == RULE_ACCURACY.schema.names
    return table.set_index("rule")


@pytest.mark.parametrize("rows_per_part", [1, 2, 100])
def test_what_was_planted_is_found(rows_per_part):
    table = measured(PLANTED, PLANTED, rows_per_part=rows_per_part)
    assert tuple(table.index) == RULES
    assert table.loc["missing_amount"].tolist() == [3, 3, 3, 1.0, 1.0]
    assert table.loc["future_timestamp"].tolist() == [1, 1, 1, 1.0, 1.0]
    none = table.drop(["missing_amount", "future_timestamp"])
    assert not none[["planted", "found", "both"]].any(axis=None)
    assert none[["precision", "recall"]].isna().all(axis=None)


@pytest.mark.parametrize("gone", range(len(PLANTED)))
@pytest.mark.parametrize("rows_per_part", [1, 2, 100])
def test_a_pair_too_few_or_too_many_lowers_one_figure_of_its_rule(gone, rows_per_part):
    fewer = [pair for i, pair in enumerate(PLANTED) if i != gone]
    rule = PLANTED[gone][2]
    count = sum(pair[2] == rule for pair in PLANTED)
    missed = measured(PLANTED, fewer, rows_per_part=rows_per_part)
    assert missed.loc[rule, "recall"] == pytest.approx((count - 1) / count)
    assert missed["precision"].dropna().eq(1).all()
    assert missed["recall"].drop(rule).dropna().eq(1).all()
    wrong = measured(fewer, PLANTED, rows_per_part=rows_per_part)
    assert wrong.loc[rule, "precision"] == pytest.approx((count - 1) / count)
    assert wrong["recall"].dropna().eq(1).all()
    assert wrong["precision"].drop(rule).dropna().eq(1).all()


def test_what_is_found_in_a_file_where_nothing_is_planted_counts():
    extra = ("b", 3, "missing_amount")
    table = measured(PLANTED, [*PLANTED, extra])
    assert table.loc["missing_amount", "precision"] == 0.75
    last = measured(PLANTED[:1], [PLANTED[0], extra])
    assert last.loc["missing_amount", "precision"] == 0.5


def test_the_same_row_of_another_file_is_another_row():
    table = measured([("a", 0, "missing_amount")], [("b", 0, "missing_amount")])
    assert table.loc["missing_amount", ["precision", "recall"]].tolist() == [0, 0]


@pytest.mark.parametrize("files", [["a", "b"], ["a", "b", "d"], ["x", "y", "z"], []])
def test_of_other_files_nothing_is_known(files):
    ledger = pd.DataFrame({"source_file": files})
    assert measured(PLANTED, PLANTED, ledger).empty


def test_without_truth_nothing_is_known():
    assert measure_rules([], rejected(PLANTED), LEDGER, Cleaning()).empty


def test_rules_that_let_rows_stay_are_left_out():
    cleaning = Cleaning(rules={"rating_out_of_range": "blank"})
    table = measured(PLANTED, PLANTED, cleaning=cleaning)
    assert [*table.index] == [r for r in RULES if r != "rating_out_of_range"]


def test_the_finding_says_whether_all_is_well():
    found = measure_rules(planted(PLANTED), rejected(PLANTED), LEDGER, Cleaning())
    assert accuracy_finding(found) == (
        "The rules found all 4 planted defects and nothing else"
    )


def test_the_rules_find_what_the_generator_plants():
    """All rules but that of duplicates, which needs the rows before: see end to end."""
    shares = {
        **dict.fromkeys(Defects.model_fields, 0.02),
        "duplicate_transaction_id": 0,
    }
    generation = Generation(
        rows=6_000, rows_per_partition=2_500, defects=Defects(**shares)
    )
    truth, found, files = [], [], []
    for index in range(partition_count(generation)):
        tables = generate_partition(generation, index)
        rows = tables["raw_transactions"].cast(raw())
        flags = broken_rules(rows, AS_OF, Cleaning(), Currency())
        file = f"part-{index:05d}.parquet"
        files.append(file)
        bad = flags.nonzero()[0]
        broke = reasons(flags[bad]).to_pylist()
        part = {"source_file": file, "source_row": bad, "reasons": broke}
        truth.append(tables["defects"].to_pandas)
        found.append(lambda part=part: pd.DataFrame(part))
    ledger = pd.DataFrame({"source_file": files})
    table = measure_rules(truth, found, ledger, Cleaning()).set_index("rule")
    table = table.drop("duplicate_transaction_id")
    assert (table["planted"] > 0).all()
    assert (table[["precision", "recall"]] == 1.0).all(axis=None)


def test_the_truth_is_gone_when_the_rows_it_tells_of_are_replaced(tmp_path):
    rows = DaskParquetDataset(
        filepath=str(tmp_path / "rows"), release=str(tmp_path), schema="verification"
    )
    where = {"filepath": str(tmp_path / "truth"), "release": str(tmp_path)}
    told = DaskParquetDataset(**where, schema="generated_defects")
    by_part = PartsParquetDataset(
        **where, schema="generated_defects", made_with="rows", columns=["rule"]
    )
    assert by_part.load() == []
    some = rows.table.schema.empty_table()
    defects = generate_partition(Generation(rows=500), 0)["defects"]
    publish({rows: some, told: defects})
    [read] = by_part.load()
    assert read()["rule"].tolist() == defects["rule"].to_pylist()
    assert list(read()) == ["rule"] != GENERATED_DEFECTS.schema.names
    publish({rows: some})
    assert by_part.load() == []
