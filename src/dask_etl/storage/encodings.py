"""Which Parquet encodings a column gets."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Encodings:
    """What a writer should know of a table's columns and their types do not tell.

    Attributes:
        repeated: numbers of few distinct values, worth a dictionary.
        distinct: text that hardly repeats within a part (ids), not worth one.
        filtered: columns that readers filter on, worth minimum and maximum per row
            group.
        alone: columns that are read without the others, worth a checksum of their own.
    """

    repeated: frozenset[str] = frozenset()
    distinct: frozenset[str] = frozenset()
    filtered: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()

    def of(self, written: pa.Schema) -> dict:
        """Choose encodings by column, as keywords of ``pyarrow.parquet.write_table``.

        Dictionaries only where values repeat and are wide; BYTE_STREAM_SPLIT for the
        other 8-byte columns; statistics only where readers prune. The measurements behind it are
        in ``docs/performance.md``.
        """
        dictionaries, split, statistics = [], {}, []
        for field in written:
            kind = field.type
            if field.name in self.filtered:
                statistics.append(field.name)
            if pa.types.is_list(kind):
                dictionaries.append(f"{field.name}.list.element")
            elif (
                field.name in self.repeated
                or self.is_label(field)
                or pa.types.is_date(kind)
            ):
                dictionaries.append(field.name)
            elif pa.types.is_primitive(kind) and kind.bit_width == 64:
                split[field.name] = "BYTE_STREAM_SPLIT"
        return {
            "compression": "lz4",
            "use_dictionary": dictionaries or False,
            "column_encoding": split or None,
            "write_statistics": statistics or False,
            "row_group_size": 1 << 20,
            "write_page_index": False,
        }

    def is_label(self, field: pa.Field) -> bool:
        """Tell whether a column is text of few distinct values."""
        kind = field.type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        return pa.types.is_dictionary(kind) or (
            is_text and field.name not in self.distinct
        )


BY_TYPE = Encodings()
"""Of tables of which only the types are known."""
