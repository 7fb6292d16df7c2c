"""Development stack: names of parts in, running servers out."""

from elworkers.devstack.stack import Stack

__all__ = ["Stack"]
