"""The SQLite journal, which holds entries that are in no Parquet part yet, and its repair."""
