"""Storage of results: a SQLite journal for new entries, sealed Parquet parts for the rest.

``folder`` holds the run folder with its lock, writer (``RunStore``) and reader (``Run``),
``journal`` makes every attempt durable, ``parts`` seals journal entries into Parquet files and
verifies them, ``remote`` copies run folders to an object store.

There are five kinds of repair: ``journal.repair`` of a damaged SQLite file,
``journal.wal_salvage`` of its write-ahead log, ``journal.crash_recovery`` of attempts without a
result, ``folder.open_for_write`` of the whole folder (it runs the others), and
``parts.retry_errors`` of records that are to be made again.
"""
