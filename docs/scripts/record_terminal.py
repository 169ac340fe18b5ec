"""Record a run as it looks on a terminal: ``python docs/scripts/record_terminal.py``.

A run on little data, in a temporary copy of the project and on a terminal of its own; what
stands there at its end becomes ``docs/images/terminal.svg``. The picture loads nothing: it names fonts, and has none.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from settings_table import ROOT

PICTURE = ROOT / "docs" / "images" / "terminal.svg"
WIDTH, HEIGHT = 110, 60
COMMAND = "kedro run --env test"


def record(project: Path, arguments: list[str]) -> bytes:
    """Run Kedro on a terminal; return all that it wrote there.

    Raises:
        subprocess.CalledProcessError: the run failed.
    """
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "DO_NOT_TRACK": "1"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # Linux' way to say that the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    if process.wait():
        raise subprocess.CalledProcessError(
            process.returncode, arguments, bytes(written)
        )
    return bytes(written)


def screen(written: bytes) -> list:
    """Return the lines that a terminal shows after all that, as styled text."""
    import pyte
    from rich.style import Style
    from rich.text import Text

    shown = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(shown)
    stream.feed(written)
    lines = []
    for row in range(HEIGHT):
        line = Text()
        for column in range(WIDTH):
            cell = shown.buffer[row][column]
            colour = None if cell.fg == "default" else cell.fg
            if colour and re.fullmatch(r"[0-9a-f]{6}", colour):
                colour = f"#{colour}"
            name = {"brown": "yellow"}.get(colour or "", colour)
            line.append(cell.data, Style(color=name, bold=cell.bold))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def picture(lines: list, title: str) -> str:
    """Draw lines of text as a terminal, without the fonts that Rich would load."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console

    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(f"[bold green]$[/] {title}")
    for line in lines:
        console.print(line, soft_wrap=True)
    # The picture cuts off what hangs below its last line.
    console.print()
    without = re.sub(r"@font-face \{\{.*?\n\s*\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)
    return console.export_svg(title=title, code_format=without, unique_id="terminal")


def main() -> None:
    """Make the picture anew."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "dask-etl"
        (project / "src").mkdir(parents=True)
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, project)
        local = shutil.ignore_patterns("local")
        shutil.copytree(ROOT / "conf", project / "conf", ignore=local)
        (project / "conf" / "local").mkdir()
        written = record(project, COMMAND.split()[1:])
    PICTURE.write_text(picture(screen(written), COMMAND), encoding="utf-8")


if __name__ == "__main__":
    main()
