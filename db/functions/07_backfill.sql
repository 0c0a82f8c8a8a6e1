-- Rows that were there before their table was tracked become READ events.
--
-- A READ must never overwrite something newer. The rows of a page are locked FOR SHARE before their outbox rows are written: a
-- writer that changed a row first has committed by then, and the lock finds what it left; one that comes later waits until this
-- transaction ends, so its outbox id is larger and no snapshot sees its event without this one. (KEY SHARE would not do: an
-- UPDATE that leaves the key alone does not wait for it.) A row inserted meanwhile has its own event.
--
-- Page by page in transactions of their own, as `npx tideline backfill` does it, writers wait for a page at most.

-- Writes the READ rows of the next page after `after_key` (null: from the start). `last_key` is what to go on after; null: done.
create or replace function tide.backfill_page(relation regclass, after_key text[] default null, page_size integer default 1000, out rows integer, out last_key text[])
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1
as $fn$
declare
  held tide.tracked;
  key_list text;
  key_texts text;
  seen integer;
begin
  select * into held from tide.tracked t where t.relation = backfill_page.relation;
  if held.entity is null then
    perform tide.refuse(format('tide.backfill: %s is not tracked', relation), format('First: select tide.track(%L, entity => …).', relation));
  elsif page_size is null or page_size < 1 then
    perform tide.refuse('tide.backfill: a page has one row at least', 'Leave page_size out.');
  elsif current_setting('transaction_isolation') <> 'read committed' then
    perform tide.refuse(format('tide.backfill: not in a %s transaction', current_setting('transaction_isolation')), 'Its snapshot may be older than the tracking: use read committed.');
  end if;
  -- Comparison operators of key types that an extension brought.
  perform set_config('search_path', concat_ws(', ', 'pg_catalog', (
    select string_agg(distinct quote_ident(n.nspname), ', ')
    from unnest(held.key_columns) k join pg_type t on t.oid = tide.column_type(held.relation, k) join pg_namespace n on n.oid = t.typnamespace
    where n.nspname <> 'pg_catalog'), 'pg_temp'), true);
  select string_agg(format('tide_t.%I', k.name), ', ' order by k.place), string_agg(format('tide_t.%I::text', k.name), ', ' order by k.place)
  into key_list, key_texts from unnest(held.key_columns) with ordinality k(name, place);

  -- Where the page ends is settled before anything is locked: a row whose key changes while its lock is waited for must not move the end.
  execute format('select tide_p.key, tide_p.place from (select array[%1$s] as key, row_number() over (order by %2$s) as place from %3$s tide_t where %4$s order by %2$s limit $2) tide_p order by tide_p.place desc limit 1',
    key_texts, key_list, relation, case when after_key is null then 'true' else format('(%s) > (select %s from (%s) tide_t)', key_list, key_list, tide.key_query(relation, held.key_columns)) end)
  into last_key, seen using after_key, page_size;
  rows := 0;
  if last_key is null then return; end if;
  execute format($q$
    insert into tide.outbox (entity, entity_id, scope, op, after, user_id, request_id)
    select %1$L, s.id, s.scope, 'READ', s.image,
      nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), '')
    from (
      select %2$s as id, %3$s as scope, to_json(tide_t.*) as image from %4$s tide_t
      where %5$s and (%6$s) <= (select %6$s from (%7$s) tide_t) order by %6$s for share of tide_t) s$q$,
    held.entity, tide.fitting_id_expression(relation, held.key_columns, 'tide_t'), tide.fitting_scope_expression(relation, held.scope_column, 'tide_t'), relation,
    case when after_key is null then 'true' else format('(%s) > (select %s from (%s) tide_t)', key_list, key_list, replace(tide.key_query(relation, held.key_columns), '$1[', '$2[')) end,
    key_list, tide.key_query(relation, held.key_columns))
  using last_key, after_key;
  get diagnostics rows = row_count;
  if seen < page_size then last_key := null; end if;
  perform tide.wake_relay();
end $fn$;
comment on function tide.backfill_page(regclass, text[], integer) is 'Makes one page of existing rows READ events; last_key is what to go on after, null at the end';

create or replace function tide.backfill(relation regclass) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  total bigint := 0;
  page record;
  after_key text[];
begin
  loop
    select * into page from tide.backfill_page(relation, after_key);
    total := total + page.rows;
    after_key := page.last_key;
    exit when after_key is null;
  end loop;
  return total;
end $$;
comment on function tide.backfill(regclass) is 'Makes every row of a tracked table a READ event, in one transaction; returns how many';
