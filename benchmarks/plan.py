"""What is run in which order: experiments, their variants, and interleaved rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .settings import Benchmark, ContenderName, Scaling

SIZES, CROSSOVER, SCALING, CAPPED = "sizes", "crossover", "scaling", "memory cap"
WIDE = "wide data"
"""Names of the experiments."""

SIMPLE = ("etl_pandas", "etl_dask", "pandas_plain")
"""Contenders that are run on little data, to find where Dask begins to pay."""


@dataclass(frozen=True)
class Variant:
    """A contender under certain conditions.

    Attributes:
        contender: its name.
        name: what it is called in the results.
        kind: of workers, where these are varied: ``threads`` or ``processes``.
        workers: how many of them.
        cap: hard limit on the memory of the whole process tree, in bytes.
    """

    contender: ContenderName
    name: str
    kind: str | None = None
    workers: int | None = None
    cap: int | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """Runtime parameters for ``kedro run``."""
        if self.kind is None:
            return {}
        processes = self.kind == "processes"
        return {
            "dask.processes": str(processes).lower(),
            "dask.n_workers": self.workers if processes else 1,
            "dask.threads_per_worker": 1 if processes else self.workers,
        }


@dataclass(frozen=True)
class Experiment:
    """Variants that are compared with each other on the same rows.

    Attributes:
        name: of the experiment.
        rows: how many.
        variants: who is compared.
        repeats: how often each.
        generation: parameters of the generation of the rows, where these are not the
            usual ones.
    """

    name: str
    rows: int
    variants: tuple[Variant, ...]
    repeats: int
    generation: tuple[tuple[str, object], ...] = ()

    @property
    def data(self) -> tuple[int, tuple[tuple[str, object], ...]]:
        """What tells one set of raw data from another."""
        return self.rows, self.generation


def experiments(settings: Benchmark) -> list[Experiment]:
    """List the experiments of a benchmark, least rows first."""
    chosen = tuple(Variant(name, name) for name in settings.contenders)
    simple = tuple(variant for variant in chosen if variant.contender in SIMPLE)
    planned = [
        *(Experiment(SIZES, n, chosen, settings.repeats) for n in settings.sizes),
        *(
            Experiment(CROSSOVER, n, simple, settings.repeats)
            for n in settings.crossover_sizes
            if n not in settings.sizes
        ),
        *(
            Experiment(CAPPED, rows, _capped(chosen, cap), 1)
            for cap in settings.memory_caps
            for rows in settings.memory_cap_rows or settings.sizes
        ),
    ]
    if settings.scaling and "etl_dask" in settings.contenders:
        clusters = _clusters(settings.scaling)
        planned.append(
            Experiment(SCALING, settings.scaling.rows, clusters, settings.repeats)
        )
    if settings.wide:
        generation = settings.wide.model_dump(mode="json", exclude={"rows"})
        planned.append(
            Experiment(
                WIDE,
                settings.wide.rows,
                chosen,
                settings.repeats,
                tuple(generation.items()),
            )
        )
    return sorted(
        (experiment for experiment in planned if experiment.variants),
        key=lambda experiment: (experiment.rows, bool(experiment.generation)),
    )


def _capped(variants: Sequence[Variant], cap: int) -> tuple[Variant, ...]:
    return tuple(
        Variant(v.contender, f"{v.name} in {cap / 1e9:g} GB", cap=cap) for v in variants
    )


def _clusters(scaling: Scaling) -> tuple[Variant, ...]:
    counts = {
        "threads": scaling.threads,
        "processes": scaling.processes,
    }
    return tuple(
        Variant(
            "etl_dask",
            f"etl_dask, {workers_named(kind, count)}",
            kind,
            count,
        )
        for kind in counts
        for count in counts[kind]
    )


def workers_named(kind: str, count: int) -> str:
    """Say how many workers: 1 thread, 2 processes."""
    one = {"threads": "thread", "processes": "process"}
    return f"{count} {one[kind] if count == 1 else kind}"


def rounds(experiment: Experiment) -> Iterator[tuple[int, Variant]]:
    """Yield every run as (round, variant): all variants in turn, then all again.

    What drifts (heat, other load) then falls on all alike. Each round begins with
    another variant, so that no one always follows the same one.
    """
    variants = experiment.variants
    for number in range(experiment.repeats):
        shift = number % len(variants)
        for variant in (*variants[shift:], *variants[:shift]):
            yield number + 1, variant
