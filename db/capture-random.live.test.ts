/**
 * The outbox against the tables: after any history of statements, a reader that applied the outbox in order holds exactly the rows
 * there are, each at its address. Rows and addresses are computed here, without the code under test.
 */
import { afterAll, beforeAll, describe, expect } from "vitest"
import { fold, openDatabase } from "#test/support/database.ts"
import type { OutboxRow, TestDatabase } from "#test/support/database.ts"
import { property } from "#test/support/random.ts"
import type { Random } from "#test/support/random.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(schema)
  await db.events()
})
afterAll(() => db.stop())

/** Tables that change each other's rows and their own in every way Postgres has. */
const schema = `
  create schema r;
  create table r.org (id int primary key, above int references r.org on update cascade on delete set null, v int);
  create table r.person (id int primary key, org int references r.org on update cascade on delete cascade, place text, v int);
  create table r.note (
    a text, b int, reader int references r.person on update cascade on delete cascade, writer int references r.person on update cascade on delete set null,
    org int references r.org on update cascade on delete set default default null, place text, v int, primary key (a, b));
  create table r.pond (id int primary key, place text, v int);
  create table r.seat (id int, v int, primary key (id) deferrable initially deferred);
  create table r.part (region int, id int, v int, place text, primary key (region, id)) partition by list (region);
  create table r.part_1 partition of r.part for values in (0, 1);
  create table r.part_2 (v int, place text, id int not null, region int not null);
  alter table r.part attach partition r.part_2 for values in (2, 3);
  -- An application's own trigger: a changed person changes others of the same place, and itself.
  create function r.stir() returns trigger language plpgsql as $$ begin
    if pg_trigger_depth() < 3 and new.v % 3 = 0 then
      update r.person set v = v + 1 where place is not distinct from new.place;
      delete from r.note where reader = new.id and v % 4 = 0;
    end if; return null; end $$;
  create trigger stir after update on r.person for each row execute function r.stir();
  create function r.ripple() returns trigger language plpgsql as $$ begin
    if pg_trigger_depth() < 3 and tg_op = 'UPDATE' then
      update r.pond set v = v + 1, place = case when v % 5 = 0 then 'p1' else place end where id between new.id and new.id + 2 and v < new.v;
      delete from r.pond where id = new.id + 1 and v % 7 = 0;
    elsif tg_op = 'DELETE' and old.v % 2 = 0 then
      insert into r.pond values (old.id, 'back', old.v + 1) on conflict do nothing;
    end if; return null; end $$;
  create function r.poke(n int) returns int language plpgsql as $$ begin
    update r.pond set v = v + 1 where id in (n, n + 1); delete from r.pond where id = n + 2 and v % 3 = 0; insert into r.pond values (n + 3, 'p2', n) on conflict do nothing; return n; end $$;
  create trigger ripple after update or delete on r.pond for each row execute function r.ripple();
  -- A function that a statement calls while it is under way, part of it under a savepoint that may be undone.
  create function r.meddle(k int) returns int language plpgsql as $$ begin
    begin
      update r.pond set v = v + 1, place = case when k % 2 = 0 then place else 'p2' end where id between k and k + 1;
      if k % 3 = 0 then delete from r.pond where id = k; end if;
      if k % 5 = 0 then insert into r.pond values (k + 1, 'p1', k) on conflict (id) do update set v = excluded.v; end if;
      update r.part set v = v + 1, place = 'p' || k where id between k - 1 and k;
      if k % 4 = 0 then raise 'undone'; end if;
    exception when raise_exception then null;
    end;
    update r.part set v = v + 1 where id = k;
    return k; end $$;
  select tide.track('r.pond', 'pond', 'place'), tide.track('r.org', 'org'), tide.track('r.person', 'person', 'place'), tide.track('r.note', 'note', 'place'), tide.track('r.seat', 'seat'), tide.track('r.part', 'part', 'place');`

const statement = (random: Random): string => {
  const n = () => String(random.int(8))
  const place = () => (random.chance(0.2) ? "null" : `'${random.pick(["p1", "p2", "x.y"])}'`)
  const letter = () => `'${random.pick(["a", ",", "\\", "a,b"])}'`
  const range = (column: string) => `${column} between ${n()} and ${n()}`
  return random.pick([
    () => `insert into r.org values (${n()}, (select min(id) from r.org), ${n()}) on conflict (id) do update set v = excluded.v`,
    () => `update r.org set v = v + 1 where ${range("id")}`,
    () => `update r.org set id = id + 100, v = v + 1 where ${range("id")}`,
    () => `update r.org set id = id % 100 where id >= 100 and not exists (select from r.org o where o.id = r.org.id % 100)`,
    () => `delete from r.org where ${range("id")}`,
    () => `insert into r.person select g, (select max(id) from r.org where id < ${n()}), ${place()}, ${n()} from generate_series(${n()}, ${n()}) g on conflict do nothing`,
    () => `update r.person set v = v + ${n()} where ${range("id")}`,
    () => `update r.person set place = ${place()}, v = ${n()} where ${range("id")}`,
    () => `update r.person set id = id + 10 where ${range("id % 10")} and not exists (select from r.person p where p.id = r.person.id + 10)`,
    () => `delete from r.person where ${range("id")}`,
    () => `insert into r.note select ${letter()}, g, (select min(id) from r.person where id > ${n()}), (select max(id) from r.person where id < ${n()}), (select max(id) from r.org), ${place()}, g
             from generate_series(${n()}, ${n()}) g on conflict (a, b) do update set v = r.note.v + 1, place = excluded.place`,
    () => `update r.note set v = v + 1, place = ${place()} where ${range("b")}`,
    () => `update r.note set a = ${letter()} || a where b = ${n()} and length(a) < 6`,
    () => `delete from r.note where b = ${n()}`,
    () => `with gone as (delete from r.person where id = ${n()}), more as (update r.note set v = v + 1 where b = ${n()} returning 1) delete from r.org where id = ${n()}`,
    () => `with gone as (delete from r.note where b = ${n()} returning *) insert into r.note select a, b + 20, null, null, null, place, v from gone on conflict do nothing`,
    () => `insert into r.pond select g, ${place()}, ${n()} from generate_series(${n()}, ${n()}) g on conflict (id) do update set v = excluded.v + 9`,
    () => `update r.pond set v = v + ${n()} where ${range("id")}`,
    () => `update r.pond set place = ${place()}, v = v + 1`,
    () => `delete from r.pond where ${range("id")}`,
    () => `insert into r.pond select g, ${place()}, g from generate_series(${n()}, ${n()}) g on conflict (id) do update set v = excluded.v returning r.poke(id)`,
    () => `with made as (update r.pond set v = v + 2, place = ${place()} where ${range("id")} returning id) select r.poke(id) from made limit 2`,
    () => `do $$ begin perform r.poke(${n()}); update r.pond set v = v + 1 where id = ${n()} and r.poke(${n()}) > 0; end $$`,
    () => `with gone as (delete from r.pond where ${range("id")} returning *) insert into r.pond select id, ${place()}, v from gone limit 1`,
    () => `merge into r.pond t using (select g from generate_series(${n()}, ${n()}) g) s on t.id = s.g when matched and t.v % 2 = 0 then delete
             when matched then update set v = t.v + 1, place = ${place()} when not matched then insert values (s.g, 'p1', s.g)`,
    () => `insert into r.pond select g, ${place()}, ${n()} from generate_series(${n()}, ${n()}) g on conflict do nothing returning r.meddle(id)`,
    () => `update r.pond set v = v + ${n()} where ${range("id")} returning r.meddle(id)`,
    () => `update r.pond set place = ${place()} where ${range("id")} returning r.meddle(id + 1)`,
    () => `delete from r.pond where ${range("id")} returning r.meddle(id)`,
    () => `do $$ begin insert into r.pond values (${n()}, ${place()}, 0) on conflict do nothing; perform r.meddle(${n()}); update r.pond set v = v + 1 where id = ${n()}; end $$`,
    () => `insert into r.part select ${random.int(4)}, g, g, ${place()} from generate_series(${n()}, ${n()}) g on conflict do nothing returning r.meddle(id)`,
    () => `update r.part set v = v + ${n()} where ${range("id")} returning r.meddle(id)`,
    () => `delete from r.part where ${range("id")} returning r.meddle(id)`,
    () => `insert into r.seat select g, g from generate_series(0, 7) g where not exists (select from r.seat)`,
    () => `update r.seat set id = case id when 1 then 2 when 2 then 1 else id end`,
    () => `do $$ begin for k in 0..7 loop update r.seat set id = (id + ${n()}) % 8 where v = k; end loop; end $$`,
    () => `do $$ begin update r.seat set id = 3 where v = 1; delete from r.seat where v = 3; end $$`,
    () => `delete from r.seat where ${range("id")}`,
    () => `insert into r.part select ${random.int(4)}, g, g, ${place()} from generate_series(${n()}, ${n()}) g on conflict do nothing`,
    () => `update r.part set region = (region + ${n()}) % 4 where id = ${n()} and not exists (select from r.part p where p.id = r.part.id and p.ctid <> r.part.ctid)`,
    () => `update r.part set place = ${place()}, v = v + 1 where ${range("id")}`,
    () => `delete from r.part_${1 + random.int(2)} where ${range("id")}`,
    () => random.pick(["truncate r.note", "truncate r.person cascade", "truncate r.part_1", "truncate r.part", "truncate r.seat"]),
    () => `select tide.backfill('r.${random.pick(["pond", "org", "person", "note", "seat", "part"])}')`,
  ])()
}

const escape = (text: string) => text.replaceAll("\\", "\\\\").replaceAll(",", "\\,")

/** Address → row, from the tables. */
const truth = async (): Promise<Map<string, unknown>> => {
  const held = new Map<string, unknown>()
  const tables: ReadonlyArray<[entity: string, keys: ReadonlyArray<string>, scope: string | null]> = [
    ["pond", ["id"], "place"], ["org", ["id"], null], ["person", ["id"], "place"], ["note", ["a", "b"], "place"], ["seat", ["id"], null], ["part", ["region", "id"], "place"],
  ]
  for (const [entity, keys, scope] of tables) {
    for (const { row } of await db.sql.unsafe<Array<{ row: Record<string, unknown> }>>(`select to_json(t) as row from r.${entity} t`)) {
      const texts = keys.map((key) => String(row[key]))
      const id = texts.length === 1 ? texts[0] : texts.map(escape).join(",")
      held.set(JSON.stringify([scope === null ? null : row[scope], entity, id]), row)
    }
  }
  return held
}

describe("a reader of the outbox", () => {
  const held = new Map<string, unknown>()
  property("holds the rows there are, after any history", 30, async (random) => {
    const done: Array<string> = []
    for (let step = 0; step < 12; step++) {
      const statements = Array.from({ length: 1 + random.int(3) }, () => statement(random))
      // One transaction; a statement that breaks a rule is undone alone.
      await db.sql.begin(async (tx) => {
        for (const each of statements) {
          await tx.savepoint((nested) => nested.unsafe(each)).then(() => done.push(each), () => undefined)
        }
        if (random.chance(0.1)) throw new Rollback()
      }).catch((error: unknown) => { if (!(error instanceof Rollback)) done.push(`refused at commit: ${String(error)}`) })
      fold((await db.events()) as ReadonlyArray<OutboxRow>, held)
      const [there, told] = [Object.fromEntries(await truth()), Object.fromEntries(held)]
      expect(told, `after\n${done.slice(-6).join(";\n")}`).toEqual(there)
    }
  })
})

class Rollback extends Error {}
