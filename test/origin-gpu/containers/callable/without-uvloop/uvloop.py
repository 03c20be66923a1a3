"""In the place of a package that is not installed."""

raise ModuleNotFoundError("No module named 'uvloop'", name="uvloop")
