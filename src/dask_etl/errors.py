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


class OtherCode(ExplainedError, RuntimeError):
    """A worker's code is not that of this process."""


def explained(error: BaseException | None) -> ExplainedError | None:
    """Return the explained error that an error is, or came from, if any."""
    while error is not None:
        if isinstance(error, ExplainedError):
            return error
        error = error.__cause__ or error.__context__
    return None


def explanation(error: BaseException | None) -> str | None:
    """Say in one line what an error means to the person who runs the pipeline.

    Returns:
        The message of the explained error that it came from; else what the error
        itself says, if it came from the machine or the network; else None: that is a
        defect, and wants a traceback.
    """
    if (found := explained(error)) is not None:
        return str(found)
    cause = error
    while cause is not None and not _is_environment(cause):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    said, why = (" ".join(str(e).split()) for e in (error, cause))
    return said if why in said else f"{said} ({type(cause).__name__}: {why})"


def _is_environment(error: BaseException) -> bool:
    # Those of S3 are no OSErrors: credentials, endpoints.
    return isinstance(error, OSError) or type(error).__module__.startswith("botocore.")
