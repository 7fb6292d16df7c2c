# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventlogging-schema`, which maintains the tables of schemas; today `migrate-tables`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from elworkers import __version__
from elworkers.config.argument_files import environment
from elworkers.config.parser_help import parser_settings
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import SinkEndpoint
from elworkers.connectors.registry import check_sink
from elworkers.control.paths import Paths
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, ConfigurationError, RetryableError
from elworkers.core.terminal import printable
from elworkers.roles.instances import read_instances

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_PROGRAM = "eventlogging-schema"
_DATABASE = "mysql://USER:PASSWORD@HOST/DATABASE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all is done; 1 when a database is away or a table could not be altered; `EX_CONFIG` for wrong arguments.
    """
    if argv is None:
        return console.run(_PROGRAM, lambda: main(sys.argv[1:]))
    args = _parser().parse_args(argv)
    try:
        databases = list(_databases(args))
    except ConfigurationError as error:
        _print_error(str(error))
        return EX_CONFIG
    return max([_migrate(database, args.dry_run) for database in databases], default=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        **parser_settings(
            "Maintains the database tables in which events of schemas are stored.",
            f"{_PROGRAM} migrate-tables --dry-run",
        ),
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    about = "widen columns that are too narrow for their schemas, as in tables that the original made before March 2017"
    migrate = verbs.add_parser(
        "migrate-tables",
        help=about,
        **parser_settings(
            f"{about[0].upper()}{about[1:]}.", f"{_PROGRAM} migrate-tables --dry-run mysql://user:password@host/log"
        ),
    )
    migrate.add_argument("--dry-run", action="store_true", help="print the statements without executing them")
    migrate.add_argument(
        "--config-dir",
        metavar="DIR",
        help="folder of the instance files (default: EVENTLOGGING_CONFIG_DIR, or /etc/eventlogging.d)",
    )
    migrate.add_argument(
        "--run-dir",
        metavar="DIR",
        help="folder whose file env sets variables of instance files (default: EVENTLOGGING_RUN_DIR)",
    )
    migrate.add_argument(
        "databases",
        nargs="*",
        metavar="DATABASE",
        help=f"{_DATABASE} (default: the databases of all consumers in the instance files)",
    )
    return parser


def _databases(args: argparse.Namespace) -> Iterator[Endpoint]:
    """Yield each database once, as the command line or the instance files name it."""
    seen = set()
    named = [check_sink(text) for text in args.databases]
    for endpoint in named or _of_instances(Paths.given(args.config_dir, args.run_dir, None)):
        if not endpoint.spec.narrow_tables:
            raise ConfigurationError(f"{endpoint.uri}: expected {_DATABASE}")
        database = (endpoint.uri.endpoint(3306), endpoint.uri.path)
        if database not in seen:
            seen.add(database)
            yield endpoint


def _of_instances(paths: Paths) -> list[SinkEndpoint]:
    configuration = read_instances(paths.config_dir, environment(paths.run_dir))
    for broken in configuration.invalid:
        _print_error(f"skipped: {broken.error}")
    consumers = [instance.arguments for instance in configuration.instances if instance.role == "consumer"]
    outputs: list[SinkEndpoint] = [endpoint for one in consumers for endpoint in one.endpoints["output"]]
    found = [endpoint for endpoint in outputs if endpoint.spec.narrow_tables]
    if not found:
        raise ConfigurationError(f"no consumer in {paths.config_dir} stores rows in mysql://; expected {_DATABASE}")
    return found


def _migrate(endpoint: Endpoint, dry_run: bool) -> int:
    from elworkers.connectors.sql import engine as database
    from elworkers.connectors.sql.db_errors import retryable
    from elworkers.connectors.sql.login import Login
    from elworkers.connectors.sql.narrow_tables import narrow_tables

    label = str(endpoint.uri)
    # An ALTER may copy a table for hours.
    login = Login.of(endpoint.options)
    engine = database.engine(endpoint.uri, local_infile=False, login=login, answer_timeout_s=None)
    try:
        with retryable(label, engine.connect) as connection:
            found = retryable(label, lambda: narrow_tables(connection))
            print(f"-- {printable(label)}: tables that are narrower than their schemas need: {len(found)}")
            failed = 0
            for narrow in found:
                print(f"{printable(narrow.alter)};")
                failed += not (dry_run or _alter(connection, narrow.table, narrow.alter))
    except RetryableError as error:
        _print_error(str(error))
        return 1
    finally:
        engine.dispose()
    return 1 if failed else 0


def _alter(connection: Connection, table: str, statement: str) -> bool:
    from sqlalchemy.exc import DBAPIError

    from elworkers.connectors.sql.db_errors import error_message

    try:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    except DBAPIError as error:
        connection.rollback()
        _print_error(f"table {table}: {error_message(error)}")
        return False
    connection.commit()
    return True


def _print_error(sentence: str) -> None:
    print(f"{_PROGRAM}: {printable(sentence)}", file=sys.stderr)
