# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The driver that uses confluent-kafka, which is librdkafka: for brokers of today."""
