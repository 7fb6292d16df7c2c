"""Sinks: records in, acknowledged storage out."""
