# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Input URIs come in; the sources behind them go out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.endpoints import consumer_group
from elworkers.config.options import EVENTS_PORT
from elworkers.connectors.connector import SourceEndpoint
from elworkers.connectors.registry import check_sources
from elworkers.core.contracts import Metrics, OffsetStore, Source, Stage
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.spool.listener import Listener
    from elworkers.roles.build import PipelineBuilder


def opened(wiring: PipelineBuilder, texts: Sequence[str], ledger: OffsetStore | None) -> Source:
    """The source behind one URI, or the merged one behind several or several topics; see `PipelineBuilder.source`."""
    endpoints = [endpoint for text in texts for endpoint in check_sources(text)]
    if len(endpoints) == 1:
        return _one(wiring, endpoints[0], ledger)
    from elworkers.core.merged import MergedSource

    found: list[Source] = []
    try:
        for endpoint in endpoints:
            found.append(_one(wiring, endpoint, ledger))
    except Exception:
        for source in found:
            source.close()
        raise
    return MergedSource(found)


def left_out(texts: Sequence[str], metrics: Metrics) -> list[Stage]:
    """The stage that leaves out what the inputs' blacklists match, where one has a blacklist."""
    endpoints = [endpoint for text in texts for endpoint in check_sources(text) if endpoint.options.get("blacklist")]
    if not endpoints:
        return []
    from elworkers.stages.leave_out import LeaveOutStage

    blacklists = {
        (",".join(sorted(endpoint.brokers)), endpoint.options["topic"]): endpoint.options["blacklist"]
        for endpoint in endpoints
    }
    return [LeaveOutStage(blacklists, metrics)]


def _one(wiring: PipelineBuilder, endpoint: SourceEndpoint, ledger: OffsetStore | None) -> Source:
    uri, options = endpoint.uri, endpoint.options
    if uri.scheme == "kafka":
        from elworkers.connectors.kafka.source import KafkaSource

        group = consumer_group(endpoint, wiring.sid)
        if group is None:
            raise ConfigurationError("kafka URI: no consumer group; expected identity=NAME in the URI or --sid NAME")
        return KafkaSource(endpoint.brokers, options, group, wiring.metrics, ledger, wiring.plan(endpoint))
    if uri.scheme == "udp":
        return _udp(wiring, endpoint)
    if endpoint.spec.listens_only:
        return _door(wiring, endpoint)
    from elworkers.connectors.file.source import LinesSource

    return LinesSource(
        None if uri.scheme == "stdin" else Path(uri.path),
        follow=options.get("follow", False),
        max_line_bytes=options["max_line_bytes"],
        metrics=wiring.metrics,
    )


def _udp(wiring: PipelineBuilder, endpoint: SourceEndpoint) -> Source:
    from elworkers.connectors.udp.source import UdpSource

    def bound() -> UdpSource:
        return UdpSource(
            *endpoint.uri.endpoint(EVENTS_PORT),
            receive_buffer=endpoint.options["receive_buffer"],
            metrics=wiring.metrics,
            sockets=_inherited(wiring, endpoint),
        )

    if wiring.spool is None:
        return bound()
    from elworkers.connectors.udp.listener import UdpListener

    return _spooled(wiring, lambda: UdpListener(bound()))


def _door(wiring: PipelineBuilder, endpoint: SourceEndpoint) -> Source:
    from elworkers.roles.listeners import door

    if wiring.spool is None or wiring.sequence is None:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a forwarder takes events from it")
    sequence, (spool, _) = wiring.sequence, wiring.spool
    if wiring.early:
        return _spooled(wiring, wiring.early.pop)
    return _spooled(wiring, lambda: door(endpoint, sequence, spool, _inherited(wiring, endpoint)))


def _inherited(wiring: PipelineBuilder, endpoint: SourceEndpoint) -> list[socket.socket]:
    address = endpoint.spec.address(endpoint)
    return wiring.listening.inherited(address) if address is not None else []


def _spooled(wiring: PipelineBuilder, make: Callable[[], Listener]) -> Source:
    from elworkers.connectors.spool.source import SpooledSource
    from elworkers.connectors.spool.spool import Spool

    assert wiring.spool is not None  # noqa: S101 - whoever calls has looked
    spool = Spool(*wiring.spool)
    try:
        return SpooledSource(make(), spool, wiring.metrics, wiring.draw)
    except Exception:
        spool.close()
        raise
