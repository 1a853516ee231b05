"""Columns of a live table encrypted where they are, while others read and write it (docs/in-place.md).

`opening.opened` connects to one table, `engine.Engine` does the work by the statements of a `dialect.Dialect`, one file
a database. What is encrypted already is known by opening it with the key of its column, never by its looks; so any
step can be cut off and done again.
"""
