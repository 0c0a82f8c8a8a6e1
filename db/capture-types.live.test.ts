/** What arrives for a value of each type, as exact JSON text, whatever the writer's session is set to and by whichever way the row is told. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`
    create schema app;
    create type app.mood as enum ('calm', 'it''s "rough"');
    create domain app.percent as numeric(5, 2) check (value <= 100);
    create domain app.moment as timestamptz;
    create type app.point3 as (x int, "Y y" text, at timestamptz);
    create type app.span as range (subtype = timestamptz)`)
})
afterAll(() => db.stop())

/** Type, SQL literal, JSON. */
const VALUES: ReadonlyArray<readonly [type: string, literal: string, json: string]> = [
  ["boolean", "true", "true"],
  ["smallint", "-32768", "-32768"],
  ["integer", "2147483647", "2147483647"],
  ["bigint", "9223372036854775807", "9223372036854775807"],
  ["numeric", "123456789012345678901234567890.12345678901234567890", "123456789012345678901234567890.12345678901234567890"],
  ["numeric(6, 3)", "1.5", "1.500"],
  ["numeric", "'NaN'", '"NaN"'],
  ["numeric", "'-Infinity'", '"-Infinity"'],
  ["real", "0.1", "0.1"],
  ["double precision", "0.1::float8 + 0.2::float8", "0.30000000000000004"],
  ["double precision", "1e300", "1e+300"],
  ["double precision", "'NaN'", '"NaN"'],
  ["double precision", "'Infinity'", '"Infinity"'],
  ["double precision", "'-0'", "-0"],
  ["money", "'1234.5'", '"$1,234.50"'],
  ["text", `E'tab\\t "quote" \\\\ \\u0001 ä 日本 🦆'`, `"tab\\t \\"quote\\" \\\\ \\u0001 ä 日本 🦆"`],
  ["text", "''", '""'],
  ["text", "null", "null"],
  ["varchar(5)", "'ab'", '"ab"'],
  ["char(5)", "'ab'", '"ab   "'],
  ["name", "'pg'", '"pg"'],
  ["bytea", "'\\x00ff61'", '"\\\\x00ff61"'],
  ["uuid", "'C0FFEE00-0000-4000-8000-00000000000A'", '"c0ffee00-0000-4000-8000-00000000000a"'],
  ["date", "'2026-11-21'", '"2026-11-21"'],
  ["date", "'0044-03-15 BC'", '"0044-03-15 BC"'],
  ["date", "'infinity'", '"infinity"'],
  ["time", "'10:00:00.000001'", '"10:00:00.000001"'],
  ["timetz", "'10:00+05:30'", '"10:00:00+05:30"'],
  ["timestamp", "'2026-11-21 10:00:00.5'", '"2026-11-21T10:00:00.5"'],
  ["timestamptz", "'2026-11-21 10:00:00.123456+09'", '"2026-11-21T01:00:00.123456+00:00"'],
  ["timestamptz", "'-infinity'", '"-infinity"'],
  ["interval", "'1 year 2 mons -3 days 04:05:06.7'", '"1 year 2 mons -3 days +04:05:06.7"'],
  ["json", `'{"b" : 1, "a":[1.0, null], "b": 2}'`, `{"b" : 1, "a":[1.0, null], "b": 2}`],
  ["jsonb", `'{"b" : 1, "a":[1.0, null], "b": 2}'`, `{"a": [1.0, null], "b": 2}`],
  ["jsonb", "'null'", "null"],
  ["jsonpath", "'$.a'", `"$.\\"a\\""`],
  ["inet", "'10.0.0.1/24'", '"10.0.0.1/24"'],
  ["cidr", "'10.0.0.0/8'", '"10.0.0.0/8"'],
  ["macaddr", "'08:00:2B:01:02:03'", '"08:00:2b:01:02:03"'],
  ["bit(4)", "B'1010'", '"1010"'],
  ["varbit", "B'101'", '"101"'],
  ["int[]", "'{1,NULL,3}'", "[1,null,3]"],
  ["int[]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"],
  ["int[]", "'[2:3]={7,8}'", "[7,8]"],
  ["text[]", `array['a,b', '"', null]`, `["a,b","\\"",null]`],
  ["timestamptz[]", "array['2026-11-21 10:00+09'::timestamptz]", '["2026-11-21T01:00:00+00:00"]'],
  ["app.mood", `'it''s "rough"'`, `"it's \\"rough\\""`],
  ["app.mood[]", "'{calm}'", '["calm"]'],
  ["app.percent", "99.5", "99.50"],
  ["app.moment", "'2026-11-21 10:00+09'", '"2026-11-21T01:00:00+00:00"'],
  ["app.point3", "row(1, 'a', '2026-11-21 10:00+09')", '{"x":1,"Y y":"a","at":"2026-11-21T01:00:00+00:00"}'],
  ["app.point3[]", "array[row(1, null, null)::app.point3]", '[{"x":1,"Y y":null,"at":null}]'],
  ["int4range", "'[1,5]'", '"[1,6)"'],
  ["int4range", "'empty'", '"empty"'],
  ["tstzrange", "'[2026-11-21 10:00+09,)'", `"[\\"2026-11-21 01:00:00+00\\",)"`],
  ["app.span", "'[2026-11-21 10:00+09,)'", `"[\\"2026-11-21 01:00:00+00\\",)"`],
  ["int4multirange", "'{[1,3),[5,7)}'", '"{[1,3),[5,7)}"'],
  ["point", "'(1.5,2)'", '"(1.5,2)"'],
  ["polygon", "'((0,0),(1,1))'", '"((0,0),(1,1))"'],
  ["tsvector", "'a fat cat'", `"'a' 'cat' 'fat'"`],
  ["tsquery", "'fat & cat'", `"'fat' & 'cat'"`],
  ["oid", "4294967295", `"4294967295"`],
  ["regclass", "'app.weather'", '"app.weather"'],
  ["pg_lsn", "'16/B374D848'", '"16/B374D848"'],
  ["xid8", "'18446744073709551615'", '"18446744073709551615"'],
]

const columns = VALUES.map((_, i) => `c${i}`)
const literals = VALUES.map(([, literal]) => literal).join(", ")
const body = (id: number): string => `{"id":${id},${VALUES.map(([, , json], i) => `"c${i}":${json}`).join(",")}}`

/** A session that shows everything another way. */
const strange = `set timezone = 'Asia/Kathmandu'; set datestyle = 'German, DMY'; set intervalstyle = 'iso_8601'; set bytea_output = 'escape';
  set extra_float_digits = -15; set search_path = app, public; set xmlbinary = hex; set array_nulls = on`

describe("values of every type", () => {
  it.each([["an ordinary table", ""], ["a partitioned table", "partition by range (id)"]])("are the same text by every way a row is told: %s", async (_, how) => {
    await db.sql.unsafe(`
      drop table if exists app.weather; create table app.weather (id int primary key, ${VALUES.map(([type], i) => `c${i} ${type}`).join(", ")}) ${how};
      ${how === "" ? "" : "create table app.weather_1 partition of app.weather default;"}
      select tide.track('app.weather', 'weather')`)
    await db.events()
    const writer = db.connect()
    await writer.unsafe(`insert into app.weather (id, ${columns.join(", ")}) values (1, ${literals})`)
    await writer.unsafe(strange)
    await writer.unsafe(`insert into app.weather (id, ${columns.join(", ")}) select 2, ${columns.join(", ")} from app.weather`)
    await writer.unsafe(`update app.weather set id = id`)
    await writer.unsafe(`begin; select set_config('tide.nested_weather', 'on', true); update app.weather set id = id where id = 1; commit`)
    await writer.unsafe(`select tide.backfill('app.weather')`)
    await writer.unsafe(`delete from app.weather where id = 1; truncate app.weather`)
    const told = await db.sql<Array<{ op: string; entity_id: string; after: string | null; before: string | null }>>`
      select op, entity_id, after::text, before::text from tide.outbox where entity = 'weather' and xid >= (select max(xid) from tide.outbox where entity = '_entity') order by id`
    expect(told.map((e) => `${e.op} ${e.entity_id}`)).toEqual(["INSERT 1", "INSERT 2", "UPDATE 1", "UPDATE 2", "UPDATE 1", "READ 1", "READ 2", "DELETE 1", "DELETE 2"])
    const images = told.flatMap(({ after, before, entity_id }) => [after, before].filter((image) => image !== null).map((image) => ({ image, entity_id })))
    expect(images.length).toBe(12)
    expect(images).toEqual(images.map(({ entity_id }) => ({ image: body(Number(entity_id)), entity_id })))
    await db.sql`select tide.untrack('app.weather')`
    expect((await db.sql`select before::text as b from tide.outbox where entity = 'weather' order by id desc limit 1`)[0]!["b"]).toBe(body(2))
  })

  it("xml, where the server has it", async (context) => {
    const has = await db.sql`select '<a/>'::xml`.then(() => true, () => false)
    if (!has) return context.skip()
    await db.sql.unsafe(`create table app.page (id int primary key, x xml); select tide.track('app.page', 'page'); insert into app.page values (1, '<a b="c">&amp;</a>')`)
    expect((await db.sql`select after::text as a from tide.outbox where entity = 'page'`)[0]!["a"]).toBe('{"id":1,"x":"<a b=\\"c\\">&amp;</a>"}')
  })

  it("identity and generated columns are the stored values", async () => {
    await db.sql.unsafe(`create table app.made (id bigint generated always as identity (start 41) primary key, n serial, half numeric generated always as (id / 2.0) stored, at timestamptz default '2026-01-01 00:00+00');
      select tide.track('app.made', 'made'); insert into app.made default values; insert into app.made (id) overriding system value values (7)`)
    expect((await db.sql`select after::text as a from tide.outbox where entity = 'made' order by id`).map((r) => r["a"] as string)).toEqual([
      '{"id":41,"n":1,"half":20.5000000000000000,"at":"2026-01-01T00:00:00+00:00"}', '{"id":7,"n":2,"half":3.5000000000000000,"at":"2026-01-01T00:00:00+00:00"}'])
  })
})
