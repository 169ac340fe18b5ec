"""The site of the documents: it can be built, and loads nothing from elsewhere."""

import re
import shutil
import subprocess
import sys

from support.kedro_project import ROOT


def build(folder, *options):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    done = build(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = [*(tmp_path / "site").rglob("*.html")]
    assert len(pages) > 15
    loaded = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\bsrc=\"?https?:"
        r"|<link[^>]*rel=\"?(?:stylesheet|preconnect|preload|icon)[^>]*href=\"?https?:"
    )
    assert [page.name for page in pages if loaded.search(page.read_text())] == []
    # The theme can fetch what draws diagrams; it does so where a page has one.
    assert [page.name for page in pages if 'class="mermaid"' in page.read_text()] == []


def test_a_link_that_leads_nowhere_fails_it(tmp_path):
    copy = tmp_path / "copy"
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mkdocs.yml"):
        copy.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "docs", copy / "docs")
    for folder in ("conf", "examples", "tests", "src", "benchmarks", "data", ".ci"):
        (copy / folder).symlink_to(ROOT / folder)
    (copy / "LICENSE").symlink_to(ROOT / "LICENSE")
    (copy / "notebooks").symlink_to(ROOT / "notebooks")
    page = copy / "docs" / "how-it-works.md"
    page.write_text(page.read_text().replace("#promises", "#nowhere"))
    done = build(tmp_path / "site", "-f", str(copy / "mkdocs.yml"))
    assert done.returncode != 0
    assert "nowhere" in done.stderr
