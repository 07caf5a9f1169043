"""Marks that people gave single records, as scores of these records."""
