# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Backfills: brings raw log files, or a time range of a topic, through a processor's stages into a store, once."""
