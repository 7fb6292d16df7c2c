"""Runtime: a pipeline in, a worker that stays alive out; knows no event field."""
