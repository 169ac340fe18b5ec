"""What the shop sells, where and how: shares, prices, seasons, and their lookups.

The numbers are aims, not measurements of one shop; they follow what public retail
panels show. A lookup turns a random integer into a value by one array access, which
is several times faster than a draw from the distribution.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LOOKUP_BITS = 12
LOOKUP = 1 << LOOKUP_BITS
"""Entries of a lookup: shares are kept to within 1 / 4096."""

# Factor on the mean day of the year, January to December.
_STEADY = (0.98, 0.99, 0.99, 1.0, 1.0, 1.0, 1.0, 0.99, 1.0, 1.01, 1.02, 1.01)
_GENERAL = (0.95, 0.97, 0.98, 0.99, 1.0, 1.0, 1.0, 0.99, 1.0, 1.01, 1.05, 1.05)
_GIFTS = (0.93, 0.91, 0.93, 0.93, 0.95, 0.95, 0.97, 0.97, 0.98, 1.0, 1.17, 1.3)
_CLOTHING = (0.82, 0.86, 0.94, 0.98, 1.0, 0.95, 0.91, 0.97, 1.0, 1.02, 1.1, 1.46)
_OUTDOOR = (0.72, 0.79, 0.98, 1.2, 1.28, 1.22, 1.12, 1.04, 0.95, 0.87, 0.88, 0.93)


class Category(NamedTuple):
    """A product category and how it sells."""

    name: str
    share: float
    """Weight among the lines of an average day."""
    price: float
    """Median unit price, currency units."""
    spread: float
    """Standard deviation of the log of the price."""
    units: float
    """Mean units of a line."""
    online: float
    """Share of the lines that are sold online."""
    returns: float
    """Probability that a line sold in a store comes back."""
    season: tuple[float, ...]


CATEGORIES = (
    Category("Groceries", 27, 8.5, 0.9, 1.8, 0.12, 0.01, _STEADY),
    Category("Clothing", 16, 32.0, 0.75, 1.2, 0.38, 0.2, _CLOTHING),
    Category("Home & Kitchen", 11, 28.0, 0.95, 1.25, 0.35, 0.1, _GENERAL),
    Category("Electronics", 9, 85.0, 1.0, 1.1, 0.48, 0.15, _GIFTS),
    Category("Beauty", 8, 16.0, 0.7, 1.4, 0.3, 0.05, _GENERAL),
    Category("Health", 7, 13.0, 0.75, 1.35, 0.25, 0.03, _STEADY),
    Category("Toys", 5.5, 21.0, 0.75, 1.25, 0.4, 0.07, _GIFTS),
    Category("Sports & Outdoors", 5, 42.0, 0.9, 1.15, 0.36, 0.11, _OUTDOOR),
    Category("Books", 4, 14.0, 0.6, 1.35, 0.55, 0.03, _GENERAL),
    Category("Garden", 3, 24.0, 0.95, 1.4, 0.2, 0.06, _OUTDOOR),
    Category("Pet Supplies", 2.5, 15.0, 0.8, 1.5, 0.3, 0.03, _STEADY),
    Category("Automotive", 2, 38.0, 1.0, 1.2, 0.33, 0.07, _STEADY),
)

REGIONS = {
    "Central": 0.24,
    "North": 0.17,
    "South": 0.14,
    "East": 0.11,
    "West": 0.09,
    "North East": 0.08,
    "South East": 0.065,
    "North West": 0.05,
    "South West": 0.035,
    "Islands": 0.02,
}
"""Share of the customers who live there."""

AWAY_FROM_HOME = 0.07
"""Share of the lines bought outside the home region, or again in it by chance."""

ONLINE_RETURNS = 1.8
"""Returns of online lines, as a multiple of those of store lines."""

ONLINE_MISSING_REGION = 2.5
"""Missing regions of online lines, as a multiple of the mean share."""

ONLINE_UNKNOWN = 0.15
"""Missing customers of online lines, as a multiple of those of store lines: who buys
online has an account, who buys in a store need not show a card."""

_MAX_UNITS = 12
_ENDING_IN_9 = 0.39
"""Share of the prices set to end in 9; a tenth of the others does so by chance."""

_DISCOUNTS = {
    0.0: 0.5,
    0.05: 0.03,
    0.1: 0.08,
    0.15: 0.06,
    0.2: 0.06,
    0.25: 0.07,
    0.3: 0.07,
    0.4: 0.05,
    0.5: 0.055,
    0.6: 0.015,
    0.7: 0.01,
}
_RATINGS_KEPT = (0.03, 0.05, 0.15, 0.34, 0.43)
_RATINGS_RETURNED = (0.16, 0.2, 0.26, 0.22, 0.16)


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers that depend on the seed and the key alone."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *key])))


def lookup(weights) -> np.ndarray:
    """Positions of ``weights``, each as often among the 4096 as its weight says."""
    edges = np.cumsum(np.asarray(weights, dtype=float))
    middles = (np.arange(LOOKUP) + 0.5) / LOOKUP * edges[-1]
    narrow = np.uint8 if len(edges) < 1 << 7 else np.uint16
    return np.searchsorted(edges, middles, side="right").astype(narrow)


def categories_of(count: int | None) -> Sequence[Category]:
    """The named categories, or ``count`` made after their likeness, in turn."""
    if count is None:
        return CATEGORIES
    kinds = len(CATEGORIES)
    return [
        kind._replace(name=f"{kind.name} {number // kinds + 1:03d}")
        for number, kind in zip(range(count), itertools.cycle(CATEGORIES))
    ]


def regions_of(count: int | None) -> dict[str, float]:
    """The named regions, or ``count`` stores: the first five times the last."""
    if count is None:
        return REGIONS
    return {
        f"Store {number + 1:04d}": 1 / (number + count / 4) for number in range(count)
    }


def seasons(categories: Sequence[Category] = CATEGORIES) -> np.ndarray:
    """Expected lines by month (12 rows) and category, for a mean day of 1."""
    share = np.array([category.share for category in categories])
    season = np.array([category.season for category in categories])
    season /= season.mean(axis=1, keepdims=True)
    return (season * (share / share.sum())[:, None]).T


class Profiles(NamedTuple):
    """Lookups of a shop, flat: entry ``row * LOOKUP + draw`` where they have rows."""

    category: np.ndarray
    """Rows are months."""
    category_unknown: np.ndarray
    """The same of lines whose customer is missing."""
    price: np.ndarray
    """Rows are categories; currency units."""
    units: np.ndarray
    """Rows are categories."""
    region: np.ndarray
    discount: np.ndarray
    rating: np.ndarray
    """Rows are kept, returned."""
    online: np.ndarray
    """Share of online lines by category, as a number of 65 536ths."""
    online_unknown: np.ndarray
    """The same of lines whose customer is missing."""
    returns: np.ndarray
    """Probability of a return; entry ``2 * category + online``."""
    online_share: float


@lru_cache(maxsize=8)
def profiles(
    seed: int, regions: int | None = None, categories: int | None = None
) -> Profiles:
    """The lookups; only the price list depends on the seed.

    Args:
        seed: of the price list.
        regions: how many; None for the named ones.
        categories: how many; None for the named ones.
    """
    sold = categories_of(categories)
    online = np.array([category.online for category in sold])
    returns = np.array([category.returns for category in sold])
    by_month = seasons(sold)
    # Of the lines of a category, which is what loses its customer at equal chances.
    unknown = 1 - online + online * ONLINE_UNKNOWN
    return Profiles(
        category=np.concatenate([lookup(month) for month in by_month]),
        category_unknown=np.concatenate([lookup(m * unknown) for m in by_month]),
        price=_price_list(seed, sold),
        units=np.concatenate([_units(category.units) for category in sold]),
        region=lookup(list(regions_of(regions).values())),
        discount=np.array(list(_DISCOUNTS))[lookup(list(_DISCOUNTS.values()))],
        rating=np.concatenate(
            [lookup(weights) + 1.0 for weights in (_RATINGS_KEPT, _RATINGS_RETURNED)]
        ),
        online=np.rint(online * (1 << 16)).astype(np.uint16),
        online_unknown=np.rint(online * ONLINE_UNKNOWN / unknown * (1 << 16)).astype(
            np.uint16
        ),
        returns=np.outer(returns, [1, ONLINE_RETURNS]).ravel().astype(np.float32),
        online_share=float(by_month.mean(axis=0) @ online),
    )


def _units(mean: float) -> np.ndarray:
    """Geometric: most lines are of one unit."""
    more = 1 - 1 / mean
    return lookup(more ** np.arange(_MAX_UNITS)) + np.uint8(1)


def _price_list(seed: int, categories: Sequence[Category]) -> np.ndarray:
    """4096 unit prices for each category, log-normal, in whole cents."""
    rng = random_stream(seed, _PRICES)
    median = np.array([category.price for category in categories])[:, None]
    spread = np.array([category.spread for category in categories])[:, None]
    noise = rng.standard_normal((len(categories), LOOKUP))
    # The same mean and spread for every seed: 4096 draws alone would leave 2 %.
    noise -= noise.mean(axis=1, keepdims=True)
    noise /= noise.std(axis=1, keepdims=True)
    cents = np.maximum(np.rint(100 * median * np.exp(spread * noise)), 10)
    step = np.where(cents > 2000, 100, 10)
    ending_in_9 = np.maximum(np.rint(cents / step), 1) * step - 1
    chosen = rng.random(cents.shape) < _ENDING_IN_9
    return (np.where(chosen, ending_in_9, cents) / 100).ravel()


_PRICES, CALENDAR, LINES, DEFECTS = range(4)
"""First numbers of the keys of random streams, one for each purpose."""
