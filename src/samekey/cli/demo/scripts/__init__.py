"""The order scripts that the demo runs in processes of their own, and what runs them.

They are run by path, so that the plain one has nothing of samekey.
"""
