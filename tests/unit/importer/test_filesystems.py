# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Drivers of fsspec's that cannot be had as the URI wants them."""

from __future__ import annotations

import pytest

from elworkers.config.endpoints import check_store
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.importer.filesystems import FileSystems


# What fsspec has not finished making complains as it goes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_options_that_a_driver_cannot_work_with_are_the_configurations() -> None:
    with pytest.raises(ConfigurationError, match=r"ftp URI: .*'host'"):
        FileSystems(check_store("ftp:///log?username=u"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_driver_that_finds_nobody_is_an_outage() -> None:
    with pytest.raises(RetryableError, match=r"ftp URI: .*refused"):
        FileSystems(check_store("ftp:///log?host=127.0.0.1"))
