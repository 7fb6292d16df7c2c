"""Control: instance files in, supervised programs out."""
