# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs real servers for development and tests, without root."""

from elworkers.devstack.stack import Stack

__all__ = ["Stack"]
