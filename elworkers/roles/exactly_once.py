# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks instances whose outputs have `exactly_once=True`, and names the transactions of their workers.

One output that has it is enough: everything that the instance writes is in one transaction with its offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from elworkers.config.argument_files import Argument, Environment
from elworkers.config.arguments import Arguments
from elworkers.config.endpoints import consumer_group
from elworkers.config.kafka_clients import CONNECTION, check, named
from elworkers.config.options import READ_UNCOMMITTED
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.core.errors import ConfigurationError
from elworkers.roles.worker_names import worker_name

ROLES = ("processor", "multiplexer", "forwarder")
"""Those that write to topics."""

LONGEST_TRANSACTION_S = 10.0
"""Age at which a batch is committed: readers wait for it, and Kafka aborts a transaction of a minute."""

_OPTION = "kafka URI: option exactly_once=True"
_OF_PRODUCER = (
    "compression",
    "max_request_size",
    "partitions",
    "replication",
    "ack_timeout_ms",
    "metadata_max_age_ms",
)


def is_exactly_once(arguments: Arguments) -> bool:
    """Return whether an output has the option."""
    return any(endpoint.options.get("exactly_once") for _, endpoint in _outputs(arguments))


def check_exactly_once(arguments: Arguments, env: Environment) -> None:
    """Check that all of an instance can be in one transaction, where an output has the option.

    Args:
        arguments: of any role.
        env: may name the Kafka client.

    Raises:
        ConfigurationError: something cannot; with its file and line.
    """
    outputs = list(_outputs(arguments))
    chosen = [(argument, endpoint) for argument, endpoint in outputs if endpoint.options.get("exactly_once")]
    if not chosen:
        return
    argument, first = chosen[0]
    if arguments.role not in ROLES:
        raise argument.error(f"{_OPTION}: a {arguments.role} does not have it; only a {', '.join(ROLES)} has")
    for source in arguments.endpoints["input"]:
        _check_input(argument, first, source)
        _check_client(argument, source, env)
    for location, endpoint in outputs:
        _check_output(location, first, endpoint)
        _check_client(location, endpoint, env)


def _outputs(arguments: Arguments) -> Iterator[tuple[Argument, SinkEndpoint]]:
    for name in ("output", "output_invalid"):
        yield from zip(arguments.places.get(name, ()), arguments.endpoints.get(name, ()), strict=True)


def _check_client(location: Argument, endpoint: SinkEndpoint | SourceEndpoint, env: Environment) -> None:
    try:
        check(named(endpoint.uri.client, env), {"exactly_once": True})
    except ConfigurationError as error:
        raise error.at(location.file, location.line) from None


def _check_input(chosen: Argument, first: SinkEndpoint, source: SourceEndpoint) -> None:
    if not (source.spec.shared and source.brokers):
        raise chosen.error(
            f"{_OPTION}: the input {source} has no consumer group whose offsets could be committed with the output; "
            "expected a kafka:// input, or the output without it"
        )
    if not set(source.brokers) & set(first.brokers):
        raise chosen.error(
            f"{_OPTION}: the input {source} is of another Kafka cluster, which cannot be in the same transaction; "
            "expected the brokers of the output"
        )
    if source.options["transactions"] == READ_UNCOMMITTED:
        raise chosen.error(
            f"{_OPTION}: the input {source} is read with transactions={READ_UNCOMMITTED}, also what is taken back "
            "later; expected it without"
        )


def _check_output(location: Argument, first: SinkEndpoint, sink: SinkEndpoint) -> None:
    if "exactly_once" not in sink.options:
        raise location.error(
            f"{_OPTION}: {sink} cannot be in a transaction of Kafka, where all outputs of an instance have to be; "
            "expected a kafka:// output here, or none with the option"
        )
    if not set(sink.brokers) & set(first.brokers):
        raise location.error(
            f"{_OPTION}: {sink} is of another Kafka cluster, which cannot be in the same transaction; "
            "expected the same brokers for all outputs"
        )
    if sink.options["required_acks"] == "1":
        raise location.error(f"{_OPTION}: required_acks=1; transactions need the acknowledgement of all replicas (-1)")
    for name in (*_OF_PRODUCER, *CONNECTION):
        if sink.options[name] != first.options[name]:
            raise location.error(
                f"{_OPTION}: {sink} has not the {name} of {first}; expected the same for all outputs of an instance, "
                "because one producer writes them"
            )


def transactional_id(arguments: Arguments, instance: str, worker: int, run_dir: Path | None) -> str | None:
    """Return what Kafka knows a worker's transactions by; None where no output has the option.

    The same after each start, so that a worker ends what its predecessor has left open; of no other worker, not even
    of one with the same names on another host or of another run folder. Begins with `elworkers-` and the groups.
    """
    if not is_exactly_once(arguments):
        return None
    groups = ",".join(sorted({consumer_group(one, arguments["sid"]) or "" for one in arguments.endpoints["input"]}))
    return f"elworkers-{groups}-{worker_name(arguments.role, instance, worker, run_dir)}"
