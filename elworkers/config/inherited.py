# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the names that files of the original may have, of all its years, and what becomes of each here.

Tables only, without a name of ours in front of them: what a scheme declares itself is taken first. The page
docs/original.md is rendered from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

READ, PASSED, REJECTED = "read as", "passed over", "rejected"
"""Read as another name; accepted and reported once, because it has no meaning here; an error that says what to do."""


class NameRule(NamedTuple):
    """What becomes of a name.

    Attributes:
        does: `READ`, `PASSED` or `REJECTED`.
        text: the name that it is read as, why it has no meaning, or what was expected instead.
        values: of one that is read, how values that are written differently are written here; of one that is rejected,
            those that have no meaning instead.
    """

    does: str
    text: str
    values: Mapping[str, str] = {}


NameRules = Mapping[str, NameRule]


def _all(names: str, rule: NameRule) -> dict[str, NameRule]:
    return dict.fromkeys(names.split(), rule)


def _read(name: str, values: Mapping[str, str] | None = None) -> NameRule:
    return NameRule(READ, name, values or {})


_NAMED = NameRule(PASSED, "clients are named after their instance")
_ASKED = NameRule(PASSED, "a broker is asked what it can do")
_CONNECTION = NameRule(PASSED, "connections have waits and buffers of their own")
_MEASURED = NameRule(PASSED, "counters and reporters measure instead")
_TRIED = NameRule(PASSED, "a write is tried again until it is acknowledged or refused")
_TOGETHER = NameRule(PASSED, "messages go together as they come; --batch-size and --linger say how many")
_BOUNDED = NameRule(PASSED, "--batch-size and the loop's own waits bound a batch")
_BEFORE = NameRule(PASSED, "the brokers before the ? are asked")
_OBJECT = NameRule(REJECTED, "nothing: its value is a Python object, which a URI cannot hold")
_KERBEROS = NameRule(
    REJECTED, "sasl_mechanism=SCRAM-SHA-512 or another; GSSAPI (Kerberos) is not in the packages of confluent-kafka"
)
_CHECKED = NameRule(
    REJECTED,
    "this option left out: names of brokers are always checked; ssl_ca names the CA",
    dict.fromkeys(("True", "true"), "they always are"),
)
_PLAIN_TLS = "rdkafka.ssl.cipher.suites and rdkafka.ssl.crl.location"

KAFKA_SECURITY: NameRules = {
    **_all("sasl_mechanisms", _read("sasl_mechanism")),
    **_all("sasl_plain_username", _read("sasl_username")),
    **_all("sasl_plain_password", _read("sasl_password")),
    **_all("ssl_cafile ssl_ca_location", _read("ssl_ca")),
    **_all("ssl_certfile ssl_certificate_location", _read("ssl_certificate")),
    **_all("ssl_keyfile ssl_key_location", _read("ssl_key")),
    **_all("ssl_password", _read("ssl_key_password")),
    "sasl_oauthbearer_token_endpoint_url": _read("oidc_token_endpoint"),
    "sasl_oauthbearer_client_id": _read("oidc_client_id"),
    "sasl_oauthbearer_client_secret": _read("oidc_client_secret"),
    "sasl_oauthbearer_scope": _read("oidc_scope"),
    "https_ca_location": _read("oidc_ca"),
    "sasl_oauthbearer_method": NameRule(
        REJECTED, "this option left out: tokens come from oidc_token_endpoint", {"oidc": "tokens always come so"}
    ),
    **_all("sasl_oauth_token_provider", NameRule(REJECTED, "sasl_mechanism=OAUTHBEARER with oidc_token_endpoint")),
    **_all(
        "sasl_kerberos_domain_name sasl_kerberos_keytab sasl_kerberos_principal sasl_kerberos_service_name", _KERBEROS
    ),
    **_all("ssl_check_hostname enable_ssl_certificate_verification", _CHECKED),
    **_all("ssl_cipher_suites ssl_ciphers ssl_crl_location ssl_crlfile", NameRule(REJECTED, _PLAIN_TLS)),
    **_all("ssl_context", _OBJECT),
}
"""Names that Kafka's clients have for what TLS and logins need."""

_KAFKA: NameRules = {
    "topic_metadata_refresh_interval_ms": _read("metadata_max_age_ms"),
    **_all("bootstrap_servers metadata_broker_list", _BEFORE),
    **_all("client_id", _NAMED),
    **_all(
        "api_version api_version_auto_timeout_ms api_version_request api_version_request_timeout_ms"
        " api_version_fallback_ms broker_version_fallback",
        _ASKED,
    ),
    **_all(
        "connections_max_idle_ms message_copy_max_bytes receive_buffer_bytes receive_message_max_bytes"
        " reconnect_backoff_jitter_ms reconnect_backoff_max_ms reconnect_backoff_ms request_timeout_ms"
        " send_buffer_bytes sock_chunk_buffer_count sock_chunk_bytes socket_blocking_max_ms socket_keepalive_enable"
        " socket_max_fails socket_options socket_receive_buffer_bytes socket_send_buffer_bytes socket_timeout_ms"
        " metadata_request_timeout_ms max_in_flight_requests_per_connection max_in_flight",
        _CONNECTION,
    ),
    **_all(
        "debug log_connection_close log_level log_queue metrics_num_samples metrics_sample_window_ms"
        " statistics_interval_ms",
        _MEASURED,
    ),
    **_all("metric_group_prefix metric_reporters selector", _OBJECT),
    **KAFKA_SECURITY,
}

_KAFKA_INPUT: NameRules = {
    **_KAFKA,
    "group_id": _read("identity"),
    "enable_auto_commit": _read("auto_commit_enable"),
    "max_partition_fetch_bytes": _read("fetch_message_max_bytes"),
    "max_poll_interval_ms": _BOUNDED,
    "fetch_max_wait_ms": _read("fetch_wait_max_ms"),
    **_all(
        "buffer_size consumer_timeout fetch_max_bytes fetch_size_bytes iter_timeout max_buffer_size max_poll_records"
        " num_procs partitions_per_proc poll_timeout queued_max_messages_kbytes queued_min_messages",
        _BOUNDED,
    ),
    **_all(
        "auto_commit auto_commit_every_n auto_commit_every_t enable_auto_offset_store offset_store_method",
        NameRule(PASSED, "positions are committed when everything before them is written"),
    ),
    **_all("retry_backoff_ms", _CONNECTION),
    "check_crcs": NameRule(PASSED, "checksums are always looked at"),
    **_all(
        "enable_partition_eof exclude_internal_topics skip_double_compressed_messages",
        NameRule(PASSED, "it would change nothing of what is read"),
    ),
    "partition_assignment_strategy": NameRule(PASSED, "membership_protocol= says how partitions are shared out"),
    **_all("default_offset_commit_callback key_deserializer value_deserializer", _OBJECT),
}

_KAFKA_OUTPUT: NameRules = {
    **_KAFKA,
    "async_mode": _read("async"),
    # There is no write here that nobody acknowledges.
    **_all("acks req_acks request_required_acks", _read("required_acks", {"0": "1"})),
    **_all("ack_timeout", _read("ack_timeout_ms")),
    **_all("compression_type compression_codec", _read("compression", {"None": "none"})),
    "codec": _read("compression", {"0": "none", "1": "gzip", "2": "snappy", "None": "none"}),
    "message_max_bytes": _read("max_request_size"),
    "identity": _NAMED,
    **_all(
        "async_retry_backoff_ms async_retry_limit async_retry_on_timeouts max_block_ms message_send_max_retries"
        " message_timeout_ms retries retry_backoff_ms sync_fail_on_error sync_timeout",
        _TRIED,
    ),
    **_all(
        "async_log_messages_on_error async_queue_maxsize async_queue_put_timeout async_stop_timeout batch_num_messages"
        " batch_send batch_send_every_n batch_send_every_t batch_size buffer_memory linger_ms"
        " queue_buffering_max_kbytes queue_buffering_max_messages queue_buffering_max_ms random_start",
        _TOGETHER,
    ),
    **_all("topics", NameRule(REJECTED, "topic=NAME: an output has one, which may have {schema} in it")),
    **_all("key_serializer partitioner value_serializer", _OBJECT),
}

_SQL_OUTPUT: NameRules = {
    "batch_time": _read("batch_seconds"),
    "queue_size": NameRule(PASSED, "what is not stored yet waits in Kafka"),
    **_all("compress connect_timeout read_timeout use_unicode write_timeout", _CONNECTION),
    **_all(
        "init_command read_default_file read_default_group sql_mode unix_socket",
        NameRule(REJECTED, "mysql://USER:PASSWORD@HOST:PORT/DATABASE without it"),
    ),
}

_GROUPLESS = _all("identity socket_id subscribe", NameRule(PASSED, "only an input of Kafka has a group"))
_LINES_INPUT: NameRules = {**_GROUPLESS, **_all("encoding errors", NameRule(PASSED, "bytes are handed on as they are"))}

INPUTS: Mapping[str, NameRules] = {
    "kafka": _KAFKA_INPUT,
    "stdin": _LINES_INPUT,
    "udp": _LINES_INPUT,
    "file": _LINES_INPUT,
}
OUTPUTS: Mapping[str, NameRules] = {
    "kafka": _KAFKA_OUTPUT,
    "mysql": _SQL_OUTPUT,
    "sqlite": _SQL_OUTPUT,
    "file": _all("identity", _NAMED),
    "stdout": _all("identity", _NAMED),
    "udp": _all("identity", _NAMED),
}
"""By scheme, the parameters of readers and of writers. A dot in a name (librdkafka's) is a `_` here."""

_ZEROMQ = "tcp ipc inproc pgm epgm"
_ZEROMQ_OUTPUT = NameRule(
    REJECTED, "kafka:///HOST:PORT?topic=NAME, from which readers take what they took from ZeroMQ, or udp://HOST:PORT"
)
_ZEROMQ_INPUT = NameRule(
    REJECTED, "kafka:///HOST:PORT?topic=NAME&identity=GROUP with a topic that has what ZeroMQ had, or udp://HOST:PORT"
)
INPUT_SCHEMES: NameRules = {
    "kafka-python": _read("kafka"),
    "confluent-kafka": _read("kafka-confluent"),
    **_all(_ZEROMQ, _ZEROMQ_INPUT),
}
OUTPUT_SCHEMES: NameRules = {
    "kafka-python": _read("kafka"),
    "confluent-kafka": _read("kafka-confluent"),
    **_all(_ZEROMQ, _ZEROMQ_OUTPUT),
    **_all(
        "mongodb mongo",
        NameRule(REJECTED, "mysql://USER:PASSWORD@HOST/DATABASE or file:///PATH; MongoDB is not written"),
    ),
    "statsd": NameRule(REJECTED, "an instance in reporters/ with --host HOST and --port PORT, which counts by schema"),
}

PYKAFKA, CONFLUENT = "pykafka", "confluent"
"""Kafka clients, as URIs and `EVENTLOGGING_KAFKA_DRIVER` name them."""

KAFKA_SCHEMES: Mapping[str, str] = {
    "kafka": "",
    "kafka-python": "",
    "kafka-confluent": CONFLUENT,
    "confluent-kafka": CONFLUENT,
    "kafka-pykafka": PYKAFKA,
}
"""Schemes of Kafka, and the client that each names; empty: whichever can do what the URI asks for."""

FLAGS: NameRules = {
    "--schemas-path": _read("--schemas"),
    "--no-plugins": NameRule(
        PASSED, "no plug-in folder is executed; function= names MODULE:NAME, or an entry point of elworkers.functions"
    ),
    "--etcd-uri": NameRule(
        REJECTED, "nothing: members of a consumer group (--sid GROUP) find each other through Kafka"
    ),
}
"""Options of the original's programs."""


def port_alone(text: str, *, is_only: bool) -> str | None:
    """Return what to write instead of a port without a scheme, as ZeroMQ had it; None if it is not one.

    Args:
        text: a positional argument.
        is_only: it is the only one of a forwarder.
    """
    match = re.fullmatch(r"(?:[A-Za-z0-9_.*-]+:)?([0-9]{1,5})", text)
    if match is None:
        return None
    if is_only:
        expected = (
            f"udp://0.0.0.0:{match[1]} and, on a line of its own, an output such as kafka:///HOST:PORT?topic=NAME"
        )
        return f"{text}: a port alone was a forwarder from UDP to ZeroMQ, which is not supported; expected {expected}"
    return f"{text}: a port alone was ZeroMQ's, which is not supported; expected a URI such as kafka:// or udp://"
