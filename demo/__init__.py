"""The demo: raw lines in, the whole topology on real servers, and a table that adds up out."""
