"""How ``conf/`` is read: Kedro's loader, with what it lets pass refused in one line."""

import copy
import difflib
import functools
import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
import fsspec
import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol, DatasetError
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dask_etl.validation import shown

DATA_ROOT = "data_root"
SCHEDULER = "DASK_SCHEDULER_ADDRESS"
"""Dask's own variable; it wins over files, and ``--params`` over both."""

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
"""``$NAME`` or ``${NAME}``; OmegaConf's own ``${a:b}`` and ``${a.b}`` are others."""


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, less forgiving.

    - What cannot be read ends in one line with file and line, not a traceback.
    - ``globals.yml``: ``~``, ``$NAME`` and ``${NAME}`` are expanded, and a
      ``data_root`` that tables cannot live under is refused.
    - ``--params dask.<key>=…`` overrides ``dask.yml``, whatever the environment says
      there; keys of ``local_cluster`` need not name it.
    - Mappings whose order counts are replaced as a whole, never merged.
    - A catalog entry takes the value of a parameter by ``${parameter:etl.mode}``, what is
      given for one run included.

    Args:
        ordered: dotted names of the parameters whose order counts.
    """

    def __init__(self, *args, ordered: Sequence[str] = (), **kwargs):
        self._ordered = ordered
        self._globals: dict[str, Any] = {}
        kwargs["runtime_params"] = _as_text(kwargs.get("runtime_params") or {})
        super().__init__(*args, **kwargs)
        # OmegaConf has them for the process, as Kedro's own: the latest loader's count.
        OmegaConf.register_new_resolver("parameter", self._parameter, replace=True)

    def _parameter(self, name: str) -> Any:
        return functools.reduce(operator.getitem, name.split("."), self["parameters"])

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Read a kind of configuration, e.g. ``parameters``.

        Raises:
            click.ClickException: what is wrong with it, in one line.
        """
        if key in self:
            return copy.deepcopy(super().__getitem__(key))
        try:
            config = super().__getitem__(key)
        except MissingConfigException:
            self._check_environment()
            raise
        except click.ClickException:
            raise
        except Exception as error:
            if key not in self.config_patterns:
                raise
            raise click.ClickException(self._explain(key, error)) from error
        if key == "globals":
            check_globals(config)
        if key == "dask":
            config = self._with_overrides(config)
        # Hooks, parameters and catalog all ask: the files are read once.
        self[key] = config
        return copy.deepcopy(config)

    def _read_dir_configs(self, conf_path, patterns, key, *args, **kwargs):
        configs = super()._read_dir_configs(conf_path, patterns, key, *args, **kwargs)
        if key == "globals":
            return {file: expanded(config) for file, config in configs.items()}
        return configs

    def _merge_and_resolve(self, key: str, config_per_file) -> dict[str, Any]:
        merged = super()._merge_and_resolve(key, config_per_file)
        # What is given on the command line is merged into every environment's.
        if key == "parameters" and merged:
            self._take_whole(merged, self.runtime_params)
        return merged

    def _merge_configs(self, config, env_config, key: str, env_path: str) -> Any:
        merged = super()._merge_configs(config, env_config, key, env_path)
        if key == "parameters":
            self._take_whole(merged, env_config)
        return merged

    @staticmethod
    def _soft_merge(config, env_config, env_path=None) -> dict[str, Any]:
        """Merge mappings at any depth; what is none, or is to be none, is replaced."""
        merged = dict(config)
        for name, value in env_config.items():
            before = merged.get(name)
            both = isinstance(before, dict) and isinstance(value, dict)
            merged[name] = ConfigLoader._soft_merge(before, value) if both else value
        return merged

    def _take_whole(self, config: dict[str, Any], changes: dict[str, Any]) -> None:
        for dotted in self._ordered:
            *groups, name = dotted.split(".")
            inside: Any = config
            changed: Any = changes
            for group in groups:
                changed = changed.get(group) if isinstance(changed, dict) else None
                inside = inside[group] if changed else None
            if isinstance(changed, dict) and name in changed:
                inside[name] = changed[name]

    def _with_overrides(self, config: dict[str, Any]) -> dict[str, Any]:
        if address := os.environ.get(SCHEDULER):
            config = {**config, "scheduler": address}
        given = self.runtime_params.get("dask")
        if not isinstance(given, dict):
            return config
        local = config.get("local_cluster")
        changes = [
            {"local_cluster": {name: value}}
            if name not in config and isinstance(local, dict) and name in local
            else {name: value}
            for name, value in given.items()
        ]
        return functools.reduce(self._soft_merge, changes, config)

    def _check_environment(self) -> None:
        """Refuse an environment that there is not."""
        for env in (self.base_env, self.env or self.default_run_env):
            if self._fs.exists(Path(self._get_conf_env_path(env)).as_posix()):
                continue
            folder = Path(self.conf_source)
            there = sorted(path.name for path in folder.glob("*/"))
            near = difflib.get_close_matches(env, there, 1)
            raise click.ClickException(
                f"there is no environment {env!r} in {folder}"
                f"{f'; did you mean {near[0]!r}?' if near else '.'} "
                f"There are {', '.join(there)}"
            )

    def _explain(self, key: str, error: Exception) -> str:
        """Name the file and the line if one file is to blame, and the setting if not."""
        for file in self._files(key):
            problem = fault_of(file, self._fs.open) or _clash(
                OmegaConf.to_container(OmegaConf.load(file)), self.runtime_params
            )
            if problem:
                return problem
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        setting = getattr(error, "full_key", None)
        where = f"{key}.{setting}" if setting else key
        return f"{where} in {self.conf_source}: {said[0] if said else repr(error)}"

    def _files(self, key: str) -> Iterator[str]:
        for env in dict.fromkeys([self.base_env, self.env or self.default_run_env]):
            for pattern in self.config_patterns[key]:
                where = Path(f"{self._get_conf_env_path(env)}/{pattern}").as_posix()
                files = self._fs.glob(where)
                yield from (f for f in files if self._is_valid_config_path(Path(f)))


class ProjectContext(KedroContext):
    """Kedro's context, in which a wrong catalog ends in one line."""

    def _get_catalog(self, *args, **kwargs) -> CatalogProtocol:
        try:
            return super()._get_catalog(*args, **kwargs)
        except DatasetError as error:
            raise click.ClickException(in_one_line(error)) from error


def in_one_line(error: DatasetError) -> str:
    """Say of a catalog entry what Kedro says of it, without its general advice."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"catalog: {' '.join(said[:2])}"


def fault_of(file: str, open_file: Callable = open) -> str | None:
    """Say what is wrong with a file of settings, if it cannot be read as one."""
    with open_file(file, "rb") as opened:
        content = opened.read()
    try:
        text = content.decode()
        read = OmegaConf.create(text) if text.strip() else {}
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"{file}, line {line}: is not UTF-8 text"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return f"{file}, line {line}: {error.problem or error.context}"
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return f"{file}, line {line}: {error.reason}"
    except OmegaConfBaseException as error:
        return f"{file}, {error.full_key}: {str(error).splitlines()[0]}"
    if isinstance(read, DictConfig | dict) and all(isinstance(n, str) for n in read):
        return None
    return f"{file}: must be a mapping, name: value"


def expanded(config: DictConfig) -> DictConfig:
    """Put a person's home and environment variables into settings that name them.

    Raises:
        click.ClickException: a variable is not set.
    """
    values: Any = OmegaConf.to_container(config, resolve=False)

    def put_in(name: str, value: Any) -> Any:
        def value_of(found: re.Match) -> str:
            if found[2] in values:
                return found[0]  # another setting of the file
            variable = found[1] or found[2]
            if variable not in os.environ:
                raise click.ClickException(
                    f"globals.yml: {name}: the environment variable {variable} is not "
                    "set"
                )
            return os.environ[variable]

        if not isinstance(value, str):
            return value
        return os.path.expanduser(_VARIABLE.sub(value_of, value))

    if not isinstance(values, dict):
        return config  # for Kedro to refuse
    return OmegaConf.create({n: put_in(n, value) for n, value in values.items()})


def check_globals(settings: dict[str, Any]) -> None:
    """Refuse a ``data_root`` that is no place for tables.

    Other settings are anyone's, but not those that look like a slip of the pen.

    Raises:
        click.ClickException: with what is wrong.
    """
    for name in settings:
        if name != DATA_ROOT and difflib.get_close_matches(name, [DATA_ROOT], 1, 0.8):
            raise click.ClickException(
                f"globals.yml: there is no {shown(name)}; did you mean '{DATA_ROOT}'?"
            )
    problem = _fault_of_root(settings[DATA_ROOT]) if DATA_ROOT in settings else None
    if problem:
        raise click.ClickException(
            f"globals.yml: {DATA_ROOT}: {problem}; name a folder, such as data or "
            "~/data, or the address of one, such as s3://bucket/folder"
        )


def _fault_of_root(root: Any) -> str | None:
    if not isinstance(root, str):
        return f"must be text, it is {shown(root)}"
    protocol, is_address, _ = root.partition("://")
    faults = {
        "is empty, or begins or ends with a space": not root or root != root.strip(),
        "has braces, which stand for names in the catalog": set("{}") & set(root),
        "has characters that no file name can have": not _is_writable(root),
        "is the home of someone who is not known here": root.startswith("~"),
        "is an address of a kind that is not known": is_address
        and protocol not in fsspec.available_protocols(),
    }
    return next((f"{shown(root)} {fault}" for fault, so in faults.items() if so), None)


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return min(text, default=" ") >= " "


def _as_text(value: Any) -> Any:
    """Write dates in settings, at any depth, as YAML would have them."""
    if isinstance(value, dict):
        return {name: _as_text(inner) for name, inner in value.items()}
    return value.isoformat() if isinstance(value, date) else value


def _clash(before: Any, after: Any, path: str = "") -> str | None:
    """Name the first mapping for which a list is given, or the other way round."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() & after.keys():
            found = _clash(before[name], after[name], f"{path}.{name}".lstrip("."))
            if found:
                return found
    elif isinstance(before, dict) and isinstance(after, list):
        return f"{path}: must be a mapping, name: value, it is {shown(after)}"
    elif isinstance(before, list) and isinstance(after, dict):
        return f"{path}: must be a list, it is {shown(after)}"
    return None
