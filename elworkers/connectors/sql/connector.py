# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `mysql:` and `sqlite:` URIs: a table for each schema and revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.options import STATSD_PORT
from elworkers.config.types import boolean, file, integer, seconds, statsd_prefix
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SinkSpec, Worker
from elworkers.core.contracts import Sink
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.sql.login import Login
    from elworkers.connectors.sql.present_rows import Present

_MYSQL_PORT = 3306

_TABLES: Options = {
    "charset": Option(str, "utf8mb4", "accepted without effect; tables and connections are always utf8mb4"),
    "replace": Option(boolean, False, "accepted without effect; events that are stored already are always skipped"),
    "batch_size": Option(integer(1), 3_000, "largest number of events in a batch"),
    "batch_seconds": Option(seconds, 300.0, "age in seconds at which a batch is written"),
    "statsd_host": Option(str, None, "statsd host that gets the number of inserted rows"),
    "statsd_port": Option(integer(1), STATSD_PORT, "UDP port of statsd_host"),
    "statsd_prefix": Option(statsd_prefix, None, "start of the metric names (default: see --statsd-names)"),
}

_MYSQL: Options = {
    **_TABLES,
    "local_infile": Option(boolean, True, "write rows by LOAD DATA LOCAL if the server allows it"),
    "ssl_ca": Option(
        file, None, "file of CA certificates to verify the server with; any ssl_ option makes TLS mandatory"
    ),
    "ssl_cert": Option(file, None, "file of the client certificate"),
    "ssl_key": Option(file, None, "file of the client certificate's key, without a passphrase (default: in ssl_cert)"),
    "ssl_verify": Option(
        boolean, None, "verify the server's certificate and name (default: True with ssl_ca or ssl_cert)"
    ),
    "allow_cleartext": Option(
        boolean, False, "send the password unencrypted, over verified TLS only, if the server asks for it (PAM)"
    ),
    "server_public_key": Option(file, None, "file of the server's public key, to encrypt the password with"),
}


def _check_path(endpoint: Endpoint) -> None:
    if len(endpoint.uri.path) < 2:
        raise ConfigurationError("sqlite URI: no path; expected sqlite:///PATH")


def _check_mysql(endpoint: Endpoint) -> None:
    uri, options = endpoint.uri, endpoint.options
    uri.endpoint(_MYSQL_PORT)
    if len(uri.path) < 2 or "/" in uri.path[1:]:
        raise ConfigurationError("mysql URI: no database; expected mysql://USER:PASSWORD@HOST/DATABASE")
    if options["ssl_key"] is not None and options["ssl_cert"] is None:
        raise ConfigurationError("mysql URI: option ssl_key without a certificate; expected ssl_cert=FILE as well")
    wanted = any(options[name] is not None for name in ("ssl_ca", "ssl_cert", "ssl_verify"))
    if options["allow_cleartext"] and not (wanted and options["ssl_verify"] is not False):
        raise ConfigurationError(
            "mysql URI: allow_cleartext=True without a verified certificate; expected ssl_ca=FILE as well"
        )


def _mysql(endpoint: Endpoint, worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.sql.login import Login

    return _sink(endpoint, worker, Login.of(endpoint.options))


def _sqlite(endpoint: Endpoint, worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.sql.login import DEFAULT_LOGIN

    return _sink(endpoint, worker, DEFAULT_LOGIN)


def _sink(endpoint: Endpoint, worker: Worker, login: Login) -> Sink:
    from elworkers.connectors.sql.rejected_rows import RejectionPolicy
    from elworkers.connectors.sql.sink import SqlSink

    if worker.schema_of is None:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a consumer stores events in a database")
    options = endpoint.options
    return SqlSink(
        endpoint.uri,
        schemas=worker.schema_of,
        statsd=(options["statsd_host"], options["statsd_port"]) if options["statsd_host"] else None,
        statsd_prefix=options["statsd_prefix"] or worker.statsd_prefix,
        metrics=worker.metrics,
        group=worker.group,
        local_infile=options.get("local_infile", False),
        login=login,
        rejection_policy=worker.process_state.setdefault(
            ("sql rejection policy", str(endpoint.uri)), RejectionPolicy(worker.metrics)
        ),
    )


def _present_in_mysql(endpoint: Endpoint) -> Present:
    from elworkers.connectors.sql.login import Login
    from elworkers.connectors.sql.present_rows import Present

    return Present(endpoint.uri, Login.of(endpoint.options))


def _present_in_sqlite(endpoint: Endpoint) -> Present:
    from elworkers.connectors.sql.present_rows import Present

    return Present(endpoint.uri)


CONNECTORS = (
    Connector(
        "mysql",
        sink=SinkSpec(
            _MYSQL, open=_mysql, check=_check_mysql, tables=True, stored_events=_present_in_mysql, narrow_tables=True
        ),
    ),
    Connector(
        "sqlite",
        sink=SinkSpec(_TABLES, open=_sqlite, check=_check_path, tables=True, stored_events=_present_in_sqlite),
    ),
)
