"""What ``evalharness check`` holds a run to besides plain limits: a baseline, single prompts, tags.

The plain limits are :mod:`evalharness.cli.gates`.
"""
