"""Sealed Parquet parts: writing, reading, verifying."""
