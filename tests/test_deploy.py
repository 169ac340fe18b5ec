"""The examples of deploy/, as far as they can be tried without what they deploy to."""

import re

import pytest
import yaml

from dask_etl.engine.cluster_settings import DaskSettings
from support.kedro_project import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = ("kubernetes", "gateway", "slurm", "coiled")


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_valid(name):
    settings = DaskSettings.model_validate(
        yaml.safe_load((DEPLOY / f"{name}.yml").read_text())
    )
    assert settings.cluster is not None
    assert settings.cluster.class_.count(".") >= 1


def test_slurm_settings_are_what_the_class_takes(tmp_path, monkeypatch):
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)
    kwargs = yaml.safe_load((DEPLOY / "slurm.yml").read_text())["cluster"]["kwargs"]
    with dask_jobqueue.SLURMCluster(
        **kwargs, interface="lo", scheduler_options={"dashboard_address": "127.0.0.1:0"}
    ) as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p normal" in script
    assert "#SBATCH -t 02:00:00" in script
    assert "--nworkers 2" in script


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def test_the_image_is_pinned_not_root_and_does_not_phone_home():
    found = instructions()
    words = [word for word, _ in found]
    last = len(words) - words[::-1].index("FROM")
    users = [said for word, said in found[last:] if word == "USER"]
    assert users == ["dask"]
    assert all(
        re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", s)
        for w, s in found
        if w == "FROM"
    )
    assert any(word == "ENV" and "DO_NOT_TRACK=1" in said for word, said in found)
    installs = [said for word, said in found if word == "RUN" and "pip install" in said]
    for said in installs:
        for command in (c for c in said.split("&&") if "pip install" in c):
            assert re.search(r"--require-hashes|--constraint|--no-deps", command), (
                command
            )


def test_what_the_image_copies_is_there():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert "conf/local" in ignored
    for word, said in instructions():
        if word == "COPY" and "--from=" not in said:
            *sources, _ = (s for s in said.split() if not s.startswith("--"))
            for source in sources:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored, source


def test_the_operators_manifest_has_what_it_must():
    cluster, scaler = yaml.safe_load_all(
        (DEPLOY / "kubernetes-operator.yml").read_text()
    )
    assert cluster["kind"] == "DaskCluster"
    assert scaler["spec"]["cluster"] == cluster["metadata"]["name"]
    spec = cluster["spec"]
    for role in ("worker", "scheduler"):
        pod = spec[role]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        [container] = pod["containers"]
        assert container["args"][:2] == ["dask", role]
        assert container["resources"]["limits"]["memory"]
    ports = {p["name"] for p in spec["scheduler"]["spec"]["containers"][0]["ports"]}
    assert {p["targetPort"] for p in spec["scheduler"]["service"]["ports"]} == ports
