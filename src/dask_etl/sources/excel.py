"""A sheet of Excel workbooks as a source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import fsspec

from dask_etl.errors import StorageError
from dask_etl.sources.batch import (
    Batch,
    Rows,
    SourceError,
    Unit,
    missing_columns,
    refuse_misfits,
)
from dask_etl.sources.columnar import NumberedRows
from dask_etl.sources.extras import needed
from dask_etl.sources.files import SourceFile, find_files, new_files
from dask_etl.sources.json_lines import table_of

SUFFIXES = (".xlsx", ".xlsm")


@dataclass(frozen=True)
class Sheet:
    """A sheet of one workbook."""

    unit: int
    filesystem: fsspec.AbstractFileSystem
    file: SourceFile


@dataclass(frozen=True)
class ExcelFiles:
    """A sheet of one workbook or many; a task reads one."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    sheet: str | None
    skip_lines: int

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {"kind": "excel", "sheet": self.sheet, "skip_lines": self.skip_lines}

    def columns(self) -> list[str]:
        """Return the columns of the first workbook."""
        file = find_files(self.filesystem, self.path, SUFFIXES)[0]
        return self._reader(()).header(Sheet(0, self.filesystem, file))

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """See :class:`dask_etl.sources.batch.Source`."""
        files = find_files(self.filesystem, self.path, SUFFIXES)
        fresh, unread, reason = new_files(self.filesystem, files, known, mode)
        reader = self._reader(tuple(needs))
        sheets, problems = [], []
        for number, file in enumerate(unread):
            sheet = Sheet(number, self.filesystem, file)
            header = reader.header(sheet)
            if not header:
                continue
            if lacking := missing_columns(needs, header, file.name):
                problems.append(lacking)
            sheets.append((sheet,))
        refuse_misfits(problems)
        return Batch(fresh, sheets, reader, reason)

    def _reader(self, needs: tuple[str, ...]) -> "ExcelReader":
        return ExcelReader(needs, self.sheet, self.skip_lines)


@dataclass(frozen=True)
class ExcelReader:
    """Reads a sheet into columns; empty rows are none."""

    needs: tuple[str, ...]
    sheet: str | None
    skip_lines: int

    def header(self, sheet: Sheet) -> list[str]:
        """Return the names of the columns; none for an empty sheet."""
        first = next(self._rows(sheet), (0, ()))[1]
        return [str(one).strip() if one is not None else "" for one in first]

    def __call__(self, sheets: Sequence[Sheet]) -> list[Rows]:
        """Read the sheet of one task."""
        return [self._read(sheet) for sheet in sheets]

    def _read(self, sheet: Sheet) -> Rows:
        rows = self._rows(sheet)
        _, names = next(rows)
        header = [str(one).strip() if one is not None else "" for one in names]
        places = {name: header.index(name) for name in self.needs}
        records, numbers = [], []
        for number, cells in rows:
            records.append(
                {n: cells[p] if p < len(cells) else None for n, p in places.items()}
            )
            numbers.append(number)
        table = table_of(records, self.needs)
        shown = NumberedRows(table, 0)

        def place(wanted):
            _, texts = shown.place(wanted)
            return [numbers[row] for row in wanted], texts

        return Rows(sheet.unit, table, place)

    def _rows(self, sheet: Sheet) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Yield the rows that are not empty, with their numbers, the header first."""
        openpyxl = needed("openpyxl", "xlsx")
        try:
            with sheet.filesystem.open(sheet.file.path, "rb") as opened:
                book = openpyxl.load_workbook(opened, read_only=True, data_only=True)
                if self.sheet is not None and self.sheet not in book.sheetnames:
                    raise SourceError(
                        f"{sheet.file.path}: there is no sheet {self.sheet!r}; there are "
                        f"{', '.join(book.sheetnames)}. Correct 'sheet' in the catalog."
                    )
                page = book[self.sheet] if self.sheet else book.worksheets[0]
                for number, cells in enumerate(page.iter_rows(values_only=True), 1):
                    if number > self.skip_lines and any(c is not None for c in cells):
                        yield number, cells
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, SourceError):
                raise
            raise StorageError(
                f"{sheet.file.path}: not a readable Excel workbook ({error})"
            ) from error
        except Exception as error:
            if type(error).__name__ not in ("BadZipFile", "InvalidFileException"):
                raise
            raise StorageError(
                f"{sheet.file.path}: not a readable Excel workbook ({error})"
            ) from error
