"""What runs on a cluster's machines whether this package is there or not.

These functions are sent as code, not by name (:func:`as_code`): each imports what it
needs itself, and needs nothing but Python and Dask.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any


@contextlib.contextmanager
def as_code() -> Iterator[None]:
    """Have what this module defines be pickled as code while the context lasts."""
    import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def probe(
    package: str, libraries: Sequence[str], modules: Sequence[str] = ()
) -> dict[str, Any]:
    """Say what is installed where this runs.

    Args:
        package: whose source is digested.
        libraries: distributions whose versions are asked for.
        modules: what must be possible to import.

    Returns:
        ``versions``: by library, None for one that is missing; ``code``: digest of all
        source files of the package, None where it is missing; ``failed``: why a module
        cannot be imported, None where all can.
    """
    import hashlib
    import importlib.metadata
    import importlib.util
    import pathlib

    versions: dict[str, str | None] = {}
    for library in libraries:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = None
    code = failed = None
    importlib.invalidate_caches()
    found = importlib.util.find_spec(package)
    if found is not None and found.origin:
        digest = hashlib.sha256()
        root = pathlib.Path(found.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
            digest.update(path.read_bytes())
        code = digest.hexdigest()[:16]
    for module in modules if code else ():
        try:
            importlib.import_module(module)
        # Whatever a module does when it is imported.
        except Exception as error:
            failed = f"{module} cannot be imported ({type(error).__name__}: {error})"
            break
    return {"versions": versions, "code": code, "failed": failed}


def install(
    package: str, code: str, archive: bytes, workspace: str | None = None
) -> None:
    """Put the source of a package first on the path of this process.

    Does nothing where the same source is there already, so that it may be asked for
    again, by each of several workers in one process.

    Args:
        package: its name.
        code: digest of its source, as :func:`probe` tells it.
        archive: zip of its source files.
        workspace: a folder that somebody tidies up, even if this process is killed; by
            default one that goes when the process ends.
    """
    import atexit
    import importlib
    import io
    import pathlib
    import shutil
    import tempfile
    import zipfile

    if probe(package, ())["code"] == code:
        return
    made = tempfile.mkdtemp(prefix=f"{package}-{code}-", dir=workspace)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    folder = pathlib.Path(made)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(folder)
    sys.path.insert(0, str(folder))
    # Modules that were imported from elsewhere would stay, among new ones.
    for name in [*sys.modules]:
        if name == package or name.startswith(f"{package}."):
            del sys.modules[name]
    importlib.invalidate_caches()


def shipped(package: str, code: str, archive: bytes) -> Any:
    """Make a plugin that installs a package on workers, on those that join later, too.

    Returns:
        A worker plugin; a later one takes its place.
    """
    from distributed import WorkerPlugin

    class ShippedCode(WorkerPlugin):
        name = f"{package}-code"

        def setup(self, worker: Any) -> None:
            install(package, code, archive, worker.local_directory)

    return ShippedCode()


def perform(
    work: bytes, modules: Sequence[str], code: str, number: int, item: Any, *values: Any
) -> Any:
    """Do what a task is to do, if the code here is the client's.

    Args:
        work: what the tasks have in common, pickled; it has a method ``run``.
        modules: whose source, with what they import, makes the results.
        code: digest of that source where the work was described.
        number: of the partition or bucket.
        item: what the partition is made from, pickled if it is bytes.
        values: results of other tasks.

    Raises:
        ImportError: the package is missing here, or is another; its ``path`` is the
            worker's address.
    """
    import pickle

    from distributed import get_worker

    here = get_worker().address
    try:
        from dask_etl.engine.sealed import code_here, opened

        same = code_here(tuple(modules)) == code
        opened_work: Any = opened(work) if same else None
        if same and isinstance(item, bytes):
            item = pickle.loads(item)
    except Exception as error:
        raise ImportError(
            f"cannot load the work ({type(error).__name__}: {error})",
            name="dask_etl",
            path=here,
        ) from None
    if not same:
        raise ImportError("has other code", name="dask_etl", path=here)
    return opened_work.run(number, item, *values)


def collect(*reports: Any) -> dict[str, dict]:
    """Wait for tasks, and join the ``index`` of what they wrote to scratch."""
    return {"index": {k: v for report in reports for k, v in report["index"].items()}}
