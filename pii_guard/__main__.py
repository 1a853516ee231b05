"""`python -m pii_guard` is the command `pii-guard`."""

from pii_guard.cli import main

if __name__ == "__main__":
    main()
