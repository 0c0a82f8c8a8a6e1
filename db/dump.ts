/**
 * The schemas tide and authz as text, from the catalogs of a migrated database: what `db/schema.sql` holds, so that a review sees what a
 * migration does to the whole, generated capture functions too. For reading: migrations alone make a database. The outbox's daily
 * partitions are left out, being another set every day.
 */
import type { Sql } from "./postgres.ts"

/** The whole, in an order of its own: equal schemas give equal text. */
export const dumpSchema = async (sql: Sql): Promise<string> => {
  const lines = await sql<Array<{ line: string }>>`
    with relation as (
      select c.oid, format('%I.%I', n.nspname, c.relname) as name, c.relkind, c.relispartition
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('tide', 'authz') and c.relname !~ '^outbox_\\d{8}'),
    line(kind, name, place, line) as (
      select 1, t.typname, 0, format('create type %s as enum (%s);', t.oid::regtype, (select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid))
      from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname in ('tide', 'authz') and t.typtype = 'e'
      union all
      select 1, t.typname, 0, format('create domain %s as %s constraint %I %s;', t.oid::regtype, t.typbasetype::regtype, c.conname, pg_get_constraintdef(c.oid))
      from pg_type t join pg_namespace n on n.oid = t.typnamespace join pg_constraint c on c.contypid = t.oid where n.nspname in ('tide', 'authz')
      union all
      select 2, r.name, 0, format('create sequence %s;', r.name) from relation r where relkind = 'S'
      union all
      select 3, r.name, 0, format(E'create table %s (\n%s\n)%s;', r.name,
        (select string_agg('  ' || concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
            case when a.attidentity = 'a' then 'generated always as identity' when a.attgenerated = 's' then format('generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid)) when d.oid is not null then 'default ' || pg_get_expr(d.adbin, d.adrelid) end,
            case when a.attnotnull then 'not null' end), E',\n' order by a.attnum)
          from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped),
        coalesce(' partition by ' || pg_get_partkeydef(r.oid), ''))
      from relation r where relkind in ('r', 'p') and not relispartition
      union all
      select 4, r.name || c.conname, 0, format('alter table %s add constraint %I %s;', r.name, c.conname, pg_get_constraintdef(c.oid))
      from relation r join pg_constraint c on c.conrelid = r.oid where c.contype in ('p', 'u', 'c', 'f', 'x')
      union all
      select 5, r.name || i.indexrelid::regclass, 0, pg_get_indexdef(i.indexrelid) || ';'
      from relation r join pg_index i on i.indrelid = r.oid where not r.relispartition and not exists (select from pg_constraint where conindid = i.indexrelid)
      union all
      select 6, p.proname, 0, pg_get_functiondef(p.oid) || ';' from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('tide', 'authz')
      union all
      select 7, r.name || t.tgname, 0, pg_get_triggerdef(t.oid) || ';' from relation r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
      union all
      select 8, format('%s to %s', granted.what, granted.role), 0, format('grant %s on %s to %s;', string_agg(granted.privilege, ', ' order by granted.privilege), granted.what, granted.role)
      from (
        select format('schema %I', n.nspname) as what, a.grantee, a.privilege_type as privilege, coalesce(r.rolname, 'public') as role
        from pg_namespace n cross join lateral aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee where n.nspname in ('tide', 'authz') and a.grantee <> n.nspowner
        union all
        select r.name, a.grantee, a.privilege_type, coalesce(g.rolname, 'public')
        from relation r join pg_class c on c.oid = r.oid cross join lateral aclexplode(c.relacl) a left join pg_roles g on g.oid = a.grantee where a.grantee <> c.relowner
        union all
        select format('function %s', p.oid::regprocedure), a.grantee, a.privilege_type, coalesce(g.rolname, 'public')
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a left join pg_roles g on g.oid = a.grantee
        where n.nspname in ('tide', 'authz') and a.grantee <> p.proowner) granted
      group by granted.what, granted.role)
    select line from line order by kind, name, line`
  return `${lines.map(({ line }) => line.trimEnd()).join("\n\n")}\n`
}
