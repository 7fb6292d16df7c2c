# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a page does to the browser client."""

from __future__ import annotations

HOSTILE = """() => {
    const circular = {}; circular.a = circular;
    const {logEvent} = eventLogging;
    const values = [
        circular, {n: 10n}, {toJSON() { throw 1; }}, {a: {toJSON() { throw new Error('no'); }}},
        {get a() { throw 1; }}, new Proxy({}, {ownKeys() { throw 1; }}), Symbol('x'), {a: Symbol('x')}, null,
        undefined, 7, 'text', () => 1, {a: '\\ud800'},
        Object.freeze({a: 1}), Object.create(null), new Date(NaN), {a: NaN},
    ];
    return values.map(value => logEvent('Edit', value)).concat(
        ['constructor', '__proto__', undefined, null, {}, Symbol('x')].map(name => logEvent(name, {}))
    );
}"""
"""Values and names that no event can have among some that it can; gives what each was answered."""
