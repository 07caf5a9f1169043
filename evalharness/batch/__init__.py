"""A plan sent through a provider's batch endpoint: files of requests, answered within hours.

:class:`~.runner.BatchedRun` is to batches what :class:`evalharness.runner.Runner` is to single
requests; records and attempts are the same. What is durable when, and how a killed run finds its
batches, is in ``docs/batch.md``.
"""
