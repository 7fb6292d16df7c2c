# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A Kafka in the memory of one process: a broker with groups and a clock of its own, and a driver for it.

For tests. It keeps the promises of `driver`, as the contract suite shows, and nothing of it waits for real time.
"""
