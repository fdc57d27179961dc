"""`samekey review --web`: the review desk as a page of this machine. Needs the extra `ui`."""
