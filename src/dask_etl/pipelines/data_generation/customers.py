"""Who buys: customers who come, buy at their own rate, and drop out.

No table of customers is needed, however many there are. A customer is one cell of a
cube whose axes are the quantiles of three independent attributes: when the customer
came, for how long the customer stays, and how often the customer buys. A line draws
a point of the cube, with the density that the attributes imply at its time.
"""

from functools import lru_cache
from math import gcd

import numpy as np

_LIFETIME = 30.0
"""Days: the share still there after ``age`` days is 1 / √(1 + age / _LIFETIME)."""
_RATE_SHAPE = 2.6
"""Shape of the gamma distribution of the purchase rate: 1 is exponential."""
_FOUNDERS_DAYS = 400.0
"""The shorter the period beside this, the more of the customers came before it."""
_RATE_KNOTS = 4096
_MAX_STAYS = 24


def draw_customers(
    rng: np.random.Generator, days: np.ndarray, period: int, customers: int
) -> np.ndarray:
    """Customers, numbered from 0, who buy at the given times.

    Args:
        rng: random numbers.
        days: times of the lines, days since the start of the period.
        period: length of the period, days.
        customers: how many customers there are.
    """
    came, stays = _draw_window(rng, days, period)
    cohorts, stay_classes = _grid(customers)
    cell = np.floor(came * cohorts)
    cell *= stay_classes
    cell += np.floor(stays * stay_classes)
    cell += _draw_rate(rng, len(days))
    cell *= customers / (cohorts * stay_classes)
    return np.minimum(cell.astype(np.int64), customers - 1)


def customer_ids(number: np.ndarray, customers: int) -> np.ndarray:
    """Ids 1 … ``customers``, one for each number; neighbours get distant ids."""
    step = next(
        step
        for step in range(int(customers * 0.618) + 1, 2 * customers + 2)
        if gcd(step, customers) == 1
    )
    return number * step % customers + 1


def _draw_window(
    rng: np.random.Generator, days: np.ndarray, period: int
) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of arrival and (from the longest) of stay of somebody then active.

    A part of the customers, the founders, is there at the start; the others come
    evenly over the period. With q = √(1 + age / lifetime), 1 / q of those who came
    are still there, and the integral of that over the age is 2 · lifetime · (q − 1):
    both the choice of an arrival and its inverse need nothing but a root.
    """
    founders = _FOUNDERS_DAYS / (_FOUNDERS_DAYS + period)
    newcomers = (1 - founders) / period * 2 * _LIFETIME
    root = np.sqrt(1 + days / _LIFETIME)
    founders_now = founders / root
    place = rng.random(len(days)) * (founders_now + newcomers * (root - 1))
    is_founder = place < founders_now
    root = np.where(is_founder, root, 1 + (place - founders_now) / newcomers)
    arrival = days - _LIFETIME * (root * root - 1)
    came = np.where(
        is_founder,
        place / founders_now * founders,
        founders + (1 - founders) / period * arrival,
    )
    return np.clip(came, 0, 1 - 1e-12, out=came), rng.random(len(days)) / root


def _draw_rate(rng: np.random.Generator, count: int) -> np.ndarray:
    """Quantiles of the purchase rate of buyers: who buys more is drawn more often."""
    place = rng.random(count) * _RATE_KNOTS
    knot = place.astype(np.int32)
    below, step = _rate_quantiles()
    return below.take(knot) + (place - knot) * step.take(knot)


@lru_cache(maxsize=1)
def _rate_quantiles() -> tuple[np.ndarray, np.ndarray]:
    """Quantile of the rate up to which each 4096th of the lines goes, and the steps."""
    edges = 40 * np.linspace(0, 1, 20_001) ** 3
    rate = (edges[1:] + edges[:-1]) / 2
    people = rate ** (_RATE_SHAPE - 1) * np.exp(-rate) * np.diff(edges)
    share_of_people = np.concatenate([[0], np.cumsum(people)]) / people.sum()
    lines = people * rate
    share_of_lines = np.concatenate([[0], np.cumsum(lines)]) / lines.sum()
    knots = np.linspace(0, 1, _RATE_KNOTS + 1)
    # 1 itself would be the first rate of the next cell
    quantiles = np.minimum(np.interp(knots, share_of_lines, share_of_people), 1 - 1e-9)
    return quantiles[:-1], np.diff(quantiles)


def _grid(customers: int) -> tuple[int, int]:
    """Cells along arrival and stay; what is left of the customers is along the rate."""
    return (
        max(1, round(customers**0.38)),
        max(1, min(_MAX_STAYS, round(customers**0.25))),
    )
