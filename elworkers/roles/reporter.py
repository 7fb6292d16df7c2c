"""Reporter: the instances' topics and groups come in; counts and lag go to statsd."""

from __future__ import annotations

from elworkers.arguments import Arguments, Option, RoleSpec
from elworkers.roles.common import COMMON, single_worker
from elworkers.schemes import STATSD_PORT, seconds, whole

SPEC = RoleSpec(
    "reporter",
    "Reads from the instance files which topics and groups there are, and sends their counts and lag to statsd.",
    (),
    (
        Option("--host", "statsd's host", default="127.0.0.1"),
        Option("--port", "statsd's UDP port", whole(1), default=STATSD_PORT),
        Option("--interval", "seconds between two reports", seconds, default=10.0),
        Option("--prefix", "what every name begins with", default="eventlogging"),
        Option("--config-dir", "where the instance files are (default: EVENTLOGGING_CONFIG_DIR)"),
        *COMMON,
    ),
)


def check(arguments: Arguments) -> None:
    """Refuse what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would report everything several times.
    """
    single_worker("a reporter", "two would count everything twice", arguments["workers"])
