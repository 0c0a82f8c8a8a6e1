-- How far the repository history has been played into app.file (demo/history/player.ts). One row; a player moves it in
-- the transaction of the commit it plays, so a stopped player goes on exactly where it stopped, and of two players one is refused.
create table app.history_position (
  only_row boolean primary key default true check (only_row),
  -- Commits played.
  position integer not null default 0 check (position >= 0),
  -- The last of them.
  commit   text,
  at       timestamptz
);

insert into app.history_position default values;
