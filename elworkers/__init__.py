"""EventLogging's back-end as supervised pools of worker processes on Kafka."""

__version__ = "0.1.0"
