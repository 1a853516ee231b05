"""Where data keys live and who may open them (docs/FORMAT.md, Key directory)."""
