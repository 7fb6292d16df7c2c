"""Development stack: names of parts in, running servers out."""
