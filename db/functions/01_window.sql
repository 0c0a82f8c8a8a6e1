-- How the relay reads the outbox. Its session may be another one with each transaction (a pooler in transaction mode), so nothing is set or
-- prepared there: PL/pgSQL keeps the plans, and SET clauses say how they are made. Statistics of a partition that is filled this
-- minute say nothing, and the index is always right here.

drop function if exists tide.look(xid8, xid8[], integer);
drop view if exists tide.message;

-- Bytes as stored of an image that does not come along with many others: the relay takes a thousand rows at once.
create or replace function tide.large_bytes() returns integer language sql immutable parallel safe return 16 * 1024;

-- A row of the outbox as the relay takes it: texts and numbers. Ids fit a number for the first nine quadrillion changes. Where the image
-- is large, `place` says where it lies (tide.image_at): a row of the outbox is never updated, so it stays there.
create view tide.message as
select o.id::float8 as id, o.xid, o.entity, o.entity_id as "entityId", o.scope, o.op,
  case when pg_column_size(o.after) <= tide.large_bytes() then o.after::text end as after,
  case when pg_column_size(o.after) > tide.large_bytes() then o.tableoid || ' ' || o.ctid end as place,
  case when o.entity in ('_grant', '_member') then o.before::text end as before,
  to_char(o.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
  o.user_id as "user", o.mutation_id as mutation, o.traceparent as trace
from tide.outbox o;
comment on view tide.message is 'A row of the outbox as the relay takes it';

-- The image that lies at a place.
create or replace function tide.image_at(place text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (select o.after::text from tide.outbox o where o.tableoid = split_part(place, ' ', 1)::oid and o.ctid = split_part(place, ' ', 2)::tid);

-- What the snapshot with this xmax and these running transactions did not see and the calling statement's does; no more than so many rows.
-- STABLE, so that its snapshot is the statement's.
create or replace function tide.look(xmax xid8, running xid8[], at_most integer) returns setof tide.message
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  return query
    select m.* from tide.message m
    where (m.xid >= look.xmax or m.xid = any (look.running)) and pg_visible_in_snapshot(m.xid, pg_current_snapshot())
    limit look.at_most;
end $$;
comment on function tide.look(xid8, xid8[], integer) is 'The outbox rows that a snapshot did not see and this statement''s does';

-- Opens the cursor tide_window on what `seen` sees and the snapshot with this xmax and these running transactions did not, from after (tx, id)
-- on: in the order of (largest id of the transaction, id). `done`: rows of the transaction up to `id`. To be called in a transaction;
-- in what is left of it the operator's time limits do not count, for it takes as long as the stream does.
create or replace function tide.open_window(xmax xid8, running xid8[], seen pg_snapshot, tx float8, id float8) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  tide_window refcursor := 'tide_window';
begin
  perform set_config('work_mem', '32MB', true);
  perform set_config(name, '0', true)
  from unnest(array['statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout']) name
  where current_setting(name, true) is not null;
  open tide_window no scroll for
    with t as materialized (
      select o.xid, max(o.id) as tx, count(*) as count, count(*) filter (where o.id <= open_window.id) as done
      from tide.outbox o
      where (o.xid >= open_window.xmax or o.xid = any (open_window.running)) and pg_visible_in_snapshot(o.xid, open_window.seen)
      group by o.xid)
    select m.*, t.tx::float8 as tx, t.count::float8 as count, t.done::float8 as done
    from t join tide.message m on m.xid = t.xid
    where (m.xid >= open_window.xmax or m.xid = any (open_window.running)) and (t.tx, m.id) > (open_window.tx::bigint, open_window.id)
    order by t.tx, m.id;
end $$;
comment on function tide.open_window(xid8, xid8[], pg_snapshot, float8, float8) is 'Opens the cursor tide_window on a window of the outbox, in its order';
