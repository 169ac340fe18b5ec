"""A Kedro dataset for what people read: Markdown, or a page of HTML."""

import re
from collections.abc import Sequence

from kedro_datasets.text import TextDataset

from dask_etl.compat.kedro import HTMLPreview
from dask_etl.datasets.preview import literal


class ReportDataset(TextDataset):
    """A text for people, of which Kedro-Viz shows what matters.

    Catalog entry::

        report_page:
          type: dask_etl.datasets.ReportDataset
          filepath: data/08_reporting/report.html
          metadata:
            kedro-viz:
              preview_args: {sections: [overview, findings]}

    Arguments are those of ``kedro_datasets.text.TextDataset``.
    """

    def preview(self, sections: Sequence[str] = ()) -> HTMLPreview:
        """Return the text as HTML, without pictures and links, which lead nowhere there.

        Args:
            sections: ids of the sections of a page to show; Markdown is shown whole.
        """
        if not self.exists():
            return HTMLPreview("<p>Nothing has been written here yet.</p>")
        text = self.load()
        if self._filepath.suffix == ".md":
            return HTMLPreview(literal(_from_markdown(text)))
        names = "|".join(map(re.escape, sections))
        found = re.finditer(rf'<section id="(?:{names})".*?</section>', text, re.DOTALL)
        shown = "".join(match[0] for match in found)
        shown = re.sub(r"<svg.*?</svg>|</?a\b[^>]*>", "", shown, flags=re.DOTALL)
        return HTMLPreview(literal(shown))


def _from_markdown(text: str) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415  (start-up)

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name in ("image", "link_open", "link_close"):
        parser.add_render_rule(name, lambda *_: "")
    return parser.render(text)
