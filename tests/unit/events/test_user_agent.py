# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""User agents, taken apart."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ua_parser import Parser, basic, regex
from ua_parser.loaders import load_builtins

from elworkers.core.errors import InvalidEventError
from elworkers.events import user_agent

RESOLVERS = {"basic": basic.Resolver(load_builtins()), "regex": regex.Resolver(load_builtins())}

FIELDS = {
    "device_family",
    "browser_family",
    "browser_major",
    "browser_minor",
    "os_family",
    "os_major",
    "os_minor",
    "wmf_app_version",
    "is_bot",
    "is_mediawiki",
}


CUBOT = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/88.0.4324.93 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "is_bot", "is_mediawiki"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:74.0) Gecko/20100101 Firefox/74.0", False, False),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", True, False),
        ("MediaWiki/1.28.0-wmf.11", False, True),
        ("my-tool (someone@example.org)", False, False),
        ("my-tool (http://example.org)", True, False),
        ("curl/7.88.1", True, False),
        ("a program like curl/7.88.1", False, False),
        ("okhttp/4.9.0", True, False),
        ("Go-http-client/1.1", True, False),
        ("PHP/7.4", True, False),
        ("SomeBot 1.0", True, False),
        ("BOT 1.0", True, False),
        (CUBOT, False, False),
        ("-", False, False),
    ],
)
def test_bots_and_mediawiki(agent: str, is_bot: bool, is_mediawiki: bool) -> None:
    fields = user_agent.parsed(agent)
    assert (fields["is_bot"], fields["is_mediawiki"]) == (is_bot, is_mediawiki)


@given(st.text(max_size=user_agent.LONGEST))
def test_any_text_gives_the_ten_fields(agent: str) -> None:
    assert set(user_agent.parsed(agent)) == FIELDS


def test_what_is_handed_out_is_nobody_elses() -> None:
    user_agent.parsed("agent")["is_bot"] = "changed"
    assert user_agent.parsed("agent")["is_bot"] is False


def test_a_longer_one_is_no_browsers() -> None:
    user_agent.parsed("x" * user_agent.LONGEST)
    with pytest.raises(InvalidEventError, match="userAgent has 801 characters; expected at most 800"):
        user_agent.parsed("x" * 801)


def test_the_cache_says_how_often_it_hits() -> None:
    hits, misses = user_agent.cache_info()
    # The cache lasts as long as the process.
    new = f"an agent that nobody has asked for: {uuid.uuid4()}"
    for _ in range(10):
        user_agent.parsed(new)
    now_hits, now_misses = user_agent.cache_info()
    assert (now_hits - hits, now_misses - misses) == (9, 1)


def test_agents_of_the_same_fields_share_them() -> None:
    # The second differs in what is no fact; 20,000 agents, each with facts of its own, would hold 20 MiB.
    same = [f"Mozilla/5.0 (X11; Linux x86_64; rv:{minor}.0) Gecko/20100101 Firefox/74.0".encode() for minor in (73, 74)]
    assert user_agent.of_header(same[0]) is user_agent.of_header(same[1])


_AGENTS = st.one_of(
    # Beyond ASCII the one in Python takes the digits of all scripts for versions, and the quick one does not.
    st.text(st.characters(max_codepoint=127), max_size=user_agent.LONGEST),
    # Near to what browsers send: numbers, names and brackets in a browser's order.
    st.builds(
        lambda system, names, versions: f"Mozilla/5.0 ({system}) " + " ".join(map("{}/{}".format, names, versions)),
        st.sampled_from(
            [
                "X11; Linux x86_64",
                "Windows NT 10.0; Win64; x64",
                "iPhone; CPU iPhone OS 17_4 like Mac OS X",
                "Linux; Android 9; CUBOT_X19",
                "Linux; Android 14; SM-S918B Build/UP1A",
                "compatible; MSIE 9.0; Windows Phone OS 7.5",
                "PlayStation 4 11.00",
            ]
        ),
        st.lists(st.sampled_from(["Chrome", "Safari", "Firefox", "Edg", "OPR", "Version", "UCBrowser", "bingbot"])),
        st.lists(st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,4}){0,3}\Z")),
    ),
)


@given(_AGENTS)
def test_the_quick_parser_answers_as_the_one_in_python(agent: str) -> None:
    quick, slow = Parser(RESOLVERS["regex"]).parse(agent), Parser(RESOLVERS["basic"]).parse(agent)
    assert quick == slow
