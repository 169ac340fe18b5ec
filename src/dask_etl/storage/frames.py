"""pandas frames to Arrow and back."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

_MASKED = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def to_pandas(table: pa.Table, masked: Iterable[str]) -> pd.DataFrame:
    """Convert to pandas: dates as datetime64, ``masked`` columns as nullable types."""
    masked = [name for name in masked if table.schema.field(name).type in _MASKED]
    order = table.column_names
    nullable = {
        name: _MASKED[table.schema.field(name).type].__from_arrow__(table[name])
        for name in masked
    }
    frame = table.drop_columns(masked).to_pandas(
        date_as_object=False, split_blocks=True, self_destruct=True, use_threads=False
    )
    if not nullable:
        return frame
    return frame.assign(**nullable)[order]


def from_pandas(frame: pd.DataFrame, target: pa.Schema) -> pa.Table:
    """Convert from pandas, also what :func:`to_pandas` made."""
    if frame.attrs:
        # Notes of the frame, which Arrow would write into the table's.
        frame = frame.copy(deep=False)
        frame.attrs = {}
    try:
        table = pa.Table.from_pandas(frame, target, preserve_index=False, nthreads=1)
    except TypeError:
        # pandas has lists of timestamps where Arrow has lists of dates.
        dates = [pa.list_(pa.date32()), pa.list_(pa.date64())]
        instants = pa.list_(pa.timestamp("ms"))
        widened = pa.schema(
            [f.with_type(instants) if f.type in dates else f for f in target]
        )
        table = pa.Table.from_pandas(frame, widened, preserve_index=False, nthreads=1)
        table = table.cast(target)
    return table.replace_schema_metadata(None)
