"""The support card: which parameters a server honours, from a run of ``experiment=card``."""
