"""A server that imitates S3, in a process of its own: real clients block in C."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import s3fs

CODE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Serve an empty bucket called ``bucket``; yields the options that reach it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
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
