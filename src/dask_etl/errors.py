"""Errors that explain themselves: what is wrong, where, and what to do about it."""


class ExplainedError(Exception):
    """An error for the person who runs the pipeline; its message needs no traceback."""


class StorageError(ExplainedError, RuntimeError):
    """A table in files is missing, damaged, or being written by another run."""


class TableMissing(StorageError):
    """There is no table yet where one was to be read."""


class ClusterError(ExplainedError, ValueError):
    """A Dask cluster cannot be had with these settings, here and now."""


class WorkersLost(ExplainedError, RuntimeError):
    """Workers died again and again on the same work."""


def explained(error: BaseException | None) -> ExplainedError | None:
    """Return the explained error that an error is, or came from, if any."""
    while error is not None:
        if isinstance(error, ExplainedError):
            return error
        error = error.__cause__ or error.__context__
    return None


def explanation(error: BaseException | None) -> str | None:
    """Return the message of the explained error that an error came from, if any."""
    found = explained(error)
    return None if found is None else str(found)
