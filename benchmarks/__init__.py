"""The engines against each other and against their peers: time, memory, equality.

Beside the product, not in it: this package uses ``dask_etl``, which knows nothing of
it. ``python -m benchmarks`` runs it all; ``contenders/`` are the peers, scripts that
import neither.
"""
