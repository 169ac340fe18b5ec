"""A server that imitates S3, in a process of its own: real clients block in C."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import s3fs

CODE = """
import json, sys
from moto.moto_server import threaded_moto_server
from moto.server import ThreadedMotoServer

def noted(make):
    # One line for each request: how, of what, how many bytes came in and went out.
    log = open(sys.argv[1], "a", buffering=1)
    def made(host, port, app, *arguments, **options):
        def counted(environ, start_response):
            sent = []
            def start(status, headers, *more):
                sizes = [v for k, v in headers if k.lower() == "content-length"]
                sent[:] = [int(status[:3]), int(sizes[0]) if sizes else 0]
                return start_response(status, headers, *more)
            answer = app(environ, start)
            method = environ["REQUEST_METHOD"]
            if method == "GET" and "list-type" in environ["QUERY_STRING"]:
                method = "LIST"
            status, size = sent
            log.write(json.dumps([
                method,
                environ["PATH_INFO"],
                int(environ.get("CONTENT_LENGTH") or 0),
                0 if method == "HEAD" else size,
                status,
                environ["QUERY_STRING"],
            ]) + "\\n")
            return answer
        return make(host, port, counted, *arguments, **options)
    return made

if sys.argv[1:]:
    threaded_moto_server.make_server = noted(threaded_moto_server.make_server)
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Request:
    """One request that the server got: bytes as the client sent and received them."""

    method: str
    path: str
    sent: int
    received: int
    status: int
    query: str


class Requests:
    """The requests that a server notes in a file."""

    def __init__(self, log: Path):
        self._log = log
        self._seen = 0

    def since(self) -> list[Request]:
        """Return the requests since the last call; listing is a method of its own."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        new, self._seen = lines[self._seen :], len(lines)
        return [Request(*json.loads(line)) for line in new]


def by_method(requests: Sequence[Request]) -> Counter:
    """Count requests by method."""
    return Counter(request.method for request in requests)


@contextlib.contextmanager
def s3_server(log: Path | None = None) -> Iterator[dict[str, str]]:
    """Serve an empty bucket called ``bucket``; yields the options that reach it.

    Args:
        log: a file to note every request in, for :class:`Requests`.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *([str(log)] if log else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = int(process.stdout.readline())
        options = {
            "key": "a",
            "secret": "b",
            "endpoint_url": f"http://127.0.0.1:{port}",
        }
        s3fs.S3FileSystem(**options).mkdir("bucket")
        yield options
    finally:
        process.kill()
        process.wait()
        s3fs.S3FileSystem.clear_instance_cache()
