"""Functions that `map://` and `filter://` name: those that were in use, and operators' own."""
