"""Loops that perform the core's steps: the only code that waits."""
