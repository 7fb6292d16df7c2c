"""Roles: arguments in, a wired pipeline out; one module a role."""
