# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Backfills: what raw log files, or a stretch of a topic, hold goes through a processor's stages into a store, once."""
