-- The log is brought into line with the tables: after a disaster (a rebuild), or because rows were there before their table was tracked (a
-- backfill). The relay does it, beside the changes it publishes (services/outbox-relay/rebuild.ts). Two kinds of steps, in pages:
--
--   gone  What lives in STATE and not in its table becomes a DELETE.
--   rows  A row of a table that is not in STATE as it is becomes a READ. What STATE has already costs no event.
--
-- A READ must never overwrite something newer. The rows of a page are locked FOR SHARE before their outbox rows are written: a
-- writer that changed a row first has committed by then, and the lock finds what it left; one that comes later waits until this
-- transaction ends, so its outbox id is larger and no snapshot sees its event without this one. (KEY SHARE would not do: an
-- UPDATE that leaves the key alone does not wait for it.) A row inserted meanwhile has its own event.
--
-- A DELETE locks nothing, for there is no row to lock. One that comes after the INSERT of a writer who was faster is put right by
-- the step `rows`, which comes later, begins when every DELETE is in STATE, and finds the row missing there.
--
-- Whether STATE has a row is decided by a digest. Where it is behind and says what the table says, the changes between are in the outbox,
-- or soon will be, and end at what the table says.

-- Where an entity's rows are: a tracked table, or one of the log's own.
create or replace function tide.source(entity text) returns tide.tracked
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select (s.held).* from (
    select t as held from tide.tracked t where t.entity = source.entity
    union all
    select row(own.entity, own.relation::text, own.relation, tide.key_columns(own.relation), null::text, true, '{}'::jsonb, now(), null::text)::tide.tracked
    from (values ('_entity', 'tide.tracked'::regclass), ('_grant', 'authz.grants'), ('_member', 'authz.members'), ('_sign_out', 'authz.sign_outs')) own(entity, relation)
    where own.entity = source.entity) s;
end;

-- The operator of the primary key's column for a strategy of B-trees (1 <, 2 <=, 3 =, 4 >=, 5 >), as nobody's search path can bend it.
create or replace function tide.key_operator(relation oid, place integer, strategy integer) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select format('operator(%I.%s)', n.nspname, o.oprname)
  from pg_index i
  join pg_opclass c on c.oid = (i.indclass::oid[])[place - 1]
  join pg_amop m on m.amopfamily = c.opcfamily and m.amopstrategy = strategy and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
  join pg_operator o on o.oid = m.amopopr
  join pg_namespace n on n.oid = o.oprnamespace
  where i.indrelid = key_operator.relation and i.indisprimary);

-- The key's column as the parameter (text[]) says it, typed.
create or replace function tide.key_part(relation oid, column_name text, parameter text, place integer) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select format('%s[%s]::%I.%I', parameter, place, n.nspname, t.typname)
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
  where t.oid = tide.column_type(key_part.relation, key_part.column_name));

-- Whether the row `tide_t` comes after the key in the parameter (strategy 5), or not (2), in a form that the primary key's index serves.
create or replace function tide.key_compare(relation oid, keys text[], parameter text, strategy integer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  compared text;
  pair text;
begin
  for i in reverse cardinality(keys) .. 1 loop
    pair := format('tide_t.%I %%s %s', keys[i], tide.key_part(relation, keys[i], parameter, i));
    compared := case
      when compared is null then format(pair, tide.key_operator(relation, i, strategy))
      else format('(%s or %s and %s)', format(pair, tide.key_operator(relation, i, case strategy when 5 then 5 else 1 end)),
        format(pair, tide.key_operator(relation, i, 3)), compared)
    end;
  end loop;
  if cardinality(keys) > 1 then compared := format(pair, tide.key_operator(relation, 1, case strategy when 5 then 4 else 2 end)) || ' and ' || compared; end if;
  return compared;
end $$;

-- What a row and a message have in common when they say the same (services/outbox-relay/rebuild.ts makes the same of a message).
create or replace function tide.digest(id text, scope text, image json) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return encode(sha256(convert_to(id || E'\n' || coalesce(scope, E'\n') || E'\n' || image::text, 'UTF8')), 'base64');

-- The next page of a source's rows after a key (null: from the start): their addresses, and the last one's key, null where there is none.
create or replace function tide.read_page(held tide.tracked, after_key text[], page_size integer, out last_key text[], out ids text[], out scopes text[])
language plpgsql stable set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1
as $fn$
declare
  key_list text;
  key_texts text;
begin
  select string_agg(format('tide_t.%I', k.name), ', ' order by k.place), string_agg(format('tide_t.%I::text', k.name), ', ' order by k.place)
  into key_list, key_texts from unnest(held.key_columns) with ordinality k(name, place);
  execute format($q$
    with page as (select array[%1$s] as key, %2$s as id, %3$s as scope, row_number() over (order by %4$s) as place from %5$s tide_t where %6$s order by %4$s limit $2)
    select (select key from page order by place desc limit 1), array_agg(id order by place), array_agg(scope order by place) from page$q$,
    key_texts, tide.id_expression(held.relation, held.key_columns, 'tide_t'), tide.scope_expression(held.scope_column, 'tide_t'), key_list, held.relation,
    case when after_key is null then 'true' else tide.key_compare(held.relation, held.key_columns, '$1', 5) end)
  into last_key, ids, scopes using after_key, page_size;
end $fn$;

-- Writes the READ rows of a page, but for those whose digests are known; returns how many. The page ends where it was found to: a row whose
-- key changes while its lock is waited for must not move the end.
create or replace function tide.write_page(held tide.tracked, after_key text[], last_key text[], known text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1
as $fn$
declare
  id constant text := tide.fitting_id_expression(held.relation, held.key_columns, 'tide_t');
  scope constant text := tide.fitting_scope_expression(held.relation, held.scope_column, 'tide_t');
  written bigint;
begin
  execute format($q$
    insert into tide.outbox (entity, entity_id, scope, op, after, user_id, request_id)
    select %1$L, s.id, s.scope, 'READ', s.image,
      nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), '')
    from (
      select %2$s as id, %3$s as scope, to_json(tide_t.*) as image from %4$s tide_t
      where %5$s and %6$s and ($3 is null or tide.digest(%2$s, %3$s, to_json(tide_t.*)) <> all ($3))
      order by %7$s for share of tide_t) s$q$,
    held.entity, id, scope, held.relation,
    case when after_key is null then 'true' else tide.key_compare(held.relation, held.key_columns, '$1', 5) end,
    tide.key_compare(held.relation, held.key_columns, '$2', 2),
    (select string_agg(format('tide_t.%I', k.name), ', ' order by k.place) from unnest(held.key_columns) with ordinality k(name, place)))
  using after_key, last_key, known;
  get diagnostics written = row_count;
  if written > 0 then perform tide.wake_relay(); end if;
  return written;
end $fn$;

drop function if exists tide.backfill_page(regclass, text[], integer);
create or replace function tide.backfill(relation regclass) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held tide.tracked;
  total bigint := 0;
  page record;
  after_key text[];
begin
  select * into held from tide.tracked t where t.relation = backfill.relation;
  if held.entity is null then
    perform tide.refuse(format('tide.backfill: %s is not tracked', relation), format('First: select tide.track(%L, entity => …).', relation));
  elsif current_setting('transaction_isolation') <> 'read committed' then
    perform tide.refuse(format('tide.backfill: not in a %s transaction', current_setting('transaction_isolation')), 'Its snapshot may be older than the tracking: use read committed.');
  end if;
  loop
    select * into page from tide.read_page(held, after_key, 1000);
    exit when page.last_key is null;
    total := total + tide.write_page(held, after_key, page.last_key, null);
    after_key := page.last_key;
  end loop;
  return total;
end $$;
comment on function tide.backfill(regclass) is 'Makes every row of a tracked table a READ event, in one transaction; returns how many';

-- What is asked for --------------------------------------------------------------------------------------------------------

create or replace function tide.rows_about(relation regclass) returns bigint
language sql stable set search_path = pg_catalog, pg_temp
return (select nullif(greatest(sum(c.reltuples), -1), -1)::bigint from pg_partition_tree(relation) p join pg_class c on c.oid = p.relid where p.isleaf);

-- Asks the relay to backfill a table; returns the step. Where that was asked for and is not done, it goes on.
create or replace function tide.request_backfill(relation regclass, rate integer default null) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  code constant text := (select t.entity from tide.tracked t where t.relation = request_backfill.relation);
  step bigint;
begin
  if code is null then
    perform tide.refuse(format('tide.request_backfill: %s is not tracked', relation), format('First: select tide.track(%L, entity => …).', relation));
  end if;
  delete from tide.rebuild r where r.kind = 'rows' and r.what = code and r.epoch is null and r.done_at is not null;
  insert into tide.rebuild as r (kind, what, reason, rate, about) values ('rows', code, 'backfill', request_backfill.rate, tide.rows_about(relation))
  on conflict (kind, what) where done_at is null do update set rate = coalesce(excluded.rate, r.rate)
  returning place into step;
  perform pg_notify('tide_rebuild', '');
  return step;
end $$;
comment on function tide.request_backfill(regclass, integer) is 'Asks the relay to make rows of the table READ events where the log does not have them; returns the step of tide.rebuild';

-- Asks the relay to bring the whole log into line with the tables, from the start. Access first: what was granted in a history that is no
-- more must not stay open. Then what is tracked, then what is gone, then the rows.
create or replace function tide.request_rebuild(reason text, epoch text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from tide.rebuild;
  insert into tide.rebuild (kind, what, epoch, reason, about)
  select s.kind, s.what, request_rebuild.epoch, request_rebuild.reason, s.about from (
    select * from (values (1, 'gone', '_acl', null::bigint), (2, 'rows', '_grant', null), (3, 'rows', '_member', null), (4, 'rows', '_sign_out', null),
      (5, 'gone', '_schema', null), (6, 'rows', '_entity', null), (7, 'gone', '*', null)) own(place, kind, what, about)
    union all
    select 7 + row_number() over (order by t.entity), 'rows', t.entity, tide.rows_about(t.relation)
    from tide.tracked t where exists (select from pg_class where oid = t.relation)) s(place, kind, what, about)
  order by s.place;
  perform pg_notify('tide_rebuild', '');
end $$;
comment on function tide.request_rebuild(text, text) is 'Asks the relay to bring the log into line with all tracked tables';

-- What the relay does ------------------------------------------------------------------------------------------------------

-- The step, locked, if it is still where the caller believes it to be: else another relay has gone on with it.
create or replace function tide.rebuild_step(place bigint, looked_at bigint) returns tide.rebuild
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  step tide.rebuild;
begin
  select * into step from tide.rebuild r where r.place = rebuild_step.place and r.done_at is null for update;
  if step.looked_at is distinct from rebuild_step.looked_at then
    raise exception 'step % of the rebuild is not at %', place, looked_at using errcode = 'serialization_failure', hint = 'Somebody else goes on with it: read where it is.';
  end if;
  return step;
end $$;

create or replace function tide.rebuild_read(place bigint, page_size integer, out last_key text[], out ids text[], out scopes text[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  step tide.rebuild;
  held tide.tracked;
begin
  select * into step from tide.rebuild r where r.place = rebuild_read.place;
  held := tide.source(step.what);
  if held.entity is null then return; end if;
  select p.last_key, p.ids, p.scopes into last_key, ids, scopes from tide.read_page(held, step.after_key, page_size) p;
end $$;
comment on function tide.rebuild_read(bigint, integer) is 'The addresses of the next page of a step; last_key is null at the end';

-- Writes the page that rebuild_read found; `known`: the digests of what STATE has. Returns how many rows it wrote, and their transaction.
create or replace function tide.rebuild_rows(place bigint, looked_at bigint, last_key text[], page_rows integer, known text[], out written bigint, out xid text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  step constant tide.rebuild := tide.rebuild_step(place, looked_at);
  held constant tide.tracked := tide.source(step.what);
begin
  written := 0;
  if last_key is not null and held.entity is not null then written := tide.write_page(held, step.after_key, last_key, known); end if;
  update tide.rebuild r set after_key = coalesce(rebuild_rows.last_key, r.after_key), looked_at = r.looked_at + page_rows, written = r.written + rebuild_rows.written,
    done_at = case when last_key is null then now() end where r.place = step.place;
  xid := pg_current_xact_id()::text;
end $$;
comment on function tide.rebuild_rows(bigint, bigint, text[], integer, text[]) is 'Writes a page of a step as READ events but for what is known';

-- Of addresses of one entity, those that are no row's.
create or replace function tide.missing(held tide.tracked, scopes text[], ids text[]) returns table (scope text, id text)
language plpgsql stable set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1
as $fn$
declare
  query constant text := format($q$
    select tide_a.scope, tide_a.id from unnest($1, $2) tide_a(scope, id) cross join lateral (select tide.split_id(tide_a.id, %s) as parts offset 0) tide_k
    where not exists (select from %s tide_t where %s %s = tide_a.id and %s is not distinct from tide_a.scope)$q$,
    cardinality(held.key_columns), held.relation, '%s', tide.id_expression(held.relation, held.key_columns, 'tide_t'), tide.scope_expression(held.scope_column, 'tide_t'));
begin
  if held.entity is null then return query select a.scope, a.id from unnest(scopes, ids) a(scope, id); return; end if;
  return query execute format(query, (
    select string_agg(format('tide_t.%I %s (%s) and ', k.name, tide.key_operator(held.relation, k.place::integer, 3), tide.key_part(held.relation, k.name, 'tide_k.parts', k.place::integer)), '' order by k.place)
    from unnest(held.key_columns) with ordinality k(name, place))) using scopes, ids;
exception
  -- Text that cannot be a key of the table as it is now: its index does not help.
  when data_exception then return query execute format(query, '') using scopes, ids;
end $fn$;

-- Writes a DELETE for every address (they live in STATE up to after_seq, null: there are no more) that is no row's; returns how many, and
-- their transaction. Done at upto_seq.
create or replace function tide.rebuild_gone(
  place bigint, looked_at bigint, after_seq bigint, upto_seq bigint, entities text[], scopes text[], ids text[], out written bigint, out xid text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  step constant tide.rebuild := tide.rebuild_step(place, looked_at);
  part record;
  wrote bigint;
begin
  written := 0;
  for part in select a.entity, array_agg(a.scope) as scopes, array_agg(a.id) as ids from unnest(entities, scopes, ids) a(entity, scope, id) group by a.entity order by a.entity loop
    insert into tide.outbox (entity, entity_id, scope, op, user_id)
    select part.entity, m.id, m.scope, 'DELETE', nullif(current_setting('tide.user_id', true), '') from tide.missing(tide.source(part.entity), part.scopes, part.ids) m;
    get diagnostics wrote = row_count;
    written := written + wrote;
  end loop;
  update tide.rebuild r set after_seq = coalesce(rebuild_gone.after_seq, r.after_seq), upto_seq = rebuild_gone.upto_seq,
    looked_at = r.looked_at + coalesce(cardinality(ids), 0), written = r.written + rebuild_gone.written,
    done_at = case when coalesce(rebuild_gone.after_seq >= rebuild_gone.upto_seq, true) then now() end where r.place = step.place;
  if written > 0 then perform tide.wake_relay(); end if;
  xid := pg_current_xact_id()::text;
end $$;
comment on function tide.rebuild_gone(bigint, bigint, bigint, bigint, text[], text[], text[]) is 'Writes DELETE events for addresses of the log that are in no table';

create or replace function tide.rebuild_failed(place bigint, error text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  update tide.rebuild r set done_at = now(), error = rebuild_failed.error where r.place = rebuild_failed.place and r.done_at is null;
end;
comment on function tide.rebuild_failed(bigint, text) is 'A step cannot be done: the others go on';
