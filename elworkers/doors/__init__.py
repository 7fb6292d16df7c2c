"""Doors: events that nobody will send again come in; their raw lines go out."""
