"""What a mapping makes of rows, and what is said of one that is wrong."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from dask_etl.retail.mapping import KINDS, Mapping
from dask_etl.sources.lookups import MappingError
from dask_etl.sources.mapped import apply
from dask_etl.validation import problems

REQUIRED = {
    "transaction_id": {"from": "id"},
    "amount": {"constant": 1},
    "quantity": {"constant": 1},
    "timestamp": {"constant": "2023-01-01"},
}


def mapped(columns, rows, keep=None, numbers=None, **writing):
    """What becomes of rows of text; and of each problem, column, rule and rows."""
    mapping = Mapping.model_validate(
        {"columns": {**REQUIRED, **columns}, "keep": keep or {}, **writing}
    )
    names = dict.fromkeys(["id", *(name for row in rows for name in row)])
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    )
    found, wrong = apply(table, mapping.plan(), numbers or {})
    said = [
        (one.column, one.rule, one.rows.tolist(), list(one.values)) for one in wrong
    ]
    return {name: found[name].to_pylist() for name in found.column_names}, said


def test_units_signs_and_totals():
    rows = [
        {"total": "59.97", "units": "3", "off": "15", "cents": "250"},
        {"total": "-20", "units": "-2", "off": "", "cents": ""},
        {"total": "5", "units": "0", "off": "100", "cents": "1"},
    ]
    found, wrong = mapped(
        {
            "amount": {"from": "total", "divide_by": ["quantity"]},
            "quantity": {"from": "units"},
            "discount": {"from": "off", "unit": "percent", "default": 0},
            "line_total": {"from": "cents", "unit": "cents", "sign": "reversed"},
        },
        rows,
    )
    assert wrong == []
    assert found["amount"] == [59.97 / 3, 10.0, None]
    assert found["discount"] == [0.15, 0.0, 1.0]
    assert found["line_total"] == [-2.5, None, -0.01]


def test_several_discounts():
    row = {"price": "20", "a": "10", "b": "5", "c": ""}
    parts = [
        {"from": "a", "unit": "percent"},
        {"from": "b", "divide_by": ["amount"]},
        {"from": "c", "unit": "percent"},
    ]
    columns = {"amount": {"from": "price"}}
    found, _ = mapped({**columns, "discount": {"chained": parts}}, [row])
    assert found["discount"] == [pytest.approx(1 - 0.9 * 0.75)]
    found, _ = mapped({**columns, "discount": {"added": parts}}, [row])
    assert found["discount"] == [pytest.approx(0.35)]
    alone = {**row, "b": ""}
    found, _ = mapped({**columns, "discount": {"chained": parts}}, [alone, {}])
    assert found["discount"] == [0.1, None]


def test_keys_are_composed_and_numbered():
    rows = [{"no": "7", "pos": "1"}, {"no": "7", "pos": ""}, {"no": " 8 ", "pos": "2"}]
    columns = {"transaction_id": {"compose": ["no", "pos"], "separator": "/"}}
    assert mapped(columns, rows)[0]["transaction_id"] == ["7/1", None, "8/2"]
    columns = {"transaction_id": {"compose": ["no"], "numbered": True}}
    numbers = {"transaction_id": np.array([1, 2, 1])}
    found, _ = mapped(columns, rows, numbers=numbers)
    assert found["transaction_id"] == ["7-1", "7-2", "8-1"]


def test_labels_words_and_nothing():
    rows = [
        {"where": "  köln   SÜD ", "back": "Ja"},
        {"where": "-", "back": "retour"},
        {"where": "NULL", "back": "vielleicht"},
        {"where": "x", "back": ""},
    ]
    found, wrong = mapped(
        {
            "region": {"from": "where", "fold": "title", "values": {"X": "Other"}},
            "is_returned": {"from": "back", "values": {"retour": True}},
        },
        rows,
        nulls=["", "-", "NULL"],
    )
    assert found["region"] == ["Köln Süd", None, None, "Other"]
    assert found["is_returned"] == [True, True, None, None]
    assert wrong == [("is_returned", "unparsable_flag", [2], ["vielleicht"])]
    found, wrong = mapped(
        {"region": {"from": "where", "values": {"x": "X"}, "otherwise": "reject"}}, rows
    )
    assert wrong == [("region", "unknown_value", [0, 1], ["  köln   SÜD ", "-"])]
    assert found["region"][3] == "X"


def test_what_cannot_be_read_rejects_the_line_or_is_null():
    rows = [{"n": "x"}, {"n": "4"}, {"n": ""}]
    found, wrong = mapped({"rating": {"from": "n"}}, rows)
    assert wrong == [("rating", "unparsable_number", [0], ["x"])]
    assert found["rating"] == [None, 4.0, None]
    column = {"from": "n", "unparsable": "null", "default": 3}
    found, wrong = mapped({"rating": column}, rows)
    assert (found["rating"], wrong) == ([None, 4.0, 3.0], [])


def test_a_product_is_looked_up(tmp_path):
    file = tmp_path / "products.csv"
    file.write_bytes("sku;group\n1;Käse\n2;Brot\n2;Brot\n".encode("cp1252"))
    lookup = {
        "file": str(file),
        "key": "sku",
        "value": "group",
        "separator": ";",
        "encoding": "cp1252",
    }
    column = {"product_category": {"from": "sku", "lookup": lookup}}
    rows = [{"sku": "2"}, {"sku": " 1"}, {"sku": "3"}, {"sku": None}]
    found, wrong = mapped(column, rows)
    assert (found["product_category"], wrong) == (["Brot", "Käse", None, None], [])
    lookup["missing"] = "reject"
    assert mapped(column, rows)[1] == [
        ("product_category", "unknown_value", [2], ["3"])
    ]
    file.write_text("sku;group\n1;Käse\n1;Brot\n", encoding="cp1252")
    with pytest.raises(MappingError, match="the key '1' has more than one value"):
        mapped(column, rows)
    lookup["key"], lookup["file"] = "no", str(file)
    with pytest.raises(MappingError, match="there is no column 'no'; there are sku"):
        mapped(column, rows)


def test_columns_are_kept_as_they_are_or_as_told():
    rows = [{"till": " 3 ", "at": "2.1.2023"}]
    assert mapped({}, rows, keep=["till"])[0]["till"] == ["3"]
    keep = {
        "till": {"from": "till", "type": "integer"},
        "entered": {"from": "at", "type": "moment", "format": "%d.%m.%Y"},
    }
    found, _ = mapped({}, rows, keep=keep, timezone="Europe/Berlin")
    assert found["till"] == [3]
    assert found["entered"] == [datetime(2023, 1, 1, 23, tzinfo=UTC)]


def test_columns_that_are_not_mapped_are_null_and_types_follow_the_mapping():
    mapping = Mapping.model_validate(
        {
            "columns": {
                **REQUIRED,
                "quantity": {"from": "n", "type": "decimal"},
                "order_id": {"from": "o", "type": "integer"},
            },
            "keep": ["till"],
        }
    )
    fields = mapping.fields()
    assert [*fields][-2:] == ["order_id", "till"]
    assert fields["quantity"] == pa.float64()
    assert fields["order_id"] == pa.int64()
    assert fields["transaction_id"] == fields["customer_id"] == pa.string()
    assert set(fields) - {"order_id", "till"} <= set(KINDS)


def test_all_that_is_wrong_with_a_mapping_is_said_at_once():
    said = problems(
        {
            "decimal": ",",
            "thousands": ",",
            "columns": {
                "amont": {"from": "a"},
                "amount": {"from": "a", "constant": 1},
                "quantity": {"from": "q", "unit": "per cent"},
                "timestamp": {
                    "from": "t",
                    "timezone": "Europe/Berlino",
                    "format": "d.m",
                },
                "rating": {"form": "r"},
            },
        },
        Mapping,
        "mapping",
    )
    text = "\n".join(said)
    for words in (
        "mapping.columns.amont: there is no 'amont'; did you mean 'amount'?",
        "mapping.columns.amount: constant and from is given",
        "mapping.columns.quantity.unit: there is no 'per cent'; did you mean 'percent'?",
        "mapping.columns.timestamp.timezone: there is no time zone 'Europe/Berlino'",
        "mapping.columns.timestamp.format: 'd.m' is no format of a moment",
        "mapping.columns.rating.form: there is no 'form'",
    ):
        assert words in text, text
    said = problems(
        {
            "columns": {
                "transaction_id": {"from": "id", "type": "moment"},
                "amount": {"from": "a", "divide_by": ["quantity", "rating"]},
                "quantity": {"from": "q", "unit": "percent"},
            },
            "keep": ["region"],
        },
        Mapping,
        "mapping",
    )
    [text] = said
    for words in (
        "columns.timestamp: is missing",
        "columns.transaction_id.type: must be text or integer, it is 'moment'",
        "keep.region: is a column of raw transactions",
        "columns.quantity: unit and divide_by are for decimal numbers",
    ):
        assert words in text, text
    columns = {**REQUIRED, "amount": {"from": "a", "divide_by": ["amount"]}}
    [text] = problems({"columns": columns}, Mapping, "mapping")
    assert "columns.amount.divide_by: amount is not mapped" in text
