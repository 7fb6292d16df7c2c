# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Consumer: valid events (or, with raw=True, raw lines) come in and are stored in a database or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elworkers.arguments import Arguments, Positional, RoleSpec
from elworkers.contracts import Ledger, Stage
from elworkers.registry import TABLES
from elworkers.roles.common import COMMON, EVENT_TIMEOUT, SCHEMAS, SID, STATSD_NAMES, STORED_BATCH, single_worker
from elworkers.roles.functions import apart, of_inputs
from elworkers.roles.inputs import left_out
from elworkers.schemes import check_sink, check_source
from elworkers.uris import parse

if TYPE_CHECKING:
    from elworkers.roles.wiring import Wiring
    from elworkers.runtime.pipeline import Pipeline

SPEC = RoleSpec(
    "consumer",
    "Reads INPUT and stores it in OUTPUT.",
    (
        Positional("input", "source", "where events come from"),
        Positional("output", "sink", "where they are stored: mysql://, sqlite://, file://, stdout: and others"),
    ),
    (SID, SCHEMAS, *STORED_BATCH, EVENT_TIMEOUT, STATSD_NAMES, *COMMON),
)


def check(arguments: Arguments) -> None:
    """Refuse what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would read the same input each for itself.
    """
    if parse(arguments["input"]).scheme != "kafka":
        single_worker("this input", "each worker would read it alone", arguments["workers"])


def build(arguments: Arguments, wiring: Wiring) -> Pipeline:
    """The pipeline of one worker; see `Wiring` for what it raises."""
    from elworkers.runtime.pipeline import Pipeline

    text, output = arguments["input"], arguments["output"]
    stages: list[Stage] = []
    if check_source(text).options["raw"]:
        outputs = apart([wiring.raw_output(output)], wiring, [text], [output])
    else:
        from elworkers.stages.decode import DecodeStage

        stages.append(DecodeStage(wiring.counts))
        if check_sink(output).uri.scheme in TABLES:
            wiring = wiring.storing(arguments["schemas"], text, arguments["statsd_names"])
        outputs = [wiring.output(output, lambda record: record.valid)]
        errors = wiring.error_sink([text])
        if errors is not None:
            outputs.append(wiring.to(errors, lambda record: not record.valid))
    stages += [*left_out([text], wiring.counts), *of_inputs([text], wiring)]
    sink = outputs[0].sink
    source = wiring.source(text, ledger=sink if isinstance(sink, Ledger) else None)
    return wiring.with_refusals(Pipeline(source, stages, outputs, wiring.batch([text], [output])), [text])
