"""Kedro datasets of sources: what the catalog says of the data of others.

Each loads as a description, a :class:`dask_etl.sources.batch.Source`; nothing is read
before it is known what is new. None is ever written to.
"""

import codecs
from collections.abc import Sequence
from typing import Any

import fsspec
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from dask_etl.sources.columnar import ParquetFiles
from dask_etl.sources.csv import CsvFiles
from dask_etl.sources.csv_reader import WHITE_SPACE, Format
from dask_etl.sources.excel import ExcelFiles
from dask_etl.sources.json_lines import JsonFiles

BREAKS = ("\r", "\n")
BLOCKSIZE = 32 << 20
"""Bytes of text that one task reads: some 300 000 rows."""


class SourceDataset(AbstractDataset):
    """What all sources have in common: they are read, and never written to."""

    # One instance is used by one run, in one process.
    _SINGLE_PROCESS = True

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise DatasetError(f"{self}: a source is only read")


class FileSource(SourceDataset):
    """A source in files: one, those of a folder, or those that a pattern fits.

    Args:
        filepath: a file, a folder, or a pattern such as ``exports/*.csv``, on a disk
            or in object storage.
        credentials: of the file system.
        fs_args: other arguments of the file system.
        metadata: for others, e.g. Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        protocol, path = get_protocol_and_path(str(filepath))
        self._filepath = filepath
        options = {**(fs_args or {}), **(credentials or {})}
        self._filesystem = fsspec.filesystem(protocol, **options)
        self._path = self._filesystem._strip_protocol(path)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}

    def _exists(self) -> bool:
        return bool(self._filesystem.glob(self._path))


class CsvSource(FileSource):
    """Delimited text: any separator, encoding and packing.

    Catalog entry::

        source:
          type: dask_etl.sources.CsvSource
          filepath: exports/*.csv
          separator: ";"
          encoding: cp1252

    Lines that have too many fields or too few, that are not in the encoding, or that
    open a quote and never close it, are counted and kept among the rejected lines. A
    file that is empty, or has nothing but a header, is an empty file.

    Args:
        separator: one character; ``"\\t"`` for tabs; ``white space`` for any number of
            spaces, as in tables for people to read.
        quote: what fields with separators and line breaks are put in; "" for nothing.
            Twice, it stands for itself.
        escape: what takes the next character's meaning away; "" for nothing.
        encoding: as Python names it.
        compression: gzip, zstd, bz2 or xz; ``infer`` takes the file's name for it,
            null is none.
        header: whether the first line names the columns.
        columns: their names, where there is no header or it is to be overruled.
        skip_lines: lines before the header.
        blocksize: bytes of text that one task reads.
        arguments: those of :class:`FileSource`.

    Raises:
        DatasetError: all that is wrong with the arguments.
    """

    def __init__(
        self,
        *,
        separator: str = ",",
        quote: str = '"',
        escape: str = "",
        encoding: str = "utf-8",
        compression: str | None = "infer",
        header: bool = True,
        columns: Sequence[str] = (),
        skip_lines: int = 0,
        blocksize: int = BLOCKSIZE,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        problems = [
            f"{name}: must be {kind} character of ASCII, it is {value!r}"
            for name, value, kind, least in (
                ("separator", separator, "one", 1),
                ("quote", quote, "no or one", 0),
                ("escape", escape, "no or one", 0),
            )
            if (value != WHITE_SPACE and not least <= len(value) <= 1)
            or not value.isascii()
            or value in [*"\r\n"]
        ]
        try:
            codecs.lookup(encoding)
        except LookupError:
            problems.append(f"encoding: there is no {encoding!r}; e.g. utf-8, cp1252")
        if compression not in (None, "infer", "gzip", "zstd", "bz2", "xz"):
            problems.append(
                f"compression: there is no {compression!r}; there are infer, gzip, "
                "zstd, bz2, xz and null"
            )
        if not isinstance(blocksize, int) or blocksize < 1:
            problems.append(
                f"blocksize: must be a number of bytes, it is {blocksize!r}"
            )
        if problems:
            raise DatasetError(f"{self._filepath}: {'; '.join(problems)}")
        self._format = Format(
            separator,
            quote,
            escape,
            encoding,
            compression,
            header,
            tuple(columns),
            skip_lines,
        )
        self._blocksize = blocksize

    def _describe(self) -> dict[str, Any]:
        return {
            **super()._describe(),
            "separator": self._format.separator,
            "encoding": self._format.encoding,
        }

    def load(self) -> CsvFiles:
        """Return the description of the files."""
        return CsvFiles(self._filesystem, self._path, self._format, self._blocksize)


class JsonLinesSource(FileSource):
    """JSON lines: an object a line; a name in an object in it is written with a dot.

    Args:
        explode: the name of a list of objects: each of them becomes a row, in which
            that name has it. For orders that have their lines in them.
        compression: as for :class:`CsvSource`.
        blocksize: bytes of text that one task reads.
        arguments: those of :class:`FileSource`.
    """

    def __init__(
        self,
        *,
        explode: str | None = None,
        compression: str | None = "infer",
        blocksize: int = BLOCKSIZE,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self._options = (compression, explode, blocksize)

    def load(self) -> JsonFiles:
        """Return the description of the files."""
        return JsonFiles(self._filesystem, self._path, *self._options)


class ExcelSource(FileSource):
    """A sheet of Excel workbooks.

    Args:
        sheet: its name; the first by default.
        skip_lines: rows before the header.
        arguments: those of :class:`FileSource`.
    """

    def __init__(
        self, *, sheet: str | None = None, skip_lines: int = 0, **arguments: Any
    ):
        super().__init__(**arguments)
        self._options = (sheet, skip_lines)

    def load(self) -> ExcelFiles:
        """Return the description of the workbooks."""
        return ExcelFiles(self._filesystem, self._path, *self._options)


class ParquetSource(FileSource):
    """Parquet files of any columns; ``shop=North/`` in a path is a column, too.

    Args:
        blocksize: bytes, unpacked, that one task reads; a row group is not divided.
        arguments: those of :class:`FileSource`.
    """

    is_delta = False

    def __init__(self, *, blocksize: int = 2 * BLOCKSIZE, **arguments: Any):
        super().__init__(**arguments)
        self._blocksize = blocksize

    def load(self) -> ParquetFiles:
        """Return the description of the files."""
        return ParquetFiles(
            self._filesystem, self._path, self._blocksize, self.is_delta
        )


class DeltaSource(ParquetSource):
    """A Delta Lake table of any columns, as it is now."""

    is_delta = True
