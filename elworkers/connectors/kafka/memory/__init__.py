# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Replaces Kafka by a broker in the memory of one process, with groups and a clock of its own.

For tests. It keeps the promises of `driver`, as the contract suite shows, and nothing of it waits for real time.
"""
