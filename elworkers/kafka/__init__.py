"""Kafka's edge: broker addresses in, a pykafka cluster that behaves out; the only place that knows pykafka's inside."""

import warnings

# pykafka's import of pkg_resources is why setuptools is pinned; an operator can do nothing about the warning.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
