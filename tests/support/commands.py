"""Commands as a person types them, in processes of their own that start fast.

Most of what a command costs is the import of pandas, Dask and the like. So its process
is forked from one that has them; Kedro and the project are imported anew, in the folder
and with the environment that the command is given.
"""

import atexit
import importlib
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import dask

from support.fault_injection import start

PROGRAMS = {
    "kedro": "kedro.framework.cli.cli",
    "dask-etl": "dask_etl.__main__",
    "benchmarks": "benchmarks.__main__",
}
"""The modules whose ``main`` they call."""
ANEW = ("kedro", "kedro_datasets", "kedro_telemetry", "kedro_viz", "dask_etl")
ANEW += ("benchmarks", "oracle")
"""Imported again: what they do then depends on the folder and the environment."""
ROOT = Path(__file__).parents[2]
OF_TESTS = {str(ROOT), str(ROOT / "tests"), str(ROOT / "docs" / "scripts")}
"""Where only tests find modules."""


def run(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; returns its exit code and what it said.

    Args:
        words: the name of a program in :data:`PROGRAMS`, or the path of a script, and
            its arguments.
        folder: where it runs.
        environment: all variables that it sees.
        timeout: seconds after which it must have ended.
    """
    with tempfile.TemporaryDirectory() as said:
        child = start(_command, [*words], folder, dict(environment), said)
        code = child.end(timeout)
        out, err = ((Path(said) / name).read_text() for name in ("out", "err"))
    return subprocess.CompletedProcess(words, code, out, err)


def _command(words, folder, environment, said) -> None:
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(Path(said) / name, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [str(folder), *(p for p in sys.path if p and p not in OF_TESTS)]
    for name in [*sys.modules]:
        if name.partition(".")[0] in ANEW:
            del sys.modules[name]
    dask.config.refresh()
    sys.argv = words
    try:
        if words[0] in PROGRAMS:
            importlib.import_module(PROGRAMS[words[0]]).main()
        else:
            # The script finds what lies beside it.
            sys.path[0] = str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()
