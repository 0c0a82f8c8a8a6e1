/**
 * What a load leaves behind in the outbox: dead tuples, beside an outbox whose rows are marked when they are published. Each transaction of
 * the load writes one row of each, so both see the same.
 */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { BenchFailed, more } from "./benchmark.ts"
import { openChanges } from "./changes.ts"
import type { FlagsJobs } from "./flags-worker.ts"
import type { PacedJobs } from "./paced-worker.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

const PER_SECOND = 1_000
const IDS = 1_000
/** Of the load unless told, and between two lines about it. */
const MINUTES = 0.25
const PIECE_S = 5

const FLAGGED = `
  create table bench.flagged_outbox (id bigint generated always as identity primary key, entity text, entity_id text, op text, after json, at timestamptz default clock_timestamp(), published boolean not null default false);
  create index on bench.flagged_outbox (id) where not published;
  create function bench.flagged() returns trigger language plpgsql as $$ begin
    insert into bench.flagged_outbox (entity, entity_id, op, after) values ('bench_plain', new.id::text, tg_op, to_json(new)); return null; end $$;
  create trigger flagged after insert or update on bench.plain for each row execute function bench.flagged()`

interface Left { readonly live: number; readonly dead: number; readonly vacuums: number; readonly bytes: number }

export const outboxBloat: Benchmark = {
  names: ["outbox.bloat"],
  run: Effect.fnUntraced(function* (say, minutes) {
    const place = yield* openPlace(RELAY_ALONE)
    const { stack, sql } = place
    const changes = yield* openChanges(place)
    yield* ask(() => sql.unsafe(`${FLAGGED}; ` + ["item", "plain"].map((table) => `insert into bench.${table} select n, '${SCOPE}', 'item', 0 from generate_series(1, ${IDS}) n`).join(";")))
    const poller = yield* startWorker<FlagsJobs>(new URL("./flags-worker.ts", import.meta.url))
    yield* poller.ask("start", { url: stack.databaseUrl, table: "bench.flagged_outbox" })
    const writer = yield* startWorker<PacedJobs>(new URL("./paced-worker.ts", import.meta.url))
    const begun = yield* ask(changes.lastSeq)

    const seconds = Math.max(PIECE_S, Math.round((minutes ?? MINUTES) * 60))
    let written = 0
    for (let s = 0; s < seconds; s += PIECE_S) {
      const paced = yield* writer.ask("write", {
        url: stack.databaseUrl, ids: IDS, from: written + 1, perSecond: PER_SECOND, seconds: PIECE_S,
        statement: "with ours as (update bench.item set n = $1 where id = $2) update bench.plain set n = $1 where id = $2",
      })
      written += paced.committed.length
      if ((s / PIECE_S) % Math.ceil(seconds / PIECE_S / 10) === 0) say(`${s + PIECE_S} of ${seconds} s: ${written.toLocaleString("en")} transactions, ${paced.perSecond.toFixed(0)}/s`)
    }
    yield* ask(() => changes.reach(begun + written))
    yield* poller.ask("stop", undefined)

    /** Of all tables whose names match; bytes with indexes. The sessions that write have told their counts: one has ended, the relay's never wrote. */
    const left = async (schema: string, like: string): Promise<Left> => {
      const [{ tables }] = await sql<[{ tables: ReadonlyArray<string> }]>`
        select array_agg(c.oid::regclass::text) as tables from pg_class c where c.relnamespace = ${schema}::regnamespace and c.relkind = 'r' and c.relname like ${like}`
      const [row] = await sql.unsafe<Array<{ live: string; dead: string; vacuums: string; bytes: string }>>(`
        select (select sum(n) from (${tables.map((table) => `select count(*) as n from ${table}`).join(" union all ")}) t) as live, sum(pg_stat_get_dead_tuples(t)) as dead,
          sum(pg_stat_get_autovacuum_count(t)) as vacuums, sum(pg_total_relation_size(t)) as bytes from unnest('{${tables.join(",")}}'::regclass[]) t`)
      return { live: Number(row!.live), dead: Number(row!.dead), vacuums: Number(row!.vacuums), bytes: Number(row!.bytes) }
    }
    const [ours, flagged] = [yield* ask(() => left("tide", "outbox%")), yield* ask(() => left("bench", "flagged_outbox"))]
    if (ours.live < written || flagged.live < written) return yield* new BenchFailed({ message: `of ${written} transactions ${ours.live} and ${flagged.live} rows are there`, hint: "" })
    const share = ({ live, dead }: Left): number => (100 * live) / (live + dead)
    const told = ({ live, dead, vacuums, bytes }: Left): string => `${dead.toLocaleString("en")} dead, ${vacuums} autovacuums, ${Math.round(bytes / live)} bytes a row with indexes`
    return [more("outbox.bloat", "% live", share(ours), share(flagged),
      `of all tuples in the outbox after ${(seconds / 60).toLocaleString("en", { maximumFractionDigits: 2 })} min of ${PER_SECOND.toLocaleString("en")} transactions/s, published meanwhile (${ours.live.toLocaleString("en")} rows: ${told(ours)}); floor: an outbox whose rows are marked when they are published, filled by the same transactions (${told(flagged)}). An hour: --minutes 60`)]
  }),
}
