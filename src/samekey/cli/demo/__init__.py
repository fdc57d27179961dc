"""`samekey demo`: the same orders over the same faults, by four scripts that are killed on the way."""
