"""Reports and figures: what is written, linked, and shown of them."""

from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from dask_etl.datasets import FigureDataset, ReportDataset
from dask_etl.datasets.preview import literal, table_page


class Text(HTMLParser):
    """The text of a page, as it is read."""

    def __init__(self, page):
        super().__init__()
        self.said = ""
        self.feed(page)

    def handle_data(self, data):
        self.said += data


def test_a_figure_is_a_picture_that_is_linked_by_its_name(tmp_path):
    dataset = FigureDataset(
        filepath=str(tmp_path / "new" / "a.png"), save_args={"dpi": 20}
    )
    assert dataset.load() is None
    assert not dataset.preview()
    dataset.save(Figure())
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert dataset.load() == "a.png"
    assert dataset.preview().startswith("iVBOR")  # PNG, in base64
    svg = FigureDataset(filepath=str(tmp_path / "b.svg"))
    svg.save(Figure())
    assert "<svg" in (tmp_path / "b.svg").read_text()


def test_markdown_is_shown_without_what_leads_nowhere(tmp_path):
    dataset = ReportDataset(filepath=str(tmp_path / "report.md"))
    assert "Nothing has been written here yet" in dataset.preview()
    dataset.save(
        "# Sales\n\n- [Months](months.png): up by 2 %.\n\n![All](all.png)\n\n"
        "| a | b |\n|---|---|\n| `row_ledger` | <script>1</script> |\n"
    )
    shown = dataset.preview()
    assert "<h1>Sales</h1>" in shown
    assert "<td>" in shown
    assert not {"png", "<script", "\n"} & {
        part for part in ("png", "<script", "\n") if part in shown
    }
    assert "• Months: up by 2 %." in Text(shown).said
    assert "row_ledger" in Text(shown).said


def test_of_a_page_the_sections_are_shown_that_are_asked_for(tmp_path):
    dataset = ReportDataset(filepath=str(tmp_path / "report.html"))
    dataset.save(
        '<style>x</style><section id="one" class="c"><h2>One</h2><a href="#x">here</a>'
        '<svg><path/></svg></section><section id="two">Two</section><script>z</script>'
    )
    assert dataset.preview(["one"]) == literal(
        '<section id="one" class="c"><h2>One</h2>here</section>'
    )
    assert dataset.preview() == ""


@pytest.mark.parametrize(
    "text", ["a_b_c", "**bold**", "[x](javascript:1)", "<b>&amp;</b>"]
)
def test_values_are_shown_as_they_are(text):
    """The front end takes marks of Markdown in HTML for such, after it was made safe."""
    page = table_page(text, [{text: text}], {text: text})
    assert Text(page).said.count(text) == 5
    for mark in ("**", "](", "`"):
        assert mark not in page
    # Between two underscores there is an end of a line.
    parts = page.split("_")[1:-1]
    assert all("&#13;" in part for part in parts)


def test_a_table_is_shown_with_its_types_of_values():
    rows = [
        {"n": None, "x": 0.1 + 0.2, "places": ["a", "b"], "long": "y" * 200, "t": True}
    ]
    said = Text(table_page("", rows, {})).said
    assert said == f"nxplaceslongt0.3a; b{'y' * 79}…True"
    assert "It has no rows" in table_page("", [], {})
