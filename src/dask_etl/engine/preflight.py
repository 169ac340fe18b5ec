"""Whether a cluster elsewhere can do the work of this process: looked at before it does.

Functions travel by name. A worker with other code, or with another pandas, would do
something else without a word; one that lacks a package cannot even read what it is sent.
"""

import io
import logging
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_etl.engine.client import call
from dask_etl.engine.remote_code import as_code, install, probe, shipped
from dask_etl.errors import ClusterError

logger = logging.getLogger(__name__)

PACKAGE = __name__.partition(".")[0]
LIBRARIES = ("dask", "distributed", "numpy", "pandas", "pyarrow", "deltalake")
"""What the bytes of a result depend on; another version may make others."""

ANSWER_TIMEOUT = 60.0
"""Seconds that machines of the cluster may take to answer."""

PATIENCE = 10.0
"""Seconds after which a wait is told."""


@dataclass(frozen=True)
class Needs:
    """What the work needs at the workers, besides this package and its libraries.

    Attributes:
        modules: whose functions are to run there.
        packages: of file systems that are read and written there, e.g. ``s3fs``.
    """

    modules: Sequence[str] = ()
    packages: Sequence[str] = ()


def check(
    client: Any, name: str, needs: Needs, ship_code: bool, timeout: float
) -> None:
    """Wait for workers, and refuse a cluster that would do other work than this process.

    Args:
        client: of the cluster.
        name: of the cluster, for people.
        needs: what the work needs.
        ship_code: send this package's source where it is missing or another.
        timeout: seconds to wait for the first worker.

    Raises:
        ClusterError: in one line, what is different where, and what to do.
    """
    wait_for_workers(client, name, timeout)
    _check_python(client, name)
    libraries = [*LIBRARIES, *needs.packages]
    here = probe(PACKAGE, libraries)
    if ship_code:
        # Modules are not imported yet: those that are there may be replaced.
        found = _probe(client, name, libraries, ())
        if any(there["code"] != here["code"] for there in found.values()):
            _ship(client, name, here["code"])
    found = _probe(client, name, libraries, needs.modules)
    _refuse(name, {where: [*_faults(here, there)] for where, there in found.items()})


def wait_for_workers(client: Any, name: str, timeout: float) -> None:
    """Wait until there is a worker; say so after a while.

    Raises:
        ClusterError: there is none in time, or the scheduler is gone.
    """
    begun, told = time.monotonic(), False
    while not _answer(call(client, client.nthreads), name):
        waited = time.monotonic() - begun
        if waited >= timeout:
            raise ClusterError(
                f"{name} has no workers, and none came within {timeout:g} s. Start some, "
                "or give them more time to come: workers_timeout in dask.yml."
            )
        if waited >= PATIENCE and not told:
            told = True
            logger.warning(
                "%s has no workers yet: waiting up to %g s (workers_timeout)",
                name,
                timeout,
            )
        time.sleep(min(0.2, timeout))


def _check_python(client: Any, name: str) -> None:
    """Compare first what decides whether code can be sent at all."""
    found = _answer(call(client, client.get_versions), name)
    here = _minor(found["client"])
    where = {"the scheduler": found["scheduler"], **_workers(found["workers"])}
    _refuse(
        name,
        {
            place: [f"Python {_minor(there)} instead of {here}"]
            for place, there in where.items()
            if there and _minor(there) != here
        },
    )


def _minor(versions: Mapping[str, Any]) -> str:
    return ".".join(versions["host"]["python"].split(".")[:2])


def _workers(found: Mapping[str, Any]) -> dict[str, Any]:
    return {f"worker {address}": there for address, there in found.items()}


def _probe(
    client: Any, name: str, libraries: Sequence[str], modules: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Ask the scheduler and all workers what they have."""
    with as_code():
        # The scheduler passes the work on; only workers do it.
        asked = [
            call(client, client.run_on_scheduler, probe, PACKAGE, libraries),
            call(
                client,
                client.run,
                probe,
                PACKAGE,
                libraries,
                modules,
                on_error="return",
            ),
        ]
        scheduler, workers = (_answer(future, name) for future in asked)
    found = {"the scheduler": scheduler, **_workers(workers)}
    # A worker that left meanwhile has nothing to say.
    gone = [w for w, said in found.items() if isinstance(said, OSError)]
    for where, said in found.items():
        if isinstance(said, Exception) and where not in gone:
            raise ClusterError(
                f"{name}: {where} cannot be asked what is installed there "
                f"({type(said).__name__}: {said})"
            )
    return {where: said for where, said in found.items() if where not in gone}


def _answer(future: Future, name: str) -> Any:
    """Wait for what was asked of the cluster, for a while.

    Raises:
        ClusterError: there is no answer.
    """
    try:
        return future.result(ANSWER_TIMEOUT)
    except TimeoutError as error:
        future.cancel()
        raise ClusterError(
            f"{name}: the scheduler or a worker has not answered within "
            f"{ANSWER_TIMEOUT:g} s. Is it overloaded?"
        ) from error
    except OSError as error:
        raise ClusterError(
            f"{name}: the connection was lost ({error}). Is the scheduler still there?"
        ) from error


def _faults(here: Mapping, there: Mapping) -> Iterator[str]:
    """Say what a machine has otherwise than this one."""
    for library, version in here["versions"].items():
        found = there["versions"][library]
        if found is None and version is not None:
            yield f"{library} is missing"
        elif found != version:
            yield f"{library} {found} instead of {version}"
    if there["code"] is None:
        yield f"the package {PACKAGE} is missing"
    elif there["code"] != here["code"]:
        yield (
            f"the package {PACKAGE} has other code ({there['code'][:8]} instead of "
            f"{here['code'][:8]})"
        )
    elif there["failed"]:
        yield there["failed"]


def _refuse(name: str, faults: Mapping[str, list[str]]) -> None:
    """Raise an error that says what is wrong where, if anything is.

    Raises:
        ClusterError: in one line.
    """
    places: dict[str, list[str]] = {}
    for where, found in faults.items():
        if found:
            places.setdefault(", ".join(found), []).append(where)
    if not places:
        return
    said = "; ".join(
        f"{_listed(where)} ({what})" for what, where in sorted(places.items())
    )
    remedy = "Install there what is here (the same wheel, the same pinned versions)"
    if any(f"package {PACKAGE}" in what for what in places):
        remedy += (
            f", or set ship_code: true in dask.yml to have {PACKAGE} sent with each run"
        )
    raise ClusterError(
        f"{name} would do other work than this machine: {said}. {remedy}."
    )


def _listed(where: Sequence[str]) -> str:
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    return ", ".join(where[:3]) + more


def _ship(client: Any, name: str, code: str) -> None:
    """Send this package's source to the scheduler and to all workers, now and later."""
    source = archive()
    with as_code():
        _answer(
            call(client, client.run_on_scheduler, install, PACKAGE, code, source), name
        )
        plugin = shipped(PACKAGE, code, source)
        _answer(call(client, client.register_plugin, plugin), name)
    logger.info("%s: sent the package %s (%s) there", name, PACKAGE, code[:8])


def archive() -> bytes:
    """Return a zip of this package's files: the same bytes for the same files."""
    root = Path(__file__).parents[1]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(root.parent).as_posix()
                opened.writestr(zipfile.ZipInfo(inside), path.read_bytes())
    return packed.getvalue()


def withdraw(client: Any) -> None:
    """Stop to send this package to workers that are yet to join."""
    name = f"{PACKAGE}-code"
    future = call(client, client.unregister_worker_plugin, name)
    try:
        future.result(PATIENCE)
    # The cluster may be gone, or another client have done it: either is well.
    except Exception as error:
        logger.debug("The plugin %s was not withdrawn: %s", name, error)
