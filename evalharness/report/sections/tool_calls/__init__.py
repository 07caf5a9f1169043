"""Tool calls against a reference: sentences, tables, the part of the report."""
