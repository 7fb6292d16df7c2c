"""Stages: records in, records out: what an event goes through."""
