"""``dask-etl adopt``: an environment made for somebody's data."""
