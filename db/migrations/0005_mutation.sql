-- The mutations that tide.mutate (db/functions/06_mutate.sql) has applied.

create table tide.mutation (
  user_id text not null,
  id      text not null,
  at      timestamptz not null default now(),
  primary key (user_id, id)
);
create index mutation_at on tide.mutation (at);
comment on table tide.mutation is 'Mutations that were applied: a repeat is answered, not applied again';
