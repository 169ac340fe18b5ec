"""Of Kedro: the types of previews, what a cached dataset wraps, where files are.

Where a class of ours is one of Kedro's, it overrides and calls some of its methods that
are not public; they stand with the class, in ``configuration.py``:

- ``ConfigLoader`` overrides ``_read_dir_configs``, ``_merge_and_resolve``,
  ``_merge_configs`` and ``_soft_merge``, and uses ``_fs``, ``_get_conf_env_path`` and
  ``_is_valid_config_path``;
- ``ProjectContext`` overrides ``_get_catalog``, and so does ``VizContext``.
"""

from typing import Any

from kedro.io import CachedDataset
from kedro_datasets._typing import HTMLPreview, ImagePreview

__all__ = ["HTMLPreview", "ImagePreview", "bytes_of", "path_of", "unwrapped"]


def unwrapped(dataset: Any) -> Any:
    """Return the dataset that one held in memory wraps; any other as it is."""
    return dataset._dataset if isinstance(dataset, CachedDataset) else dataset


def path_of(dataset: Any) -> str | None:
    """Return the path that a dataset was given; None for one that has none."""
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


def bytes_of(dataset: Any) -> int | None:
    """Return the size of the files of a dataset: a file, a folder or a pattern.

    Returns:
        None if it has no files, or there are none yet.

    Raises:
        OSError: of the file system.
    """
    filesystem = getattr(dataset, "_fs", None) or getattr(dataset, "_filesystem", None)
    path = path_of(dataset)
    if filesystem is None or path is None:
        return None
    filesystem.invalidate_cache()
    path = filesystem._strip_protocol(path)
    if any(sign in path for sign in "*?["):
        found = filesystem.glob(path, detail=True).values()
        return sum(file["size"] for file in found) if found else None
    return filesystem.du(path) if filesystem.exists(path) else None
