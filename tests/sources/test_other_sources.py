"""JSON lines, Excel, Parquet, Delta Lake, databases and APIs: the same rows from all."""

import datetime as dt
import decimal
import json
import sqlite3
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlparse

import deltalake
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from dask_etl.errors import StorageError
from dask_etl.sources import (
    ApiSource,
    DatabaseSource,
    DeltaSource,
    ExcelSource,
    JsonLinesSource,
    ParquetSource,
)
from dask_etl.sources.batch import SourceError
from dask_etl.sources.convert import as_text
from dask_etl.sources.extras import PackageMissing, needed
from support.postgres import postgres

NEEDS = ("id", "name", "price")
ROWS = [(1, "Käse", 1.5), (2, None, 2.25), (3, 'a "b"', 3.0), (4, "d", 4.0)]
RECORDS = [dict(zip(NEEDS, row, strict=True)) for row in ROWS]


def everything(source, needs=NEEDS, known=(), mode="auto"):
    batch = source.load().plan(needs, [], known, mode)
    pieces = [piece for item in batch.items for piece in batch.read(item)]
    rows = [tuple(row.values()) for piece in pieces for row in piece.table.to_pylist()]
    rejected = [
        (one.line, one.rule, one.text) for piece in pieces for one in piece.rejected
    ]
    lines = [
        line for piece in pieces for line in piece.place(np.arange(len(piece.table)))[0]
    ]
    return rows, rejected, lines, batch


# -- files ---------------------------------------------------------------------


@pytest.mark.parametrize("blocksize", [10, 10_000])
def test_json_lines(tmp_path, blocksize):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n\n" for record in RECORDS))
    rows, rejected, lines, _ = everything(
        JsonLinesSource(filepath=str(path), blocksize=blocksize)
    )
    assert (rows, rejected, lines) == (ROWS, [], [1, 3, 5, 7])


def test_json_lines_that_are_none_and_values_of_several_types(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        '{"id": 1, "at": "2023-01-01 00:00:00", "who": {"name": "x"}}',
        '{"id": 2, ',
        "[3]",
        '{"id": "4", "who": null}',
        '{"id": 12345678901234567890123, "who": {"name": 5}}',
    ]
    path.write_text("\n".join(lines))
    rows, rejected, _, _ = everything(
        JsonLinesSource(filepath=str(path)), ["id", "at", "who.name"]
    )
    assert rows == [
        ("1", "2023-01-01 00:00:00", "x"),
        ("4", None, None),
        ("12345678901234567890123", None, "5"),
    ]
    assert rejected == [(n, "unreadable_record", lines[n - 1]) for n in (2, 3)]
    with pytest.raises(SourceError, match=r"did you mean 'who\.name'"):
        everything(JsonLinesSource(filepath=str(path)), ["who.nam"])
    path.write_text('[\n{"id": 1}]')
    with pytest.raises(SourceError, match="is one JSON list"):
        everything(JsonLinesSource(filepath=str(path)))


def test_orders_with_their_lines_in_them(tmp_path):
    orders = [
        {"order": 1, "lines": [{"sku": "a"}, {"sku": "b"}]},
        {"order": 2, "lines": []},
        {"order": 3},
        {"order": 4, "lines": [{"sku": "c"}]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(order) + "\n" for order in orders))
    rows, rejected, lines, _ = everything(
        JsonLinesSource(filepath=str(path), explode="lines"), ["order", "lines.sku"]
    )
    assert rows == [(1, "a"), (1, "b"), (4, "c")]
    assert lines == [1, 1, 4]
    assert [one[:2] for one in rejected] == [(3, "unreadable_record")]


def test_a_sheet_of_a_workbook(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Sales")
    sheet.append(["Report of May"])
    sheet.append(["name", "id ", "price", None])
    for number, name, price in ROWS:
        sheet.append([name, number, price])
        sheet.append([])
    book.save(tmp_path / "a.xlsx")
    source = {"filepath": str(tmp_path / "a.xlsx"), "skip_lines": 1}
    rows, _, lines, _ = everything(ExcelSource(sheet="Sales", **source))
    assert rows == ROWS
    assert lines == [3, 5, 7, 9]
    with pytest.raises(SourceError, match="no sheet 'May'; there are Sheet, Sales"):
        everything(ExcelSource(sheet="May", **source))
    with pytest.raises(SourceError, match="did you mean 'price'"):
        everything(ExcelSource(sheet="Sales", **source), ["prices"])
    (tmp_path / "a.xlsx").write_bytes(b"no workbook")
    with pytest.raises(StorageError, match=r"a\.xlsx: not a readable Excel workbook"):
        everything(ExcelSource(**source))


def test_parquet_of_any_columns_with_folders_that_are_columns(tmp_path):
    for region, rows in (("North", RECORDS[:3]), ("S%C3%BCd", RECORDS[3:])):
        folder = tmp_path / f"region={region}"
        folder.mkdir()
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, folder / "a.parquet", row_group_size=2)
    needs = [*NEEDS, "region"]
    source = ParquetSource(filepath=str(tmp_path), blocksize=1)
    rows, _, lines, batch = everything(source, needs)
    assert rows == [(*row, "North") for row in ROWS[:3]] + [(*ROWS[3], "Süd")]
    assert lines == [1, 2, 3, 1]
    assert len(batch.items) == 3
    assert sorted(source.load().columns()) == sorted(needs)
    texts = batch.read(batch.items[0])[0].place(np.array([0]))[1]
    assert json.loads(texts[0]) == {**RECORDS[0], "region": "North"}


def test_a_delta_lake_table_of_others(tmp_path):
    table = pa.Table.from_pylist(RECORDS).append_column(
        "day", pa.array([dt.date(2023, 1, 1 + n % 2) for n in range(4)])
    )
    path = str(tmp_path / "table")
    deltalake.write_deltalake(path, table, partition_by=["day"])
    source = DeltaSource(filepath=path)
    rows, _, _, first = everything(source, ["id", "day"])
    assert sorted(rows) == [(n, f"2023-01-0{1 + (n - 1) % 2}") for n in (1, 2, 3, 4)]
    deltalake.write_deltalake(path, table.slice(0, 1), mode="append")
    rows, _, _, second = everything(source, ["id"], first.units)
    assert (rows, second.reason) == ([(1,)], None)
    with pytest.raises(StorageError, match="not a readable Delta Lake table"):
        everything(DeltaSource(filepath=str(tmp_path / "other")))


def test_types_of_others_become_text():
    key = uuid.uuid4()
    assert as_text(pa.array([key.bytes], pa.binary(16))).to_pylist() == [str(key)]
    assert as_text(pa.array([decimal.Decimal("1.50")])).to_pylist() == ["1.50"]
    assert as_text(pa.array([dt.date(2023, 1, 2)])).to_pylist() == ["2023-01-02"]
    assert as_text(pa.array([[1, 2]])).to_pylist() == ["[1, 2]"]
    assert as_text(pa.array(["a"]).dictionary_encode()).to_pylist() == ["a"]


# -- databases -----------------------------------------------------------------


def fill(connection, mark: str) -> None:
    cursor = connection.cursor()
    cursor.execute('CREATE TABLE sales (id INTEGER, "Name" TEXT, price REAL)')
    rows = [(n, f"n{n}", n / 4) for n in range(1, 1001)]
    cursor.executemany(f"INSERT INTO sales VALUES ({mark},{mark},{mark})", rows)
    connection.commit()


@pytest.fixture(scope="module", params=["sqlite", "adbc", "postgresql"])
def database(request, tmp_path_factory):
    """A database with 1 000 sales: how it is reached, and its connection."""
    path = tmp_path_factory.mktemp("database") / "shop.db"
    if request.param == "postgresql":
        import psycopg

        # Its socket's path must be short, and its user may enter.
        with (
            tempfile.TemporaryDirectory(dir="/tmp") as folder,
            postgres(Path(folder)) as url,
            psycopg.connect(url.replace("+psycopg", "")) as connection,
        ):
            fill(connection, "%s")
            yield {"url": url}, connection
        return
    connection = sqlite3.connect(path)
    fill(connection, "?")
    if request.param == "adbc":
        options = {"driver": "adbc_driver_sqlite", "options": {"uri": str(path)}}
    else:
        options = {"url": f"sqlite:///{path}"}
    yield options, connection
    connection.close()


def test_a_table_is_read_in_ranges_and_then_what_is_new(database):
    reached, connection = database
    source = DatabaseSource(table="sales", cursor="id", partitions=4, **reached)
    assert source.load().columns() == ["id", "Name", "price"]
    needs = ["id", "Name", "price"]
    rows, _, lines, first = everything(source, needs)
    assert rows == [(n, f"n{n}", n / 4) for n in range(1, 1001)]
    assert lines == list(range(1, 1001))
    assert len(first.items) == 4
    assert first.units[0].name == "sales up to id 1000"
    assert everything(source, needs, first.units)[3].units == []
    connection.execute("INSERT INTO sales VALUES (1001, 'new', 0.5)")
    connection.commit()
    rows, _, _, second = everything(source, needs, first.units)
    assert (rows, second.reason) == ([(1001, "new", 0.5)], None)
    assert second.units[0].cursor == "1001"
    connection.execute("DELETE FROM sales WHERE id = 1001")
    connection.commit()


def test_rows_without_a_cursor_are_not_passed_over(database):
    reached, _ = database
    query = "SELECT CASE WHEN id > 3 THEN id END AS number, price FROM sales"
    with pytest.raises(SourceError, match="3 rows have no 'number', the cursor"):
        everything(DatabaseSource(query=query, cursor="number", **reached), ["price"])


def test_a_package_that_is_missing_is_named_with_its_extra():
    with pytest.raises(PackageMissing, match=r"pip install 'dask_etl\[database\]'"):
        needed("no_such_package", "database")


def test_a_query_without_a_cursor_is_read_whole_each_time(database):
    reached, _ = database
    query = "SELECT id, price FROM sales WHERE id <= 10;"
    source = DatabaseSource(
        query=query, partition_column="price", partitions=3, **reached
    )
    rows, _, lines, batch = everything(source, ["id"])
    assert rows == [(n,) for n in range(1, 11)]
    assert lines == list(range(1, 11))
    assert "no cursor column" in batch.reason
    with pytest.raises(SourceError, match="there is no column 'prise'"):
        everything(source, ["prise"])


def test_what_a_database_says_is_said_in_one_line(database):
    reached, _ = database
    with pytest.raises(SourceError, match="nosuch") as failure:
        everything(DatabaseSource(table="nosuch", **reached))
    assert "\n" not in str(failure.value)


def test_entries_of_databases_that_are_wrong():
    with pytest.raises(DatasetError) as failure:
        DatabaseSource(partitions=0)
    said = str(failure.value)
    for words in ("a table or a query", "a url or a driver", "partitions"):
        assert words in said
    with pytest.raises(SourceError, match="url: "):
        everything(DatabaseSource(table="a", url="nonsense"))
    with pytest.raises(SourceError, match="unable to open database") as failure:
        everything(DatabaseSource(table="a", url="sqlite:////no/such/folder/a.db"))
    secret = "postgresql+psycopg://me:secret@127.0.0.1:1/shop?connect_timeout=1"
    with pytest.raises(SourceError) as failure:
        everything(DatabaseSource(table="a", url=secret))
    assert "secret" not in str(failure.value)


# -- APIs ----------------------------------------------------------------------


class Shop(BaseHTTPRequestHandler):
    """Pages of two orders each, in every style there is."""

    orders: ClassVar = [
        {"id": n, "at": f"2023-01-{n:02d}", "lines": [{"sku": n}]} for n in range(1, 6)
    ]
    failures = 0

    def do_GET(self):
        query = {
            name: value[0]
            for name, value in parse_qs(urlparse(self.path).query).items()
        }
        if type(self).failures:
            type(self).failures -= 1
            return self.answer(503, {})
        if self.headers.get("Authorization") != "Bearer x":
            return self.answer(401, {})
        orders = [o for o in self.orders if o["at"] >= query.get("since", "")]
        start = int(query.get("offset", query.get("cursor", 0)))
        if "page" in query:
            start = 2 * (int(query["page"]) - 1)
        following = str(start + 2) if start + 2 < len(orders) else None
        address = f"/orders?offset={following}" if following else None
        self.answer(
            200,
            {
                "data": {"orders": orders[start : start + 2]},
                "next": following,
                "link": address,
            },
        )

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def api():
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/orders"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "paging",
    [
        {"style": "page", "parameter": "page"},
        {"style": "offset", "parameter": "offset"},
        {"style": "cursor", "parameter": "cursor", "field": "next"},
        {"style": "link", "field": "link"},
    ],
)
def test_all_pages_of_an_api_then_what_is_new(api, tmp_path, paging, monkeypatch):
    monkeypatch.setattr(Shop, "failures", 1)
    source = ApiSource(
        url=api,
        filepath=str(tmp_path / "pages"),
        records="data.orders",
        explode="lines",
        paging=paging,
        cursor="at",
        cursor_parameter="since",
        credentials={"headers": {"Authorization": "Bearer x"}},
    )
    needs = ["id", "lines.sku", "at"]
    rows, _, _, first = everything(source, needs)
    assert rows == [(n, n, f"2023-01-{n:02d}") for n in range(1, 6)]
    assert everything(source, needs, first.units)[3].units == []
    new = {"id": 6, "at": "2023-01-06", "lines": [{"sku": 6}]}
    monkeypatch.setattr(Shop, "orders", [*Shop.orders, new])
    rows, _, _, second = everything(source, needs, first.units)
    assert (rows, second.reason) == ([(6, 6, "2023-01-06")], None)


def test_what_an_api_says_is_said_in_one_line(api, tmp_path):
    def refused(**options) -> str:
        with pytest.raises(SourceError) as failure:
            everything(ApiSource(filepath=str(tmp_path / "pages"), **options))
        return str(failure.value)

    headers = {"headers": {"Authorization": "Bearer x"}}
    assert "401" in refused(url=api, records="data.orders")
    assert "expected a list of records at 'data'" in refused(
        url=api, records="data", credentials=headers
    )
    assert "no column 'name'" in refused(
        url=api, records="data.orders", credentials=headers
    )
    with pytest.raises(DatasetError, match="there is no 'pages'; there are none, page"):
        ApiSource(url=api, filepath="x", paging={"style": "pages"})
