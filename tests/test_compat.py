"""What is private to Dask and Kedro is still what this project takes it for."""

import ast
import gc
import inspect
import re
import weakref
from pathlib import Path

import dask
import dask.dataframe as dd
import kedro_viz
import pandas as pd
import pytest
from distributed import core
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.io import CachedDataset, MemoryDataset

import dask_etl.compat.kedro
from dask_etl.compat.dask import forget_servers, mapping_of
from dask_etl.compat.kedro import unwrapped
from dask_etl.configuration import ConfigLoader, ProjectContext
from dask_etl.datasets import PandasParquetDataset
from support.kedro_project import ROOT

SOURCE = ROOT / "src" / "dask_etl"
META = pd.DataFrame({"a": [0], "b": [0]})[:0]


def whole(number):
    return pd.DataFrame({"a": [number], "b": [-number]})


def mapped(read):
    # Else Dask makes Arrow strings of what was read.
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(read, [3, 5], meta=META, label="mine")


def added(number, other):
    return whole(number + other)


def some(number, columns=None):
    return whole(number)[columns or ["a", "b"]]


@pytest.mark.parametrize("read", [whole, some])
def test_a_frame_tells_what_it_was_mapped_from(read):
    function, items = mapping_of(mapped(read))
    assert function is read
    assert list(items) == [3, 5]


@pytest.mark.parametrize("read", [whole, some])
@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[["a"]],
        lambda frame: frame[["a"]].optimize(fuse=False),
        lambda frame: frame.partitions[[1]],
        lambda frame: frame.partitions[[1]].optimize(fuse=False),
        lambda frame: frame + 1,
        lambda frame: frame.optimize(),
        lambda frame: dd.from_pandas(frame.compute()),
        lambda frame: dd.from_map(added, [1], [2], meta=META),
    ],
    ids=range(8),
)
def test_a_frame_that_was_changed_does_not(read, change):
    frame = mapped(read)
    changed = change(frame)
    found = mapping_of(changed)
    # What is the same frame by another name may say so.
    assert found is None or changed.compute().equals(frame.compute())


class Server:
    def handle(self, comm):
        """Take a connection, as handlers of schedulers and workers do."""


def test_dask_forgets_closed_servers():
    server = Server()
    assert core._expects_comm(server.handle)
    left = weakref.ref(server)
    del server
    gc.collect()
    assert left() is not None, "Dask forgets by itself: forget_servers() can go"
    forget_servers()
    gc.collect()
    assert left() is None


def test_previews_are_of_a_type_that_the_front_end_knows():
    ours = inspect.signature(PandasParquetDataset.preview).return_annotation
    # It finds the type as Kedro-Viz does, and asks for its name.
    assert ours.__name__ == "HTMLPreview"
    page = Path(kedro_viz.__file__).parent / "html" / "assets"
    assert any('HTMLPreview:"html"' in f.read_text() for f in page.glob("index-*.js"))


def test_a_cached_dataset_is_unwrapped():
    inner = MemoryDataset(1)
    assert unwrapped(CachedDataset(inner)) is inner
    assert unwrapped(inner) is inner


OVERRIDDEN = {
    (ConfigLoader, OmegaConfigLoader): {
        "_read_dir_configs": (
            "conf_path patterns key processed_files read_environment_variables"
        ),
        "_merge_and_resolve": "key config_per_file",
        "_merge_configs": "config env_config key env_path",
        "_soft_merge": "config env_config env_path",
    },
    (ProjectContext, KedroContext): {
        "_get_catalog": "catalog_class save_version load_versions"
    },
}
USED = {"_fs", "_get_conf_env_path", "_is_valid_config_path"}


@pytest.mark.parametrize(("ours", "kedros"), OVERRIDDEN)
def test_what_is_overridden_is_still_there_and_called_alike(ours, kedros):
    expected = OVERRIDDEN[ours, kedros]
    source = ast.parse(inspect.getsource(ours)).body[0].body
    defined = {node.name for node in source if isinstance(node, ast.FunctionDef)}
    overridden = {name for name in defined if hasattr(kedros, name)}
    assert {n for n in overridden if not n.startswith("__")} == expected.keys()
    for name, parameters in expected.items():
        signature = inspect.signature(getattr(kedros, name))
        assert [p for p in signature.parameters if p != "self"] == parameters.split()


def test_what_is_used_of_kedros_loader_is_still_there(tmp_path):
    loader = OmegaConfigLoader(str(tmp_path), base_env="base", default_run_env="local")
    own = {name for name in vars(ConfigLoader) if name.startswith("_")} | {
        "_ordered",
        "_globals",
    }
    text = (SOURCE / "configuration.py").read_text()
    called = set(re.findall(r"\bself\.(_[a-z]\w*)", text)) - own
    assert called == USED
    (tmp_path / "base").mkdir()
    file = tmp_path / "base" / "dask.yml"
    file.touch()
    assert loader._fs.glob(f"{tmp_path}/base/*") == [str(file)]
    assert loader._get_conf_env_path("base") == str(file.parent)
    assert loader._is_valid_config_path(file)


def test_the_list_of_them_is_complete():
    listed = set(re.findall(r"``(_\w+)``", dask_etl.compat.kedro.__doc__))
    assert listed == USED | {name for names in OVERRIDDEN.values() for name in names}


def private_imports(path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [name for name in names if re.search(r"(^|\.)_[a-z]", name)]
    return found


def test_private_names_are_imported_in_one_place():
    private = {
        str(path.relative_to(SOURCE)): names
        for path in SOURCE.rglob("*.py")
        if (names := private_imports(path))
    }
    expressions = "dask.dataframe.dask_expr"
    assert private == {
        "compat/kedro.py": [
            "kedro_datasets._typing.HTMLPreview",
            "kedro_datasets._typing.ImagePreview",
        ],
        "compat/dask_frames.py": [
            f"{expressions}._expr.Lengths",
            f"{expressions}._expr.Literal",
            f"{expressions}._reductions.Len",
        ],
    }
