"""Write a till's export as shops have it: semicolons, cp1252, ``1.234,50``, 14 columns.

It is data/examples/shop.csv that docs/your-own-data.md walks through::

    python examples/shop/export.py data/examples/shop.csv

Lines have no number of their own: a receipt (Beleg) has several. What comes back is a
line with a negative quantity (Menge). Discounts are in percent, moments are those of
Berlin. A few lines are broken, as always.
"""

import sys
from pathlib import Path

import numpy as np

HEAD = (
    "Beleg;Datum;Uhrzeit;Filiale;Kasse;Kassierer;Kundennr;Artikelnr;Artikel;Menge;"
    "Einzelpreis;Rabatt %;Betrag;Zahlart"
)
SHOPS = ("Köln", "München", "Düsseldorf", "Zürich")
TILLS = ("Müller", "Öztürk", "Strauß", "Schmidt")
PAID = ("bar", "EC", "Kreditkarte")
ARTICLES = (
    ("1001", "Käse 200 g", 3.49, "Lebensmittel"),
    ("1002", "Brötchen", 0.45, "Lebensmittel"),
    ("1003", "Rotwein; trocken", 8.99, "Getränke"),
    ("1004", "Saft 1 l", 2.29, "Getränke"),
    ("2001", 'Fernseher 55"', 1234.5, "Elektronik"),
    ("2002", "Kopfhörer", 59.9, "Elektronik"),
    ("3001", "T-Shirt", 14.99, "Kleidung"),
    ("3002", "Mütze", 19.5, "Kleidung"),
)
"""Number, name, price and group; the group is in a file of its own."""


def export(path: Path, receipts: int = 200, seed: int = 1, broken: bool = True) -> None:
    """Write an export, and the groups of its articles beside it.

    Args:
        path: of the export; the groups are ``articles.csv`` in the same folder.
        receipts: how many receipts of up to five lines.
        seed: the same seed writes the same file.
        broken: with a few lines that are no rows.
    """
    random = np.random.default_rng(seed)
    minutes = np.sort(random.integers(0, 365 * 24 * 60, receipts))
    starts = np.datetime64("2023-01-01T00:00") + minutes.astype("timedelta64[m]")
    lines: list[str] = []
    for number, start in enumerate(starts.tolist(), 100_001):
        shop, till = SHOPS[random.integers(4)], TILLS[random.integers(4)]
        customer = "" if random.random() < 0.05 else f"K{random.integers(1, 60):04d}"
        paid = PAID[random.integers(3)]
        for _ in range(random.integers(1, 6)):
            article, name, price, _ = ARTICLES[random.integers(len(ARTICLES))]
            units = int(random.integers(1, 5)) * (-1 if random.random() < 0.06 else 1)
            percent = 0 if random.random() < 0.6 else int(random.choice([5, 10, 20]))
            total = round(units * price * (100 - percent) / 100, 2)
            lines.append(
                ";".join(
                    (
                        str(number),
                        f"{start:%d.%m.%Y}",
                        f"{start:%H:%M}",
                        shop,
                        f"{random.integers(1, 4)}",
                        till,
                        customer,
                        article,
                        quoted(name),
                        str(units),
                        german(price),
                        str(percent),
                        german(total),
                        paid,
                    )
                )
            )
    if broken:
        lines[7] = lines[7].replace(";", ",", 3)
        lines[19] += ";Storno"
        cells = lines[31].split(";")
        lines[31] = ";".join([*cells[:1], "31.02.2023", *cells[2:]])
        cells = lines[43].split(";")
        lines[43] = ";".join([*cells[:-4], "n/v", *cells[-3:]])
    text = "\r\n".join([HEAD, *lines, ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("cp1252"))
    groups = ["Artikelnr;Warengruppe", *(f"{a[0]};{a[3]}" for a in ARTICLES), ""]
    path.with_name("articles.csv").write_bytes("\r\n".join(groups).encode("cp1252"))


def german(value: float) -> str:
    """Write a number as German tills do: 1.234,50."""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def quoted(text: str) -> str:
    """Put text into quotes that has separators or quotes in it."""
    if '"' in text or ";" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


if __name__ == "__main__":
    export(Path(sys.argv[1]))
