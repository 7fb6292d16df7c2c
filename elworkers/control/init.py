# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventlogging-init`, which writes supervisord's configuration from the instance files."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from elworkers import __version__, roles
from elworkers.config import topic_plan
from elworkers.config.argument_files import environment
from elworkers.config.parser_help import parser_settings
from elworkers.control.command_line import add_folders, add_lock_wait
from elworkers.control.control_errors import SupervisorError
from elworkers.control.lock import exclusive
from elworkers.control.paths import Paths
from elworkers.control.renew import RENEWED
from elworkers.control.supervisor import EXPECTED_CODES
from elworkers.core import console
from elworkers.core.errors import EX_CONFIG, ConfigurationError
from elworkers.core.permissions import DATA_FOLDER, narrow_umask, of_run_folder
from elworkers.core.resources import resource_path
from elworkers.core.terminal import printable
from elworkers.roles.instances import Instance, InstanceFiles, read_instances
from elworkers.roles.validate import endpoints

_STOP_GRACE_S = 10
_RENEWED_STOP_S = 600
_START_S = 2
_RETRIES = 2**31 - 1
_FDS_A_PROGRAM, _FDS_AT_LEAST = 8, 1024


def main(argv: list[str] | None = None) -> int:
    """Run `eventlogging-init`.

    Returns:
        0; `EX_CONFIG` when an instance file is invalid (the programs of all others are written all the same), or a
        folder cannot be read or written; `EX_TEMPFAIL` when another command is at work.
    """
    if argv is None:
        return console.run("eventlogging-init", lambda: main(sys.argv[1:]))
    args = _parser().parse_args(argv)
    paths = Paths.given(args.config_dir, args.run_dir, args.command_dir)
    try:
        with exclusive(paths, args.lock_wait, "eventlogging-init"):
            configuration = provision(paths)
    except (ConfigurationError, SupervisorError, OSError) as error:
        print(f"eventlogging-init: {printable(str(error))}", file=sys.stderr)
        return error.code if isinstance(error, SupervisorError) else EX_CONFIG
    print_invalid("eventlogging-init", configuration)
    for note in configuration.notes:
        print(f"eventlogging-init: note: {printable(note)}", file=sys.stderr)
    print(f"{len(configuration.instances)} instances in {paths.programs}")
    return EX_CONFIG if configuration.invalid else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eventlogging-init",
        **parser_settings(
            "Checks the instance files and writes supervisord's configuration from them, without starting anything.",
            "eventlogging-init --config-dir ./eventlogging.d --run-dir ./run",
        ),
    )
    parser.add_argument("--version", action="version", version=__version__)
    add_folders(parser)
    add_lock_wait(parser)
    return parser


def print_invalid(program: str, configuration: InstanceFiles) -> None:
    """Print each invalid instance with its file and line, and other warnings about files, on stderr."""
    for warning in (*configuration.unknown_folders, *configuration.warnings):
        print(f"{program}: warning: {printable(warning)}", file=sys.stderr)
    for broken in configuration.invalid:
        print(f"{program}: {printable(str(broken.error))}", file=sys.stderr)


def provision(paths: Paths) -> InstanceFiles:
    """Write the programs of all instances and supervisord's configuration, and remove programs without an instance.

    The program of an instance whose file has become invalid stays: a typing error must not stop what runs.

    Raises:
        ConfigurationError: the configuration folder cannot be read, or supervisord cannot take a folder's name.
        OSError: the run folder cannot be written.
    """
    for folder in (paths.config_dir, paths.run_dir):
        if '"' in str(folder):
            raise ConfigurationError(
                'supervisord cannot take a folder with a " in its name; choose another', str(folder)
            )
    configuration = read_instances(paths.config_dir, environment(paths.run_dir))
    rights, umask = of_run_folder(os.environ), narrow_umask()
    for folder in (paths.run_dir, paths.programs, paths.run_dir / "log", paths.run_dir / "state"):
        folder.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
        rights.of_folder(folder)
    for instance in configuration.instances:
        _write(paths.programs / f"{instance.program}.conf", _program(instance, paths))
    _write(
        paths.run_dir / topic_plan.FILE,
        topic_plan.text([*_wanted(configuration), *_settings_of_invalid(paths, configuration)]),
    )
    wanted = {instance.program for instance in configuration.instances}
    wanted |= {broken.title.replace("/", "-") for broken in configuration.invalid}
    for path in paths.programs.glob("*.conf"):
        if path.stem not in wanted:
            path.unlink()
    count = len(list(paths.programs.glob("*.conf")))
    _write(paths.supervisord_conf, _supervisord(paths, count, umask if rights.umask is None else rights.umask))
    return configuration


def _wanted(configuration: InstanceFiles) -> Iterator[topic_plan.WantedSettings]:
    for instance in configuration.instances:
        for endpoint in endpoints(instance.arguments):
            if endpoint.brokers:
                options = endpoint.options
                partitions = options["partitions"] or instance.arguments["partitions"]
                yield topic_plan.WantedSettings(
                    tuple(endpoint.brokers), options["topic"], partitions, options["replication"], instance.title
                )


def _settings_of_invalid(paths: Paths, configuration: InstanceFiles) -> list[topic_plan.WantedSettings]:
    """Return the earlier settings of files that are invalid now, and whose instances may still run."""
    broken = {one.title for one in configuration.invalid}
    return [one for one in topic_plan.read(paths.run_dir / topic_plan.FILE) if one.where in broken]


def _program(instance: Instance, paths: Paths) -> str:
    argv = [str(paths.command_dir / f"eventlogging-{instance.role}"), f"@{instance.path}"]
    # What is renewed in place says itself what it has read; its program is to stay as it is when its file changes.
    renewed = instance.role in RENEWED
    digest = {} if renewed else {"ELWORKERS_INSTANCE_SHA256": instance.sha256}
    variables = {
        **digest,
        "EVENTLOGGING_CONFIG_DIR": str(paths.config_dir),
        "EVENTLOGGING_RUN_DIR": str(paths.run_dir),
    }
    stop_s = max(int(instance.arguments["stop_timeout"]) + _STOP_GRACE_S, _RENEWED_STOP_S if renewed else 0)
    settings = {
        "command": _escaped(" ".join(map(shlex.quote, argv))),
        "environment": _escaped(",".join(f'{name}="{value}"' for name, value in variables.items())),
        "directory": _escaped(str(paths.run_dir)),
        "priority": 100 * (1 + roles.ROLES.index(instance.role)),
        "autostart": "true",
        # An exit in its first seconds is tried again for ever, with waits that grow by a second each time. A
        # configuration error (78), and the end of an input (0, or 65 where something of it was refused), come later
        # than that on purpose, and are not tried again; see __main__.
        "startsecs": _START_S,
        "startretries": _RETRIES,
        "autorestart": "unexpected",
        "exitcodes": ",".join(map(str, EXPECTED_CODES)),
        "stopsignal": "TERM",
        "stopwaitsecs": stop_s,
        "stopasgroup": "true",
        "killasgroup": "true",
        "stdout_logfile": _escaped(str(paths.log(instance.program))),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": 5,
        "redirect_stderr": "true",
    }
    lines = [f"; {instance.path}", f"[program:{instance.program}]", *(f"{k}={v}" for k, v in settings.items())]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    # supervisord expands %(…)s in every value; a bare % makes it refuse the whole file.
    return text.replace("%", "%%")


def _supervisord(paths: Paths, programs: int, umask: int) -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = max(_FDS_AT_LEAST, 256 + _FDS_A_PROGRAM * programs)
    minfds = wanted if hard == resource.RLIM_INFINITY or os.getuid() == 0 else min(wanted, hard)
    text = resource_path("supervisor.d/supervisord.conf").read_text(encoding="utf-8")
    values = {
        "run_dir": paths.run_dir,
        "socket": paths.socket_for_supervisord,
        "minfds": minfds,
        "umask": f"{umask:03o}",
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", _escaped(str(value)))
    return text


def _write(path: Path, text: str) -> None:
    # Bytes of a folder's name that the locale knows no sign for stay what they are.
    data = text.encode("utf-8", "surrogateescape")
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.replace(path)


if __name__ == "__main__":
    sys.exit(main())
