"""Write an Airflow DAG that runs pipelines of this project: one task for each.

``python examples/scheduling/airflow_dag.py --env mine > dask_etl_mine.py``
"""

import argparse
from pathlib import Path

TEMPLATE = '''"""Made by examples/scheduling/airflow_dag.py."""

import pendulum
from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG(
    dag_id="dask_etl_{env}",
    schedule={schedule!r},
    start_date=pendulum.datetime(2025, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
) as dag:
{tasks}
{edges}
'''
TASK = """    {name} = BashOperator(
        task_id={name!r},
        bash_command={command!r},
        cwd={project!r},
        retries=2,
        do_xcom_push=False,
    )"""
DAILY = ("ingestion", "etl_dask", "analytics", "reporting")
OPTIONS = {"analytics": " --namespaces dask"}
"""The analyses of the engine that runs here; the other one has no tables."""


def dag(env: str, project: str, schedule: str, names: tuple[str, ...] = DAILY) -> str:
    """Return the text of a DAG.

    Args:
        env: a folder of ``conf/``.
        project: where the project is on the machine that runs the tasks.
        schedule: of cron.
        names: the pipelines. One runs after those that write what it reads.
    """
    from dask_etl.pipeline_registry import register_pipelines

    def tables(found: set[str]) -> set[str]:
        return {name.partition("@")[0] for name in found}

    registered = register_pipelines()
    pipelines = {name: registered[name] for name in names}
    edges = [
        f"    {first} >> {then}"
        for first, writes in pipelines.items()
        for then, reads in pipelines.items()
        if first != then and tables(writes.all_outputs()) & tables(reads.inputs())
    ]
    tasks = [
        TASK.format(
            name=name,
            command=f".venv/bin/kedro run --env {env} --pipelines {name}"
            + OPTIONS.get(name, ""),
            project=project,
        )
        for name in names
    ]
    return TEMPLATE.format(
        env=env, schedule=schedule, tasks="\n".join(tasks), edges="\n".join(edges)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="mine")
    parser.add_argument("--project", default=str(Path.cwd()))
    parser.add_argument("--schedule", default="30 5 * * *")
    given = parser.parse_args()
    print(dag(given.env, given.project, given.schedule))
