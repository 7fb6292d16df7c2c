"""Sources: a URI in, batches of records out."""
