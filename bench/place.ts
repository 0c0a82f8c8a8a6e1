/** Where the benchmarks of the whole way run: all of Tideline on this machine, with one tracked table to write to and a user who may see it. */
import { Effect } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import type { BenchFailed } from "./benchmark.ts"
import { ask } from "./rounds.ts"

export const ENTITY = "bench_item"
export const READER = "bench-reader"
export const SCOPE = "bench"
/** What stays down where only the relay's part of the way is measured. */
export const RELAY_ALONE: ReadonlyArray<string> = ["edge-1", "edge-2", "authz", "command", "web"]

export interface Place {
  readonly stack: TestStack
  readonly sql: Sql
  /** Of the one who may see everything in the scope. */
  readonly token: string
}

/** All of it, without the processes named; they stay down. */
export const openPlace = (without: ReadonlyArray<string>): Effect.Effect<Place, BenchFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const stack = yield* Effect.acquireRelease(ask(() => startStack({ demo: false })), (s) => Effect.promise(() => s.stop()))
    const sql = yield* Effect.acquireRelease(
      Effect.sync(() => postgres(stack.databaseUrl, { max: 1, onnotice: () => {} })),
      (connection) => Effect.promise(() => connection.end({ timeout: 1 })),
    )
    yield* ask(() => sql.unsafe(`
      create schema bench;
      create table bench.item (id int primary key, scope text not null, title text not null, n int not null);
      create table bench.plain (like bench.item including all);
      select tide.track('bench.item', entity => '${ENTITY}', scope => 'scope');
      select authz.grant_access(principal => 'user:${READER}', scope => '${SCOPE}', entity => '${ENTITY}', level => 'VIEW')`))
    for (const name of without) yield* ask(() => stack.hold(name))
    return { stack, sql, token: yield* ask(() => stack.token(READER)) }
  })

/** Rows with ids from `from` on, one a transaction, on the server's side: nothing is waited for between them. About 150 bytes each as JSON. */
export const insertOneByOne = (sql: Sql, from: number, count: number, lastTitle: string): Effect.Effect<void, BenchFailed> =>
  Effect.asVoid(ask(() => sql.unsafe(`
    do $$ begin
      for i in ${from} .. ${from + count - 1} loop
        insert into bench.item values (i, '${SCOPE}', case when i = ${from + count - 1} then '${lastTitle}' else repeat('item ', 18) || i end, 0);
        commit;
      end loop;
    end $$`)))
