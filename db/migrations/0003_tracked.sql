-- Which tables are tracked (db/functions/03_track.sql). The registry travels in the log like any table: an edge learns of its entities there.

create table tide.tracked (
  entity        text primary key,
  table_name    text        not null,
  relation      regclass    not null unique,
  key_columns   text[]      not null,
  scope_column  text,
  before_image  boolean     not null,
  json_schema   jsonb       not null,
  tracked_at    timestamptz not null default now()
);
comment on table tide.tracked is 'The registry of tracked tables; itself in the log, as _entity';
