"""Render: what was found, as text for people and machines. One module a subject, one function a format.

`scan` for a scan report, `check` for the result of a check, `find` for the hits in a text; `escape` keeps hostile names
harmless in each format. Nothing here prints.
"""
