"""The Dask client that there is, if any."""

import sys
from typing import Any


def current_client() -> Any:
    """Return the current Dask client; None where there is none."""
    # Who has one has imported this, which takes its time.
    if "distributed" not in sys.modules:
        return None
    from distributed.worker import get_client

    try:
        return get_client()
    except ValueError:
        return None
