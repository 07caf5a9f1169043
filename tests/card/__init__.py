"""Tests of the support card."""
