"""Queries over the Parquet parts of runs: the only package that imports DuckDB."""
