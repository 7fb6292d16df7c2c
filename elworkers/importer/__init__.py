# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Imports topics into files by the hour, each message into exactly one of them, as Camus did."""
