# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

# Varnish as the door for events of browsers: it answers, and a forwarder with the input varnish:///NAME reads its log.
#
# Varnish keeps 255 bytes of a URL in its log unless told otherwise; start varnishd with -p vsl_reclen=16372b, so that no
# event is cut off.

vcl 4.1;

# Who takes the bodies of POST requests, which Varnish's log does not hold: a forwarder with the input
# http://127.0.0.1:8080/beacon/event. Without one such requests get 503, and all others are answered all the same.
backend bodies {
    .host = "127.0.0.1";
    .port = "8080";
}

sub vcl_recv {
    if (req.url !~ "^/(beacon/)?event(\.gif)?(\?|$)") {
        return (synth(404, "no such page"));
    }
    if (req.method == "OPTIONS") {
        return (synth(204, "preflight"));
    }
    if (req.method != "GET" && req.method != "HEAD" && req.method != "POST") {
        return (synth(405, "expected GET, HEAD, POST or OPTIONS"));
    }
    if (req.url ~ "^.{16000}") {
        return (synth(414, "a URL of 16000 bytes or more"));
    }
    if (req.method == "POST" && (req.http.Content-Length !~ "^0*$" || req.http.Transfer-Encoding)) {
        if (req.url ~ "\?") {
            return (synth(400, "an event in the URL and a body; expected one of the two"));
        }
        set req.url = "/beacon/event";
        return (pass);
    }
    if (req.url !~ "\?.") {
        return (synth(400, "no event; expected /beacon/event?PERCENT-ENCODED-JSON"));
    }
    return (synth(204, "taken"));
}

sub vcl_synth {
    set resp.http.Cache-Control = "no-store";
    set resp.http.Content-Type = "text/plain; charset=utf-8";
    if (req.http.Origin) {
        # Nothing is ever in a reply that a page may not see; a beacon that carries cookies fails without these.
        set resp.http.Access-Control-Allow-Origin = req.http.Origin;
        set resp.http.Access-Control-Allow-Credentials = "true";
        set resp.http.Vary = "Origin";
    } else {
        set resp.http.Access-Control-Allow-Origin = "*";
    }
    if (resp.reason == "preflight") {
        set resp.http.Access-Control-Allow-Methods = "GET, HEAD, POST, OPTIONS";
        set resp.http.Access-Control-Allow-Headers = "Content-Type";
        set resp.http.Access-Control-Max-Age = "86400";
    }
    if (resp.status == 405) {
        set resp.http.Allow = "GET, HEAD, POST, OPTIONS";
    }
    if (resp.status == 204) {
        unset resp.http.Content-Type;
    } else {
        synthetic(resp.reason + {"
"});
    }
    return (deliver);
}
