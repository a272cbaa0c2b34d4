// The TypeScript SDK as programs use it. Started by s2_node.py, which owns the daemon.
//
// Every data plane case runs over both transports: s2s (sessions over HTTP/2) and fetch (HTTP/1.1 and server-sent events).

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";
import readline from "node:readline";
import zlib from "node:zlib";

const { S2_URL, S2_SDK, ONLY = "", STORE, WEIR } = process.env;
const sdk = await import(pathToFileURL(createRequire(S2_SDK + "/").resolve("@s2-dev/streamstore")));
const { S2, AppendInput, AppendRecord, BatchTransform, Producer, S2Error, SeqNumMismatchError, FencingTokenMismatchError,
	RangeNotSatisfiableError } = sdk.default ?? sdk;

const LIMIT = 60_000;
const MIB = 1 << 20;
let numbers = 0;
const next = () => ++numbers;
const text = new TextDecoder();
const bytes = (s) => new TextEncoder().encode(s);

// --- the daemon -----------------------------------------------------------------------------------------

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Kills the daemon; it is back on the same store and port when this ends. */
async function again() {
	process.stdout.write("again\n");
	assert.equal((await answers.next()).value, "done");
}

const weir = (verb, args, input = "") => execFileSync(WEIR, [verb, STORE, ...args], { input, maxBuffer: 16 * MIB });
const frames = (topic) => weir("cat", ["-T", topic, "--with-seq"]).toString().split("\n").filter(Boolean).map((l) => JSON.parse(l));
const content = (frame) => (frame.hash ? weir("cas", [frame.hash]) : Buffer.alloc(0));

function client({ token = "any", patient = false, ...more } = {}) {
	const retry = patient ? { maxAttempts: 100, minBaseDelayMillis: 20, maxBaseDelayMillis: 200 } : { maxAttempts: 1 };
	return new S2({ accessToken: token, endpoints: { account: S2_URL, basin: S2_URL }, retry, ...more });
}

async function newBasin(config, options) {
	const s2 = client(options);
	const name = `node-basin-${next()}`;
	await s2.basins.create({ basin: name, config });
	return s2.basin(name);
}

async function newStream(transport, { config, ...options } = {}) {
	const basin = await newBasin(undefined, options);
	const name = `stream-${next()}`;
	await basin.streams.create({ stream: name, config });
	return basin.stream(name, { forceTransport: transport });
}

// --- claims -----------------------------------------------------------------------------------------------

function within(promise, what) {
	let timer;
	const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error(`${what}: not within ${LIMIT} ms`)), LIMIT)));
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function fails(what, kind, promise) {
	try {
		await promise;
	} catch (error) {
		assert.ok(error instanceof kind, `${what}: ${error?.constructor?.name}: ${error?.message}`);
		return error;
	}
	assert.fail(`${what}: no ${kind.name}`);
}

async function refused(what, status, code, promise) {
	const error = await fails(what, S2Error, promise);
	assert.deepEqual([error.status, error.code], [status, code], what);
}

const strings = (...list) => list.map((body) => AppendRecord.string({ body: String(body) }));
const range = (from, count) => Array.from({ length: count }, (_, i) => from + i);

async function readAll(stream, as = "string", from = 0) {
	const tail = (await stream.checkTail()).tail.seqNum;
	const found = [];
	if (tail <= from) return found;
	const input = { start: { from: { seqNum: from } }, stop: { limits: { count: tail - from }, waitSecs: 0 } };
	for await (const record of await stream.readSession(input, { as })) found.push(record);
	return found;
}

const numbersOf = (records) => records.map((r) => Number(r.body));

// --- control plane -------------------------------------------------------------------------------------------

async function controlBasins() {
	const s2 = client();
	const prefix = `control-${next()}-`;
	for (const letter of "cab") await s2.basins.create({ basin: prefix + letter });
	await refused("a second create", 409, "resource_already_exists", s2.basins.create({ basin: prefix + "a" }));
	const page = await s2.basins.list({ prefix, limit: 2 });
	assert.deepEqual([page.basins.map((b) => b.name), page.hasMore], [[prefix + "a", prefix + "b"], true]);
	const all = [];
	for await (const basin of s2.basins.listAll({ prefix })) all.push(basin.name);
	assert.deepEqual(all, ["a", "b", "c"].map((l) => prefix + l));
	const ensured = await s2.basins.ensure({ basin: prefix + "a", config: { createStreamOnAppend: true } });
	assert.equal(ensured.result, "updated");
	assert.equal((await s2.basins.ensure({ basin: prefix + "a", config: { createStreamOnAppend: true } })).result, "noop");
	const after = await s2.basins.reconfigure({ basin: prefix + "a", defaultStreamConfig: { retentionPolicy: { ageSecs: 99 } } });
	assert.deepEqual([after.createStreamOnAppend, after.defaultStreamConfig.retentionPolicy.ageSecs], [true, 99]);
	await s2.basins.delete({ basin: prefix + "b" });
}

async function controlStreams() {
	const basin = await newBasin();
	const names = ["dir/c", "dir/a", "dir/na me-é日", "other"];
	for (const stream of names) await basin.streams.create({ stream });
	const page = await basin.streams.list({ prefix: "dir/", limit: 2 });
	assert.deepEqual([page.streams.map((s) => s.name), page.hasMore], [["dir/a", "dir/c"], true]);
	const all = [];
	for await (const stream of basin.streams.listAll()) all.push(stream.name);
	assert.deepEqual(all, names.toSorted());
	const config = { storageClass: "standard", retentionPolicy: { ageSecs: 60 }, timestamping: { mode: "arrival", uncapped: true } };
	assert.equal((await basin.streams.ensure({ stream: "own", config })).result, "created");
	assert.equal((await basin.streams.ensure({ stream: "own", config })).result, "noop");
	const changed = await basin.streams.reconfigure({ stream: "own", timestamping: { uncapped: null }, retentionPolicy: null });
	assert.deepEqual([changed.timestamping.mode, changed.timestamping.uncapped, changed.retentionPolicy.ageSecs], ["arrival", false, 604800]);
	await basin.streams.delete({ stream: "own" });
	await fails("config of a deleted one", S2Error, basin.streams.getConfig({ stream: "own" }));
}

// --- data plane, by transport -----------------------------------------------------------------------------------

async function appendAndRead(transport) {
	const stream = await newStream(transport);
	const ack = await stream.append(AppendInput.create([
		AppendRecord.string({ body: "plain é日", headers: [["a", "b"], ["a", ""]] }),
		AppendRecord.string({ body: "" }),
	]));
	assert.deepEqual([ack.start.seqNum, ack.end.seqNum, ack.tail.seqNum], [0, 2, 2]);
	const every = Uint8Array.from({ length: 256 }, (_, i) => i);
	await stream.append(AppendInput.create([AppendRecord.bytes({ body: every, headers: [[Uint8Array.of(0xff), Uint8Array.of(0)]] })]));
	const batch = await stream.read({ start: { from: { seqNum: 0 } }, stop: { limits: { count: 2 } } });
	assert.deepEqual(batch.records.map((r) => [r.body, r.headers]), [["plain é日", [["a", "b"], ["a", ""]]], ["", []]]);
	const found = await readAll(stream, "bytes");
	assert.deepEqual(found.map((r) => r.seqNum), [0, 1, 2]);
	assert.deepEqual([...found[2].body], [...every]);
	assert.deepEqual(found[2].headers.map(([n, v]) => [[...n], [...v]]), [[[0xff], [0]]]);
	const error = await fails("the tail", RangeNotSatisfiableError, stream.read({ start: { from: { seqNum: 3 } } }));
	assert.equal(error.tail.seqNum, 3);
}

async function limits(transport) {
	const stream = await newStream(transport);
	const body = randomBytes(MIB - 8);
	await stream.append(AppendInput.create([AppendRecord.bytes({ body })]));
	await stream.append(AppendInput.create(strings(...range(0, 1000))));
	const found = await readAll(stream, "bytes");
	assert.equal(found.length, 1001);
	assert.ok(Buffer.from(found[0].body).equals(body));
}

async function conditions(transport) {
	const stream = await newStream(transport);
	await stream.append(AppendInput.create(strings("a"), { matchSeqNum: 0 }));
	const mismatch = await fails("match", SeqNumMismatchError, stream.append(AppendInput.create(strings("a"), { matchSeqNum: 0 })));
	assert.equal(mismatch.expectedSeqNum, 1);
	await stream.append(AppendInput.create([AppendRecord.fence("mine")]));
	const fenced = await fails("fence", FencingTokenMismatchError, stream.append(AppendInput.create(strings("b"), { fencingToken: "other" })));
	assert.equal(fenced.expectedFencingToken, "mine");
	await stream.append(AppendInput.create(strings("c"), { fencingToken: "mine", matchSeqNum: 2 }));
	assert.deepEqual((await readAll(stream)).map((r) => r.body), ["a", "mine", "c"]);
}

async function trim(transport) {
	const stream = await newStream(transport);
	await stream.append(AppendInput.create(strings(...range(0, 10))));
	await stream.append(AppendInput.create([AppendRecord.trim(6)]));
	assert.deepEqual((await readAll(stream, "bytes")).map((r) => r.seqNum), [6, 7, 8, 9, 10]);
}

async function appendSession(transport) {
	const stream = await newStream(transport);
	const session = await stream.appendSession();
	const tickets = [];
	for (const n of range(0, 100)) tickets.push(await session.submit(AppendInput.create(strings(...range(n * 10, 10)))));
	const acks = await Promise.all(tickets.map((t) => t.ack()));
	await session.close();
	assert.deepEqual(acks.map((a) => a.start.seqNum), range(0, 100).map((n) => n * 10));
	assert.deepEqual(numbersOf(await readAll(stream)), range(0, 1000));
}

async function producer(transport) {
	const stream = await newStream(transport);
	const producing = new Producer(new BatchTransform({ lingerDurationMillis: 2, maxBatchRecords: 100 }), await stream.appendSession());
	const tickets = [];
	for (const n of range(0, 2000)) tickets.push(await producing.submit(AppendRecord.string({ body: String(n) })));
	await producing.flush();
	const acks = await Promise.all(tickets.map((t) => t.ack()));
	await producing.close();
	assert.deepEqual(acks.map((a) => a.seqNum()), range(0, 2000));
	assert.deepEqual(numbersOf(await readAll(stream)), range(0, 2000));
}

async function follow(transport) {
	const stream = await newStream(transport);
	await stream.append(AppendInput.create(strings(0, 1, 2)));
	const session = await stream.readSession({ start: { from: { seqNum: 0 } } });
	const records = session[Symbol.asyncIterator]();
	for (const n of range(0, 3)) assert.equal((await within(records.next(), "history")).value.body, String(n));
	assert.equal((await within(session.caughtUp(), "caught up")).seqNum, 3);
	for (const n of range(3, 20)) {
		await stream.append(AppendInput.create(strings(n)));
		assert.equal((await within(records.next(), "live")).value.body, String(n));
	}
	await session.cancel?.().catch(() => {});
	await records.return?.();
}

async function fencingFight(transport) {
	const stream = await newStream(transport);
	async function writer(name, turns) {
		for (const turn of range(0, turns)) {
			const fencingToken = `${name}-${turn}`;
			await stream.append(AppendInput.create([AppendRecord.fence(fencingToken)]));
			try {
				for (const n of range(0, 5)) await stream.append(AppendInput.create(strings(`${fencingToken}:${n}`), { fencingToken }));
			} catch (error) {
				assert.ok(error instanceof FencingTokenMismatchError, String(error));
			}
		}
	}
	await within(Promise.all([writer("one", 15), writer("two", 15)]), "the fight");
	let holder = "";
	for (const record of await readAll(stream)) {
		if (record.headers.length === 1 && record.headers[0][0] === "") holder = record.body;
		else assert.equal(record.body.split(":")[0], holder, `writer of record ${record.seqNum}`);
	}
}

/** What was acked is there, at its place, and first appearances are in order. */
function assertKept(records, acked) {
	for (const [number, seqNum] of acked) assert.equal(Number(records[seqNum]?.body), number, `record ${seqNum}`);
	const first = [...new Set(numbersOf(records))];
	assert.deepEqual(first, first.toSorted((a, b) => a - b), "order");
}

async function killedSession(transport) {
	const stream = await newStream(transport, { patient: true });
	const session = await stream.appendSession({ maxInflightBatches: 8 });
	const tickets = [];
	let restarts = Promise.resolve();
	for (const n of range(0, 150)) {
		tickets.push(await session.submit(AppendInput.create(strings(2 * n, 2 * n + 1))));
		if (n === 40 || n === 100) restarts = restarts.then(again);
	}
	const acked = [];
	for (const [n, ticket] of tickets.entries()) {
		const ack = await within(ticket.ack(), "ack");
		acked.push([2 * n, ack.start.seqNum], [2 * n + 1, ack.start.seqNum + 1]);
	}
	await session.close();
	await restarts;
	const records = await readAll(stream);
	assertKept(records, acked);
	assert.deepEqual([...new Set(numbersOf(records))], range(0, 300));
}

/** A follower through kills, and a writer with conditions: each record once, in order. */
async function killedReader(transport) {
	const stream = await newStream(transport, { patient: true });
	const total = 120;
	const reading = (async () => {
		const seen = [];
		for await (const record of await stream.readSession({ start: { from: { seqNum: 0 }, clamp: true } })) {
			seen.push(record);
			if (seen.length === total) return seen;
		}
		return seen;
	})();
	let done = 0;
	let restarts = Promise.resolve();
	while (done < total) {
		try {
			done = (await stream.append(AppendInput.create(strings(done), { matchSeqNum: done }))).end.seqNum;
		} catch (error) {
			assert.ok(error instanceof SeqNumMismatchError, String(error));
			assert.equal(error.expectedSeqNum, ++done);
		}
		if (done === 30 || done === 80) restarts = restarts.then(again);
	}
	const seen = await within(reading, "the follower");
	await restarts;
	assert.deepEqual(seen.map((r) => r.seqNum), range(0, total));
	assert.deepEqual(numbersOf(seen), range(0, total));
}

async function compression(transport) {
	for (const compression of "zstdCompress" in zlib ? ["gzip", "zstd"] : ["gzip"]) {
		const stream = await newStream(transport, { compression });
		const body = "compressible ".repeat(2000);
		const session = await stream.appendSession();
		await (await session.submit(AppendInput.create(strings(body)))).ack();
		await session.close();
		assert.deepEqual((await readAll(stream)).map((r) => r.body), [body], compression);
	}
}

// --- access tokens ------------------------------------------------------------------------------------------------

async function tokens() {
	const owner = client();
	const basin = await newBasin();
	for (const stream of ["open/a", "closed"]) {
		await basin.streams.create({ stream });
		await basin.stream(stream).append(AppendInput.create(strings(stream)));
	}
	const id = `node-${next()}`;
	const { accessToken } = await owner.accessTokens.issue({
		id, scope: { basins: { exact: basin.name }, streams: { prefix: "open/" }, ops: ["read", "check-tail"] },
	});
	const theirs = client({ token: accessToken }).basin(basin.name);
	assert.equal((await theirs.stream("open/a").read({ start: { from: { seqNum: 0 } } })).records[0].body, "open/a");
	await refused("another stream", 403, "permission_denied", theirs.stream("closed").read({ start: { from: { seqNum: 0 } } }));
	await refused("an append", 403, "permission_denied", theirs.stream("open/a").append(AppendInput.create(strings("x"))));
	const ids = [];
	for await (const token of owner.accessTokens.listAll({ prefix: "node-" })) ids.push(token.id);
	assert.deepEqual(ids, [id]);
	await owner.accessTokens.revoke({ id });
	await refused("revoked", 401, "authn", theirs.stream("open/a").read({ start: { from: { seqNum: 0 } } }));
}

// --- both ways ------------------------------------------------------------------------------------------------------

async function bothWays(transport) {
	const basin = client().basin("weir-root");
	const name = `node.ways.${next()}`;
	await basin.streams.create({ stream: name });
	const stream = basin.stream(name, { forceTransport: transport });
	await stream.append(AppendInput.create([AppendRecord.string({ body: "text", headers: [["a", "b"]] }), AppendRecord.string({ body: "" })]));
	await stream.append(AppendInput.create([AppendRecord.bytes({ body: Uint8Array.of(0, 255), headers: [[bytes("a"), Uint8Array.of(0xff)]] })]));
	const written = frames(name);
	assert.deepEqual(written.map((f) => f.meta), [{ a: "b" }, null, { "s2.headers": [["YQ==", "/w=="]] }]);
	assert.deepEqual(written.map((f) => [...content(f)]), [[...bytes("text")], [], [0, 255]]);
	weir("append", [name, "--meta", '{"c":"d"}'], "from weir");
	weir("append", [name, "--meta", "[1]"], Buffer.alloc(2 * MIB));
	const found = await readAll(stream, "bytes", 3);
	assert.deepEqual(found.map((r) => text.decode(r.body)), ["from weir", ""]);
	assert.deepEqual(found[0].headers.map((h) => h.map((p) => text.decode(p))), [["c", "d"]]);
	const large = Object.fromEntries(found[1].headers.map((h) => h.map((p) => text.decode(p))));
	assert.deepEqual([large["xs-meta"], large["weir-size"], large["weir-hash"]], ["[1]", String(2 * MIB), frames(name)[4].hash]);
}

// --- one after the other ------------------------------------------------------------------------------------------------

const cases = [["control basins", controlBasins], ["control streams", controlStreams], ["tokens", tokens]];
const both = { appendAndRead, limits, conditions, trim, appendSession, producer, follow, compression, fencingFight, killedSession,
	killedReader, bothWays };
for (const [name, play] of Object.entries(both)) {
	const spaced = name.replace(/[A-Z]/g, (c) => " " + c.toLowerCase());
	for (const transport of ["s2s", "fetch"]) cases.push([`${spaced}, ${transport}`, () => play(transport)]);
}
let failed = 0;
for (const [name, play] of cases) {
	if (!name.includes(ONLY)) continue;
	try {
		await within(play(), "the case");
		console.log(`ok s2 typescript ${name}`);
	} catch (error) {
		failed++;
		console.log(`not ok s2 typescript ${name}: ${String(error?.stack ?? error).replaceAll("\n", " ").slice(0, 600)}`);
	}
}
process.exit(failed ? 1 : 0);
