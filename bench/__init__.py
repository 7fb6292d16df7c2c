"""Measurements as ratios: what is compared runs in turns, in one process tree, on the same servers."""
