"""Numbers as people say them: counts, shares, sizes, lengths of time."""


def number(value: float) -> str:
    """An amount or a count in words that can be said: 1.23 million, 45,600."""
    rounded = float(f"{value:.3g}")
    for divisor, name in ((1e9, " billion"), (1e6, " million")):
        if abs(rounded) >= divisor:
            return f"{rounded / divisor:,.6g}{name}"
    return (
        f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"
    )


def percent(share: float) -> str:
    """A share as a percentage with no more digits than it is read with."""
    if 0 < abs(share) < 0.00005:
        return "< 0.01 %"
    steps = (0.0995, 0.000995)
    digits = 0 if share == 0 else sum(abs(share) < step for step in steps)
    return f"{share * 100:.{digits}f} %"


def size(count: float) -> str:
    """A number of bytes: 512 B, 4.1 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def duration(seconds: float) -> str:
    """A length of time: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def counted(count: int, noun: str) -> str:
    """A count and what is counted: 1 table, 14 tables."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
