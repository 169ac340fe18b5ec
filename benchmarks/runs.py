"""Run all contenders, check what they made, and write down what it cost."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dask_etl.hooks.monitor import usable_cores
from dask_etl.hooks.records import ALL_NODES

from . import measure
from .caps import CapImpossible
from .commands import ENGINES, command, kedro_run, output_files, unavailable
from .equality import Reference
from .plan import WIDE, Experiment, Variant, experiments, rounds
from .settings import Benchmark
from .workspace import BenchmarkError, Workspace, current_parts

logger = logging.getLogger(__name__)

SKIPPED = "skipped"

RESULTS = pa.schema(
    {
        "experiment": pa.string(),
        "rows": pa.int64(),
        "contender": pa.string(),
        "variant": pa.string(),
        "worker_kind": pa.string(),
        "workers": pa.int64(),
        "memory_cap_bytes": pa.int64(),
        "round": pa.int64(),
        "started_at": pa.timestamp("us", tz="UTC"),
        "outcome": pa.string(),
        "reason": pa.string(),
        "cores": pa.int64(),
        "wall_seconds": pa.float64(),
        "cpu_seconds": pa.float64(),
        "cpu_use": pa.float64(),
        "peak_memory_mb": pa.float64(),
        "read_mb": pa.float64(),
        "written_mb": pa.float64(),
        "input_mb": pa.float64(),
        "output_mb": pa.float64(),
        "rows_per_second": pa.float64(),
        "pipeline_seconds": pa.float64(),
        "pipeline_cpu_use": pa.float64(),
        "pipeline_peak_memory_mb": pa.float64(),
        "compute_seconds": pa.float64(),
        "compute_cpu_use": pa.float64(),
    }
)
"""One row per run. Whole process: ``wall_seconds`` … ``rows_per_second``; ``pipeline_*``
are the run's own account of its nodes and the start of the cluster, ``compute_*`` of its
nodes alone (null for contenders that are scripts). ``input_mb`` and ``output_mb`` are
the sizes of the files."""


@dataclass
class Session:
    """What lasts as long as the contenders run on one set of raw data."""

    settings: Benchmark
    place: Workspace
    reference: Reference | None = None
    checked: set[str] = field(default_factory=set)


def run_contenders(settings: Benchmark, project: Path) -> pa.Table:
    """Run every experiment; see the schema ``RESULTS`` for what is returned.

    Raises:
        BenchmarkError: a contender failed, or made other tables than the others.
    """
    folder = (project / settings.folder).resolve()
    records: list[dict] = []
    warmed: set[str] = set()
    for (rows, generation), group in groupby(
        experiments(settings), key=lambda experiment: experiment.data
    ):
        name = f"{rows}-{WIDE.replace(' ', '-')}" if generation else str(rows)
        place = Workspace(project, folder / name, rows, dict(generation))
        session = Session(settings, place)
        planned = list(group)
        try:
            generate(session)
            warm_up(session, planned, warmed)
            for experiment in planned:
                records += run_experiment(session, experiment)
        finally:
            if not settings.keep_data:
                place.remove()
    return pa.Table.from_pylist(records, RESULTS)


def generate(session: Session) -> None:
    """Make the raw data, and have it in the page cache."""
    place = session.place
    place.prepare(session.settings.as_of.isoformat())
    logger.info("Benchmark: generating %s rows", f"{place.rows:,}")
    made = _run(session, kedro_run("data_generation", place))
    _require_completed("data_generation", made, place)
    place.clear()
    place.warm()


def warm_up(session: Session, planned: Iterable[Experiment], warmed: set[str]) -> None:
    """Run new contenders once, unmeasured: their libraries are read from disk then."""
    for variant in (v for experiment in planned for v in experiment.variants):
        if variant.contender in warmed or variant.cap or _reason(session, variant):
            continue
        warmed.add(variant.contender)
        logger.info("Benchmark: warming up %s", variant.name)
        _measured(session, variant)


def run_experiment(session: Session, experiment: Experiment) -> Iterator[dict]:
    """Run the variants of an experiment in rounds; yield a record of each run."""
    for variant in experiment.variants:
        reason = _reason(session, variant)
        if reason:
            logger.info("Benchmark: %s is skipped: %s", variant.name, reason)
            yield _record(experiment, variant, outcome=SKIPPED, reason=reason)
    for number, variant in rounds(experiment):
        if _reason(session, variant):
            continue
        logger.info(
            "Benchmark: %s, %s rows, round %s of %s: %s",
            *(experiment.name, f"{experiment.rows:,}", number, experiment.repeats),
            variant.name,
        )
        started = datetime.now(UTC)
        try:
            cost = _measured(session, variant)
        except CapImpossible as error:
            yield _record(experiment, variant, outcome=SKIPPED, reason=str(error))
        else:
            yield _record(experiment, variant, round=number, started_at=started, **cost)


def _reason(session: Session, variant: Variant) -> str | None:
    # Under a cap a contender may show that it cannot cope with so many rows.
    limits: Mapping = {} if variant.cap else session.settings.max_rows
    place = session.place
    return unavailable(variant, place.rows, limits, place.project)


def _measured(session: Session, variant: Variant) -> dict:
    """Run a contender, check what it made and remove it; return what it cost."""
    place = session.place
    place.clear()
    cost = _run(session, command(variant, place, session.settings.as_of), variant.cap)
    if cost.outcome != measure.COMPLETED and variant.cap:
        logger.info("Benchmark: %s %s", variant.name, _why(cost))
        return {"reason": _why(cost), **_whole_process(cost, place)}
    _require_completed(variant.name, cost, place)
    files = output_files(variant, place)
    written = sum(path.stat().st_size for parts in files.values() for path in parts)
    costs = {
        **_whole_process(cost, place),
        "output_mb": written / 1e6,
        "rows_per_second": place.rows / cost.wall_seconds,
        **_own_account(variant, place),
    }
    _check(session, variant, files)
    place.clear()
    return costs


def _check(session: Session, variant: Variant, files) -> None:
    """Have equal outputs, or none are measured; the first time by every value."""
    if session.reference is None:
        shutil.rmtree(session.place.reference, ignore_errors=True)
        session.reference = Reference.of(variant.name, files, session.place.reference)
    else:
        thorough = variant.name not in session.checked
        session.reference.check(variant.name, files, thorough)
        if thorough:
            logger.info(
                "Benchmark: %s made the same tables as %s",
                *(variant.name, session.reference.name),
            )
    session.checked.add(variant.name)


def _run(session: Session, arguments: list[str], cap: int | None = None):
    place = session.place
    return measure.run(
        arguments, place.project, place.log, session.settings.timeout_seconds, cap
    )


def _require_completed(name: str, cost: measure.Cost, place: Workspace) -> None:
    if cost.outcome != measure.COMPLETED:
        raise BenchmarkError(
            f"{name} {_why(cost)}, on {place.rows:,} rows. It said:\n"
            f"{measure.last_words(place.log)}"
        )


def _why(cost: measure.Cost) -> str:
    if cost.outcome == measure.FAILED:
        return f"failed with exit code {cost.exit_code}"
    said = "timed out" if cost.outcome == measure.TIMED_OUT else "was killed"
    return f"{said} after {cost.wall_seconds:.1f} s"


def _whole_process(cost: measure.Cost, place: Workspace) -> dict:
    known = asdict(cost)
    del known["exit_code"]
    return {**known, "cores": usable_cores(), "input_mb": place.input_bytes / 1e6}


def _own_account(variant: Variant, place: Workspace) -> dict:
    """What a pipeline of the project measured of itself."""
    if variant.contender not in ENGINES:
        return {}
    parts = current_parts(place.folder / "08_reporting" / "run_metrics")
    metrics = pd.concat(map(pd.read_parquet, parts))
    metrics = metrics[metrics["pipeline"] == variant.contender].set_index("node")
    total = metrics.loc[ALL_NODES]
    nodes = metrics.drop([ALL_NODES, "(start)"], errors="ignore")
    seconds = nodes["wall_seconds"].sum()
    return {
        "pipeline_seconds": total["wall_seconds"],
        "pipeline_cpu_use": total["cpu_use"],
        "pipeline_peak_memory_mb": total["peak_memory_mb"],
        "compute_seconds": seconds,
        "compute_cpu_use": nodes["cpu_seconds"].sum() / (seconds * total["cores"]),
    }


def _record(experiment: Experiment, variant: Variant, **values) -> dict:
    return {
        "experiment": experiment.name,
        "rows": experiment.rows,
        "contender": variant.contender,
        "variant": variant.name,
        "worker_kind": variant.kind,
        "workers": variant.workers,
        "memory_cap_bytes": variant.cap,
        **values,
    }
