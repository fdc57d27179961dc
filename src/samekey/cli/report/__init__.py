"""`samekey report`: the signals on one page, for people who would rather look than read."""
