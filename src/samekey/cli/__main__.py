"""`python -m samekey.cli`."""

from samekey.cli import main

if __name__ == "__main__":
    main()
