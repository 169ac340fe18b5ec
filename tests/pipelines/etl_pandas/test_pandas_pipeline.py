import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from dask_etl.pipelines import analytics, etl_pandas
from dask_etl.retail.parameters import Cleaning, Clock, Etl, Features, Segments
from support.good_rows import CALENDAR, CURRENCY
from support.pandas_tables import as_stored, make_raw


def test_its_place_among_the_data():
    pipeline = etl_pandas.create_pipeline()
    assert pipeline.inputs() == {
        "raw_transactions@pandas",
        "earlier",
        "params:clock",
        "params:etl",
        "params:cleaning",
        "params:features",
        "params:calendar",
        "params:currency",
    }
    assert pipeline.all_outputs() - {"as_of"} == {
        f"pandas.{name}"
        for name in (
            "moments",
            "kept",
            "rejected_transactions",
            "row_ledger",
            "clean_transactions",
            "sales_cube",
            "customers",
            "orders",
        )
    }
    for node in pipeline.only_nodes_with_namespaces(["pandas"]).nodes:
        assert node.tags == {"etl_pandas"}
        assert node.namespace == "pandas"


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_raw_rows_to_analyses(rows):
    changes = [{}, {"amount": -1.0}, {"customer_id": 8}][:rows]
    inputs = {
        "raw_transactions@pandas": make_raw(*changes),
        "earlier": None,
        "params:clock": Clock(as_of="2025-01-01"),
        "params:etl": Etl(),
        "params:cleaning": Cleaning(),
        "params:features": Features(),
        "params:calendar": CALENDAR,
        "params:currency": CURRENCY,
        "params:segments": Segments(rules={"Everybody": {}}),
    }
    pipeline = etl_pandas.create_pipeline() + (
        analytics.create_pipeline().only_nodes_with_namespaces(["pandas"])
    )
    catalog = DataCatalog({name: MemoryDataset(data) for name, data in inputs.items()})
    outputs = SequentialRunner().run(pipeline, catalog)
    assert outputs.keys() == pipeline.outputs()
    tables = {
        name.removeprefix("pandas."): data.load() for name, data in outputs.items()
    }
    for name, table in tables.items():
        as_stored(name, table)
    assert tables["customer_summary"]["customers"].tolist() == [{3: 2}.get(rows, rows)]
