"""Row groups too large for one task: read slice by slice, decoded once in all.

Parquet cannot be entered in the middle of a row group. Tasks ask for the slices more
or less in their order, so whoever read the last slice is kept, and goes on. Where one
task overtakes another, the few slices in between wait for theirs; for any other earlier
slice the reading begins anew. Memory is that of some slices, however large the group.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

import pyarrow as pa

Batches = Iterator[pa.RecordBatch]

_KEPT = 4
"""Row groups that a process keeps open: of two passes, and where two files meet."""


_WAITING = 2
"""Slices that were overtaken and are kept, of a row group."""


class _Cursor:
    """The rows of a row group from some place on."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.position = 0
        self.held: pa.Table | None = None

    def advance(self, rows: int) -> Iterator[pa.Table]:
        """Yield the next rows, so many of them if there are, in pieces."""
        while rows:
            if self.held is None:
                batch = next(self.batches, None)
                if batch is None:
                    return
                self.held = pa.Table.from_batches([batch])
            piece = self.held.slice(0, rows)
            # An empty rest would keep the whole batch in memory.
            rest = self.held.slice(len(piece))
            self.held = rest if len(rest) else None
            self.position += len(piece)
            rows -= len(piece)
            yield piece


class _Place:
    """A row group that several threads read slices of, one at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cursor: _Cursor | None = None
        self.size = 0
        self.waiting: dict[int, pa.Table] = {}

    def read(self, begin: Callable[[], Batches], skip: int, rows: int, of: int):
        table = self.waiting.pop(skip, None)
        if table is not None and len(table) == rows:
            return table
        cursor, self.cursor = self.cursor, None
        if cursor is None or cursor.position > skip:
            cursor, self.waiting = _Cursor(begin()), {}
        # The last slice may be smaller than those before it.
        self.size = max(self.size, rows)
        for start in range(cursor.position, skip, self.size):
            passed = list(cursor.advance(min(self.size, skip - start)))
            if passed and skip - start <= _WAITING * self.size:
                self.waiting[start] = pa.concat_tables(passed)
        while len(self.waiting) > _WAITING:
            del self.waiting[min(self.waiting)]
        table = pa.concat_tables(cursor.advance(rows))
        # Neither what failed nor what is finished is kept.
        if cursor.position < of:
            self.cursor = cursor
        return table


_places: OrderedDict[Hashable, _Place] = OrderedDict()
_places_lock = threading.Lock()


def read_slice(
    key: Hashable, begin: Callable[[], Batches], skip: int, rows: int, of: int
) -> pa.Table:
    """Read some rows of a row group.

    Args:
        key: the same for the same row group, columns and state of the file.
        begin: reads the row group from its first row on.
        skip: rows before the wanted ones.
        rows: how many rows.
        of: how many rows the row group has.
    """
    with _places_lock:
        place = _places.setdefault(key, _Place())
        _places.move_to_end(key)
        while len(_places) > _KEPT:
            _places.popitem(last=False)
    with place.lock:
        return place.read(begin, skip, rows, of)
