"""Run folders in an object store: addresses, uploads, synchronisation."""
