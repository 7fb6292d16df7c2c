# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`mysql:` and `sqlite:` URIs: a table for each schema and revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.config.options import STATSD_PORT
from elworkers.config.types import boolean, file, seconds, statsd_prefix, whole
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector, SinkSpec, Worker
from elworkers.core.contracts import Sink
from elworkers.core.errors import ConfigurationError

if TYPE_CHECKING:
    from elworkers.connectors.sql.login import Login
    from elworkers.connectors.sql.present_rows import Present

_MYSQL_PORT = 3306

_TABLES: Options = {
    "charset": Option(str, "utf8mb4", "accepted; tables and connections are always utf8mb4"),
    "replace": Option(boolean, False, "pass over events that are stored already"),
    "batch_size": Option(whole(1), 3_000, "events in a batch"),
    "batch_seconds": Option(seconds, 300.0, "age of a batch"),
    "statsd_host": Option(str, None, "where the number of inserted rows is sent"),
    "statsd_port": Option(whole(1), STATSD_PORT, "its UDP port"),
    "statsd_prefix": Option(statsd_prefix, None, "what its names begin with (default: as --statsd-names says)"),
}

_MYSQL: Options = {
    **_TABLES,
    "local_infile": Option(boolean, True, "store rows with LOAD DATA LOCAL where the server allows it"),
    "ssl_ca": Option(file, None, "certificates that the server's is checked with; with any ssl option TLS is a must"),
    "ssl_cert": Option(file, None, "certificate that is shown to the server"),
    "ssl_key": Option(file, None, "its key, where ssl_cert does not hold it; without a password"),
    "ssl_verify": Option(boolean, None, "whether the server's certificate and name are checked (default: they are)"),
    "allow_cleartext": Option(boolean, False, "let a server that was checked have the password in clear, as for PAM"),
    "server_public_key": Option(file, None, "the server's own key, that the password may be encrypted with"),
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
            "mysql URI: allow_cleartext=True without a checked certificate; expected ssl_ca=FILE as well"
        )


def _mysql(endpoint: Endpoint, worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.sql.login import Login

    return _sink(endpoint, worker, Login.of(endpoint.options))


def _sqlite(endpoint: Endpoint, worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.sql.login import NOT_SAID

    return _sink(endpoint, worker, NOT_SAID)


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
        verdicts=worker.of_process.setdefault(("sql verdicts", str(endpoint.uri)), RejectionPolicy(worker.metrics)),
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
            _MYSQL, open=_mysql, check=_check_mysql, tables=True, present=_present_in_mysql, narrow_tables=True
        ),
    ),
    Connector(
        "sqlite",
        sink=SinkSpec(_TABLES, open=_sqlite, check=_check_path, tables=True, present=_present_in_sqlite),
    ),
)
