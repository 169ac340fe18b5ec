"""An HTTP API that pages through JSON as a source.

Pages are fetched one after the other, as they name each other, and laid down as JSON
lines; from there on they are files like others, read in parallel.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin

import fsspec

from dask_etl.sources.batch import (
    Batch,
    SourceError,
    Unit,
    missing_columns,
    together,
)
from dask_etl.sources.extras import needed
from dask_etl.sources.files import SourceFile
from dask_etl.sources.json_lines import (
    JsonPiece,
    JsonReader,
    exploded,
    json_pieces,
    paths_in,
    value_at,
)
from dask_etl.sources.text import Text
from dask_etl.storage.files import checksum, put
from dask_etl.storage.folder import state_of
from dask_etl.storage.sweep import remove_folder

_RETRIES = 4
_PATIENCE = 60
"""Seconds to wait for a page."""


@dataclass(frozen=True)
class Paging:
    """How a page names the next one.

    Attributes:
        style: ``page`` and ``offset`` count in the parameter ``parameter``; ``cursor``
            puts there what stands at ``field`` of a page; ``link`` follows the address
            that stands there; ``none`` has one page.
        parameter: of the address.
        field: of a page, with dots.
        size: what ``offset`` counts by.
        first: the number of the first page.
    """

    style: Literal["none", "page", "offset", "cursor", "link"] = "none"
    parameter: str = "page"
    field: str = "next"
    size: int = 100
    first: int = 1


@dataclass(frozen=True)
class Pages:
    """What an API has."""

    url: str
    records: str | None
    paging: Paging
    parameters: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)
    cursor: str | None
    cursor_parameter: str | None
    explode: str | None
    filesystem: fsspec.AbstractFileSystem
    folder: str
    blocksize: int

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {
            "kind": "api",
            "url": self.url,
            "records": self.records,
            "explode": self.explode,
            "cursor": self.cursor,
        }

    def columns(self) -> list[str]:
        """Return the names in the records of the first page."""
        names: dict[str, None] = {}
        for record in next(self._pages(None), []):
            for one in exploded([record], self.explode):
                names |= dict.fromkeys(paths_in(one))
        return [*names]

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """See :class:`dask_etl.sources.batch.Source`."""
        reason, after = None, None
        if self.cursor is None:
            reason = "the source names no cursor that would tell what is new"
        elif mode == "full":
            reason = "ingestion.mode is full"
        elif not known:
            reason = "nothing has been taken in before"
        else:
            after = known[-1].cursor
        reader = JsonReader(tuple(needs), self.explode)
        pieces: list[JsonPiece] = []
        names: dict[str, None] = {}
        last: Any = None
        remove_folder(self.filesystem, self.folder)
        self.filesystem.makedirs(self.folder, exist_ok=True)
        for number, records in enumerate(self._pages(after)):
            new = [one for one in records if self._is_new(one, after)]
            for one in new:
                last = self._later(last, one)
                for each in exploded([one], self.explode):
                    names |= dict.fromkeys(paths_in(each))
            pieces += self._laid_down(number, new)
        if pieces and (lacking := missing_columns(needs, [*names], self.url)):
            raise SourceError(lacking)
        if not pieces and reason is None:
            return Batch([], [], reader)
        end = None if last is None else str(last)
        name = self.url if end is None else f"{self.url} up to {self.cursor} {end}"
        return Batch(
            [Unit(name, cursor=end if end is not None else after)],
            together(pieces, self.blocksize),
            reader,
            reason,
        )

    def _laid_down(self, number: int, records: Sequence[Any]) -> list[JsonPiece]:
        if not records:
            return []
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
        content = text.encode()
        # The name tells the content, so that an interrupted run finds its own work.
        name = f"page-{number:06d}-{checksum(content)}.jsonl"
        path = posixpath.join(self.folder, name)
        put(self.filesystem, path, content)
        size, modified = state_of(self.filesystem, path)
        file = SourceFile(path, name, size, modified)
        return json_pieces(0, Text(self.filesystem, file), self.blocksize)

    def _is_new(self, record: Any, after: str | None) -> bool:
        if after is None or self.cursor is None:
            return True
        value = value_at(record, self.cursor)
        if isinstance(value, int | float):
            return value > float(after)
        return value is None or str(value) > after

    def _later(self, last: Any, record: Any) -> Any:
        if self.cursor is None:
            return None
        value = value_at(record, self.cursor)
        if value is None:
            raise SourceError(
                f"{self.url}: a record has no '{self.cursor}', the cursor of the source: "
                f"{json.dumps(record)[:200]}. Name one in the catalog that all have."
            )
        return value if last is None or value > last else last

    def _pages(self, after: str | None) -> Iterator[list[Any]]:
        """Yield the records of one page after the other."""
        session = _session()
        parameters = dict(self.parameters)
        if after is not None and self.cursor_parameter:
            parameters[self.cursor_parameter] = after
        url, paging, seen = self.url, self.paging, set()
        count = paging.first if paging.style == "page" else 0
        while True:
            if paging.style in ("page", "offset"):
                parameters[paging.parameter] = count
            page = self._fetch(session, url, parameters)
            found = page if self.records is None else value_at(page, self.records)
            if not isinstance(found, list):
                raise SourceError(
                    f"{url}: expected a list of records at '{self.records or '.'}', found "
                    f"{type(found).__name__}. Correct 'records' of the source in the catalog."
                )
            yield found
            following = value_at(page, paging.field)
            if paging.style == "page":
                count += 1
            elif paging.style == "offset":
                count += len(found)
            if paging.style == "none" or not found:
                return
            if paging.style in ("page", "offset"):
                continue
            if not following or following in seen:
                return
            seen.add(following)
            if paging.style == "link":
                # The address has all parameters already.
                url, parameters = urljoin(self.url, str(following)), {}
            else:
                parameters[paging.parameter] = following

    def _fetch(self, session: Any, url: str, parameters: Mapping[str, Any]) -> Any:
        requests = needed("requests", "api")
        try:
            answer = session.get(
                url, params=parameters, headers=dict(self.headers), timeout=_PATIENCE
            )
            answer.raise_for_status()
            return answer.json()
        except requests.exceptions.JSONDecodeError as error:
            raise SourceError(
                f"{answer.url}: the answer is no JSON ({error}): {answer.text[:80]!r}"
            ) from error
        except requests.exceptions.RequestException as error:
            raise SourceError(
                f"{url}: cannot be fetched ({error}). Correct 'url', parameters or "
                "credentials of the source in the catalog, or try again later."
            ) from error


def _session() -> Any:
    """Return what fetches pages, and tries again what fails for a moment."""
    requests = needed("requests", "api")
    retry = needed("urllib3", "api").util.Retry(
        total=_RETRIES,
        backoff_factor=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session = requests.Session()
    for protocol in ("http://", "https://"):
        session.mount(protocol, requests.adapters.HTTPAdapter(max_retries=retry))
    return session
