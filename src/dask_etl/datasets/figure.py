"""A Kedro dataset for figures of matplotlib, which reports link."""

import base64
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset

from dask_etl.compat.kedro import ImagePreview
from dask_etl.datasets.filesystem import filesystem_of


class FigureDataset(AbstractDataset):
    """A figure as a picture. ``load()`` returns the file's name, for links to it.

    Catalog entry::

        monthly_sales_plot:
          type: dask_etl.datasets.FigureDataset
          filepath: data/08_reporting/monthly_sales.png
          save_args: {dpi: 150}

    Args:
        filepath: the file; its ending says which kind of picture it is.
        save_args: keywords of ``Figure.savefig``.
        credentials: of the file system.
        fs_args: other arguments of the file system.
        metadata: for others, e.g. Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        save_args: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self._filesystem, _, path = filesystem_of(filepath, credentials, fs_args)
        self._filepath = PurePosixPath(path)
        self._save_args = save_args or {}
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "save_args": self._save_args}

    def _exists(self) -> bool:
        self._filesystem.invalidate_cache()
        return self._filesystem.exists(str(self._filepath))

    def load(self) -> str | None:
        """Return the name of the file; None while there is none."""
        return self._filepath.name if self._exists() else None

    def save(self, data: Any) -> None:
        """Draw a figure into the file."""
        from matplotlib import pyplot

        options = {"format": self._filepath.suffix[1:], **self._save_args}
        with self._filesystem.open(str(self._filepath), "wb") as file:
            data.savefig(file, **options)
        pyplot.close(data)

    def preview(self) -> ImagePreview:
        """Return the picture, for Kedro-Viz."""
        content = (
            self._filesystem.cat_file(str(self._filepath)) if self._exists() else b""
        )
        return ImagePreview(base64.b64encode(content).decode())
