"""A Dask DataFrame of files that is made when something is asked of it."""

import copy
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from dask_etl.storage.parts import PartReader
from dask_etl.storage.segments import Partition


class LazyFrame(wrapt.LazyObjectProxy):
    """Stands for a Dask DataFrame, and becomes it at its first use.

    To import ``dask.dataframe`` takes as long as half a million rows do. Our own engine
    needs no more of a frame than its files and the names of its columns; to everybody
    else this is the frame, ``isinstance`` included.

    Args:
        reader: reads the files.
        partitions: the files of each partition.
        make: makes the frame of them.

    Attributes:
        files: reader and partitions.
    """

    def __init__(
        self, reader: PartReader, partitions: list[Partition], make: Callable[[], Any]
    ):
        super().__init__(make)
        # Names that begin so are the proxy's own.
        self._self_files = reader, partitions

    @property
    def files(self) -> tuple[PartReader, list[Partition]]:
        """The reader and the partitions."""
        return self._self_files

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # Who asks whether it is one of Dask's frames has imported them.
        if "dask.dataframe" in sys.modules:
            return type(self.__wrapped__)
        return LazyFrame

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __copy__(self) -> Any:
        return copy.copy(self.__wrapped__)

    def __deepcopy__(self, memo: Any) -> Any:
        return copy.deepcopy(self.__wrapped__, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)
