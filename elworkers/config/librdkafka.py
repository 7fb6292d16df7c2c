# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the settings of librdkafka that may stand in a URI as `rdkafka.NAME=VALUE`, and why others may not.

The names are those of librdkafka 2.16; its CONFIGURATION.md says what each does. `tests/unit/config/test_librdkafka.py`
asks the installed library whether it knows them.
"""

from __future__ import annotations

from collections.abc import Mapping

from elworkers.config.hints import nearest

PREFIX = "rdkafka"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _all(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(_names(names), why)


def _instead(pairs: str) -> dict[str, str]:
    return {name: f"the option {option} says it" for name, _, option in (pair.partition("=") for pair in pairs.split())}


PASSED_ON = _names(
    "api.version.fallback.ms api.version.request api.version.request.timeout.ms batch.num.messages batch.size"
    " broker.address.family broker.address.ttl broker.version.fallback check.crcs client.dns.lookup compression.level"
    " connections.max.idle.ms coordinator.query.interval.ms enable.metrics.push enable.random.seed"
    " enable.sparse.connections fetch.max.bytes fetch.queue.backoff.ms linger.ms max.in.flight"
    " max.in.flight.requests.per.connection max.poll.interval.ms message.copy.max.bytes"
    " metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy"
    " queue.buffering.backpressure.threshold queue.buffering.max.kbytes queue.buffering.max.messages"
    " queue.buffering.max.ms queued.max.messages.kbytes queued.min.messages queuing.strategy receive.message.max.bytes"
    " reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms retry.backoff.max.ms retry.backoff.ms"
    " sasl.oauthbearer.extensions socket.blocking.max.ms socket.connection.setup.timeout.ms socket.keepalive.enable"
    " socket.max.fails socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms"
    " ssl.cipher.suites ssl.crl.location ssl.curves.list ssl.sigalgs.list sticky.partitioning.linger.ms"
    " topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms"
    " topic.metadata.refresh.sparse transaction.timeout.ms"
)
"""Settings that change how fast, how much at once and over which connections, but not what is written."""

OURS: Mapping[str, str] = {
    **_all(
        "enable.auto.commit auto.commit.enable auto.commit.interval.ms enable.auto.offset.store offset.store.method"
        " offset.store.path offset.store.sync.interval.ms share.acknowledgement.mode",
        "positions are committed when everything before them is written",
    ),
    **_all("enable.partition.eof", "it tells the program that transactions have ended"),
    **_all("isolation.level", "only committed messages are read; the option transactions says it"),
    **_all("topic.blacklist", "topics that the URI names have to be seen"),
    **_all("transactional.id", "it is made of group, host, instance and worker"),
    **_all(
        "enable.idempotence enable.gapless.guarantee message.send.max.retries retries message.timeout.ms"
        " delivery.timeout.ms delivery.report.only.error produce.offset.report",
        "a message is tried again until it is acknowledged or refused, and never written twice",
    ),
    **_all("partitioner msg_order_cmp", "a key lands in the same partition whichever client writes it"),
    **_all("allow.auto.create.topics", "topics are made with the partitions that the instance files say"),
    **_all(
        "group.protocol group.protocol.type group.remote.assignor partition.assignment.strategy",
        "it goes by what the brokers can do",
    ),
    **_all(
        "group.instance.id",
        "all workers of an instance would have the same; the option static_membership gives each its own",
    ),
    **_all("metadata.broker.list bootstrap.servers", "the brokers stand before the ?"),
    **_all("client.id client.software.name client.software.version", "clients are named after their instance"),
    **_all(
        "debug log_level log.queue log.thread.name log.connection.close",
        "librdkafka's log is the program's own, and could hold credentials",
    ),
    **_all("statistics.interval.ms", "statistics are asked for by the program"),
    **_all(
        "error_cb throttle_cb stats_cb log_cb logger background_event_cb socket_cb connect_cb closesocket_cb open_cb"
        " resolve_cb rebalance_cb offset_commit_cb consume_cb dr_cb dr_msg_cb on_commit on_delivery opaque"
        " default_topic_conf interceptors oauthbearer_token_refresh_cb oauth_cb ssl.certificate.verify_cb"
        " partitioner_cb ssl_engine_callback_data enabled_events enable_sasl_queue"
        " consume.callback.max.messages",
        "its value is no text, or means something only for code",
    ),
    **_all(
        "plugin.library.paths ssl.engine.id ssl.engine.location ssl.providers",
        "it would load other people's code into the workers",
    ),
    **_all(
        "builtin.features internal.termination.signal test.mock.num.brokers test.mock.broker.rtt",
        "it is for librdkafka's own tests and builds",
    ),
    **_all(
        "enable.ssl.certificate.verification ssl.endpoint.identification.algorithm",
        "a broker that is not who it says would be given the credentials; ssl_ca names the CA to trust",
    ),
    **_all(
        "sasl.kerberos.service.name sasl.kerberos.principal sasl.kerberos.kinit.cmd sasl.kerberos.keytab"
        " sasl.kerberos.min.time.before.relogin sasl.jaas.config",
        "GSSAPI (Kerberos) is not in the packages of confluent-kafka",
    ),
    **_all(
        "ssl.ca.pem ssl.certificate.pem ssl.key.pem https.ca.pem ssl.keystore.location ssl.keystore.password"
        " ssl.truststore.location ssl.ca.certificate.stores",
        "certificates and keys stand in files in PEM; ssl_ca, ssl_certificate and ssl_key are the options",
    ),
    **_all(
        "enable.sasl.oauthbearer.unsecure.jwt sasl.oauthbearer.config sasl.oauthbearer.method"
        " sasl.oauthbearer.grant.type sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.sub.claim.name"
        " sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.file"
        " sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file"
        " sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem"
        " sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds"
        " sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include"
        " sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub",
        "tokens come from oidc_token_endpoint, for oidc_client_id and its secret",
    ),
    **_instead(
        """
        group.id=identity auto.offset.reset=auto_offset_reset session.timeout.ms=session_timeout_ms
        heartbeat.interval.ms=heartbeat_interval_ms fetch.min.bytes=fetch_min_bytes fetch.wait.max.ms=fetch_wait_max_ms
        fetch.message.max.bytes=fetch_message_max_bytes max.partition.fetch.bytes=fetch_message_max_bytes
        fetch.error.backoff.ms=fetch_error_backoff_ms max.poll.records=queued_max_messages
        topic.metadata.refresh.interval.ms=metadata_max_age_ms metadata.max.age.ms=metadata_max_age_ms
        metadata.request.timeout.ms=metadata_max_age_ms compression.codec=compression compression.type=compression
        request.required.acks=required_acks acks=required_acks request.timeout.ms=ack_timeout_ms
        message.max.bytes=max_request_size client.rack=client_rack security.protocol=security_protocol
        sasl.mechanism=sasl_mechanism sasl.mechanisms=sasl_mechanism sasl.username=sasl_username
        sasl.password=sasl_password ssl.ca.location=ssl_ca ssl.certificate.location=ssl_certificate
        ssl.key.location=ssl_key ssl.key.password=ssl_key_password https.ca.location=oidc_ca
        sasl.oauthbearer.client.id=oidc_client_id sasl.oauthbearer.client.credentials.client.id=oidc_client_id
        sasl.oauthbearer.client.secret=oidc_client_secret sasl.oauthbearer.scope=oidc_scope
        sasl.oauthbearer.client.credentials.client.secret=oidc_client_secret
        sasl.oauthbearer.token.endpoint.url=oidc_token_endpoint
        """
    ),
}
"""Settings that the program makes itself, and why, or the option that has them."""


def setting(name: str, text: str) -> str:
    """Return the text of a setting that a URI may have; librdkafka itself says later whether it is a value.

    Raises:
        ValueError: what was expected instead.
    """
    if name in OURS:
        raise ValueError(f"nothing: {OURS[name]}")
    if name not in PASSED_ON:
        near = nearest(name, [*PASSED_ON, *OURS])
        hint = f"; did you mean {PREFIX}.{near}?" if near else ""
        raise ValueError(f"the name of a setting of librdkafka behind {PREFIX}.{hint}")
    if not text or "\0" in text:
        raise ValueError("a value")
    return text
