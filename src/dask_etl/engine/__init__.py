"""How Dask runs the ETL: partitions through kernels, summaries through scratch files."""
