-- What the relay calls besides reading the outbox: its locks, the partitions, what it remembers.

-- Advisory locks. The relay holds wake_key while it is awake: writers notify only when they find it free (architecture, section 1).
create or replace function tide.wake_key() returns bigint language sql immutable parallel safe return 7419001::bigint;
-- The relay that holds lease_key is the one that works.
create or replace function tide.lease_key() returns bigint language sql immutable parallel safe return 7419002::bigint;
-- A relay that may sleep holds present_key: where nobody does, there is nobody to wake.
create or replace function tide.present_key() returns bigint language sql immutable parallel safe return 7419004::bigint;

-- What a writer does that found wake_key free. While no relay runs it notifies nobody: each commit would pay for it, for as long as the
-- relay is away. A transaction that notifies cannot be prepared (PREPARE TRANSACTION): where a server allows prepared transactions nobody
-- notifies, and the relay does not sleep (services/outbox-relay/wake.ts).
create or replace function tide.wake_relay() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('max_prepared_transactions') <> '0' then return; end if;
  if pg_try_advisory_lock_shared(tide.present_key()) then
    perform pg_advisory_unlock_shared(tide.present_key());
  else
    perform pg_notify('tide_wake', '');
  end if;
end $$;

-- Makes the partitions of today and the next days (UTC); returns how many were missing. Looks after those of tracked tables, too. Attaching takes a short exclusive
-- lock on the default partition alone, so writers do not wait; lock_timeout keeps readers from queueing behind it.
create or replace function tide.make_partitions(days_ahead integer default 3) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '3s' as $$
declare
  day date;
  name text;
  bounds text;
  made integer := 0;
begin
  perform pg_advisory_xact_lock(hashtext('tide'), hashtext('make_partitions'));
  for i in 0 .. days_ahead loop
    day := (now() at time zone 'UTC')::date + i;
    name := 'outbox_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass('tide.' || name) is not null;
    bounds := format('at >= %L and at < %L', day || ' 00:00+00', day + 1 || ' 00:00+00');
    -- A day that began in the default partition stays there: it cannot be split without rewriting it.
    execute format('select not exists (select from only tide.outbox_default where %s)', bounds) into strict bounds;
    continue when not bounds::boolean;
    execute format('create table tide.%I (like tide.outbox including defaults including indexes)', name);
    execute format('alter table tide.outbox attach partition tide.%I for values from (%L) to (%L)', name, day || ' 00:00+00', day + 1 || ' 00:00+00');
    made := made + 1;
  end loop;
  perform tide.adopt_partitions();
  return made;
end $$;
comment on function tide.make_partitions(integer) is 'Makes the outbox partitions of today and the next days; returns how many were missing';

-- Drops the partitions that ended longer ago than older_than; returns their names. What is not published is never dropped, nor what was
-- published only lately, however old its rows are: a stream that loses its end, or is restored from a copy, is filled again from here. So
-- every row must be seen by what is published now and by what was published settled_for ago (relay_state.settled, noted here).
--
-- Dropping takes a short exclusive lock on the whole outbox: whoever waits for it makes every writer wait behind, so it gives up soon and
-- is tried again the next time.
create or replace function tide.drop_partitions(older_than interval, published pg_snapshot, settled_for interval default '24 hours') returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  state tide.relay_state;
  name text;
  ended timestamptz;
  waiting boolean;
  largest xid8;
begin
  perform pg_advisory_xact_lock(hashtext('tide'), hashtext('make_partitions'));
  select * into state from tide.relay_state;
  if not found then return; end if;
  if state.settled_at > now() - settled_for then return; end if;
  update tide.relay_state set settled = published, settled_at = now();
  if state.settled is null then return; end if;
  for name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tide.outbox'::regclass and c.relname ~ '^outbox_\d{8}$' order by 1
  loop
    ended := (to_date(right(name, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC';
    exit when ended > now() - older_than;
    begin
      -- First the locks: then no transaction is open that wrote there, and what the question finds is all there is.
      lock table only tide.outbox in access exclusive mode;
      execute format('lock table tide.%I in access exclusive mode', name);
      execute format(
        'select exists (select from tide.%1$I where xid >= pg_snapshot_xmin($1) and not pg_visible_in_snapshot(xid, $1))
             or exists (select from tide.%1$I where xid >= pg_snapshot_xmin($2) and not pg_visible_in_snapshot(xid, $2))', name
      ) into waiting using published, state.settled;
      exit when waiting;
      execute format('select xid from tide.%I order by xid desc limit 1', name) into largest;
      execute format('drop table tide.%I', name);
    exception when lock_not_available or deadlock_detected then
      -- A long transaction wrote to the outbox, or the relay reads a long backlog. The next call tries again.
      update tide.relay_state set settled = state.settled, settled_at = state.settled_at;
      return;
    end;
    update tide.relay_state set dropped_xid = greatest(dropped_xid, largest);
    return next name;
  end loop;
  -- A stream that is filled again from what is left has no use for what was said of the rest.
  delete from tide.set_aside s where s.at < now() - older_than and pg_visible_in_snapshot(s.freed_xid, published) and pg_visible_in_snapshot(s.freed_xid, state.settled);
  -- What the safety net caught, if anything, goes row by row.
  with gone as (
    delete from only tide.outbox_default
    where at < now() - older_than and pg_visible_in_snapshot(xid, published) and pg_visible_in_snapshot(xid, state.settled) returning xid),
  last as (select xid from gone order by xid desc limit 1)
  update tide.relay_state set dropped_xid = greatest(dropped_xid, last.xid) from last;
end $$;
comment on function tide.drop_partitions(interval, pg_snapshot, interval) is 'Drops outbox partitions that are old and wholly published, and were some time ago; returns their names';

create or replace function tide.system_identifier() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as 'select system_identifier::text from pg_control_system()';
comment on function tide.system_identifier() is 'Tells this Postgres cluster from every other';

drop function if exists tide.save_relay_state(text, text, bigint);
create or replace function tide.save_relay_state(epoch text, stream_created text, acked_seq bigint, state_created text default null) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  insert into tide.relay_state as s (epoch, stream_created, state_created, system_identifier, acked_seq)
  values (save_relay_state.epoch, save_relay_state.stream_created, save_relay_state.state_created, tide.system_identifier(), save_relay_state.acked_seq)
  on conflict (only_row) do update
    set epoch = excluded.epoch, stream_created = excluded.stream_created, state_created = excluded.state_created,
        system_identifier = excluded.system_identifier, acked_seq = excluded.acked_seq, updated_at = now();
end;
comment on function tide.save_relay_state(text, text, bigint, text) is 'Remembers the relay''s epoch and highest acknowledged sequence';

-- Called before the relay opens an epoch in the stream, so that a Postgres that does not know the stream's epoch has gone back in time. Returns
-- a snapshot to go on from where the stream's cursor says nothing about this Postgres.
--
-- `loaded`: the rows of the outbox are another cluster's, with its transaction ids, which this one will reach some day: they get the id
-- 0, which no snapshot ever waits for. They stay for the audit.
create or replace function tide.open_epoch(
  epoch text, stream_created text, state_created text, acked_seq bigint, reason text, loaded boolean, rebuild boolean) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if loaded and not exists (select from tide.relay_state s where s.system_identifier = tide.system_identifier()) then
    update tide.outbox set xid = '0' where xid <> '0';
    update tide.relay_state set dropped_xid = '0', settled = null, settled_at = null;
  end if;
  perform tide.save_relay_state(epoch, stream_created, acked_seq, state_created);
  if rebuild then perform tide.request_rebuild(reason, epoch); end if;
  return pg_current_snapshot()::text;
end $$;
comment on function tide.open_epoch(text, text, text, bigint, text, boolean, boolean) is 'Notes the epoch that is about to be opened, and asks for what it needs';

-- How large the outbox is, how much a day brings (the last whole one, else what there is), and the age of the oldest change that `published`
-- does not see. Of Postgres' disk SQL knows no more than what lies on it.
create or replace function tide.outbox_size(published pg_snapshot, out bytes float8, out partitions integer, out bytes_a_day float8, out oldest_s float8)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  today constant text := 'outbox_' || to_char(now() at time zone 'UTC', 'YYYYMMDD');
begin
  select sum(pg_total_relation_size(c.oid)), count(*), coalesce(
      (array_agg(pg_total_relation_size(c.oid) order by c.relname desc) filter (where c.relname < today and c.relname ~ '^outbox_\d{8}$'))[1],
      sum(pg_total_relation_size(c.oid)))
  into bytes, partitions, bytes_a_day
  from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'tide.outbox'::regclass;
  select extract(epoch from clock_timestamp() - o.at) into oldest_s
  from tide.outbox o where o.xid >= pg_snapshot_xmin(published) and not pg_visible_in_snapshot(o.xid, published) order by o.xid limit 1;
  oldest_s := greatest(0, coalesce(oldest_s, 0));
end $$;
comment on function tide.outbox_size(pg_snapshot) is 'How large the outbox is, how fast it grows, and how old the oldest change is that the snapshot does not see';
