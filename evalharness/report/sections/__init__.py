"""The sections of a report, one module each; ``report/registry.py`` orders them."""
