"""The text of an input or output URI comes in; its scheme's typed options, checked as far as text can be, go out.

Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from elworkers.errors import ConfigurationError
from elworkers.kinds import (
    boolean,
    file,
    folder,
    group,
    mode,
    networks,
    not_in_text,
    offset_reset,
    only,
    pattern,
    seconds,
    statsd_prefix,
    unix_group,
    whole,
    words,
    zookeeper,
)
from elworkers.sockets import Address
from elworkers.uris import Endpoint, Option, Options, Uri, one_of_schemes, parse, split_host, typed

KAFKA_PORT = 9092
STATSD_PORT = 8125
EVENTS_PORT = 8421
WEBHDFS_PORT = 9870
HTTP_PORT = 8080
VARNISH_QUERY = (
    r'ReqURL ~ "^/(beacon/)?event(\.gif)?\?" and (ReqMethod eq "GET" or ReqMethod eq "POST") and RespStatus < 400'
)
"""varnishkafka's query for events, without preflights and what Varnish has refused."""

_RAW = Option(boolean, False, "move lines as they are, unparsed")
_PARTITIONS = Option(whole(1), None, "partitions of a topic that has to be created (default: the broker's)")
_REPLICATION = Option(whole(1), None, "replicas of a topic that has to be created (default: the broker's)")
_METADATA_AGE = Option(whole(1), 60_000, "how soon partitions that were added are noticed")
_TOPIC = Option(str, None, "topic; for an output a format string over the event")

READ_UNCOMMITTED = "read_uncommitted"
_TRANSACTIONS = Option(
    words("refuse", READ_UNCOMMITTED),
    "refuse",
    "read_uncommitted: read partitions with transactions, aborted and open messages too",
)

KAFKA_SOURCE: Options = {
    "topic": _TOPIC,
    "raw": _RAW,
    "identity": Option(group, None, "consumer group"),
    "consumer_group": Option(group, None, "consumer group (pykafka's name for identity)"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "metadata_max_age_ms": _METADATA_AGE,
    "transactions": _TRANSACTIONS,
    "session_timeout_ms": Option(whole(1), 30_000, "the group gives this consumer's partitions away after this"),
    "zookeeper_connect": Option(
        zookeeper, None, "ZooKeeper servers that manage the group, instead of Kafka: HOST:PORT,…[/CHROOT]"
    ),
    "zookeeper_hosts": Option(zookeeper, None, "the same by its newer name"),
    "zookeeper_make_chroot": Option(boolean, True, "False: a chroot (HOST:PORT/PATH) that is missing is an error"),
    "zookeeper_connection_timeout_ms": Option(whole(0), 6_000, "longest wait for ZooKeeper"),
    "auto_commit_enable": Option(boolean, False, "commit at least every auto_commit_interval_ms, never unflushed"),
    "auto_commit_interval_ms": Option(whole(1), 60_000, "bounds a batch's age where auto_commit_enable is True"),
    "auto_offset_reset": Option(offset_reset, None, "where a group without offsets starts (default: earliest)"),
    "fetch_message_max_bytes": Option(
        whole(1), 1024 * 1024, "bytes of one partition in a fetch, unless one message is larger"
    ),
    "num_consumer_fetchers": Option(whole(1), 1, "fetch threads"),
    "queued_max_messages": Option(whole(1), 2_000, "messages held per partition ahead of use"),
    "fetch_min_bytes": Option(whole(1), 1, "bytes the broker waits for"),
    "fetch_error_backoff_ms": Option(whole(1), 500, "wait after a failed fetch (librdkafka only)"),
    "fetch_wait_max_ms": Option(whole(0), 500, "longest wait of the broker for fetch_min_bytes"),
    "offsets_channel_backoff_ms": Option(whole(1), 1_000, "wait before offsets are asked for again"),
    "offsets_commit_max_retries": Option(whole(0), 5, "tries of a commit"),
    "consumer_timeout_ms": Option(whole(-1), -1, "accepted; the loop has its own, finite waits"),
    "rebalance_max_retries": Option(whole(0), 5, "tries of a rebalance"),
    "rebalance_backoff_ms": Option(whole(1), 2_000, "wait between two tries of a rebalance"),
    "reset_offset_on_start": Option(boolean, False, "start at auto_offset_reset whatever was committed"),
    "reset_offset_on_fetch": Option(boolean, True, "accepted; offsets are always taken over when fetched"),
    "use_rdkafka": Option(boolean, False, "fetch with librdkafka (ZooKeeper groups, where the extension is built)"),
    "compacted_topic": Option(boolean, True, "offsets may have holes"),
    "heartbeat_interval_ms": Option(whole(1), 3_000, "time between heartbeats of a group managed by Kafka"),
    "membership_protocol": Option(words("range", "roundrobin"), "range", "how partitions are shared out"),
    "auto_start": Option(only(True, "a consumer that is not started reads nothing"), True, "accepted"),
    "zookeeper": Option(not_in_text, None, "no text"),
    "post_rebalance_callback": Option(not_in_text, None, "no text"),
    "deserializer": Option(not_in_text, None, "no text"),
}

KAFKA_TOPICS: Options = {
    "topics": Option(pattern, "eventlogging_.+", "the whole name of a topic that is imported"),
    "blacklist": Option(pattern, None, "the whole name of one that is not"),
    "fetch_message_max_bytes": Option(whole(1_000), 1024 * 1024, "bytes of one partition in one answer"),
    "transactions": _TRANSACTIONS,
}

KAFKA_SINK: Options = {
    "topic": _TOPIC,
    "raw": _RAW,
    "key": Option(str, None, "message key, a format string over the event"),
    "blacklist": Option(pattern, None, "events whose schema matches are left out"),
    "async": Option(boolean, True, "False: wait for the acknowledgement of each message"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "compression": Option(words("none", "gzip", "snappy"), "none", "compression of message sets"),
    "required_acks": Option(words("1", "-1", "all"), "-1", "acknowledgement by the leader (1) or all replicas (-1)"),
    "ack_timeout_ms": Option(whole(1), 10_000, "longest wait of the broker for its replicas"),
    "metadata_max_age_ms": _METADATA_AGE,
    "max_request_size": Option(whole(1_000), 900_000, "bytes of one partition in one produce request"),
}

_FILE_SOURCE: Options = {
    "raw": _RAW,
    "follow": Option(boolean, False, "go on at the end of the file, and after it was rotated"),
    "max_line_bytes": Option(whole(1), 4 * 1024 * 1024, "what is longer is cut"),
}
_SQL: Options = {
    "charset": Option(str, "utf8mb4", "accepted; tables and connections are always utf8mb4"),
    "replace": Option(boolean, False, "pass over events that are stored already"),
    "batch_size": Option(whole(1), 3_000, "events in a batch"),
    "batch_seconds": Option(seconds, 300.0, "age of a batch"),
    "statsd_host": Option(str, None, "where the number of inserted rows is sent"),
    "statsd_port": Option(whole(1), STATSD_PORT, "its UDP port"),
    "statsd_prefix": Option(statsd_prefix, None, "what its names begin with (default: as --statsd-names says)"),
}

_HOST = Option(str, None, "what becomes recvFrom (default: the name of this host)")
_CLIENT_ADDRESS = Option(boolean, False, "write the client's address into the line; else it has a -")
DOORS: dict[str, Options] = {
    "http": {
        "host": _HOST,
        "client_address": _CLIENT_ADDRESS,
        "trusted_proxies": Option(
            networks, None, "proxies whose X-Forwarded-For or Forwarded is believed, as 127.0.0.1,10.0.0.0/8"
        ),
        "files": Option(folder, None, "a folder whose files are served beside eventlogging.js"),
        "max_url_bytes": Option(whole(100), 16_000, "bytes of a request line"),
        "max_body_bytes": Option(whole(100), 256 * 1024, "bytes of a POST; in its line an event may be thrice as long"),
        "max_events": Option(whole(1), 1_000, "events in a POST"),
        "max_connections": Option(whole(1), 1_000, "connections at a time; then the longest waiting one is closed"),
        "timeout_seconds": Option(seconds, 30.0, "for a body, and between two requests of a connection"),
    },
    "varnish": {
        "host": _HOST,
        "client_address": _CLIENT_ADDRESS,
        "query": Option(str, VARNISH_QUERY, "which requests are events (vsl-query(7))"),
        "program": Option(str, "varnishncsa", "path or name of varnishncsa"),
        "max_line_bytes": Option(whole(1_000), 64 * 1024, "what is longer is passed over"),
    },
}
"""Inputs that only a forwarder has."""

SOURCES: dict[str, Options] = {
    **DOORS,
    "kafka": KAFKA_SOURCE,
    "udp": {
        "raw": _RAW,
        "receive_buffer": Option(whole(1), 4 * 1024 * 1024, "bytes asked for as the socket's receive buffer"),
    },
    "stdin": {"raw": _RAW, "max_line_bytes": _FILE_SOURCE["max_line_bytes"]},
    "file": _FILE_SOURCE,
}
_RIGHTS: Options = {
    "mode": Option(mode, None, "of a file that is made, as 0644 (default: 0640, less what the umask forbids)"),
    "group": Option(unix_group, None, "of a file that is made"),
}
SINKS: dict[str, Options] = {
    "kafka": KAFKA_SINK,
    "udp": {"raw": _RAW},
    "stdout": {"raw": _RAW},
    "file": {"raw": _RAW, "fsync": Option(boolean, False, "let the disk confirm each batch"), **_RIGHTS},
    "mysql": {
        **_SQL,
        "local_infile": Option(boolean, True, "store rows with LOAD DATA LOCAL where the server allows it"),
        "ssl_ca": Option(
            file, None, "certificates that the server's is checked with; with any ssl option TLS is a must"
        ),
        "ssl_cert": Option(file, None, "certificate that is shown to the server"),
        "ssl_key": Option(file, None, "its key, where ssl_cert does not hold it; without a password"),
        "ssl_verify": Option(
            boolean, None, "whether the server's certificate and name are checked (default: they are)"
        ),
        "allow_cleartext": Option(
            boolean, False, "let a server that was checked have the password in clear, as for PAM"
        ),
        "server_public_key": Option(file, None, "the server's own key, that the password may be encrypted with"),
    },
    "sqlite": _SQL,
}

TABLES = ("mysql", "sqlite")
"""Outputs that store events in tables."""

_WEBHDFS: Options = {
    "user": Option(str, None, "who WebHDFS is told that asks; may stand before an @ as well"),
    "kerberos": Option(boolean, None, "log in by Kerberos (needs the package requests-kerberos)"),
    "use_https": Option(boolean, None, "WebHDFS over HTTPS"),
    "token": Option(str, None, "delegation token"),
}
STORES: dict[str, Options] = {"file": _RIGHTS, "hdfs": _WEBHDFS, "webhdfs": _WEBHDFS}


def check_topics(text: str) -> Endpoint:
    """The brokers and topics of an importer, with typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    endpoint = typed(uri, one_of_schemes(uri, {"kafka": KAFKA_TOPICS}, "input of an importer"))
    _check_brokers(endpoint)
    return endpoint


def check_store(text: str) -> Endpoint:
    """The base folder of an importer, with typed options; those of other schemes than `STORES` go to fsspec as text.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    if uri.scheme not in STORES:
        from fsspec import available_protocols

        one_of_schemes(uri, {name: {} for name in (*STORES, *available_protocols())}, "folder")
        return Endpoint(uri, dict(uri.query))
    endpoint = typed(uri, STORES[uri.scheme])
    if len(uri.path) < 2 or not (uri.hosts or uri.scheme == "file"):
        expected = "file:///PATH" if uri.scheme == "file" else f"{uri.scheme}://NAMENODE:9870/PATH"
        raise ConfigurationError(f"{uri.scheme} URI: no {'host' if len(uri.path) > 1 else 'path'}; expected {expected}")
    if uri.hosts:
        uri.endpoint(WEBHDFS_PORT)
    return endpoint


def check_source(text: str) -> Endpoint:
    """An input URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    endpoint = typed(uri, one_of_schemes(uri, SOURCES, "input"))
    _check_place(endpoint)
    if uri.scheme == "kafka":
        named = {endpoint.options["identity"], endpoint.options["consumer_group"]} - {None}
        if len(named) > 1:
            raise ConfigurationError(f"kafka URI: identity and consumer_group name different groups: {sorted(named)}")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", endpoint.options["topic"]):
            raise ConfigurationError(
                f"kafka URI: option topic={endpoint.options['topic']!r}; expected the name of one topic"
            )
    return endpoint


def listens_on(endpoint: Endpoint) -> Address | None:
    """What an input of `check_source` listens on, where it does."""
    if endpoint.uri.scheme == "udp":
        return Address("udp", *endpoint.uri.endpoint(EVENTS_PORT), endpoint.options["receive_buffer"])
    return Address("http", *endpoint.uri.endpoint(HTTP_PORT)) if endpoint.uri.scheme == "http" else None


def check_sink(text: str) -> Endpoint:
    """An output URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    endpoint = typed(uri, one_of_schemes(uri, SINKS, "output"))
    _check_place(endpoint)
    if uri.scheme == "mysql":
        _check_login(endpoint.options)
    return endpoint


def _check_login(options: Mapping[str, Any]) -> None:
    if options["ssl_key"] is not None and options["ssl_cert"] is None:
        raise ConfigurationError("mysql URI: option ssl_key without a certificate; expected ssl_cert=FILE as well")
    wanted = any(options[name] is not None for name in ("ssl_ca", "ssl_cert", "ssl_verify"))
    if options["allow_cleartext"] and not (wanted and options["ssl_verify"] is not False):
        raise ConfigurationError(
            "mysql URI: allow_cleartext=True without a checked certificate; expected ssl_ca=FILE as well"
        )


def _check_place(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    if uri.scheme == "kafka":
        _check_brokers(endpoint)
        if not endpoint.options["topic"]:
            raise ConfigurationError("kafka URI: option topic is missing; expected topic=NAME")
    elif uri.scheme == "udp":
        uri.endpoint(EVENTS_PORT)
    elif uri.scheme == "http":
        uri.endpoint(HTTP_PORT)
        if len(uri.path) < 2:
            raise ConfigurationError("http URI: no path; expected http://HOST:PORT/beacon/event")
        if uri.path in ("/healthz", "/eventlogging.js"):
            raise ConfigurationError(f"http URI: path {uri.path} has another use; expected one as /beacon/event")
    elif uri.scheme == "varnish" and (uri.hosts or not uri.path.startswith("/")):
        expected = "expected varnish:///NAME or varnish:////FOLDER (varnishd's -n)"
        raise ConfigurationError(f"varnish URI: {'a host' if uri.hosts else 'no name behind ///'}; {expected}")
    elif uri.scheme in ("file", "sqlite") and len(uri.path) < 2:
        raise ConfigurationError(f"{uri.scheme} URI: no path; expected {uri.scheme}:///PATH")
    elif uri.scheme == "mysql":
        uri.endpoint(3306)
        if len(uri.path) < 2 or "/" in uri.path[1:]:
            raise ConfigurationError("mysql URI: no database; expected mysql://USER:PASSWORD@HOST/DATABASE")


def _check_brokers(endpoint: Endpoint) -> None:
    if not endpoint.uri.hosts:
        raise ConfigurationError("kafka URI: no broker; expected kafka:///HOST:PORT,…?…")
    for host in endpoint.uri.hosts:
        split_host(host, KAFKA_PORT, "kafka URI")


def brokers(uri: Uri) -> list[str]:
    """Kafka's brokers, each `host:port`."""
    return ["{}:{}".format(*split_host(host, KAFKA_PORT, "kafka URI")) for host in uri.hosts]


def consumer_group(endpoint: Endpoint, sid: str | None) -> str | None:
    """The one consumer group that `--sid` and the URI's `identity=` name, if any.

    Raises:
        ConfigurationError: they name different groups.
    """
    named = endpoint.options.get("identity") or endpoint.options.get("consumer_group")
    if named and sid and named != sid:
        raise ConfigurationError(f"--sid {sid} and identity={named} name different consumer groups; expected one")
    chosen: str | None = sid or named
    return chosen
