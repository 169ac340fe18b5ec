"""What columns are called elsewhere, and which of ours they seem to be."""

import re
import unicodedata
from collections.abc import Mapping

from dask_etl.sources.detect import ColumnLook, Look

NAMES: Mapping[str, tuple[str, ...]] = {
    "order_id": (
        "orderid",
        "order",
        "ordernumber",
        "orderno",
        "invoice",
        "invoiceno",
        "receipt",
        "receiptno",
        "basket",
        "basketid",
        "beleg",
        "belegnr",
        "belegnummer",
        "bon",
        "bonnr",
        "rechnung",
        "rechnungsnr",
        "bestellung",
        "bestellnr",
        "ticket",
    ),
    "transaction_id": (
        "transactionid",
        "transaction",
        "lineid",
        "saleid",
        "rowid",
        "uuid",
        "id",
        "buchungsnr",
        "vorgangsnr",
    ),
    "position": (
        "position",
        "pos",
        "line",
        "lineno",
        "linenumber",
        "zeile",
        "posnr",
        "item",
    ),
    "customer_id": (
        "customerid",
        "customer",
        "customerno",
        "client",
        "clientid",
        "householdid",
        "household",
        "member",
        "memberid",
        "userid",
        "kunde",
        "kundennr",
        "kundennummer",
        "kundenid",
    ),
    "product_category": (
        "productcategory",
        "category",
        "department",
        "productgroup",
        "group",
        "warengruppe",
        "kategorie",
        "sparte",
        "type",
        "product",
        "productname",
        "productid",
        "article",
        "artikel",
        "description",
        "sku",
        "stockcode",
        "name",
        "artikelnr",
    ),
    "region": (
        "region",
        "store",
        "storeid",
        "shop",
        "branch",
        "country",
        "city",
        "location",
        "outlet",
        "filiale",
        "land",
        "markt",
        "standort",
    ),
    "amount": (
        "unitprice",
        "price",
        "einzelpreis",
        "preis",
        "stueckpreis",
        "vkpreis",
        "amount",
    ),
    "line_total": (
        "linetotal",
        "total",
        "salesvalue",
        "value",
        "sales",
        "revenue",
        "net",
        "betrag",
        "summe",
        "gesamt",
        "umsatz",
        "dollarvalue",
        "amountpaid",
    ),
    "quantity": (
        "quantity",
        "qty",
        "units",
        "count",
        "menge",
        "anzahl",
        "stueck",
        "stueckzahl",
    ),
    "discount": ("discount", "discountpct", "disc", "rabatt", "nachlass"),
    "timestamp": (
        "timestamp",
        "datetime",
        "transactiontimestamp",
        "soldat",
        "orderdate",
        "invoicedate",
        "date",
        "datum",
        "zeitpunkt",
        "verkaufsdatum",
        "createdat",
    ),
    "rating": ("rating", "stars", "score", "bewertung", "sterne"),
    "is_returned": ("isreturned", "returned", "return", "retoure", "zurueck"),
}
"""Names of columns as others have them, without signs and capitals; the likeliest first.
``position`` is no column of ours: with an order it makes a key."""


_FITTING: Mapping[str, frozenset[str]] = {
    "amount": frozenset({"decimal", "integer"}),
    "line_total": frozenset({"decimal", "integer"}),
    "quantity": frozenset({"decimal", "integer"}),
    "discount": frozenset({"decimal", "integer"}),
    "rating": frozenset({"decimal", "integer"}),
    "timestamp": frozenset({"moment"}),
    "is_returned": frozenset({"flag", "integer"}),
}


UNIQUE = 0.999
"""Share of different values from which on a column names its rows."""


def match(look: Look, given: Mapping[str, str]) -> dict[str, str]:
    """Find for columns of ours those of a source, by name and content.

    Args:
        look: what the source looks like.
        given: those that a person named.
    """
    found = dict(given)
    scores = sorted(
        (
            (_score(column, ours, look.columns[column]), ours, column)
            for ours in NAMES
            for column in look.columns
        ),
        key=lambda one: -one[0],
    )
    for score, ours, column in scores:
        if score > 0 and ours not in found and column not in found.values():
            found[ours] = column
    if "timestamp" not in found:
        moments = [c for c, one in look.columns.items() if one.kind == "moment"]
        if moments:
            found["timestamp"] = moments[0]
    return found


def _score(column: str, ours: str, look: ColumnLook) -> float:
    if ours in _FITTING and look.kind not in _FITTING[ours]:
        return 0.0
    if ours == "transaction_id" and look.distinct < UNIQUE:
        return 0.0
    name = plain_name(column)
    for place, known in enumerate(NAMES[ours]):
        if name == known:
            return 100 - place
        if len(known) > 3 and known in name:
            return 50 - place
    return 0.0


def plain_name(name: str) -> str:
    """Write a name without capitals, signs and marks on letters."""
    folded = name.casefold().translate({ord("ü"): "ue", ord("ö"): "oe", ord("ä"): "ae"})
    ascii_ = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", ascii_)
