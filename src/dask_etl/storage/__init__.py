"""Files: Parquet parts in and out, and the versions of a table that they make up."""
