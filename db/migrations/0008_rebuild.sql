-- What the relay has to bring into line with the tables, step by step (db/functions/07_backfill.sql): a backfill is one step, a rebuild
-- after a disaster many. Steps that are done stay until the next rebuild: `npx tideline doctor` tells of them.

create table tide.rebuild (
  place        bigint generated always as identity primary key,
  kind         text        not null check (kind in ('gone', 'rows')),
  -- rows: of an entity, what the log does not have becomes a READ. gone: what lives in the log under a scope (or, '*', anywhere) and in no table becomes a DELETE.
  what         text        not null,
  -- Null: asked for by somebody. Else the epoch that it belongs to.
  epoch        text,
  reason       text        not null,
  -- Rows a second at most; null: as the relay does by itself.
  rate         integer     check (rate > 0),
  requested_at timestamptz not null default now(),
  -- How far it is: after this key of the table, after this sequence of the log.
  after_key    text[],
  after_seq    bigint      not null default 0,
  -- Where STATE ended when a step `gone` began: what came later is of the tables as they are.
  upto_seq     bigint,
  looked_at    bigint      not null default 0,
  written      bigint      not null default 0,
  -- Rows to look at, about.
  about        bigint,
  done_at      timestamptz,
  -- Why it was given up.
  error        text
);
create unique index rebuild_waiting on tide.rebuild (kind, what) where done_at is null;
comment on table tide.rebuild is 'Steps that bring the log into line with the tables: what is asked for, how far it is, what is done';
grant select on tide.rebuild to tide_relay;
