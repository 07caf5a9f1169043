"""What is recorded but not yet in a Parquet part: the SQLite journal and its repair."""
