/** Who may do what in Postgres, enumerated: a table or function that is new and open to somebody fails here until it is meant. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`
    create schema app; create role app_writer login password 'test'; grant usage on schema app to app_writer;
    create table app.theirs (id int primary key, v int); grant select, insert, update, delete, truncate on app.theirs to app_writer;
    create table app.tree (id int primary key, v int) partition by range (id); create table app.tree_1 partition of app.tree default;
    select tide.track('app.theirs', 'theirs'), tide.track('app.tree', 'tree')`)
  await db.events()
})
afterAll(() => db.stop())

const OURS = ["tide", "authz"]

/** `select tide.outbox`: every right of the role on every table, view and sequence there is, the system's own aside. */
const relationRights = async (role: string): Promise<ReadonlyArray<string>> =>
  (await db.sql<Array<{ is: string }>>`
    select format('%s %s.%s', lower(p), n.nspname, c.relname) as is
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,USAGE}'::text[]) p
    where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_t%' and n.nspname <> 'pg_toast'
      and case when c.relkind = 'S' then p in ('SELECT', 'UPDATE', 'USAGE') and has_sequence_privilege(${role}, c.oid, p)
          when c.relkind in ('r', 'p', 'v', 'm', 'f') then p <> 'USAGE' and (has_table_privilege(${role}, c.oid, p)
            or p in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(${role}, c.oid, p))
          else false end
    order by 1`).map(({ is }) => is)

const functionRights = async (role: string): Promise<ReadonlyArray<string>> =>
  (await db.sql<Array<{ is: string }>>`
    select p.oid::regprocedure::text as is from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname not in ('pg_catalog', 'information_schema') and has_function_privilege(${role}, p.oid, 'EXECUTE') order by 1`).map(({ is }) => is)

const schemaRights = async (role: string): Promise<ReadonlyArray<string>> =>
  (await db.sql<Array<{ is: string }>>`
    select format('%s %s', lower(p), nspname) as is from pg_namespace cross join unnest('{USAGE,CREATE}'::text[]) p
    where nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and nspname not like 'pg\\_t%' and has_schema_privilege(${role}, oid, p) order by 1`).map(({ is }) => is)

describe("the services' roles", () => {
  it("tide_relay reads the outbox and its own state, and nothing else", async () => {
    expect(await relationRights("tide_relay")).toEqual(["select tide.message", "select tide.outbox", "select tide.rebuild", "select tide.relay_state"])
    expect(await functionRights("tide_relay")).toEqual([
      "tide.drop_partitions(interval,pg_snapshot,interval)", "tide.held_addresses(pg_snapshot)", "tide.image_at(text)", "tide.large_bytes()", "tide.lease_key()", "tide.look(xid8,xid8[],integer)", "tide.make_partitions(integer)",
      "tide.note_aside(json)", "tide.open_epoch(text,text,text,bigint,text,boolean,boolean)", "tide.open_window(xid8,xid8[],pg_snapshot,double precision,double precision)", "tide.outbox_size(pg_snapshot)", "tide.present_key()",
      "tide.rebuild_failed(bigint,text)", "tide.rebuild_gone(bigint,bigint,bigint,bigint,text[],text[],text[])", "tide.rebuild_read(bigint,integer)",
      "tide.rebuild_rows(bigint,bigint,text[],integer,text[])", "tide.save_relay_state(text,text,bigint,text)", "tide.system_identifier()", "tide.wake_key()",
    ])
    expect(await schemaRights("tide_relay")).toEqual(["usage public", "usage tide"])
  })

  it("tide_command mutates and cleans up, and reads and writes nothing by itself", async () => {
    expect(await relationRights("tide_command")).toEqual([])
    expect(await functionRights("tide_command")).toEqual(["authz.change(jsonb,text)", "authz.expire()", "tide.mutate(jsonb,text)", "tide.prune_mutations(interval)", "tide.refusal_of(jsonb,text)"])
    expect(await schemaRights("tide_command")).toEqual(["usage authz", "usage public", "usage tide"])
  })

  it("tide_capture, whose the capture functions are, writes the outbox and reads what is tracked", async () => {
    expect(await relationRights("tide_capture")).toEqual([
      "insert tide.outbox", "select app.theirs", "select app.tree", "select authz.grants", "select authz.members", "select authz.sign_outs", "select tide.tracked"])
    expect((await functionRights("tide_capture")).filter((name) => !name.startsWith("tide.capture_"))).toEqual([
      "tide.fit_token(text,text)", "tide.present_key()", "tide.refuse_row(integer)", "tide.refuse_setting()", "tide.require_name(text,oid)", "tide.row_bytes()",
      "tide.setting_bytes()", "tide.token_bytes(text)", "tide.wake_key()", "tide.wake_relay()"])
    expect(await schemaRights("tide_capture")).toEqual(["usage app", "usage authz", "usage public", "usage tide"])
    expect(await db.sql`select p.oid::regprocedure::text as f from pg_proc p where pronamespace = 'tide'::regnamespace and proname like 'capture\\_%' and prorettype = 'trigger'::regtype and proowner <> 'tide_capture'::regrole`).toEqual([])
  })

  it("tide_access, for applications that change access, calls the functions that do, and reads and writes nothing by itself", async () => {
    expect(await relationRights("tide_access")).toEqual([])
    expect(await functionRights("tide_access")).toEqual([
      "authz.add_member(text,text)", "authz.grant_access(text,text,text,text,text,timestamp with time zone)", "authz.remove_member(text,text)",
      "authz.revoke_access(text,text,text,text)", "authz.sign_out(text,text)"])
    expect(await schemaRights("tide_access")).toEqual(["usage authz", "usage public"])
  })

  it("have no other power: no attribute, no membership, and own nothing but capture functions", async () => {
    expect(await db.sql`select rolname from pg_roles where rolname like 'tide\\_%' and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)`).toEqual([])
    expect(await db.sql`select roleid::regrole from pg_auth_members where member::regrole::text like 'tide\\_%' or roleid::regrole::text like 'tide\\_%' and member <> 10`).toEqual([])
    expect(await db.sql`select classid::regclass, objid from pg_shdepend where refclassid = 'pg_authid'::regclass and deptype = 'o' and refobjid::regrole::text like 'tide\\_%'
      and not exists (select from pg_proc where oid = objid and classid = 'pg_proc'::regclass and proname like 'capture\\_%')`).toEqual([])
  })
})

describe("everybody", () => {
  it("has no right on anything of ours, functions that tracking made included", async () => {
    expect(await db.sql`
      select n.nspname, p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
       where n.nspname = any (${OURS}) and a.grantee = 0
      union all
      select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a where n.nspname = any (${OURS}) and a.grantee = 0
      union all
      select n.nspname, '' from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = any (${OURS}) and a.grantee = 0`).toEqual([])
  })

  it("finds no function of ours whose names somebody else could take over", async () => {
    const pinned = await db.sql<Array<{ name: string; path: string | null }>>`
      select p.oid::regprocedure::text as name, (select substr(c, 13) from unnest(p.proconfig) c where c like 'search\\_path=%') as path
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
      where n.nspname = any (${OURS}) and (p.prosecdef or l.lanname = 'plpgsql')`
    expect(pinned.length).toBeGreaterThan(20)
    expect(pinned.filter(({ path }) => path !== "pg_catalog, pg_temp")).toEqual([])
    // What stands in a body that is parsed when it is made needs no path; what is text would.
    expect(await db.sql`
      select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
      where n.nspname = any (${OURS}) and l.lanname = 'sql' and p.prosqlbody is null and p.proconfig is null`).toEqual([])
  })
})

describe("an application's role", () => {
  it("writes tracked tables and is told of, with rights on nothing of ours", async () => {
    const writer = db.connect("app_writer")
    await writer`insert into app.theirs values (1, 1), (2, 2)`
    await writer`update app.theirs set v = 3 where id = 1`
    await writer`delete from app.theirs where id = 2`
    await writer`truncate app.theirs`
    expect((await db.events("theirs")).map((e) => e.op)).toEqual(["INSERT", "INSERT", "UPDATE", "DELETE", "DELETE"])
    expect((await relationRights("app_writer")).filter((right) => !right.endsWith(" app.theirs"))).toEqual([])
    expect(await functionRights("app_writer")).toEqual([])
    expect(await schemaRights("app_writer")).toEqual(["usage app", "usage public"])
  })

  it.each([
    ["reads the outbox", "select * from tide.outbox"],
    ["reads a partition of it", "select * from tide.outbox_default"],
    ["forges an event", "insert into tide.outbox (entity, entity_id, op) values ('theirs', '1', 'DELETE')"],
    ["changes one", "update tide.outbox set user_id = 'eve'"],
    ["removes one", "delete from tide.outbox"],
    ["removes all", "truncate tide.outbox"],
    ["calls what writes events", "select tide.backfill('app.theirs')"],
    ["tracks", "select tide.track('app.theirs', 'theirs')"],
    ["untracks", "select tide.untrack('app.theirs')"],
    ["takes a capture function for a table of its own", "create temp table mine (id int); create trigger t after insert on mine for each row execute function tide.capture_theirs()"],
    ["turns the triggers off", "alter table app.theirs disable trigger tide_insert"],
    ["turns all triggers off for itself", "set session_replication_role = replica"],
    ["removes a trigger", "drop trigger tide_insert on app.theirs"],
    ["replaces one", "create or replace trigger tide_insert after insert on app.theirs for each statement execute function suppress_redundant_updates_trigger()"],
    ["removes the capture function", "drop function tide.capture_theirs() cascade"],
    ["makes something among ours", "create table tide.mine (id int)"],
    ["grants itself access", "select authz.grant_access('user:eve', level => 'OWNER')"],
    ["grants itself access by hand", "insert into authz.grants (principal, level) values ('user:eve', 'OWNER')"],
    ["enters a role", "insert into authz.members (role, member) values ('admins', 'user:eve')"],
    ["signs somebody out", "select authz.sign_out('ada')"],
    ["undoes a sign-out", "delete from authz.sign_outs"],
    ["mutates as somebody else", "select tide.mutate('{}', 'ada')"],
    ["asks what others may", "select authz.allows('ada', 'VIEW', null, 'theirs', '1')"],
    ["becomes the relay", "set role tide_relay"],
  ])("is refused where it %s", async (_, statement) => {
    const refused = await refusal(db.connect("app_writer").unsafe(statement))
    expect(refused).toMatchObject({ code: expect.stringMatching(/^42(501|809)$/) })
    expect(await db.events()).toEqual([])
  })

  it("that was granted tide_access changes access, which the audit knows, and nothing else", async () => {
    await db.sql.unsafe(`create role app_admin login password 'test'; grant tide_access to app_admin`)
    const admin = db.connect("app_admin")
    await admin.begin(async (tx) => {
      await tx`set local tide.user_id = 'ada'`
      await tx`select authz.grant_access('user:bob', scope => 'p1', level => 'EDIT'), authz.add_member('builders', 'bob'), authz.sign_out('bob')`
      await tx`select authz.revoke_access('user:bob', scope => 'p1'), authz.remove_member('builders', 'bob')`
    })
    expect((await db.events()).map((e) => [e.entity, e.op, e.user_id])).toEqual([
      ["_grant", "INSERT", "ada"], ["_member", "INSERT", "ada"], ["_sign_out", "INSERT", "ada"], ["_grant", "DELETE", "ada"], ["_member", "DELETE", "ada"]])
    for (const statement of [
      "insert into authz.grants (principal, level, granted_by) values ('user:eve', 'OWNER', 'root')", "delete from authz.sign_outs", "select * from authz.grants", "select authz.put_grant('user:eve', null, null, null, 'OWNER', null)",
      "select authz.change('{}', 'ada')", "select authz.allows('ada', 'VIEW', null, 'theirs', '1')", "select authz.hold('ada')", "select authz.expire()",
    ]) expect(await refusal(admin.unsafe(statement))).toMatchObject({ code: "42501" })
    await db.sql`revoke tide_access from app_admin`
  })

  it("that owns the type of a key has nothing of it run where a scope is opened", async () => {
    await db.sql.unsafe(`create schema keyed; create role keyer login password 'test'; grant usage, create on schema keyed to keyer`)
    const keyer = db.connect("keyer")
    await keyer.unsafe(`create type keyed.name as enum ('one'); create domain keyed.short as text; create table keyed.space (id keyed.name primary key); create table keyed.room (id keyed.short primary key)`)
    await db.sql`select tide.track('keyed.space', 'space', scope => 'id'), tide.track('keyed.room', 'room', scope => 'id')`
    await db.events()
    await keyer.unsafe(`
      create function keyed.show(keyed.name) returns text language plpgsql as $$ begin if current_user not in ('keyer', 'tide_capture') then raise exception 'run as %', current_user; end if; return 'shown'; end $$;
      create cast (keyed.name as text) with function keyed.show(keyed.name); set tide.user_id = 'ada'; insert into keyed.space values ('one'); insert into keyed.room values ('one')`)
    expect((await db.events("_grant")).map((e) => e.after!["scope"])).toEqual(["one"])
    expect(await refusal(db.sql`select tide.track('keyed.space', 'space', scope => 'id', founders => 'everyone')`)).toMatchObject({ message: expect.stringContaining("opens no scopes") })
    await keyer`drop cast (keyed.name as text)`
    await db.sql`select tide.untrack('keyed.space'), tide.untrack('keyed.room')`
    await db.events()
  })

  it("that owns a type in a tracked table has its functions run with the capture's rights at most, never with those of who tracked", async () => {
    await db.sql.unsafe(`create schema typed; create role typer login password 'test'; grant usage, create on schema typed to typer`)
    const typer = db.connect("typer")
    await typer.unsafe(`create type typed.mood as enum ('calm'); create table typed.day (id int primary key, m typed.mood)`)
    await db.sql`select tide.track('typed.day', 'day')`
    await typer.unsafe(`
      create function typed.show(typed.mood) returns json language sql as $$ select to_json(current_user::text) $$;
      create cast (typed.mood as json) with function typed.show(typed.mood); insert into typed.day values (1, 'calm'); update typed.day set id = 2; delete from typed.day; truncate typed.day`)
    const told = await db.events("day")
    expect(told.map((e) => e.op)).toEqual(["INSERT", "DELETE", "INSERT", "DELETE"])
    expect(told[0]!.after).toEqual({ id: 1, m: "tide_capture" })
    await db.sql`select tide.untrack('typed.day')`
    expect((await relationRights("tide_capture")).filter((right) => right.includes("typed."))).toEqual([])
    await db.events()
  })

  it("that may make triggers can put one in the place of ours, which tide.outdated names", async () => {
    await db.sql`grant trigger on app.theirs to app_writer`
    await db.connect("app_writer").unsafe(`create or replace trigger tide_insert after insert on app.theirs for each statement execute function suppress_redundant_updates_trigger()`)
    await db.sql`alter table app.theirs enable always trigger tide_insert`
    expect(await db.sql`select entity, what from tide.outdated()`).toEqual([{ entity: "theirs", what: "its triggers are gone, disabled, or not enabled always" }])
    await db.sql`revoke trigger on app.theirs from app_writer`
    await db.sql`select tide.track('app.theirs', 'theirs')`
    expect(await db.sql`select entity, what from tide.outdated()`).toEqual([])
    await db.events()
  })

  it("cannot bend what a capture function calls, by names of its own that come first", async () => {
    const writer = db.connect("app_writer")
    await db.sql`grant create on schema app to app_writer`
    await writer.unsafe(`
      create function app.to_json(anyelement) returns json language sql as $$ select '"forged"'::json $$;
      create function app.set_config(text, text, boolean) returns text language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$;
      create function app.pg_trigger_depth() returns int language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$;
      create function app.eq(int, int) returns boolean language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$;
      create operator app.= (leftarg = int, rightarg = int, function = app.eq);
      create temp table outbox (entity text); create temp table theirs (id int primary key, v int);
      set search_path = app, pg_temp, pg_catalog;
      insert into app.theirs values (5, 5); update app.theirs set v = 6; delete from app.theirs; truncate app.theirs`)
    expect((await db.events("theirs")).map((e) => [e.op, e.after])).toEqual([["INSERT", { id: 5, v: 5 }], ["UPDATE", { id: 5, v: 6 }], ["DELETE", null]])
  })
})
