"""What MkDocs is told of this repository: pages outside ``docs/``, links to its files.

README, CONTRIBUTING and CHANGELOG are pages, too. A link to any other file of the
repository becomes its path as text, because the site does not hold it; one that leads
nowhere is warned of, which fails a strict build.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s:]+)\)")
_log = logging.getLogger("mkdocs.hooks.repository")


def on_files(files: Files, config) -> Files:
    """Add the pages that are not in ``docs/``."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    """Turn links to files of the repository into links of the site, or into text."""
    names = {site: name for name, site in PAGES.items()}
    name = names.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    # A diagram needs a script of others to be drawn; its text says as much.
    markdown = markdown.replace("```mermaid\n", "```text\n")

    def rewritten(found: re.Match) -> str:
        picture, text, link = found.groups()
        path, _, anchor = link.partition("#")
        if not path:
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if not (ROOT / place).exists():
            _log.warning("%s: there is no %s", name, place)
        if place in PAGES:
            place = f"docs/{PAGES[place]}"
        if place.startswith("docs/"):
            end = f"#{anchor}" if anchor else ""
            return f"{picture}[{text}]({place.removeprefix('docs/')}{end})"
        shown = text.strip("`")
        return f"`{place}`" if shown in place else f"{text} (`{place}`)"

    # Code shows what it shows.
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    return "".join(p if p[:3] == "```" else _LINK.sub(rewritten, p) for p in parts)
