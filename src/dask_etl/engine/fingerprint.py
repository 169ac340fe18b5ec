"""Names a computation, so that the next attempt at the same one finds its work.

What counts are inputs, parameters and the code that makes the bytes: the engine, the
storage, the libraries, and the modules of the steps with all that these import from
their own package. An edit elsewhere, of a report say, is another matter.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import marshal
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec import AbstractFileSystem

from dask_etl.engine.partitions import Lazy, Parts, Reduction

_IMPORT = re.compile(
    r"^[ \t]*(?:import[ ]+([\w., ]+)|from[ ]+([\w.]+)[ ]+import[ ]+(\([^)]*\)|[^\n#]*))",
    re.MULTILINE,
)
_PACKAGE = Path(__file__).parents[1]
_ALWAYS = ("engine", "storage", "tables.py")
"""What is under all steps, and counts as a whole."""


def fingerprint(lazies: Iterable[Lazy]) -> str:
    """Name the computation of some lazy tables, the same on every machine."""
    identity = _Identity()
    digest = hashlib.sha256()
    for lazy in lazies:
        for text in identity.of(lazy):
            digest.update(text.encode())
    digest.update(code_of(identity.modules).encode())
    return digest.hexdigest()[:16]


def modules_of(lazies: Iterable[Lazy]) -> set[str]:
    """List the modules of all that takes part in computing some lazy tables."""
    identity = _Identity()
    for lazy in lazies:
        for _ in identity.of(lazy):
            pass
    return identity.modules


class _Identity:
    """Spells out lazy tables, and notes the modules of whatever takes part."""

    def __init__(self) -> None:
        self.modules: set[str] = set()

    def of(self, value: Any) -> Iterator[str]:
        """Yield texts that are the same for the same value in every process."""
        if isinstance(value, (Parts, Reduction)):
            yield from self._of_lazy(value)
        elif isinstance(value, functools.partial):
            yield from self.of([value.func, value.args, value.keywords])
        elif callable(value) and hasattr(value, "__qualname__"):
            yield self._name(value)
        elif is_dataclass(value):
            yield self._name(type(value))
            for field in fields(value):
                yield field.name
                yield from self.of(getattr(value, field.name))
        elif isinstance(value, Mapping):
            for name in sorted(value, key=str):
                yield str(name)
                yield from self.of(value[name])
        elif isinstance(value, (list, tuple)):
            for item in value:
                yield from self.of(item)
        elif isinstance(value, (set, frozenset)):
            yield from sorted(text for item in value for text in self.of(item))
        elif hasattr(value, "__array__"):
            yield _content(value)
        elif not isinstance(value, AbstractFileSystem):
            # Where something is, its path says.
            yield repr(value)

    def _of_lazy(self, lazy: Lazy) -> Iterator[str]:
        sources = lazy.sources if isinstance(lazy, Reduction) else (lazy.partitions,)
        yield lazy.name
        for partitions in sources:
            # Thousands of plain descriptions.
            yield repr(partitions.items)
            yield from self.of([partitions.source, *partitions.steps])
        yield from self.of([lazy.schema, lazy.onto])
        if isinstance(lazy, Reduction):
            merge = [lazy.combine, lazy.aggregate, lazy.arguments]
            yield from self.of([lazy.split_by, lazy.split_out, *merge])

    def _name(self, thing: Any) -> str:
        module = sys.modules.get(thing.__module__)
        name = f"{thing.__module__}.{thing.__qualname__}"
        if getattr(module, "__file__", None):
            self.modules.add(thing.__module__)
            return name
        # Typed into a session: there is no file that says what it does.
        code = getattr(thing, "__code__", None)
        content = marshal.dumps(code).hex() if code else uuid.uuid4().hex
        return f"{name} {content}"


def _content(value: Any) -> str:
    """Spell out an array or a table: what they print is cut short."""
    # Of Arrow's, Dask's name is another one once dask.dataframe is imported.
    if isinstance(value, pa.Table):
        return f"{value.schema} {value.to_pylist()}"
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return f"{value.type} {value.to_pylist()}"
    from dask.base import tokenize

    return tokenize(value)


def code_of(modules: Iterable[str]) -> str:
    """Digest the source of the modules and of the libraries that make the bytes."""
    digest = hashlib.sha256()
    # By content, not by path: where the packages are is another matter.
    files = (path.read_bytes() for path in source_files(modules))
    for each in sorted(hashlib.sha256(content).digest() for content in files):
        digest.update(each)
    for library in ("numpy", "pandas", "pyarrow"):
        digest.update(importlib.metadata.version(library).encode())
    return digest.hexdigest()


def source_files(modules: Iterable[str]) -> set[Path]:
    """Return the files that decide what steps from these modules do.

    The engine and the storage always do; of the modules' own package (and of this
    one), what they import, directly or not.
    """
    always = [_PACKAGE / name for name in _ALWAYS]
    files = {f for path in always for f in [path, *path.rglob("*.py")] if f.is_file()}
    packages = {"dask_etl", *(name.partition(".")[0] for name in modules)}
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        path = _path_of(name) if name.partition(".")[0] in packages else None
        if path is not None and path not in files:
            files.add(path)
            waiting += _imports(name, path)
    return files


def _path_of(module: str) -> Path | None:
    """Return the source file of a module; None for what is none."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        origin = getattr(loaded, "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None
        origin = spec and spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield what may be modules among the names that a source file imports.

    Read line by line: to parse sixty files would take longer than a small run computes.
    What only looks like an import (in a text) is no module, or counts needlessly.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for whole, start, names in _IMPORT.findall(path.read_text("utf-8")):
        for name in filter(None, whole.split(",")):
            yield name.split()[0]
        if start:
            base = importlib.util.resolve_name(start, package)
            yield base
            for name in re.findall(r"(\w+)(?:\s+as\s+\w+)?", names):
                yield f"{base}.{name}"
