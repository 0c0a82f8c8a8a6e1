-- The demo workspace: five projects of a small team that runs a lighthouse for boats. Every table is tracked; who may do
-- what comes with 0002.

create schema app;
create type app.task_status as enum ('todo', 'doing', 'review', 'done');

create table app.person (
  id    text primary key,
  name  text not null,
  color text not null
);

create table app.project (
  id         text primary key,
  name       text not null check (name <> ''),
  color      text not null,
  position   double precision not null,
  created_at timestamptz not null default now()
);

create table app.task (
  id          uuid primary key default gen_random_uuid(),
  project_id  text not null references app.project on delete cascade,
  title       text not null constraint title_is_not_empty check (btrim(title) <> ''),
  description text not null default '',
  status      app.task_status not null default 'todo',
  assignee    text references app.person on delete set null,
  due         date,
  labels      text[] not null default '{}',
  position    double precision not null default 0,
  created_by  text not null default coalesce(nullif(current_setting('tide.user_id', true), ''), 'ada'),
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  unique (id, project_id)
);
create index task_project on app.task (project_id, status, position);
comment on column app.task.position is 'Order within a column: a new one between two others is their mean';

create table app.comment (
  id         uuid primary key default gen_random_uuid(),
  project_id text not null,
  task_id    uuid not null,
  author     text not null default coalesce(nullif(current_setting('tide.user_id', true), ''), 'ada'),
  body       text not null check (btrim(body) <> ''),
  created_at timestamptz not null default now(),
  -- A comment goes where its task goes, into another project too.
  foreign key (task_id, project_id) references app.task (id, project_id) on update cascade on delete cascade
);
create index comment_task on app.comment (task_id);

-- The history of a repository, played back commit by commit (`npx tideline demo history`).
create table app.file (
  path        text primary key,
  area        text not null,
  lines       integer not null,
  added       integer not null,
  deleted     integer not null,
  commits     integer not null,
  last_commit text not null,
  last_author integer not null,
  last_at     timestamptz not null
);

create function app.touch() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end $$;
create trigger touch before update on app.task for each row execute function app.touch();

-- Who wrote a task or a comment is who is signed in, whatever a client says.
create function app.sign() returns trigger language plpgsql as $$
declare
  who constant text := nullif(current_setting('tide.user_id', true), '');
begin
  if who is null then return new; end if;
  if tg_table_name = 'comment' then new.author := who; else new.created_by := who; end if;
  return new;
end $$;
create trigger sign before insert on app.task for each row execute function app.sign();
create trigger sign before insert on app.comment for each row execute function app.sign();

select tide.track('app.person', entity => 'person');
select tide.track('app.project', entity => 'project', scope => 'id');
select tide.track('app.task', entity => 'task', scope => 'project_id');
select tide.track('app.comment', entity => 'comment', scope => 'project_id');
select tide.track('app.file', entity => 'file', scope => 'area');
