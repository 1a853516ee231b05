"""Encryption of whole Arrow columns into tokens (docs/FORMAT.md, Token). Knows no key directory and no policy."""
