"""Of Dask: a frame made by ``from_map`` that knows how many rows it has.

Dask is imported here at once; whoever needs this module imports it when Dask is there.
Workers find the class by its name.
"""

from typing import Any

from dask.dataframe.dask_expr import new_collection
from dask.dataframe.dask_expr._expr import Lengths, Literal
from dask.dataframe.dask_expr._reductions import Len
from dask.dataframe.dask_expr.io.io import FromMapProjectable


class FromFiles(FromMapProjectable):
    """Partitions that are sequences of segments, each of which has ``rows``."""

    def _simplify_up(self, parent, dependents):
        if isinstance(parent, Len):
            return Literal(sum(self._rows()))
        if isinstance(parent, Lengths):
            return Literal(self._rows())
        return super()._simplify_up(parent, dependents)

    def _rows(self) -> tuple[int, ...]:
        items = self.iterables[0]
        chosen = self.operand("_partitions")
        numbers = range(len(items)) if chosen is None else chosen
        return tuple(sum(segment.rows for segment in items[n]) for n in numbers)


def with_lengths(frame: Any) -> Any:
    """Return a Dask DataFrame that ``from_map`` made of files; ``len`` reads nothing."""
    return new_collection(FromFiles(*frame.expr.operands))
