"""``package`` of ``kedro`` and ``dask-etl``: the wheel, and the settings without secrets."""

import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path

import click
from kedro.utils import find_kedro_project

from dask_etl.run_command import no_project

SHARED = ("conf/base/", "conf/cluster/")
"""Where files of credentials hold none, but say where these come from."""


@click.command()
def package() -> None:
    """Build a wheel of the project, and an archive of conf/ to run it with, in dist/.

    Neither has what is one person's or secret: nothing of conf/local is in the archive,
    and no file of an environment that has "credentials" in its name.
    """
    root = find_kedro_project(Path.cwd())
    if root is None or not (root / "conf" / "base").is_dir():
        raise click.ClickException(no_project(Path.cwd()))
    # With the tools that are there, if they are; else they are fetched.
    ready = importlib.util.find_spec("setuptools") is not None
    building = [sys.executable, "-m", "build", "--wheel", "--outdir", "dist"]
    done = subprocess.run(
        [*building, *["--no-isolation"] * ready, "."], cwd=root, check=False
    )
    if done.returncode:
        raise click.ClickException("the wheel was not built; the lines above say why")
    archive = root / "dist" / "conf-dask_etl.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(root / "conf", "conf", filter=_without_secrets)
    click.echo(f"{archive}: settings without secrets")


def _without_secrets(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    folder, _, name = entry.name.rpartition("/")
    secret = "credentials" in name and not entry.name.startswith(SHARED)
    return None if secret or folder.startswith("conf/local") else entry
