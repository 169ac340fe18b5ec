"""Tables in files, whatever they hold: no Dask, no Kedro, no retail."""
