"""Marks: what people said of records, and how far scorers and judges agree with them."""
