#!/usr/bin/env python3
"""Wire-level conformance probe for the S2 v1 API: cases P01..P54, each a request and what has to come of it.

  S2_ENDPOINT=host:port python3 s2_public.py [-k SUBSTR] [--slow]

Needs Python 3.10+ and the packages h2 and zstandard from PyPI; everything else is stdlib.
P51 expects the server to run with CORS allowed for every origin (weir: --cors '*').
"""

import base64, http.client, json, os, random, socket, string, struct, sys, threading, time, urllib.parse

EP = os.environ.get("S2_ENDPOINT", "127.0.0.1:8080")

HOST, PORT = EP.rsplit(":", 1)

PORT = int(PORT)

TOKEN = os.environ.get("S2_ACCESS_TOKEN", "test")

CASES = []


def case(cid, title, slow=False):
    def deco(fn):
        CASES.append((cid, title, slow, fn))
        return fn
    return deco


def rnd(n=8):
    return "".join(random.choice(string.ascii_lowercase + string.digits) for _ in range(n))


def quote(s):
    return urllib.parse.quote(s, safe="")


class R:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def j(self):
        return json.loads(self.body)

    def code(self):
        try:
            return self.j.get("code")
        except Exception:
            return None


def req(method, path, basin=None, j=None, raw=None, headers=None, timeout=15):
    h = {"authorization": "Bearer " + TOKEN}
    if basin:
        h["s2-basin"] = basin
    body = None
    if j is not None:
        body = json.dumps(j).encode()
        h["content-type"] = "application/json"
    if raw is not None:
        body = raw
    h.update(headers or {})
    c = http.client.HTTPConnection(HOST, PORT, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=h)
        r = c.getresponse()
        return R(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
    finally:
        c.close()


def eq(a, b, what=""):
    if a != b:
        raise AssertionError(f"{what} expected {b!r}, got {a!r}")


def ok(cond, what=""):
    if not cond:
        raise AssertionError(what or "condition failed")


def err(r, status, code=None):
    eq(r.status, status, "status (body %r)" % r.body[:200])
    if code:
        eq(r.code(), code, "code")


BASIN = None


def basin():
    global BASIN
    if BASIN is None:
        BASIN = mkbasin()
    return BASIN


def mkbasin(config=None):
    b = "wire-" + rnd(10)
    r = req("POST", "/v1/basins", j={"basin": b, "config": config} if config else {"basin": b})
    eq(r.status, 201, "create basin %r" % r.body[:200])
    for _ in range(50):
        if req("GET", "/v1/basins/" + b).status == 200:
            break
        time.sleep(0.1)
    return b


def mkstream(config=None, b=None, name=None):
    s = name or "s-" + rnd(10)
    body = {"stream": s}
    if config:
        body["config"] = config
    r = req("POST", "/v1/streams", b or basin(), j=body)
    eq(r.status, 201, "create stream %r" % r.body[:200])
    return s


def rp(s, q=""):
    return "/v1/streams/%s/records%s" % (quote(s), ("?" + q) if q else "")


def append(s, records, b=None, headers=None, **kw):
    return req("POST", rp(s), b or basin(), j=dict(records=records, **kw), headers=headers)


def bodies(r):
    return [x.get("body", "") for x in r.j["records"]]


# ---------------------------------------------------------------- tiny protobuf
def vi(n):
    out = b""
    while True:
        if n < 0x80:
            return out + bytes([n])
        out += bytes([n & 0x7F | 0x80])
        n >>= 7


def pf(num, val):
    if isinstance(val, int):
        return vi(num << 3) + vi(val)
    if isinstance(val, str):
        val = val.encode()
    return vi(num << 3 | 2) + vi(len(val)) + val


def p_record(body, headers=(), ts=None):
    out = b"" if ts is None else pf(1, ts)
    for n, v in headers:
        out += pf(2, pf(1, n) + pf(2, v))
    return out + pf(3, body)


def p_input(records, match=None, token=None):
    out = b"".join(pf(1, r) for r in records)
    if match is not None:
        out += pf(2, match)
    if token is not None:
        out += pf(3, token)
    return out


def pdec(b):
    out, i = {}, 0
    while i < len(b):
        key, i = rv(b, i)
        num, wt = key >> 3, key & 7
        if wt == 0:
            v, i = rv(b, i)
        elif wt == 2:
            n, i = rv(b, i)
            v, i = b[i:i + n], i + n
        else:
            raise AssertionError("unexpected wire type %d" % wt)
        out.setdefault(num, []).append(v)
    return out


def rv(b, i):
    n = s = 0
    while True:
        c = b[i]
        i += 1
        n |= (c & 0x7F) << s
        s += 7
        if c < 0x80:
            return n, i


def pos(b):
    d = pdec(b)
    return d.get(1, [0])[0], d.get(2, [0])[0]


def ack(b):
    d = pdec(b)
    return pos(d[1][0]), pos(d[2][0]), pos(d[3][0])


def frame(payload, comp=0, terminal=False):
    return (1 + len(payload)).to_bytes(3, "big") + bytes([(0x80 if terminal else 0) | comp << 5]) + payload


# ---------------------------------------------------------------- h2c client (prior knowledge)
class H2:
    def __init__(self):
        import h2.connection, h2.config, h2.settings
        self.ev = __import__("h2.events").events
        self.s = socket.create_connection((HOST, PORT), timeout=10)
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.c.initiate_connection()
        self.c.increment_flow_control_window(2 ** 24)
        self.flush()
        self.st = {}

    def flush(self):
        d = self.c.data_to_send()
        if d:
            self.s.sendall(d)

    def open(self, method, path, headers=None, end=True, b=None):
        sid = self.c.get_next_available_stream_id()
        hs = [(":method", method), (":path", path), (":scheme", "http"), (":authority", EP),
              ("authorization", "Bearer " + TOKEN), ("s2-basin", b or basin())] + list((headers or {}).items())
        self.c.send_headers(sid, hs, end_stream=end)
        self.flush()
        self.st[sid] = {"h": None, "buf": b"", "end": False, "frames": []}
        return sid

    def send(self, sid, data, end=False):
        while data:
            n = min(len(data), self.c.local_flow_control_window(sid), self.c.max_outbound_frame_size)
            if n <= 0:
                self.pump(5)
                continue
            self.c.send_data(sid, data[:n])
            data = data[n:]
            self.flush()
        if end:
            self.c.end_stream(sid)
            self.flush()

    def pump(self, timeout):
        self.s.settimeout(timeout)
        try:
            d = self.s.recv(65536)
        except socket.timeout:
            return False
        if not d:
            for v in self.st.values():
                v["end"] = True
            return False
        for e in self.c.receive_data(d):
            n = type(e).__name__
            st = self.st.get(getattr(e, "stream_id", None))
            if n == "ResponseReceived":
                st["h"] = dict(e.headers)
            elif n == "DataReceived":
                st["buf"] += e.data
                self.c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif n in ("StreamEnded", "StreamReset"):
                if st:
                    st["end"] = True
                    st["reset"] = n == "StreamReset"
        self.flush()
        return True

    def hdr(self, sid, timeout=10):
        t = time.time() + timeout
        while self.st[sid]["h"] is None and time.time() < t and not self.st[sid]["end"]:
            self.pump(max(0.05, t - time.time()))
        ok(self.st[sid]["h"] is not None, "no response headers in time")
        return self.st[sid]["h"]

    def next_frame(self, sid, timeout=10):
        st, t = self.st[sid], time.time() + timeout
        while True:
            b = st["buf"]
            if len(b) >= 4:
                n = int.from_bytes(b[:3], "big")
                if len(b) >= 3 + n:
                    st["buf"] = b[3 + n:]
                    return b[3], b[4:3 + n]
            if st["end"] or time.time() > t:
                return None
            self.pump(max(0.05, min(1, t - time.time())))

    def body(self, sid, timeout=10):
        t = time.time() + timeout
        while not self.st[sid]["end"] and time.time() < t:
            self.pump(max(0.05, t - time.time()))
        return self.st[sid]["buf"]

    def close(self):
        self.s.close()


S2S = {"content-type": "s2s/proto"}


def sse(text):
    """List of event dicts (event, id, data) of a finished SSE body."""
    out = []
    for e in text.replace("\r\n", "\n").strip().split("\n\n"):
        d = {}
        for l in e.split("\n"):
            if l and not l.startswith(":"):
                k, _s, v = l.partition(":")
                d[k] = v[1:] if v.startswith(" ") else v
        if d:
            out.append(d)
    return out


def sess_append(h, s, b=None, headers=None):
    return h.open("POST", rp(s), {**S2S, **(headers or {})}, end=False, b=b)


def sess_read(h, s, q, headers=None, b=None):
    return h.open("GET", rp(s, q), {**S2S, **(headers or {})}, b=b)


def batch(payload):
    d = pdec(payload)
    recs = [pdec(x) for x in d.get(1, [])]
    return recs, (pos(d[2][0]) if 2 in d else None)


def terminal(fr):
    ok(fr is not None, "expected a terminal frame, stream ended")
    ok(fr[0] & 0x80, "expected terminal flag, got flag %#x" % fr[0])
    return int.from_bytes(fr[1][:2], "big"), json.loads(fr[1][2:])


# ================================================================ public cases
@case("P01", "health and ping")
def _():
    for p in ("/health", "/ping"):
        r = req("GET", p)
        eq((r.status, r.body), (200, b"OK"), p)


@case("P02", "create basin 201 + s2-provision-result created + info shape")
def _():
    b = "wire-" + rnd(10)
    r = req("POST", "/v1/basins", j={"basin": b})
    eq(r.status, 201)
    eq(r.headers.get("s2-provision-result"), "created")
    eq(r.j["name"], b)
    ok("created_at" in r.j and r.j.get("deleted_at", "x") is None, "info fields")
    eq(r.j.get("state"), "active")


@case("P03", "basin name rules -> 400 bad_json")
def _():
    for n in ("short", "a" * 49, "Upper-case1", "-lead-hyphen", "trail-hyph-", "under_score1"):
        r = req("POST", "/v1/basins", j={"basin": n})
        ok(r.status in (400, 422), "%s -> %s" % (n, r.status))
        eq(r.code(), "bad_json")


@case("P04", "duplicate basin -> 409 resource_already_exists")
def _():
    b = mkbasin()
    err(req("POST", "/v1/basins", j={"basin": b}), 409, "resource_already_exists")


@case("P05", "request token makes create idempotent (201, noop)")
def _():
    b, t = "wire-" + rnd(10), {"s2-request-token": rnd(16)}
    eq(req("POST", "/v1/basins", j={"basin": b}, headers=t).status, 201)
    r = req("POST", "/v1/basins", j={"basin": b}, headers=t)
    eq((r.status, r.headers.get("s2-provision-result")), (201, "noop"))
    err(req("POST", "/v1/basins", j={"basin": b}, headers={"s2-request-token": "other"}), 409)


@case("P06", "get config of unknown basin -> 404 basin_not_found")
def _():
    err(req("GET", "/v1/basins/none-" + rnd(10)), 404, "basin_not_found")


@case("P07", "basin config defaults")
def _():
    r = req("GET", "/v1/basins/" + mkbasin())
    eq(r.status, 200)
    eq((r.j["create_stream_on_append"], r.j["create_stream_on_read"]), (False, False))
    ok(r.j.get("default_stream_config") is None, "default_stream_config null or absent")


@case("P08", "PUT basin: created 201, noop 200, updated 200")
def _():
    b = "wire-" + rnd(10)
    r = req("PUT", "/v1/basins/" + b)
    eq((r.status, r.headers.get("s2-provision-result")), (201, "created"))
    r = req("PUT", "/v1/basins/" + b, j={})
    eq((r.status, r.headers.get("s2-provision-result")), (200, "noop"))
    r = req("PUT", "/v1/basins/" + b, j={"config": {"create_stream_on_append": True}})
    eq((r.status, r.headers.get("s2-provision-result")), (200, "updated"))


@case("P09", "PATCH basin merges nested default config")
def _():
    b = mkbasin({"default_stream_config": {"storage_class": "standard"}})
    r = req("PATCH", "/v1/basins/" + b, j={"default_stream_config": {"retention_policy": {"infinite": {}}}, "create_stream_on_read": True})
    eq(r.status, 200)
    d = r.j["default_stream_config"]
    eq((d["storage_class"], d["retention_policy"], r.j["create_stream_on_read"]), ("standard", {"infinite": {}}, True))


@case("P10", "list basins: prefix, start_after, limit, has_more")
def _():
    p = "wl" + rnd(6)
    for i in range(5):
        eq(req("POST", "/v1/basins", j={"basin": "%s-%d" % (p, i)}).status, 201)
    r = req("GET", "/v1/basins?prefix=%s&limit=2" % p)
    eq(([x["name"] for x in r.j["basins"]], r.j["has_more"]), ([p + "-0", p + "-1"], True))
    r = req("GET", "/v1/basins?prefix=%s&start_after=%s-2" % (p, p))
    eq(([x["name"] for x in r.j["basins"]], r.j["has_more"]), ([p + "-3", p + "-4"], False))


@case("P11", "list limit 0 and 1001 act as 1000")
def _():
    for l in ("0", "1001"):
        eq(req("GET", "/v1/basins?limit=" + l).status, 200, "limit " + l)


@case("P12", "delete basin 202, second delete 202, then config/create conflict")
def _():
    b = mkbasin()
    eq(req("DELETE", "/v1/basins/" + b).status, 202)
    r = req("DELETE", "/v1/basins/" + b)
    ok(r.status in (202, 404), "second delete %d" % r.status)


@case("P13", "delete unknown basin -> 404")
def _():
    err(req("DELETE", "/v1/basins/none-" + rnd(10)), 404, "basin_not_found")


@case("P14", "create stream 201, info shape")
def _():
    s = "s-" + rnd()
    r = req("POST", "/v1/streams", basin(), j={"stream": s})
    eq((r.status, r.j["name"], r.j["deleted_at"]), (201, s, None))
    ok(r.j.get("cipher") is None)


@case("P15", "stream names: unicode/slash ok, empty / 513 bytes / '..' rejected")
def _():
    s = "dir/" + rnd() + "/na me-\u00e9\u65e5"
    mkstream(name=s)
    eq(req("GET", "/v1/streams/" + quote(s), basin()).status, 200)
    for n in ("", "a" * 513, "..", "."):
        r = req("POST", "/v1/streams", basin(), j={"stream": n})
        ok(r.status in (400, 422) and r.code() == "bad_json", "%r -> %d %s" % (n[:5], r.status, r.code()))


@case("P16", "missing S2-Basin header -> 400 bad_header")
def _():
    err(req("GET", "/v1/streams"), 400, "bad_header")


@case("P17", "stream config defaults are concrete")
def _():
    s = mkstream()
    c = req("GET", "/v1/streams/" + s, basin()).j
    eq(c["retention_policy"], {"age": 604800})
    eq(c["timestamping"], {"mode": "client-prefer", "uncapped": False})
    eq(c["delete_on_empty"], {"min_age_secs": 0})
    eq(c["storage_class"], "express")


@case("P18", "stream inherits basin defaults at creation, own fields win")
def _():
    b = mkbasin({"default_stream_config": {"retention_policy": {"age": 3600}, "timestamping": {"mode": "arrival"}}})
    s = mkstream({"retention_policy": {"age": 60}}, b)
    c = req("GET", "/v1/streams/" + s, b).j
    eq((c["retention_policy"], c["timestamping"]["mode"]), ({"age": 60}, "arrival"))


@case("P19", "retention age 0 -> 422 invalid")
def _():
    err(req("POST", "/v1/streams", basin(), j={"stream": "s-" + rnd(), "config": {"retention_policy": {"age": 0}}}), 422, "invalid")


@case("P20", "PATCH stream: absent keeps, null resets to default, value sets")
def _():
    b = mkbasin({"default_stream_config": {"retention_policy": {"age": 3600}}})
    s = mkstream({"retention_policy": {"age": 60}, "storage_class": "standard"}, b)
    c = req("PATCH", "/v1/streams/" + s, b, j={"timestamping": {"uncapped": True}}).j
    eq((c["retention_policy"], c["storage_class"], c["timestamping"]["uncapped"]), ({"age": 60}, "standard", True))
    c = req("PATCH", "/v1/streams/" + s, b, j={"retention_policy": None}).j
    eq((c["retention_policy"], c["storage_class"]), ({"age": 3600}, "standard"))


@case("P21", "unknown stream -> 404 stream_not_found (config, tail, append, read, delete)")
def _():
    s = "none-" + rnd()
    for r in (req("GET", "/v1/streams/" + s, basin()), req("GET", rp(s) + "/tail", basin()),
              append(s, [{"body": "x"}]), req("GET", rp(s, "seq_num=0"), basin()), req("DELETE", "/v1/streams/" + s, basin())):
        err(r, 404, "stream_not_found")


@case("P22", "unknown basin on stream routes -> 404 basin_not_found")
def _():
    b = "none-" + rnd(10)
    err(req("POST", "/v1/streams", b, j={"stream": "x"}), 404, "basin_not_found")
    err(append("x", [{"body": "x"}], b), 404, "basin_not_found")
    err(req("GET", "/v1/streams", b), 404, "basin_not_found")


@case("P23", "append ack positions; tail")
def _():
    s = mkstream()
    r = append(s, [{"body": "a"}, {"body": "b"}, {"body": "c"}])
    eq(r.status, 200)
    a = r.j
    eq((a["start"]["seq_num"], a["end"]["seq_num"], a["tail"]["seq_num"]), (0, 3, 3))
    ok(abs(a["start"]["timestamp"] - time.time() * 1000) < 10000, "ms timestamps")
    t = req("GET", rp(s) + "/tail", basin()).j["tail"]
    eq(t, {"seq_num": 3, "timestamp": a["end"]["timestamp"]})


@case("P24", "fresh stream tail is 0/0")
def _():
    eq(req("GET", rp(mkstream()) + "/tail", basin()).j, {"tail": {"seq_num": 0, "timestamp": 0}})


@case("P25", "read back headers/body as JSON raw")
def _():
    s = mkstream()
    append(s, [{"body": "h\u00e9", "headers": [["k", "v"], ["k", "v2"]]}, {}])
    r = req("GET", rp(s, "seq_num=0"), basin())
    eq(r.status, 200)
    x = r.j["records"]
    eq((x[0]["seq_num"], x[0]["body"], x[0]["headers"]), (0, "h\u00e9", [["k", "v"], ["k", "v2"]]))
    ok("body" not in x[1] and "headers" not in x[1], "empty fields omitted")


@case("P26", "s2-format base64 both ways; bad base64 -> 422")
def _():
    s = mkstream()
    f = {"s2-format": "base64"}
    raw = bytes(range(256))
    eq(append(s, [{"body": base64.b64encode(raw).decode()}], headers=f).status, 200)
    eq(base64.b64decode(req("GET", rp(s, "seq_num=0"), basin(), headers=f).j["records"][0]["body"]), raw)
    err(append(s, [{"body": "***"}], headers=f), 422, "invalid")
    err(append(s, [{"body": "x"}], headers={"s2-format": "hex"}), 400, "bad_header")


@case("P27", "protobuf unary append and read")
def _():
    s = mkstream()
    h = {"content-type": "application/protobuf", "accept": "application/protobuf"}
    r = req("POST", rp(s), basin(), raw=p_input([p_record(b"\x00\xff", [(b"a", b"b")])]), headers=h)
    eq((r.status, r.headers.get("content-type")), (200, "application/protobuf"))
    a = ack(r.body)
    eq((a[0][0], a[1][0]), (0, 1))
    r = req("GET", rp(s, "seq_num=0"), basin(), headers={"accept": "application/protobuf"})
    recs, _t = batch(r.body)
    eq((recs[0][4][0], pdec(recs[0][3][0])[1][0]), (b"\x00\xff", b"a"))


@case("P28", "append limits: empty batch, 1001 records, >1 MiB -> 422 invalid")
def _():
    s = mkstream()
    err(append(s, []), 422, "invalid")
    err(append(s, [{"body": "x"}] * 1001), 422, "invalid")
    err(append(s, [{"body": "x" * (1024 * 1024 - 7)}]), 422, "invalid")
    eq(append(s, [{"body": "x" * (1024 * 1024 - 8)}]).status, 200, "exactly 1 MiB metered")
    eq(append(s, [{"body": "x"}] * 1000).status, 200, "1000 records")


@case("P29", "match_seq_num ok and mismatch (412 seq_num_mismatch = next)")
def _():
    s = mkstream()
    eq(append(s, [{"body": "a"}], match_seq_num=0).status, 200)
    r = append(s, [{"body": "a"}], match_seq_num=0)
    eq((r.status, r.j), (412, {"seq_num_mismatch": 1}))


@case("P30", "fence: set, enforce only when a token is given, clear")
def _():
    s = mkstream()
    eq(append(s, [{"headers": [["", "fence"]], "body": "t1"}]).status, 200)
    r = append(s, [{"body": "x"}], fencing_token="bad")
    eq((r.status, r.j), (412, {"fencing_token_mismatch": "t1"}))
    eq(append(s, [{"body": "x"}], fencing_token="t1").status, 200)
    eq(append(s, [{"body": "x"}]).status, 200, "no token given")
    eq(append(s, [{"headers": [["", "fence"]]}], fencing_token="t1").status, 200)
    eq(append(s, [{"body": "x"}], fencing_token="").status, 200)


@case("P31", "command record validation -> 422 invalid")
def _():
    s = mkstream()
    for rec in ({"headers": [["", "nope"]]}, {"headers": [["", "trim"]], "body": "short"},
                {"headers": [["", "fence"]], "body": "x" * 37}, {"headers": [["", "fence"], ["a", "b"]]}, {"headers": [["", "x"], ["a", "b"]]}):
        err(append(s, [rec]), 422, "invalid")


@case("P32", "trim accepted, body is 8-byte big-endian")
def _():
    s = mkstream()
    append(s, [{"body": str(i)} for i in range(4)])
    b = base64.b64encode(struct.pack(">Q", 2)).decode()
    h = base64.b64encode(b"trim").decode()
    eq(append(s, [{"headers": [["", h]], "body": b}], headers={"s2-format": "base64"}).status, 200)
    r = req("GET", rp(s, "tail_offset=1"), basin(), headers={"s2-format": "base64"})
    eq((r.j["records"][0]["headers"], r.j["records"][0]["body"]), ([["", h]], b))


@case("P33", "two start params -> 422; none = tail_offset 0")
def _():
    s = mkstream()
    append(s, [{"body": "a"}])
    err(req("GET", rp(s, "seq_num=0&timestamp=0"), basin()), 422, "invalid")
    eq(req("GET", rp(s, "count=1"), basin()).status, 416)


@case("P34", "read at/after tail -> 416 with tail; clamp alone still 416")
def _():
    s = mkstream()
    append(s, [{"body": "a"}])
    for q in ("seq_num=1&count=1", "seq_num=99", "tail_offset=0&wait=0&count=5", "seq_num=99&clamp=true&count=1"):
        r = req("GET", rp(s, q), basin())
        eq(r.status, 416, q)
        eq(r.j["tail"]["seq_num"], 1, q)
    eq(req("GET", rp(mkstream(), "seq_num=0"), basin()).status, 416, "empty stream")


@case("P35", "tail_offset saturates; last N")
def _():
    s = mkstream()
    append(s, [{"body": str(i)} for i in range(5)])
    eq(bodies(req("GET", rp(s, "tail_offset=2"), basin())), ["3", "4"])
    eq(bodies(req("GET", rp(s, "tail_offset=99"), basin())), ["0", "1", "2", "3", "4"])


@case("P36", "count / bytes limits, whole records only")
def _():
    s = mkstream()
    append(s, [{"body": "x" * 10} for i in range(5)])  # 18 metered each
    eq(len(bodies(req("GET", rp(s, "seq_num=0&count=2"), basin()))), 2)
    eq(len(bodies(req("GET", rp(s, "seq_num=0&bytes=36"), basin()))), 2)
    eq(len(bodies(req("GET", rp(s, "seq_num=0&bytes=53"), basin()))), 2)
    r = req("GET", rp(s, "seq_num=0&bytes=17"), basin())
    eq((r.status, r.j["records"]), (200, []))
    eq(req("GET", rp(s, "seq_num=0&count=0"), basin()).j["records"], [])


@case("P37", "timestamps: uncapped off caps, monotonic raise, arrival ignores, client-require")
def _():
    s = mkstream()
    now = int(time.time() * 1000)
    r = append(s, [{"body": "f", "timestamp": now + 3600000}])
    ok(r.j["start"]["timestamp"] < now + 60000, "future capped")
    r2 = append(s, [{"body": "p", "timestamp": 5}])
    eq(r2.j["start"]["timestamp"], r.j["end"]["timestamp"], "raised to previous")
    s = mkstream({"timestamping": {"mode": "client-require"}})
    err(append(s, [{"body": "x"}]), 422, "invalid")
    eq(append(s, [{"body": "x", "timestamp": 123}]).j["start"]["timestamp"], 123)
    s = mkstream({"timestamping": {"mode": "arrival"}})
    ok(append(s, [{"body": "x", "timestamp": 123}]).j["start"]["timestamp"] > 10 ** 12)
    s = mkstream({"timestamping": {"uncapped": True}})
    eq(append(s, [{"body": "x", "timestamp": now + 3600000}]).j["start"]["timestamp"], now + 3600000)


@case("P38", "read from timestamp / until exclusive / timestamp>=until 422")
def _():
    s = mkstream()
    append(s, [{"body": str(t), "timestamp": t} for t in (10, 20, 20, 30)])
    eq(bodies(req("GET", rp(s, "timestamp=15"), basin())), ["20", "20", "30"])
    eq(bodies(req("GET", rp(s, "seq_num=0&until=20"), basin())), ["10"])
    eq(bodies(req("GET", rp(s, "timestamp=20&until=21"), basin())), ["20", "20"])
    err(req("GET", rp(s, "timestamp=20&until=20"), basin()), 422, "invalid")


@case("P39", "unary wait: empty after wait; wakes on append")
def _():
    s = mkstream()
    t = time.time()
    r = req("GET", rp(s, "seq_num=0&wait=1"), basin())
    eq((r.status, r.j["records"]), (200, []))
    ok(0.8 <= time.time() - t < 4, "waited %.2f" % (time.time() - t))
    threading.Timer(0.4, lambda: append(s, [{"body": "w"}])).start()
    t = time.time()
    r = req("GET", rp(s, "seq_num=0&wait=8"), basin())
    eq(bodies(r), ["w"])
    ok(time.time() - t < 4, "woke late %.2f" % (time.time() - t))


@case("P40", "SSE: batch event with id, then [DONE]")
def _():
    s = mkstream()
    append(s, [{"body": "a"}, {"body": "b"}])
    r = req("GET", rp(s, "seq_num=0&count=2"), basin(), headers={"accept": "text/event-stream"})
    ok(r.headers["content-type"].startswith("text/event-stream"))
    evs = sse(r.body.decode())
    eq(evs[0]["event"], "batch")
    eq(evs[0]["id"], "1,2,18")
    eq([x["body"] for x in json.loads(evs[0]["data"])["records"]], ["a", "b"])
    eq(evs[-1]["data"], "[DONE]")


@case("P41", "SSE tail: ping event first, then live batch")
def _():
    s = mkstream()
    c = http.client.HTTPConnection(HOST, PORT, timeout=10)
    c.request("GET", rp(s, "seq_num=0"), headers={"s2-basin": basin(), "accept": "text/event-stream", "authorization": "Bearer " + TOKEN})
    r = c.getresponse()
    eq(r.status, 200)

    def ev():
        d = {}
        while True:
            l = r.readline().decode().rstrip("\r\n")
            if not l and d:
                return d
            if l and not l.startswith(":"):
                k, v = l.split(":", 1)
                d[k] = v.strip()
    e = ev()
    eq(e["event"], "ping")
    eq(json.loads(e["data"])["tail"]["seq_num"], 0)
    append(s, [{"body": "live"}])
    e = ev()
    eq((e["event"], json.loads(e["data"])["records"][0]["body"]), ("batch", "live"))
    c.close()


@case("P42", "h2c prior knowledge on the same port, unary JSON")
def _():
    h = H2()
    sid = h.open("GET", "/v1/basins?limit=1")
    eq(h.hdr(sid)[":status"], "200")
    ok("basins" in json.loads(h.body(sid)))
    h.close()


@case("P43", "S2S append session over h2c: 200 before any input, ordered acks, clean end")
def _():
    s, h = mkstream(), H2()
    sid = sess_append(h, s)
    hd = h.hdr(sid, 5)
    eq((hd[":status"], hd["content-type"]), ("200", "s2s/proto"))
    for i in range(50):
        h.send(sid, frame(p_input([p_record(b"x%d" % i), p_record(b"y")])))
    h.send(sid, b"", end=True)
    for i in range(50):
        fl, p = h.next_frame(sid)
        eq(fl & 0x80, 0)
        a = ack(p)
        eq((a[0][0], a[1][0]), (2 * i, 2 * i + 2))
        ok(a[2][0] >= a[1][0], "tail >= end")
    eq(h.next_frame(sid, 5), None)
    ok(h.st[sid]["end"], "stream closed by server after input end")
    h.close()


@case("P44", "S2S append session: condition failure -> acks then terminal 412, rest not applied")
def _():
    s, h = mkstream(), H2()
    sid = sess_append(h, s)
    h.send(sid, frame(p_input([p_record(b"1")], match=0)) + frame(p_input([p_record(b"2")], match=0)) + frame(p_input([p_record(b"3")])))
    ok(not h.next_frame(sid)[0] & 0x80)
    eq(terminal(h.next_frame(sid)), (412, {"seq_num_mismatch": 1}))
    h.close()
    eq(req("GET", rp(s) + "/tail", basin()).j["tail"]["seq_num"], 1)


@case("P45", "S2S read session bounded: frames then end; catch up then heartbeat then live")
def _():
    s, h = mkstream(), H2()
    append(s, [{"body": "a"}, {"body": "b"}])
    sid = sess_read(h, s, "seq_num=0&count=2")
    eq(h.hdr(sid)[":status"], "200")
    recs, _t = batch(h.next_frame(sid)[1])
    eq([x[4][0] for x in recs], [b"a", b"b"])
    eq(h.next_frame(sid, 3), None)
    sid = sess_read(h, s, "seq_num=1")
    recs, _t = batch(h.next_frame(sid)[1])
    eq([x[1][0] for x in recs], [1])
    recs, t = batch(h.next_frame(sid, 3)[1])
    eq((recs, t[0]), ([], 2), "heartbeat with tail")
    append(s, [{"body": "c"}])
    recs, t = batch(h.next_frame(sid, 3)[1])
    eq((recs[0][4][0], t[0]), (b"c", 3))
    h.close()


@case("P46", "S2S read of bad start: plain HTTP error before the stream starts")
def _():
    s, h = mkstream(), H2()
    sid = sess_read(h, s, "seq_num=9&count=1")
    eq(h.hdr(sid)[":status"], "416")
    eq(json.loads(h.body(sid))["tail"]["seq_num"], 0)
    h.close()


@case("P47", "auto create on append / on read with basin defaults")
def _():
    b = mkbasin({"create_stream_on_append": True, "create_stream_on_read": True, "default_stream_config": {"retention_policy": {"age": 77}}})
    eq(append("new/a", [{"body": "x"}], b).status, 200)
    eq(req("GET", "/v1/streams/new%2Fa", b).j["retention_policy"], {"age": 77})
    eq(req("GET", rp("new/r", "seq_num=0"), b).status, 416)
    eq(req("GET", "/v1/streams/new%2Fr", b).status, 200)
    eq(req("GET", rp("new/t") + "/tail", b).status, 200)


@case("P48", "delete stream 202; listed with deleted_at or gone; ops 409 or 404; recreate 409 or 201")
def _():
    s = mkstream()
    append(s, [{"body": "x"}])
    eq(req("DELETE", "/v1/streams/" + s, basin()).status, 202)
    r = append(s, [{"body": "x"}])
    ok((r.status, r.code()) in ((409, "stream_deletion_pending"), (404, "stream_not_found")), "append %s %s" % (r.status, r.code()))
    l = [x for x in req("GET", "/v1/streams?prefix=" + s, basin()).j["streams"]]
    ok(not l or l[0]["deleted_at"], "deleted_at set")


@case("P49", "list streams: order, prefix, start_after, pages")
def _():
    b = mkbasin()
    for n in ("t/3", "t/1", "u/1", "t/2"):
        mkstream(b=b, name=n)
    r = req("GET", "/v1/streams?prefix=t%2F&limit=2", b)
    eq(([x["name"] for x in r.j["streams"]], r.j["has_more"]), (["t/1", "t/2"], True))
    r = req("GET", "/v1/streams?prefix=t%2F&start_after=t%2F2", b)
    eq(([x["name"] for x in r.j["streams"]], r.j["has_more"]), (["t/3"], False))


@case("P50", "bad JSON -> 400 bad_json; wrong content type -> bad_json; bad query -> 400 bad_query")
def _():
    s = mkstream()
    err(req("POST", rp(s), basin(), raw=b"{nope", headers={"content-type": "application/json"}), 400, "bad_json")
    r = req("POST", rp(s), basin(), raw=b"{}", headers={"content-type": "text/plain"})
    ok(r.status in (400, 415) and r.code() == "bad_json", "%d %s" % (r.status, r.code()))
    err(req("GET", rp(s, "seq_num=abc"), basin()), 400, "bad_query")
    err(req("GET", "/v1/streams/x", "BAD_NAME"), 400, "bad_header")


@case("P51", "CORS preflight allowed")
def _():
    r = req("OPTIONS", "/v1/basins", headers={"origin": "http://example.test", "access-control-request-method": "PUT", "access-control-request-headers": "authorization,s2-basin"})
    eq(r.status, 200)
    ok(r.headers.get("access-control-allow-origin") in ("http://example.test", "*"))


@case("P52", "response compression for JSON > 1 KiB when asked; request gzip accepted")
def _():
    import gzip
    s = mkstream()
    raw = gzip.compress(json.dumps({"records": [{"body": "z" * 5000}]}).encode())
    eq(req("POST", rp(s), basin(), raw=raw, headers={"content-type": "application/json", "content-encoding": "gzip"}).status, 200)
    r = req("GET", rp(s, "seq_num=0"), basin(), headers={"accept-encoding": "gzip"})
    eq(r.headers.get("content-encoding"), "gzip")
    eq(len(json.loads(gzip.decompress(r.body))["records"][0]["body"]), 5000)


@case("P53", "s2-stream-config header applies only on auto create")
def _():
    b = mkbasin({"create_stream_on_append": True, "default_stream_config": {"timestamping": {"mode": "arrival"}}})
    h = {"s2-stream-config": json.dumps({"retention_policy": {"age": 123}})}
    eq(append("cfg", [{"body": "x"}], b, headers=h).status, 200)
    c = req("GET", "/v1/streams/cfg", b).j
    eq((c["retention_policy"], c["timestamping"]["mode"]), ({"age": 123}, "arrival"))
    err(append("cfg2", [{"body": "x"}], b, headers={"s2-stream-config": "nope"}), 400, "bad_header")


@case("P54", "metrics exposition")
def _():
    append(mkstream(), [{"body": "x"}])
    r = req("GET", "/metrics")
    eq(r.status, 200)
    ok(b"s2_append_ack_latency_seconds_bucket" in r.body and b"s2_append_batch_records_count" in r.body)


def main():
    args = sys.argv[1:]
    k = args[args.index("-k") + 1] if "-k" in args else ""
    res = {}
    for cid, title, slow, fn in CASES:
        if k and k not in cid and k not in title:
            continue
        if slow and "--slow" not in args:
            print("SKIP %s %s (slow)" % (cid, title))
            continue
        g = res.setdefault(cid[0], [0, 0])
        try:
            fn()
            g[0] += 1
            print("ok   %s %s" % (cid, title))
        except Exception as e:
            g[1] += 1
            print("FAIL %s %s :: %s: %s" % (cid, title, type(e).__name__, str(e)[:300]))
        sys.stdout.flush()
    p, f = (sum(v[i] for v in res.values()) for i in (0, 1))
    print("%d passed, %d failed" % (p, f))
    sys.exit(1 if f else 0)


main()
