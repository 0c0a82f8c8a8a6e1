-- The leaf partitions of tracked tables, as they were when they were last seen (db/functions/03_track.sql). One that is detached or dropped
-- takes its rows away without an event; this list is how that is noticed.

create table tide.partition (
  entity   text     not null,
  relation regclass not null,
  name     text     not null,
  primary key (entity, relation)
);
comment on table tide.partition is 'Leaf partitions of tracked tables: one that is no longer there left its rows in the log';
