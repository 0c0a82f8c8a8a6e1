-- Changes that fit no message: the relay puts an `_aside` event in their place and goes on (db/functions/07_set_aside.sql).

create table tide.set_aside (
  outbox_id bigint      primary key,
  entity    text        not null,
  entity_id text        not null,
  scope     text,
  op        text        not null,
  reason    text        not null,
  bytes     integer     not null,
  at        timestamptz not null default now(),
  -- The outbox row that tells the address' present state, and its transaction: changes from that one on are published again.
  freed_by  bigint,
  freed_xid xid8
);
create index set_aside_address on tide.set_aside using hash (entity_id);
comment on table tide.set_aside is 'Changes that fit no message, and later ones of the same addresses, until tide.free_aside';
