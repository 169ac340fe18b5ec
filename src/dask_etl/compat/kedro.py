"""Of Kedro: the type of a preview, what a cached dataset wraps, where a file is.

Where a class of ours is one of Kedro's, it overrides and calls some of its methods that
are not public; they stand with the class, in ``configuration.py``:

- ``ConfigLoader`` overrides ``_read_dir_configs``, ``_merge_and_resolve``,
  ``_merge_configs`` and ``_soft_merge``, and uses ``_fs``, ``_get_conf_env_path`` and
  ``_is_valid_config_path``;
- ``ProjectContext`` overrides ``_get_catalog``.
"""

from typing import Any

from kedro.io import CachedDataset
from kedro_datasets._typing import TablePreview

__all__ = ["TablePreview", "path_of", "unwrapped"]


def unwrapped(dataset: Any) -> Any:
    """Return the dataset that one held in memory wraps; any other as it is."""
    return dataset._dataset if isinstance(dataset, CachedDataset) else dataset


def path_of(dataset: Any) -> str | None:
    """Return the path that a dataset was given; None for one that has none."""
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)
