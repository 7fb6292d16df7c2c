# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures and starts Varnish, where it is installed, with etc/varnish/eventlogging.vcl."""

from __future__ import annotations

import http.client
import os
import shutil
from pathlib import Path

from elworkers.core.resources import resource_path
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache
from elworkers.devstack.part import HOST, Part, Ports

_BODIES_GO_TO = '.port = "8080"'


def program() -> str | None:
    """Return the path of `varnishd`, which needs root to be installed, and is therefore not fetched; None: not here."""
    return shutil.which("varnishd", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")


class Varnish(Part):
    """A Varnish that answers beacons; bodies of POST requests go to `http://127.0.0.1:<beacon>/beacon/event`.

    Its `-n` is the part's folder in the stack's.
    """

    name = "varnish"
    ports = ("varnish", "beacon")

    def prepare(self, home: Path, ports: Ports, _cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        found = program()
        if found is None:
            raise DevstackError("varnish: there is no varnishd; install Varnish (as root: apt-get install varnish)")
        text = resource_path("etc/varnish/eventlogging.vcl").read_text(encoding="utf-8")
        vcl = home / "eventlogging.vcl"
        vcl.write_text(text.replace(_BODIES_GO_TO, f'.port = "{ports["beacon"]}"'), encoding="utf-8")
        # Without a jail: it wants users of its own, and this one serves nobody but the developer.
        options = ["-F", "-j", "none", "-n", str(home), "-s", "malloc,64m", "-p", "vsl_reclen=16372b"]
        return [found, *options, "-a", f"{HOST}:{ports['varnish']}", "-f", str(vcl)]

    def answers(self, ports: Ports) -> bool:
        """Return whether it answers a request that is no event with 404."""
        connection = http.client.HTTPConnection(HOST, ports["varnish"], timeout=2)
        try:
            connection.request("HEAD", "/")
            return connection.getresponse().status == 404
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def env(self, ports: Ports) -> dict[str, str]:
        """Return `VARNISH`: host and port."""
        return {"VARNISH": f"{HOST}:{ports['varnish']}"}
