import pandas as pd
import pytest

from dask_etl.pipelines import verification
from dask_etl.pipelines.reporting.pipeline import COMPARISON, FIGURES, create_pipeline
from dask_etl.pipelines.reporting.report import (
    accuracy_summary,
    ledger_summary,
    performance_summary,
    render_report,
    verification_summary,
)
from dask_etl.retail.tables import COMPARED


def verified(**difference):
    table = pd.DataFrame(
        {
            "table": list(COMPARED),
            "rows_dask": 1_000,
            "rows_pandas": 1_000,
            "identical": True,
            "differing_rows": 0,
            "first_difference": None,
        }
    )
    return table.assign(**difference)


def test_report_is_complete_and_well_formed(case):
    drawn = {name: f"{name}.png" for name in (*FIGURES, COMPARISON)}
    text = render_report(verification=verified(), **case, **drawn)
    assert text.startswith("# Sales report\n")
    for name in COMPARED:
        assert f"| `{name}` |" in text
    plots = {
        output.removesuffix("_plot")
        for output in create_pipeline().all_outputs()
        if output.endswith("_plot")
    }
    assert plots == set(drawn)
    assert all(f"({plot}.png)" in text for plot in plots)
    assert ".png" not in render_report(
        verification=verified(), **case, **dict.fromkeys(drawn)
    )
    assert ("| Precision |" in text) == (len(case["rule_accuracy"]) > 0)
    assert "nan" not in text
    blocks = [block.split("\n") for block in text.split("\n\n") if block[0] == "|"]
    for block in blocks:
        assert len({line.count("|") - line.count("\\|") for line in block}) == 1


def test_ledger_balances_in_words(normal):
    text = ledger_summary(normal["row_ledger"])
    assert text.startswith(
        "10,000,000 rows read = 9,852,000 kept + 148,000 rejected (1.5 %)."
    )
    assert "| `duplicate_transaction_id` | 100,000 | 1.0 % |" in text
    assert text.index("duplicate_transaction_id") < text.index("non_positive_amount")
    assert "missing_amount" not in text
    assert "Source file" not in text


def test_ledger_that_does_not_balance_says_so(normal):
    ledger = normal["row_ledger"].assign(rows_kept=1)
    assert "rows read ≠ 20 kept" in ledger_summary(ledger)


def test_precision_and_recall_are_told_where_they_are_known(normal):
    finding, table = accuracy_summary(normal["rule_accuracy"])
    assert finding == (
        "Of 150,000 planted defects the rules missed 10,000, and they found 25,000 that "
        "nobody planted."
    )
    assert (
        "| `non_positive_amount` | 50,000 | 40,000 | 40,000 | 100.00% | 80.00% |"
        in table
    )
    assert "| `missing_amount` | 0 | 0 | 0 | n/a | n/a |" in table
    assert accuracy_summary(normal["rule_accuracy"].iloc[:0]) == []


def test_files_that_stand_out_are_named(normal):
    ledger = normal["row_ledger"].copy()
    ledger.loc[3, "rows_rejected"] = 400_000
    assert "| part-00003.parquet | 400,000 | 80 % |" in ledger_summary(ledger)


def test_difference_is_shown():
    table = verified()
    table.loc[0, ["identical", "differing_rows", "first_difference"]] = [
        False,
        3,
        "transaction_id=7: region is 'A|B' (dask), 'C' (pandas)",
    ]
    text = verification_summary(table)
    assert text.startswith("**No: 1 of 16 tables differ.**")
    assert "**no** | 3 | transaction_id=7: region is 'A\\|B' (dask)" in text


def test_performance_table(normal, make_metrics):
    text = performance_summary(normal["run_metrics"])
    assert "|  | Dask | pandas | Dask ÷ pandas |" in text
    assert "| Wall time (s) | 3.7 | 15.1 | 0.24x |" in text
    assert "|  | pandas |\n" in performance_summary(make_metrics(["etl_pandas"]))


@pytest.mark.filterwarnings("error")
def test_pipeline_ends_with_the_verdict():
    pipeline = create_pipeline()
    assert pipeline.nodes[-1].name == "reporting.require_identical"
    assert all(node.tags == {"reporting"} for node in pipeline.nodes)
    assert {"verification", "run_metrics"} < pipeline.inputs()


@pytest.mark.filterwarnings("error")
def test_verification_is_a_pipeline_between_the_engines_and_the_report():
    [verify] = verification.create_pipeline().nodes
    assert verify.tags == {"verification"}
    tables = {f"{e}.{t}" for t in COMPARED for e in ("dask", "pandas")}
    assert set(verify.inputs) == tables
    both = verification.create_pipeline() + create_pipeline()
    assert both.inputs() - tables == {
        "params:calendar",
        "params:currency",
        "generated_defects_by_part",
        "params:cleaning",
        "rejected_reasons_by_part",
        "rejected_transactions_by_part",
        "parameters",
        "run_facts",
        "run_metrics",
    }
    names = [node.name for node in both.nodes]
    assert names[-1] == "reporting.require_identical"
    assert names.index("reporting.plot_performance_comparison") > names.index(
        "verify_engines"
    )
