# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds the sources of checked inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from elworkers.connectors.connector import SourceEndpoint, SpoolPaths
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Metrics, Source, Stage
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.spool.listener import Listener
    from elworkers.roles.worker_context import WorkerContext


def open_source(worker: WorkerContext, endpoints: Sequence[SourceEndpoint], offset_store: OffsetStore | None) -> Source:
    """Return the source behind one endpoint, or the merged one behind several; see `PipelineBuilder.source`."""
    if len(endpoints) == 1:
        return _open_one(worker, endpoints[0], offset_store)
    from elworkers.core.merged import MergedSource

    found: list[Source] = []
    try:
        for endpoint in endpoints:
            found.append(_open_one(worker, endpoint, offset_store))
    except Exception:
        for source in found:
            source.close()
        raise
    return MergedSource(found)


def blacklist_stages(inputs: Sequence[SourceEndpoint], metrics: Metrics) -> list[Stage]:
    """Return the stage that leaves out what the inputs' blacklists match, where one has a blacklist."""
    endpoints = [endpoint for endpoint in inputs if endpoint.brokers and endpoint.options.get("blacklist")]
    if not endpoints:
        return []
    from elworkers.stages.blacklist import BlacklistStage

    blacklists = {
        (",".join(sorted(endpoint.brokers)), endpoint.options["topic"]): endpoint.options["blacklist"]
        for endpoint in endpoints
    }
    return [BlacklistStage(blacklists, metrics)]


def _open_one(worker: WorkerContext, endpoint: SourceEndpoint, offset_store: OffsetStore | None) -> Source:
    spec = endpoint.spec
    if spec.listener is not None and worker.spool is not None and worker.sequence is not None:
        spool_paths = SpoolPaths(worker.spool[0], worker.sequence)
        if worker.early_listeners:
            return _open_spooled(worker, worker.early_listeners.pop)
        return _open_spooled(worker, partial(spec.listener, endpoint, worker, spool_paths))
    if spec.open is None:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a forwarder takes events from it")
    return spec.open(endpoint, worker, offset_store)


def _open_spooled(worker: WorkerContext, make: Callable[[], Listener]) -> Source:
    from elworkers.connectors.spool.source import SpooledSource
    from elworkers.connectors.spool.spool import Spool

    assert worker.spool is not None  # noqa: S101 - the caller has checked
    spool = Spool(*worker.spool)
    try:
        return SpooledSource(make(), spool, worker.metrics, worker.draw)
    except Exception:
        spool.close()
        raise
