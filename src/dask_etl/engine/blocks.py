"""Blocks of partitions: where files are far away, they bring partial tables together.

On a disk, each bucket's merge reads its table of every partition. Elsewhere that would
be a request for each pair of them, so partitions form blocks: the files of a block are
joined into one, from which a bucket reads the tables of all the block's partitions at
once; and what a merge has for partitions is kept block by block, joined for each block
from all buckets, and read by each partition with one request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dask_etl.engine.scratch import Scratch
from dask_etl.engine.tasks import file_name, scattered

PARTITIONS = 100
"""Of a block, at most."""

ROWS = 10_000_000
"""Of a block, at most: it passes through the memory of one task."""


def blocks_of(partitions: int, rows: Sequence[int]) -> tuple[int, ...]:
    """Form blocks of consecutive partitions.

    Args:
        partitions: how many there are.
        rows: of each; empty where that is not known.

    Returns:
        The number of each block's first partition, and of the one after the last.
    """
    bounds = [0]
    held = 0
    for number in range(partitions):
        size = rows[number] if rows else 0
        full = number - bounds[-1] == PARTITIONS or held + size > ROWS
        if full and number > bounds[-1]:
            bounds.append(number)
            held = 0
        held += size
    return (*bounds, partitions) if partitions else (0,)


@dataclass(frozen=True, eq=False)
class Gather:
    """Joins the scratch files of a block's partitions.

    Attributes:
        name: of the joined files.
        stage: whose partitions they are.
        blocks: see :func:`blocks_of`.
        scratch: where the files are.
    """

    name: str
    stage: str
    blocks: Sequence[int]
    scratch: Scratch

    def run(self, block: int, *_done: Mapping) -> dict[str, dict]:
        """Join the files of a block; returns the ``index`` of what was written."""
        numbers = range(self.blocks[block], self.blocks[block + 1])
        name = file_name(self.name, block)
        files = [file_name(self.stage, number) for number in numbers]
        return {"index": {name: self.scratch.join(name, files)}}


@dataclass(frozen=True, eq=False)
class Spread:
    """Joins what all buckets of a merge have for the partitions of a block.

    Attributes:
        name: of the joined files.
        merge: whose buckets they are.
        buckets: how many.
        pieces: as the merge has them.
        scratch: where the files are.
    """

    name: str
    merge: str
    buckets: int
    pieces: Sequence[int]
    scratch: Scratch

    def run(self, block: int, barrier: Mapping) -> dict[str, dict]:
        """Write a table for each partition of a block; returns their ``index``."""
        wanted = (
            (file_name(self.merge, bucket), block) for bucket in range(self.buckets)
        )
        found = pa.concat_tables(self.scratch.read(wanted, barrier["index"]))
        partitions = range(self.pieces[block], self.pieces[block + 1] + 1)
        name = file_name(self.name, block)
        return {"index": {name: self.scratch.write(name, scattered(found, partitions))}}
