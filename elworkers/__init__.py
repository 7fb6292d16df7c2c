# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""EventLogging's back-end as supervised pools of worker processes on Kafka."""

import sys

# Comes before everything else, and in words that old versions of Python understand too.
if sys.version_info < (3, 11):  # noqa: UP036 - pip asks requires-python; a checkout and PYTHONPATH ask nobody
    sys.exit("elworkers needs Python 3.11 or later; this is Python %d.%d" % sys.version_info[:2])  # noqa: UP031

__version__ = "0.1.0"
