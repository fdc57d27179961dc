"""Decisions without I/O: no clock, no randomness, no network, no threads; `now`, ids and jitter come in as arguments."""
