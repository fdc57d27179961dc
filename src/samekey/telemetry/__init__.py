"""What samekey tells the outside world about itself. Never a whole key, a scope, a body, a URL."""
