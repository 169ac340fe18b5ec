"""What of Dask and Kedro is used and not public, as there is no public way to it.

A test each (``tests/test_compat.py``) fails when a release changes it. Two modules, as
the engine does not know Kedro.
"""
