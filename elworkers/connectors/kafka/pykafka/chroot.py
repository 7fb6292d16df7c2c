# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Creates the chroot of a group in ZooKeeper where it is missing."""

from __future__ import annotations

import structlog
from kazoo.client import KazooClient

from elworkers.core.errors import ConfigurationError

log = structlog.get_logger(__name__)


def create_chroot(servers: str, timeout_s: float, create: bool) -> None:
    """Make the chroot of `HOST:PORT,…/CHROOT` where it is missing; nothing is asked where there is none.

    Args:
        servers: as kazoo takes them.
        timeout_s: the longest wait for a server.
        create: False: a missing one is an error.

    Raises:
        ConfigurationError: it is missing, and not to be made.
        KazooException, KazooTimeoutError: ZooKeeper does not answer, or does not let this client make it.
    """
    hosts, _, chroot = servers.partition("/")
    chroot = f"/{chroot.strip('/')}"
    if chroot == "/":
        return
    # Inside of a chroot that is not there kazoo can make nothing.
    zookeeper = KazooClient(hosts, timeout=timeout_s)
    try:
        zookeeper.start(timeout_s)
        if zookeeper.exists(chroot):
            return
        if not create:
            raise ConfigurationError(
                f"kafka URI: option zookeeper_connect: there is no {chroot} in ZooKeeper; expected one that is there,"
                " as zookeeper_make_chroot=False says"
            )
        zookeeper.ensure_path(chroot)
        log.info("made a chroot in ZooKeeper", code="zookeeper_chroot_created", path=chroot)
    finally:
        zookeeper.stop()
        zookeeper.close()
