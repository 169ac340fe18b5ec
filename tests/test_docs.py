"""The documents say what is so: tables, rules, links, commands, and a recipe that runs."""

import re
import shlex
from pathlib import Path

import nbformat
import pyarrow as pa
import pytest

from dask_etl.pipeline_registry import register_pipelines
from dask_etl.retail import schema
from dask_etl.tables import find_table, known_tables
from reference import pages
from settings_table import configured, settings
from support.kedro_project import ROOT, Project, base_segments

DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "conf" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
README = (ROOT / "README.md").read_text()
DICTIONARY = (ROOT / "docs" / "data_dictionary.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()

IDS = {"transaction_id", "customer_id", "order_id"}
TABLES = [table.name for table in known_tables()]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(
    r"(?<![\w./])/(?:home|root|work|tmp|Users|mnt|srv)/\w"
    r"|index-url|pythonhosted|pypi\.|artifactory|nexus",
    re.IGNORECASE,
)
"""A path of one machine, or the address of a package registry."""


def text_of(path: Path) -> str:
    """A document's text; of a notebook, sources and outputs that are text."""
    if path.suffix != ".ipynb":
        return path.read_text()
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        texts.append(cell.source)
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("traceback", [])]
            texts += [
                text
                for kind, text in output.get("data", {}).items()
                if kind.startswith("text/")
            ]
    return "\n".join(texts)


def section(title: str, level: str = "###") -> str:
    """What the data dictionary says under a heading."""
    _, found, rest = DICTIONARY.partition(f"\n{level} {title}\n")
    assert found, f"docs/data_dictionary.md has no section '{title}'"
    return re.split(r"^#{2,3} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def cells(text: str) -> list[list[str]]:
    """The rows of the Markdown table in a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def cells_of(text: str, columns: int) -> list[list[str]]:
    """The rows of all Markdown tables of so many columns in a text."""
    rows = [
        line.strip("|").split("|") for line in text.splitlines() if line[:3] == "| `"
    ]
    return [[cell.strip() for cell in row] for row in rows if len(row) == columns]


def words(name: str, kind: pa.DataType) -> str:
    """A type as the data dictionary calls it."""
    if name in IDS:
        return "int64 or string"
    if pa.types.is_dictionary(kind):
        return "label"
    if pa.types.is_list(kind):
        return f"list of {words('', kind.value_type)}"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_date(kind):
        return "date"
    return {"double": "float64"}.get(str(kind), str(kind))


@pytest.mark.parametrize("table", TABLES)
def test_the_dictionary_has_every_column_as_it_is(table):
    described = [tuple(row[:3]) for row in cells(section(table))]
    assert described == [
        (
            f"`{field.name}`",
            words(field.name, field.type),
            "yes" if field.nullable else "no",
        )
        for field in find_table(table).schema
    ] + [
        (
            f"`{field.name}`",
            words(field.name, field.type),
            f"{'yes' if field.nullable else 'no'}, optional",
        )
        for field in find_table(table).optional
    ]


def test_the_dictionary_explains_no_table_that_there_is_not():
    assert set(re.findall(r"^### (\w+)$", DICTIONARY, re.MULTILINE)) == set(TABLES)


def test_the_dictionary_explains_every_column():
    empty = {
        (table, row[0])
        for table in TABLES
        for row in cells(section(table))
        if not row[3]
    }
    # What a row is about needs no more words than its name.
    assert {column for _, column in empty} <= {
        "`region`",
        "`product_category`",
        "`segment`",
    }


def test_the_dictionary_has_every_rule_in_order():
    rules = cells(section("Cleaning rules", "##"))
    assert [name for name, *_ in rules] == [f"`{rule}`" for rule in schema.RULES]
    for name, condition, actions in rules:
        assert condition
        found = re.findall(r"`(blank|keep)`", actions)
        assert found == [*schema.ACTIONS.get(name.strip("`"), ())], name


def test_the_dictionary_has_the_segments_of_the_parameters():
    def scores(text: str) -> set[int]:
        first, _, last = text.replace("any", "1–5").partition("–")
        return set(range(int(first), int(last or first) + 1))

    assert {
        name: tuple(map(scores, axes))
        for name, *axes in cells(section("Segments", "##"))
    } == {
        name: (rule.recency, rule.frequency, rule.monetary)
        for name, rule in base_segments().rules.items()
    }


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_the_pages_that_are_made_are_current(path):
    assert path.read_text() == pages()[path], (
        "run docs/scripts/reference.py (make docs)"
    )


def test_every_setting_has_a_meaning_and_is_on_the_page():
    described = {name for name, *_ in cells_of(CONFIGURATION, 5)}
    assert {name for name, *_ in settings()} == described
    assert [name for name, *_, meaning in settings() if not meaning] == []


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *NOTEBOOKS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_relative_link_leads_somewhere(path):
    text = FENCE.sub("", text_of(path)) if path in DOCUMENTS else text_of(path)
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        assert target.is_relative_to(ROOT), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_file_of_the_project_that_is_named_exists(path):
    folders = ("benchmarks", "src", "conf", "docs", "tests", "notebooks")
    files = {f"/{f.relative_to(ROOT)}" for d in folders for f in (ROOT / d).rglob("*")}
    named = set(re.findall(r"`([\w/]+\.(?:py|sql|ipynb))`", path.read_text()))
    assert {n for n in named if not any(f.endswith(f"/{n}") for f in files)} == set()


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_make_target_exists(path):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = path.read_text()
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *commands(text)])
    assert set(re.findall(r"\bmake (\w+)", code)) <= set(targets)


def commands(text: str) -> list[str]:
    """The command lines of a document's shell blocks, without comments."""
    return [
        line.partition("  #")[0].strip()
        for kind, block in FENCE.findall(text)
        if kind in ("bash", "sh", "console")
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]


def kedro_options(path: Path) -> list[dict[str, str]]:
    """The options of every ``kedro run`` that a document shows."""
    text = path.read_text()
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return [
        options_of(line)
        for line in [*commands(text), *spans]
        if re.match(r"(\S*/)?kedro run\b", line)
    ]


def options_of(command: str) -> dict[str, str]:
    """The options of a ``kedro run``, all of which take a value."""
    parts = shlex.split(command)[2:]
    return dict(zip(parts[::2], parts[1::2], strict=False))


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_kedro_run_names_what_there_is(path):
    pipelines = register_pipelines()
    shown = re.findall(r"# conf/(\w+)/", path.read_text())
    made = {"mine", *shown, *(child.name for child in (ROOT / "conf").iterdir())}
    for options in kedro_options(path):
        for name in options.get("--pipelines", "__default__").split(","):
            assert name in pipelines, options
        assert options.get("--env", "base") in made, options
        if "--to-outputs" in options:
            assert options["--to-outputs"] in pipelines["reporting"].all_outputs()
        for setting in filter(None, options.get("--params", "").split(",")):
            name = setting.partition("=")[0]
            assert name in parameter_names(), f"{path.name}: {setting}"


def parameter_names() -> set[str]:
    """Every parameter that ``--params`` takes, dotted; the flags, too."""

    def dotted(prefix: str, values) -> set[str]:
        names = {prefix} if prefix else set()
        if isinstance(values, dict):
            for name, value in values.items():
                names |= dotted(f"{prefix}.{name}" if prefix else name, value)
        return names

    names = {"resume", "progress"}
    for group, values in configured().items():
        names |= dotted(group, values)
    # Those of the local cluster need not say so.
    return names | {name.replace("dask.local_cluster.", "dask.") for name in names}


def test_the_readme_lists_the_pipelines_of_a_run():
    [said] = re.findall(r"^Pipelines: (.*?)\.", README, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == set(register_pipelines()) - {
        "__default__"
    }


def test_the_readme_is_two_screens():
    assert len(README.splitlines()) < 120


def test_the_figures_of_the_readme_are_those_that_were_measured():
    measured = (ROOT / "docs" / "performance.md").read_text()
    table = README.partition("## What to use when")[2].partition("\n## ")[0]
    figures = re.findall(r"^\|[^|]+\| ([\d.]+) \| ([\d,]+) \|", table, re.M)
    assert len(figures) == 7
    for seconds, megabytes in figures:
        rows = [line for line in measured.splitlines() if f"| {megabytes}" in line]
        found = {
            f"{float(one):.1f}" for row in rows for one in re.findall(r"\d+\.\d\d", row)
        }
        assert seconds in found, (seconds, megabytes)


def test_the_first_screen_says_what_it_is_and_shows_it():
    first_screen = "\n".join(README.splitlines()[:30])
    assert "make run" in first_screen
    assert "make test" in first_screen
    picture, terminal = re.findall(r"!\[.+\]\((.+)\)", first_screen)
    for image in (picture, terminal):
        assert (ROOT / image).stat().st_size < 300_000
    # A picture of the repository loads nothing from elsewhere.
    assert "url(" not in (ROOT / terminal).read_text().replace("url(#", "")


def public_files() -> list[Path]:
    """Files that a stranger reads first, and all configuration."""
    made = [
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        *(ROOT / "requirements").iterdir(),
    ]
    conf = [
        path
        for path in sorted((ROOT / "conf").rglob("*.yml"))
        if "local" not in path.relative_to(ROOT).parts
    ]
    return [*DOCUMENTS, *NOTEBOOKS, *made, *conf]


@pytest.mark.parametrize(
    "path", public_files(), ids=lambda path: str(path.relative_to(ROOT))
)
def test_nothing_names_a_machine_or_a_registry(path):
    assert [line for line in text_of(path).splitlines() if ELSEWHERE.search(line)] == []


def test_the_recipe_for_data_of_ones_own_works(project):
    project.run("data_generation", params={"generation": {"rows": 3_000}})
    sales = project.path / "sales"
    sales.mkdir()
    for file in project.raw_files():
        file.rename(sales / file.name)
    delivered = {file.name: file.read_bytes() for file in sorted(sales.iterdir())}
    page = (ROOT / "docs" / "your-own-data.md").read_text()
    recipe = page.partition("## Parquet files that have our columns")[2].partition(
        "\n## "
    )[0]
    for kind, block in FENCE.findall(recipe):
        if kind == "yaml":
            place = project.path / re.match(r"# ([\w/.]+)", block)[1]
            place.parent.mkdir(exist_ok=True)
            place.write_text(block.replace("/path/to/sales", str(sales)))
    every, without_pandas = commands(recipe)
    mine = Project(project.path, "mine")

    # Run in test_end_to_end.py: one engine alone is reported on.
    assert options_of(without_pandas)["--pipelines"] == "story"

    # Without the report, which is the same as any.
    done = mine.kedro(*shlex.split(every.replace(",reporting", ""))[1:])
    assert done.returncode == 0, done.stderr
    assert set(mine.table("verification")["identical"].to_pylist()) == {True}
    assert mine.table("dask.row_ledger")["source_file"].to_pylist() == [*delivered]
    assert {file.name: file.read_bytes() for file in sales.iterdir()} == delivered
