"""The pipelines: generate → ETL on both engines → analyse → verify → report."""

from kedro.pipeline import Pipeline

from dask_etl.pipelines import (
    analytics,
    data_generation,
    etl_dask,
    etl_pandas,
    export,
    ingestion,
    reporting,
    verification,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Name every pipeline that ``kedro run --pipeline`` accepts.

    Returns:
        Pipelines by name; ``__default__`` is all of them in one run, but for the
        export, which is for others, for ``story``, which is a part of it, and for the
        ingestion, which takes the place of ``data_generation`` where there are data of
        one's own.
    """
    pipelines = {
        "data_generation": data_generation.create_pipeline(),
        "etl_dask": etl_dask.create_pipeline(),
        "etl_pandas": etl_pandas.create_pipeline(),
        "analytics": analytics.create_pipeline(),
        "verification": verification.create_pipeline(),
        "reporting": reporting.create_pipeline(),
    }
    return {
        **pipelines,
        "ingestion": ingestion.create_pipeline(),
        "export": export.create_pipeline(),
        "story": _story(pipelines["etl_dask"], pipelines["analytics"]),
        "__default__": sum(pipelines.values(), Pipeline([])),
    }


def _story(etl: Pipeline, analyses: Pipeline) -> Pipeline:
    """One engine, from raw rows to the report: for data that pandas cannot hold.

    In Kedro-Viz it is two boxes, what goes into them and what comes out, which can be
    read without zooming. Names of datasets are those of the other pipelines.
    """
    of_dask = analyses.only_nodes_with_namespaces(["dask"])
    return etl + Pipeline(
        of_dask + reporting.of_one_engine(),
        namespace="results",
        prefix_datasets_with_namespace=False,
    )
