"""Backfills: what raw log files, or a stretch of a topic, hold goes through a processor's stages into a store, once."""
