"""What a package has in it, and above all what it has not."""

import shutil
import tarfile
import zipfile

from support.kedro_project import ROOT

SECRET = "nobody-is-to-read-this"


def test_a_package_has_the_settings_and_no_secret(project):
    shutil.copytree(
        ROOT / "src" / "dask_etl",
        project.path / "src" / "dask_etl",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, project.path)
    conf = project.path / "conf"
    (conf / "mine").mkdir()
    (conf / "local" / "deeper").mkdir()
    for name in (
        "local/credentials.yml",
        "local/credentials.yaml",
        "local/credentials.json",
        "local/deeper/globals.json",
        "mine/credentials.yaml",
    ):
        (conf / name).write_text(f'{{"storage": {{"secret": "{SECRET}"}}}}')
    (conf / "mine" / "globals.yml").write_text("data_root: data/mine\n")

    done = project.kedro("package")
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(project.path / "dist" / "conf-dask_etl.tar.gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
        held = {
            name: archive.extractfile(member).read().decode()
            for name, member in members.items()
            if member.isfile()
        }
    # Kedro misses the folder of an environment, even an empty one.
    assert members["conf/local"].isdir()
    there = {str(p.relative_to(project.path)) for p in conf.rglob("*") if p.is_file()}
    secret = {name for name in there if "conf/local/" in name or "mine/cred" in name}
    assert len(secret) == 5
    assert set(held) == there - secret
    [wheel] = (project.path / "dist").glob("dask_etl-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        held |= {name: packed.read(name).decode("latin-1") for name in names}
    templates = "dask_etl/pipelines/reporting/page/templates/"
    assert any(name.startswith(templates) for name in names)
    assert [name for name, text in held.items() if SECRET in text] == []
