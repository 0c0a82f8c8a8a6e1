-- The outbox: every change of a tracked row, written in the transaction that made it. Generated triggers (db/functions/02_capture.sql) write it,
-- services/outbox-relay reads it. It is append-only: rows are never updated, and go with their whole partition.

create schema if not exists tide;
comment on schema tide is 'Tideline: the outbox of row changes and what reads and writes it';

-- What a message holds (protocol/limits.ts): ROW_BYTES of JSON, and headers, of which the writer's settings make three. A row or a setting that fits
-- none would stop the relay: the transaction that writes it fails instead. Domains, because checks on the table would cost every insert more.
create function tide.row_bytes() returns integer language sql immutable parallel safe return 8 * 1024 * 1024 - 64 * 1024;
create function tide.setting_bytes() returns integer language sql immutable parallel safe return 1024;

create function tide.refuse_row(bytes integer) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'a row too large for an event: % bytes as JSON, % at most', bytes, tide.row_bytes()
    using errcode = 'program_limit_exceeded', hint = 'Keep what is large in a table of its own that is not tracked, or outside the database.';
end $$;

create function tide.refuse_setting() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  long constant text[] := array(
    select s from unnest('{tide.user_id,tide.mutation_id,tide.traceparent}'::text[]) s where octet_length(current_setting(s, true)) > tide.setting_bytes());
begin
  raise exception '% too long for an event: % bytes at most', coalesce(nullif(array_to_string(long, ', '), ''), 'user, mutation or trace'), tide.setting_bytes()
    using errcode = 'program_limit_exceeded', hint = 'Set an id there, or nothing.';
end $$;

create domain tide.row_image as json
  constraint row_fits_an_event check (case when pg_column_size(value) > tide.row_bytes() + 4 then tide.refuse_row(pg_column_size(value) - 4) else true end);
create domain tide.setting as text
  constraint setting_fits_an_event check (case when octet_length(value) > tide.setting_bytes() then tide.refuse_setting() else true end);

create table tide.outbox (
  -- CACHE 1 matters: within one entity the ids must be in commit order across sessions.
  id          bigint      generated always as identity (cache 1),
  xid         xid8        not null default pg_current_xact_id(),
  entity      text        not null,
  entity_id   text        not null,
  scope       text,
  op          text        not null, -- INSERT, UPDATE, DELETE or READ; written by generated code alone, so no check slows it
  after       tide.row_image,
  before      json,
  at          timestamptz not null default clock_timestamp(),
  user_id     tide.setting,
  request_id  text,
  endpoint    text,
  method      text,
  user_agent  text,
  ip          text,
  mutation_id tide.setting,
  traceparent tide.setting
) partition by range (at);
create index outbox_xid on tide.outbox (xid);

-- A day for which nobody made a partition in time ends here, and nothing fails.
create table tide.outbox_default partition of tide.outbox default;

comment on table tide.outbox is 'Every change of a tracked row, in daily partitions. Also the audit log: who, when, how, before and after';
comment on column tide.outbox.xid is 'The top-level transaction; with a pg_snapshot it says what a reader has seen. 0: of another cluster, loaded from a dump';
comment on column tide.outbox.scope is 'The sharing boundary the row is in; null where its table has none';
comment on column tide.outbox.before is 'The row before an UPDATE or DELETE, where the table is tracked with before_image';
comment on column tide.outbox.user_id is 'From current_setting(''tide.user_id''), as the other columns of who and how';

-- What the relay remembers outside the stream, written seldom: enough to notice that the stream, or Postgres, is not the one it knew.
create table tide.relay_state (
  only_row          boolean primary key default true check (only_row),
  epoch             text        not null,
  stream_created    text        not null,
  system_identifier text        not null,
  acked_seq         bigint      not null,
  updated_at        timestamptz not null default now(),
  -- What was published at settled_at: old partitions that it saw may go once that is long enough ago (tide.drop_partitions).
  settled           pg_snapshot,
  settled_at        timestamptz,
  state_created     text,
  dropped_xid       xid8
);
comment on table tide.relay_state is 'One row: the epoch, and the highest stream sequence the relay was acknowledged';
comment on column tide.relay_state.dropped_xid is 'The largest transaction id of any row that was ever dropped: a stream that has not seen it cannot be filled again whole';
