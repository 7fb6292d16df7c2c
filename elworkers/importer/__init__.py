# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Camus's job: topics come in, files in folders by the hour go out, each message in exactly one of them."""
