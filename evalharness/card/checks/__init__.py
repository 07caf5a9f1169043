"""The checks of the support card, each from the answers of its requests to a verdict."""
