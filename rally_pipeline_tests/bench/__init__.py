"""Timings, side by side in one run: what this project does, and what one would use instead. Not part of the tests."""
