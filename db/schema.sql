create type authz.level as enum ('VIEW', 'EDIT', 'SHARE', 'DELETE', 'CREATE', 'OWNER');

create domain tide.row_image as json constraint row_fits_an_event CHECK (
CASE
    WHEN (pg_column_size(VALUE) > (tide.row_bytes() + 4)) THEN tide.refuse_row((pg_column_size(VALUE) - 4))
    ELSE true
END);

create domain tide.setting as text constraint setting_fits_an_event CHECK (
CASE
    WHEN (octet_length(VALUE) > tide.setting_bytes()) THEN tide.refuse_setting()
    ELSE true
END);

create sequence tide.outbox_id_seq;

create sequence tide.rebuild_place_seq;

create table authz.grants (
  id text generated always as (md5((((((quote_literal(principal) || quote_nullable(scope)) || ','::text) || quote_nullable(entity)) || ','::text) || quote_nullable(entity_id)))) stored not null,
  principal text not null,
  scope text,
  entity text,
  entity_id text,
  level authz.level not null,
  expires_at timestamp with time zone,
  granted_by text default NULLIF(current_setting('tide.user_id'::text, true), ''::text),
  granted_at timestamp with time zone default now() not null
);

create table authz.members (
  role text not null,
  member text not null,
  added_by text default NULLIF(current_setting('tide.user_id'::text, true), ''::text),
  added_at timestamp with time zone default now() not null
);

create table authz.sign_outs (
  id text generated always as (md5(((quote_literal(user_id) || ','::text) || quote_nullable(session)))) stored not null,
  user_id text not null,
  session text,
  signed_out_at timestamp with time zone default clock_timestamp() not null,
  signed_out_by text default NULLIF(current_setting('tide.user_id'::text, true), ''::text)
);

create table tide.migration (
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone default now() not null
);

create table tide.mutation (
  user_id text not null,
  id text not null,
  at timestamp with time zone default now() not null
);

create table tide.outbox (
  id bigint generated always as identity not null,
  xid xid8 default pg_current_xact_id() not null,
  entity text not null,
  entity_id text not null,
  scope text,
  op text not null,
  after tide.row_image,
  before json,
  at timestamp with time zone default clock_timestamp() not null,
  user_id tide.setting,
  request_id text,
  endpoint text,
  method text,
  user_agent text,
  ip text,
  mutation_id tide.setting,
  traceparent tide.setting
) partition by RANGE (at);

create table tide.partition (
  entity text not null,
  relation regclass not null,
  name text not null
);

create table tide.rebuild (
  place bigint generated always as identity not null,
  kind text not null,
  what text not null,
  epoch text,
  reason text not null,
  rate integer,
  requested_at timestamp with time zone default now() not null,
  after_key text[],
  after_seq bigint default 0 not null,
  upto_seq bigint,
  looked_at bigint default 0 not null,
  written bigint default 0 not null,
  about bigint,
  done_at timestamp with time zone,
  error text
);

create table tide.relay_state (
  only_row boolean default true not null,
  epoch text not null,
  stream_created text not null,
  system_identifier text not null,
  acked_seq bigint not null,
  updated_at timestamp with time zone default now() not null,
  settled pg_snapshot,
  settled_at timestamp with time zone,
  state_created text,
  dropped_xid xid8
);

create table tide.set_aside (
  outbox_id bigint not null,
  entity text not null,
  entity_id text not null,
  scope text,
  op text not null,
  reason text not null,
  bytes integer not null,
  at timestamp with time zone default now() not null,
  freed_by bigint,
  freed_xid xid8
);

create table tide.tracked (
  entity text not null,
  table_name text not null,
  relation regclass not null,
  key_columns text[] not null,
  scope_column text,
  before_image boolean not null,
  json_schema jsonb not null,
  tracked_at timestamp with time zone default now() not null,
  founders text
);

alter table authz.grants add constraint entity_is_a_code CHECK ((entity ~ '^[a-z_][a-z0-9_]*$'::text));

alter table authz.grants add constraint grants_pkey PRIMARY KEY (id);

alter table authz.grants add constraint principal_is_user_role_or_everyone CHECK (((principal = 'everyone'::text) OR (principal ~ '^(user|role):.'::text)));

alter table authz.grants add constraint texts_fit_an_event CHECK (((octet_length(principal) <= 2048) AND (octet_length(scope) <= 1024) AND (octet_length(entity_id) <= 1024) AND (octet_length(granted_by) <= 1024)));

alter table authz.members add constraint member_is_user_or_role CHECK ((member ~ '^(user|role):.'::text));

alter table authz.members add constraint members_pkey PRIMARY KEY (role, member);

alter table authz.members add constraint role_is_a_bare_name CHECK (((role <> ''::text) AND (role !~ '^(user|role):'::text)));

alter table authz.members add constraint texts_fit_an_event CHECK (((octet_length(role) <= 1024) AND (octet_length(member) <= 1024) AND (octet_length(added_by) <= 1024)));

alter table authz.sign_outs add constraint session_is_named CHECK ((session <> ''::text));

alter table authz.sign_outs add constraint sign_outs_pkey PRIMARY KEY (id);

alter table authz.sign_outs add constraint texts_fit_an_event CHECK (((octet_length(user_id) <= 1024) AND (octet_length(session) <= 1024) AND (octet_length(signed_out_by) <= 1024)));

alter table authz.sign_outs add constraint user_is_named CHECK ((user_id <> ''::text));

alter table tide.migration add constraint migration_pkey PRIMARY KEY (name);

alter table tide.mutation add constraint mutation_pkey PRIMARY KEY (user_id, id);

alter table tide.partition add constraint partition_pkey PRIMARY KEY (entity, relation);

alter table tide.rebuild add constraint rebuild_kind_check CHECK ((kind = ANY (ARRAY['gone'::text, 'rows'::text])));

alter table tide.rebuild add constraint rebuild_pkey PRIMARY KEY (place);

alter table tide.rebuild add constraint rebuild_rate_check CHECK ((rate > 0));

alter table tide.relay_state add constraint relay_state_only_row_check CHECK (only_row);

alter table tide.relay_state add constraint relay_state_pkey PRIMARY KEY (only_row);

alter table tide.set_aside add constraint set_aside_pkey PRIMARY KEY (outbox_id);

alter table tide.tracked add constraint founders_is_a_principal CHECK (((founders = 'everyone'::text) OR (founders ~ '^(user|role):.'::text)));

alter table tide.tracked add constraint tracked_pkey PRIMARY KEY (entity);

alter table tide.tracked add constraint tracked_relation_key UNIQUE (relation);

CREATE INDEX grants_address ON authz.grants USING btree (principal, entity_id, scope);

CREATE INDEX grants_expiry ON authz.grants USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX grants_scope ON authz.grants USING btree (scope) WHERE (scope IS NOT NULL);

CREATE INDEX members_member ON authz.members USING btree (member);

CREATE INDEX sign_outs_user ON authz.sign_outs USING btree (user_id);

CREATE INDEX mutation_at ON tide.mutation USING btree (at);

CREATE INDEX outbox_xid ON ONLY tide.outbox USING btree (xid);

CREATE UNIQUE INDEX rebuild_waiting ON tide.rebuild USING btree (kind, what) WHERE (done_at IS NULL);

CREATE INDEX set_aside_address ON tide.set_aside USING hash (entity_id);

CREATE OR REPLACE FUNCTION authz.add_member(role text, member text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform authz.require_role(role);
  if coalesce(member, '') in ('', 'everyone', 'user:', 'role:') then
    raise exception '% cannot be a member', coalesce(quote_literal(member), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write a user''s id, or role:<name>. What everyone may do is granted to everyone.';
  end if;
  perform tide.fit_token(add_member.role || ',' || authz.to_member(add_member.member), 'role and member');
  insert into authz.members (role, member) values (add_member.role, authz.to_member(add_member.member)) on conflict on constraint members_pkey do nothing;
end $function$
;

CREATE OR REPLACE FUNCTION tide.adopt_partitions()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  member record;
  adopted integer := 0;
begin
  for member in
    select t.entity, t.relation, p.relid, p.isleaf from tide.tracked t join pg_class c on c.oid = t.relation and c.relkind = 'p' cross join pg_partition_tree(t.relation) p
    where not exists (select from pg_trigger g where g.tgrelid = p.relid and g.tgname = 'tide_truncate') order by t.entity
  loop
    begin
      execute format('create trigger tide_truncate before truncate on %s for each statement execute function tide.%I()', member.relid, tide.capture_name(member.entity));
      execute format('alter table only %s enable always trigger tide_truncate', member.relid);
      insert into tide.partition (entity, relation, name) select member.entity, member.relid, member.relid::text where member.isleaf and not tide.was_attached(member.relid)
      on conflict on constraint partition_pkey do nothing;
      adopted := adopted + 1;
    exception
      when insufficient_privilege or lock_not_available or object_in_use then null; -- tide.outdated() names it
    end;
  end loop;
  return adopted;
end $function$
;

CREATE OR REPLACE FUNCTION authz.allows(user_id text, level text, scope text, entity text, entity_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return authz.permits(authz.principals(user_id), authz.to_level(level), scope, entity, entity_id);
end $function$
;

CREATE OR REPLACE FUNCTION tide.as_stored(relation oid, object jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  stored jsonb := '{}';
  columns constant text := tide.record_columns(relation, object);
begin
  if columns is not null then
    execute format('select to_jsonb(tide_r.*) from jsonb_to_record($1) as tide_r(%s)', columns) into stored using object;
  end if;
  return stored;
end $function$
;

CREATE OR REPLACE FUNCTION tide.attach(relation regclass, entity text, scope text, before_image boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  keys constant text[] := tide.key_columns(relation);
  name constant text := tide.capture_name(entity);
  shape record;
  member regclass;
  made text;
begin
  select * into strict shape from tide.capture_shape(relation);
  execute format('create or replace function tide.%I() returns trigger language plpgsql security definer %s as %L', name, tide.pins(relation),
    tide.capture_source(relation, shape.table_name, entity, keys, scope, before_image, shape.by_row, shape.deferrable_key));
  execute format('revoke all on function tide.%I() from public', name);
  execute format('comment on function tide.%I() is %L', name, 'Writes the outbox rows of ' || shape.table_name || '; made by tide.track');

  if shape.by_row then
    execute format('drop trigger if exists tide_insert on %1$s; drop trigger if exists tide_update on %1$s; drop trigger if exists tide_delete on %1$s', relation);
    execute format('create or replace trigger tide_change after insert or update or delete on %s for each row execute function tide.%I()', relation, name);
    -- A truncate trigger is not inherited by partitions, and TRUNCATE of the parent fires those of every partition.
    for member in select relation union select relid from pg_partition_tree(relation) loop
      execute format('create or replace trigger tide_truncate before truncate on %s for each statement execute function tide.%I()', member, name);
    end loop;
  else
    execute format('drop trigger if exists tide_change on %s', relation);
    execute format('create or replace trigger tide_insert after insert on %s referencing new table as tide_new for each statement execute function tide.%I()', relation, name);
    execute format('create or replace trigger tide_update after update on %s for each row execute function tide.%I()', relation, name);
    execute format('create or replace trigger tide_delete after delete on %s referencing old table as tide_old for each statement execute function tide.%I()', relation, name);
    execute format('create or replace trigger tide_truncate before truncate on %s for each statement execute function tide.%I()', relation, name);
  end if;
  if tide.opens_scopes(relation, keys, scope) then
    execute format($q$create or replace trigger tide_found after insert on %s for each row when (coalesce(current_setting('tide.user_id', true), '') <> '')
      execute function tide.found_scope(%L)$q$, relation, scope);
  else
    execute format('drop trigger if exists tide_found on %s', relation);
  end if;
  -- Always: session_replication_role = replica turns ordinary triggers off. Partitions have triggers of their own, made from the parent's.
  for member, made in
    select g.tgrelid, g.tgname from pg_trigger g
    where g.tgname like 'tide\_%' and g.tgenabled <> 'A' and (g.tgrelid = attach.relation or g.tgrelid in (select relid from pg_partition_tree(attach.relation)))
  loop
    execute format('alter table only %s enable always trigger %I', member, made);
  end loop;
  perform tide.hand_over(relation, name);
end $function$
;

CREATE OR REPLACE FUNCTION tide.backfill(relation regclass)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  held tide.tracked;
  total bigint := 0;
  page record;
  after_key text[];
begin
  select * into held from tide.tracked t where t.relation = backfill.relation;
  if held.entity is null then
    perform tide.refuse(format('tide.backfill: %s is not tracked', relation), format('First: select tide.track(%L, entity => …).', relation));
  elsif current_setting('transaction_isolation') <> 'read committed' then
    perform tide.refuse(format('tide.backfill: not in a %s transaction', current_setting('transaction_isolation')), 'Its snapshot may be older than the tracking: use read committed.');
  end if;
  loop
    select * into page from tide.read_page(held, after_key, 1000);
    exit when page.last_key is null;
    total := total + tide.write_page(held, after_key, page.last_key, null);
    after_key := page.last_key;
  end loop;
  return total;
end $function$
;

CREATE OR REPLACE FUNCTION tide.capture__entity()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET extra_float_digits TO '1'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
AS $function$
#variable_conflict use_column
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then
    if age(old.xmin) <= 0 then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__entity', true) <> '' then
      perform set_config('tide.nested__entity', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__entity', true) then
      if right(current_setting('tide.stack__entity', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__entity', 'on', true);
      end if;
      perform set_config('tide.stack__entity', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 then
        perform set_config('tide.nested__entity', 'on', true);
      end if;
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_entity', (case when octet_length(new.entity::text) <= 341 then new.entity::text else tide.fit_token(new.entity::text, 'entity id') end), null::text, 'UPDATE', to_json(new.*), to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    where new.xmax = '0' and old.entity::text collate "C" = new.entity::text and null::text is not distinct from null::text;
    if not found then
      if not (to_regclass('tide.tracked') is not distinct from 16453::regclass) then
        if old.entity::text collate "C" = new.entity::text and null::text is not distinct from null::text then
          perform tide.require_name('tide.tracked', 16453);
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_entity', old.entity::text, null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_entity', (case when octet_length(new.entity::text) <= 341 then new.entity::text else tide.fit_token(new.entity::text, 'entity id') end), null::text, 'INSERT', to_json(new.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
      else
        if not exists (select from tide.tracked tide_c where tide_c.entity operator(pg_catalog.=) old.entity and tide_c.entity::text collate "C" = old.entity::text and null::text is not distinct from null::text) then
          insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
          values ('_entity', old.entity::text, null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        select '_entity', (case when octet_length(tide_c.entity::text) <= 341 then tide_c.entity::text else tide.fit_token(tide_c.entity::text, 'entity id') end), null::text, case when (case when octet_length(tide_c.entity::text) <= 341 then tide_c.entity::text else tide.fit_token(tide_c.entity::text, 'entity id') end) = old.entity::text and null::text is not distinct from null::text then 'UPDATE' else 'INSERT' end,
          to_json(tide_c.*), case when (case when octet_length(tide_c.entity::text) <= 341 then tide_c.entity::text else tide.fit_token(tide_c.entity::text, 'entity id') end) = old.entity::text and null::text is not distinct from null::text then to_json(old.*) end, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
        from tide.tracked tide_c where tide_c.entity operator(pg_catalog.=) new.entity and tide_c.entity::text collate "C" = new.entity::text;
        perform true;
      end if;
    end if;
  elsif tg_op = 'INSERT' then
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_entity', (case when octet_length(tide_n.entity::text) <= 341 then tide_n.entity::text else tide.fit_token(tide_n.entity::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    from tide_new tide_n where pg_trigger_depth() = 1 and current_setting('tide.nested__entity', true) is distinct from 'on' and coalesce(current_setting('tide.stack__entity', true), '') = '' and not exists (select from tide_new offset 1);
    if not found then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__entity', true) <> '' then
      perform set_config('tide.nested__entity', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__entity', true) then
      if right(current_setting('tide.stack__entity', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__entity', 'on', true);
      end if;
      perform set_config('tide.stack__entity', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 or current_setting('tide.nested__entity', true) = 'on' then
        perform tide.require_name('tide.tracked', 16453), set_config('tide.nested__entity', 'on', true);
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_entity', (case when octet_length(tide_c.entity::text) <= 341 then tide_c.entity::text else tide.fit_token(tide_c.entity::text, 'entity id') end), null::text, 'INSERT', to_json(tide_c.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n join tide.tracked tide_c on tide_c.entity operator(pg_catalog.=) tide_n.entity and tide_c.entity::text collate "C" = tide_n.entity::text;
      else
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_entity', (case when octet_length(tide_n.entity::text) <= 341 then tide_n.entity::text else tide.fit_token(tide_n.entity::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n;
      end if;
    end if;
  elsif tg_op = 'DELETE' then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__entity', true) <> '' then
      perform set_config('tide.nested__entity', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__entity', true) then
      if right(current_setting('tide.stack__entity', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__entity', 'on', true);
      end if;
      perform set_config('tide.stack__entity', tide_stack, true);
    end if;
  end if;
    if pg_trigger_depth() > 1 or current_setting('tide.nested__entity', true) = 'on' then
      perform set_config('tide.nested__entity', 'on', true);
    end if;
    if (to_regclass('tide.tracked') is not distinct from 16453::regclass) then
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_entity', tide_o.entity::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o where (select true from tide.tracked tide_c where tide_c.entity operator(pg_catalog.=) tide_o.entity and tide_c.entity::text collate "C" = tide_o.entity::text and null::text is not distinct from null::text limit 1) is null;
    else
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_entity', tide_o.entity::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o;
    end if;
  else
    perform tide.require_name('tide.tracked', 16453);
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'a tracked table cannot be truncated in a % transaction', current_setting('transaction_isolation')
        using errcode = 'feature_not_supported', hint = 'Rows committed since its snapshot would vanish without an event. Use read committed, or DELETE.';
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_entity', tide_o.entity::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from only tide.tracked tide_o;
  end if;
  if found and pg_try_advisory_lock_shared(7419001) then
    perform pg_advisory_unlock_shared(7419001);
    perform tide.wake_relay();
  end if;
  return null;
end$function$
;

CREATE OR REPLACE FUNCTION tide.capture__grant()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
#variable_conflict use_column
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then
    if age(old.xmin) <= 0 then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__grant', true) <> '' then
      perform set_config('tide.nested__grant', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__grant', true) then
      if right(current_setting('tide.stack__grant', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__grant', 'on', true);
      end if;
      perform set_config('tide.stack__grant', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 then
        perform set_config('tide.nested__grant', 'on', true);
      end if;
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_grant', (case when octet_length(new.id::text) <= 341 then new.id::text else tide.fit_token(new.id::text, 'entity id') end), null::text, 'UPDATE', to_json(new.*), to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    where new.xmax = '0' and old.id::text collate "C" = new.id::text and null::text is not distinct from null::text;
    if not found then
      if not (to_regclass('authz.grants') is not distinct from 16485::regclass) then
        if old.id::text collate "C" = new.id::text and null::text is not distinct from null::text then
          perform tide.require_name('authz.grants', 16485);
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_grant', old.id::text, null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_grant', (case when octet_length(new.id::text) <= 341 then new.id::text else tide.fit_token(new.id::text, 'entity id') end), null::text, 'INSERT', to_json(new.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
      else
        if not exists (select from authz.grants tide_c where tide_c.id operator(pg_catalog.=) old.id and tide_c.id::text collate "C" = old.id::text and null::text is not distinct from null::text) then
          insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
          values ('_grant', old.id::text, null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        select '_grant', (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end), null::text, case when (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end) = old.id::text and null::text is not distinct from null::text then 'UPDATE' else 'INSERT' end,
          to_json(tide_c.*), case when (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end) = old.id::text and null::text is not distinct from null::text then to_json(old.*) end, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
        from authz.grants tide_c where tide_c.id operator(pg_catalog.=) new.id and tide_c.id::text collate "C" = new.id::text;
        perform true;
      end if;
    end if;
  elsif tg_op = 'INSERT' then
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_grant', (case when octet_length(tide_n.id::text) <= 341 then tide_n.id::text else tide.fit_token(tide_n.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    from tide_new tide_n where pg_trigger_depth() = 1 and current_setting('tide.nested__grant', true) is distinct from 'on' and coalesce(current_setting('tide.stack__grant', true), '') = '' and not exists (select from tide_new offset 1);
    if not found then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__grant', true) <> '' then
      perform set_config('tide.nested__grant', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__grant', true) then
      if right(current_setting('tide.stack__grant', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__grant', 'on', true);
      end if;
      perform set_config('tide.stack__grant', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 or current_setting('tide.nested__grant', true) = 'on' then
        perform tide.require_name('authz.grants', 16485), set_config('tide.nested__grant', 'on', true);
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_grant', (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_c.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n join authz.grants tide_c on tide_c.id operator(pg_catalog.=) tide_n.id and tide_c.id::text collate "C" = tide_n.id::text;
      else
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_grant', (case when octet_length(tide_n.id::text) <= 341 then tide_n.id::text else tide.fit_token(tide_n.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n;
      end if;
    end if;
  elsif tg_op = 'DELETE' then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__grant', true) <> '' then
      perform set_config('tide.nested__grant', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__grant', true) then
      if right(current_setting('tide.stack__grant', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__grant', 'on', true);
      end if;
      perform set_config('tide.stack__grant', tide_stack, true);
    end if;
  end if;
    if pg_trigger_depth() > 1 or current_setting('tide.nested__grant', true) = 'on' then
      perform set_config('tide.nested__grant', 'on', true);
    end if;
    if (to_regclass('authz.grants') is not distinct from 16485::regclass) then
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_grant', tide_o.id::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o where (select true from authz.grants tide_c where tide_c.id operator(pg_catalog.=) tide_o.id and tide_c.id::text collate "C" = tide_o.id::text and null::text is not distinct from null::text limit 1) is null;
    else
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_grant', tide_o.id::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o;
    end if;
  else
    perform tide.require_name('authz.grants', 16485);
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'a tracked table cannot be truncated in a % transaction', current_setting('transaction_isolation')
        using errcode = 'feature_not_supported', hint = 'Rows committed since its snapshot would vanish without an event. Use read committed, or DELETE.';
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_grant', tide_o.id::text, null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from only authz.grants tide_o;
  end if;
  if found and pg_try_advisory_lock_shared(7419001) then
    perform pg_advisory_unlock_shared(7419001);
    perform tide.wake_relay();
  end if;
  return null;
end$function$
;

CREATE OR REPLACE FUNCTION tide.capture__member()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
#variable_conflict use_column
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then
    if age(old.xmin) <= 0 then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__member', true) <> '' then
      perform set_config('tide.nested__member', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__member', true) then
      if right(current_setting('tide.stack__member', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__member', 'on', true);
      end if;
      perform set_config('tide.stack__member', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 then
        perform set_config('tide.nested__member', 'on', true);
      end if;
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_member', (case when octet_length((replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, 'UPDATE', to_json(new.*), to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    where new.xmax = '0' and old.role::text collate "C" = new.role::text and old.member::text collate "C" = new.member::text and null::text is not distinct from null::text;
    if not found then
      if not (to_regclass('authz.members') is not distinct from 16504::regclass) then
        if old.role::text collate "C" = new.role::text and old.member::text collate "C" = new.member::text and null::text is not distinct from null::text then
          perform tide.require_name('authz.members', 16504);
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_member', (replace(replace(old.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(old.member::text, '\', '\\'), ',', '\,')), null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_member', (case when octet_length((replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(new.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(new.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, 'INSERT', to_json(new.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
      else
        if not exists (select from authz.members tide_c where tide_c.role operator(pg_catalog.=) old.role and tide_c.role::text collate "C" = old.role::text and tide_c.member operator(pg_catalog.=) old.member and tide_c.member::text collate "C" = old.member::text and null::text is not distinct from null::text) then
          insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
          values ('_member', (replace(replace(old.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(old.member::text, '\', '\\'), ',', '\,')), null::text, 'DELETE', null, to_json(old.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        select '_member', (case when octet_length((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, case when (case when octet_length((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')), 'entity id') end) = (replace(replace(old.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(old.member::text, '\', '\\'), ',', '\,')) and null::text is not distinct from null::text then 'UPDATE' else 'INSERT' end,
          to_json(tide_c.*), case when (case when octet_length((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')), 'entity id') end) = (replace(replace(old.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(old.member::text, '\', '\\'), ',', '\,')) and null::text is not distinct from null::text then to_json(old.*) end, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
        from authz.members tide_c where tide_c.role operator(pg_catalog.=) new.role and tide_c.role::text collate "C" = new.role::text and tide_c.member operator(pg_catalog.=) new.member and tide_c.member::text collate "C" = new.member::text;
        perform true;
      end if;
    end if;
  elsif tg_op = 'INSERT' then
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_member', (case when octet_length((replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    from tide_new tide_n where pg_trigger_depth() = 1 and current_setting('tide.nested__member', true) is distinct from 'on' and coalesce(current_setting('tide.stack__member', true), '') = '' and not exists (select from tide_new offset 1);
    if not found then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__member', true) <> '' then
      perform set_config('tide.nested__member', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__member', true) then
      if right(current_setting('tide.stack__member', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__member', 'on', true);
      end if;
      perform set_config('tide.stack__member', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 or current_setting('tide.nested__member', true) = 'on' then
        perform tide.require_name('authz.members', 16504), set_config('tide.nested__member', 'on', true);
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_member', (case when octet_length((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_c.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_c.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, 'INSERT', to_json(tide_c.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n join authz.members tide_c on tide_c.role operator(pg_catalog.=) tide_n.role and tide_c.role::text collate "C" = tide_n.role::text and tide_c.member operator(pg_catalog.=) tide_n.member and tide_c.member::text collate "C" = tide_n.member::text;
      else
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_member', (case when octet_length((replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,'))) <= 341 then (replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,')) else tide.fit_token((replace(replace(tide_n.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_n.member::text, '\', '\\'), ',', '\,')), 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n;
      end if;
    end if;
  elsif tg_op = 'DELETE' then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__member', true) <> '' then
      perform set_config('tide.nested__member', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__member', true) then
      if right(current_setting('tide.stack__member', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__member', 'on', true);
      end if;
      perform set_config('tide.stack__member', tide_stack, true);
    end if;
  end if;
    if pg_trigger_depth() > 1 or current_setting('tide.nested__member', true) = 'on' then
      perform set_config('tide.nested__member', 'on', true);
    end if;
    if (to_regclass('authz.members') is not distinct from 16504::regclass) then
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_member', (replace(replace(tide_o.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_o.member::text, '\', '\\'), ',', '\,')), null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o where (select true from authz.members tide_c where tide_c.role operator(pg_catalog.=) tide_o.role and tide_c.role::text collate "C" = tide_o.role::text and tide_c.member operator(pg_catalog.=) tide_o.member and tide_c.member::text collate "C" = tide_o.member::text and null::text is not distinct from null::text limit 1) is null;
    else
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_member', (replace(replace(tide_o.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_o.member::text, '\', '\\'), ',', '\,')), null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o;
    end if;
  else
    perform tide.require_name('authz.members', 16504);
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'a tracked table cannot be truncated in a % transaction', current_setting('transaction_isolation')
        using errcode = 'feature_not_supported', hint = 'Rows committed since its snapshot would vanish without an event. Use read committed, or DELETE.';
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_member', (replace(replace(tide_o.role::text, '\', '\\'), ',', '\,') || ',' || replace(replace(tide_o.member::text, '\', '\\'), ',', '\,')), null::text, 'DELETE', null, to_json(tide_o.*), nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from only authz.members tide_o;
  end if;
  if found and pg_try_advisory_lock_shared(7419001) then
    perform pg_advisory_unlock_shared(7419001);
    perform tide.wake_relay();
  end if;
  return null;
end$function$
;

CREATE OR REPLACE FUNCTION tide.capture__sign_out()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
#variable_conflict use_column
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then
    if age(old.xmin) <= 0 then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__sign_out', true) <> '' then
      perform set_config('tide.nested__sign_out', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__sign_out', true) then
      if right(current_setting('tide.stack__sign_out', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__sign_out', 'on', true);
      end if;
      perform set_config('tide.stack__sign_out', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 then
        perform set_config('tide.nested__sign_out', 'on', true);
      end if;
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_sign_out', (case when octet_length(new.id::text) <= 341 then new.id::text else tide.fit_token(new.id::text, 'entity id') end), null::text, 'UPDATE', to_json(new.*), null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    where new.xmax = '0' and old.id::text collate "C" = new.id::text and null::text is not distinct from null::text;
    if not found then
      if not (to_regclass('authz.sign_outs') is not distinct from 16585::regclass) then
        if old.id::text collate "C" = new.id::text and null::text is not distinct from null::text then
          perform tide.require_name('authz.sign_outs', 16585);
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_sign_out', old.id::text, null::text, 'DELETE', null, null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        values ('_sign_out', (case when octet_length(new.id::text) <= 341 then new.id::text else tide.fit_token(new.id::text, 'entity id') end), null::text, 'INSERT', to_json(new.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
      else
        if not exists (select from authz.sign_outs tide_c where tide_c.id operator(pg_catalog.=) old.id and tide_c.id::text collate "C" = old.id::text and null::text is not distinct from null::text) then
          insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
          values ('_sign_out', old.id::text, null::text, 'DELETE', null, null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), ''));
        end if;
        insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
        select '_sign_out', (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end), null::text, case when (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end) = old.id::text and null::text is not distinct from null::text then 'UPDATE' else 'INSERT' end,
          to_json(tide_c.*), case when (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end) = old.id::text and null::text is not distinct from null::text then null::json end, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
        from authz.sign_outs tide_c where tide_c.id operator(pg_catalog.=) new.id and tide_c.id::text collate "C" = new.id::text;
        perform true;
      end if;
    end if;
  elsif tg_op = 'INSERT' then
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_sign_out', (case when octet_length(tide_n.id::text) <= 341 then tide_n.id::text else tide.fit_token(tide_n.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '')
    from tide_new tide_n where pg_trigger_depth() = 1 and current_setting('tide.nested__sign_out', true) is distinct from 'on' and coalesce(current_setting('tide.stack__sign_out', true), '') = '' and not exists (select from tide_new offset 1);
    if not found then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__sign_out', true) <> '' then
      perform set_config('tide.nested__sign_out', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__sign_out', true) then
      if right(current_setting('tide.stack__sign_out', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__sign_out', 'on', true);
      end if;
      perform set_config('tide.stack__sign_out', tide_stack, true);
    end if;
  end if;
      if pg_trigger_depth() > 1 or current_setting('tide.nested__sign_out', true) = 'on' then
        perform tide.require_name('authz.sign_outs', 16585), set_config('tide.nested__sign_out', 'on', true);
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_sign_out', (case when octet_length(tide_c.id::text) <= 341 then tide_c.id::text else tide.fit_token(tide_c.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_c.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n join authz.sign_outs tide_c on tide_c.id operator(pg_catalog.=) tide_n.id and tide_c.id::text collate "C" = tide_n.id::text;
      else
        insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)
        select tide_x.*, '_sign_out', (case when octet_length(tide_n.id::text) <= 341 then tide_n.id::text else tide.fit_token(tide_n.id::text, 'entity id') end), null::text, 'INSERT', to_json(tide_n.*), null
        from (select pg_current_xact_id() as x1, clock_timestamp() as x2, nullif(current_setting('tide.user_id', true), '') as x3, nullif(current_setting('tide.request_id', true), '') as x4, nullif(current_setting('tide.endpoint', true), '') as x5, nullif(current_setting('tide.method', true), '') as x6, nullif(current_setting('tide.user_agent', true), '') as x7, nullif(current_setting('tide.ip', true), '') as x8, nullif(current_setting('tide.mutation_id', true), '') as x9, nullif(current_setting('tide.traceparent', true), '') as x10 offset 0) tide_x cross join tide_new tide_n;
      end if;
    end if;
  elsif tg_op = 'DELETE' then
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack__sign_out', true) <> '' then
      perform set_config('tide.nested__sign_out', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack__sign_out', true) then
      if right(current_setting('tide.stack__sign_out', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested__sign_out', 'on', true);
      end if;
      perform set_config('tide.stack__sign_out', tide_stack, true);
    end if;
  end if;
    if pg_trigger_depth() > 1 or current_setting('tide.nested__sign_out', true) = 'on' then
      perform set_config('tide.nested__sign_out', 'on', true);
    end if;
    if (to_regclass('authz.sign_outs') is not distinct from 16585::regclass) then
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_sign_out', tide_o.id::text, null::text, 'DELETE', null, null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o where (select true from authz.sign_outs tide_c where tide_c.id operator(pg_catalog.=) tide_o.id and tide_c.id::text collate "C" = tide_o.id::text and null::text is not distinct from null::text limit 1) is null;
    else
      insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
      select '_sign_out', tide_o.id::text, null::text, 'DELETE', null, null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from tide_old tide_o;
    end if;
  else
    perform tide.require_name('authz.sign_outs', 16585);
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'a tracked table cannot be truncated in a % transaction', current_setting('transaction_isolation')
        using errcode = 'feature_not_supported', hint = 'Rows committed since its snapshot would vanish without an event. Use read committed, or DELETE.';
    end if;
    insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)
    select '_sign_out', tide_o.id::text, null::text, 'DELETE', null, null::json, nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), ''), nullif(current_setting('tide.endpoint', true), ''), nullif(current_setting('tide.method', true), ''), nullif(current_setting('tide.user_agent', true), ''), nullif(current_setting('tide.ip', true), ''), nullif(current_setting('tide.mutation_id', true), ''), nullif(current_setting('tide.traceparent', true), '') from only authz.sign_outs tide_o;
  end if;
  if found and pg_try_advisory_lock_shared(7419001) then
    perform pg_advisory_unlock_shared(7419001);
    perform tide.wake_relay();
  end if;
  return null;
end$function$
;

CREATE OR REPLACE FUNCTION tide.capture_name(entity text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ('capture_'::text || CASE WHEN (length(entity) <= 55) THEN entity ELSE md5(entity) END)
;

CREATE OR REPLACE FUNCTION tide.capture_shape(relation regclass, OUT table_name text, OUT by_row boolean, OUT deferrable_key boolean)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 SELECT format('%I.%I'::text, n.nspname, c.relname) AS format,
     ((c.relkind = 'p'::"char") OR (EXISTS ( SELECT
            FROM pg_inherits
           WHERE (pg_inherits.inhrelid = c.oid))) OR (EXISTS ( SELECT
            FROM pg_subscription_rel
           WHERE (pg_subscription_rel.srrelid = c.oid)))),
     (NOT i.indimmediate)
    FROM ((pg_class c
      JOIN pg_namespace n ON ((n.oid = c.relnamespace)))
      JOIN pg_index i ON (((i.indrelid = c.oid) AND i.indisprimary)))
   WHERE (c.oid = (capture_shape.relation)::oid);
END
;

CREATE OR REPLACE FUNCTION tide.capture_source(relation oid, table_name text, entity text, keys text[], scope text, before_image boolean, by_row boolean, deferrable_key boolean)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  statements constant text := $t$
#variable_conflict use_column
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then{updated}
  elsif tg_op = 'INSERT' then{settled_inserted}
    {head}
    select '{entity}', {id_n}, {fit_n}, 'INSERT', {image_n}, null, {context}
    from tide_new tide_n where {calm} and coalesce(current_setting('tide.stack_{entity}', true), '') = '' and not exists (select from tide_new offset 1);
    if not found then{nesting}
      if {careful} then
        perform tide.require_name('{table}', {relation}), set_config('tide.nested_{entity}', 'on', true);
        {head_many}
        select tide_x.*, '{entity}', {id_c}, {fit_c}, 'INSERT', to_json(tide_c.*), null
        from {context_many} cross join tide_new tide_n join {table} tide_c on {c_is_n};
      else
        {head_many}
        select tide_x.*, '{entity}', {id_n}, {fit_n}, 'INSERT', {image_n}, null
        from {context_many} cross join tide_new tide_n;
      end if;
    end if;
  elsif tg_op = 'DELETE' then{settled_deleted}{nesting}
    if {careful} then
      perform set_config('tide.nested_{entity}', 'on', true);
    end if;
    if {named} then
      {head}
      select '{entity}', {id_o}, {scope_o}, 'DELETE', null, {image_o}, {context} from tide_old tide_o where {gone};
    else
      {head}
      select '{entity}', {id_o}, {scope_o}, 'DELETE', null, {image_o}, {context} from tide_old tide_o;
    end if;
  else{truncated}
  end if;
  if found and pg_try_advisory_lock_shared({wake}) then{wake_up}
  end if;
  return null;
end$t$;
  rows constant text := $t$
declare
  tide_stack text;
begin
  if tg_op = 'UPDATE' then{updated}
  elsif tg_op = 'TRUNCATE' then{truncated}
  else{settled}{nesting}
    if {careful} then
      perform tide.require_name('{table}', {relation}), set_config('tide.nested_{entity}', 'on', true);
      if tg_op = 'INSERT' then
        {head}
        select '{entity}', {id_c}, {fit_c}, 'INSERT', to_json(tide_c.*), null, {context} from {table} tide_c where {c_is_new};
      elsif not exists (select from {table} tide_c where {c_is_old} and {scope_c} is not distinct from {scope_old}) then
        {head}
        values ('{entity}', {id_old}, {scope_old}, 'DELETE', null, {image_old}, {context});
      end if;
    elsif tg_op = 'INSERT' then
      {head}
      values ('{entity}', {id_new}, {fit_new}, 'INSERT', {image_new}, null, {context});
    else
      {head}
      values ('{entity}', {id_old}, {scope_old}, 'DELETE', null, {image_old}, {context});
    end if;
  end if;
  if pg_try_advisory_lock_shared({wake}) then{wake_up}
  end if;
  return null;
end$t$;
  -- The row itself says what the settings say of the other operations: a new version that was changed again has an xmax, an old one that
  -- this transaction wrote (under a savepoint too) is not older than it. (Another's lock, or a row from before a wraparound, may look so too: no harm.)
  updated constant text := $t${settled}
    if age(old.xmin) <= 0 then{nesting}
      if pg_trigger_depth() > 1 then
        perform set_config('tide.nested_{entity}', 'on', true);
      end if;
    end if;
    {head}
    select '{entity}', {id_new}, {fit_new}, 'UPDATE', {image_new}, {image_old}, {context}
    where {latest} and {same_key} and {scope_old} is not distinct from {scope_new};
    if not found then
      if not {named} then
        if {same_key} and {scope_old} is not distinct from {scope_new} then
          perform tide.require_name('{table}', {relation});
        end if;
        {head}
        values ('{entity}', {id_old}, {scope_old}, 'DELETE', null, {image_old}, {context});
        {head}
        values ('{entity}', {id_new}, {fit_new}, 'INSERT', {image_new}, null, {context});
      else
        if not exists (select from {table} tide_c where {c_is_old} and {scope_c} is not distinct from {scope_old}) then
          {head}
          values ('{entity}', {id_old}, {scope_old}, 'DELETE', null, {image_old}, {context});
        end if;
        {head}
        select '{entity}', {id_c}, {fit_c}, case when {same_address} then 'UPDATE' else 'INSERT' end,
          to_json(tide_c.*), case when {same_address} then {image_old} end, {context}
        from {table} tide_c where {c_is_new};
        perform true;
      end if;
    end if;$t$;
  truncated constant text := $t$
    perform tide.require_name('{table}', {relation});
    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'a tracked table cannot be truncated in a % transaction', current_setting('transaction_isolation')
        using errcode = 'feature_not_supported', hint = 'Rows committed since its snapshot would vanish without an event. Use read committed, or DELETE.';
    end if;
    {head}
    select '{entity}', {id_o}, {scope_o}, 'DELETE', null, {image_o}, {context} from {truncated_rows};$t$;
  wake_up constant text := $t$
    perform pg_advisory_unlock_shared({wake});
    perform tide.wake_relay();$t$;
  -- Is another capture of this table under way, or was one, below this statement? (What is longest is looked at last.)
  nesting constant text := $t$
  get diagnostics tide_stack = pg_context;
  if position(E'\n' in tide_stack) = 0 then
    if current_setting('tide.stack_{entity}', true) <> '' then
      perform set_config('tide.nested_{entity}', 'on', true);
    end if;
  elsif pg_trigger_depth() = 1 then
    tide_stack := substr(tide_stack, position(E'\n' in tide_stack));
    if tide_stack is distinct from current_setting('tide.stack_{entity}', true) then
      if right(current_setting('tide.stack_{entity}', true), length(tide_stack)) = tide_stack then
        perform set_config('tide.nested_{entity}', 'on', true);
      end if;
      perform set_config('tide.stack_{entity}', tide_stack, true);
    end if;
  end if;$t$;
  -- Of a key that is checked at the end: the index lets a second transaction take it before the first has ended. Outbox ids are drawn in the order
  -- of the changes (services/outbox-relay/window.ts) only where the second waits first, as the index has it wait elsewhere.
  settled constant text := $t$
    if tg_op <> 'INSERT' then perform pg_advisory_xact_lock(hashtext('tide.{entity}'), hashtext({id_old}) & 1023); end if;
    if tg_op <> 'DELETE' then perform pg_advisory_xact_lock(hashtext('tide.{entity}'), hashtext({id_new}) & 1023); end if;$t$;
  settled_many constant text := $t$
    perform pg_advisory_xact_lock(hashtext('tide.{entity}'), s.key) from (select distinct hashtext(%s) & 1023 as key from %s order by 1) s;$t$;
  who_and_how constant text[] := array['user_id', 'request_id', 'endpoint', 'method', 'user_agent', 'ip', 'mutation_id', 'traceparent'];
  source text := case when by_row then rows else statements end;
  part record;
begin
  for part in
    select * from (values
      ('updated', updated),
      ('settled', case when deferrable_key then settled else '' end),
      ('settled_inserted', case when deferrable_key then format(settled_many, '{id_n}', 'tide_new tide_n') else '' end),
      ('settled_deleted', case when deferrable_key then format(settled_many, '{id_o}', 'tide_old tide_o') else '' end),
      ('latest', case when deferrable_key then 'false' else 'new.xmax = ''0''' end),
      ('calm', case when deferrable_key then 'false' else 'pg_trigger_depth() = 1 and current_setting(''tide.nested_{entity}'', true) is distinct from ''on''' end),
      ('careful', case when deferrable_key then 'true' else 'pg_trigger_depth() > 1 or current_setting(''tide.nested_{entity}'', true) = ''on''' end),
      ('same_key', (
        select string_agg(case when tide.is_plain_key_type(tide.column_type(capture_source.relation, k)) then format('old.%1$I = new.%1$I', k)
          else format('old.%1$I::text collate "C" = new.%1$I::text', k) end, ' and ') from unnest(keys) k)),
      ('same_address', '{id_c} = {id_old} and {scope_c} is not distinct from {scope_old}'),
      ('nesting', nesting),
      ('named', '(to_regclass(''{table}'') is not distinct from {relation}::regclass)'),
      ('gone', '(select true from {table} tide_c where {c_is_o} and {scope_o} is not distinct from {scope_c} limit 1) is null'),
      ('truncated', truncated),
      ('wake_up', wake_up),
      ('head_many', 'insert into tide.outbox (xid, at, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, entity, entity_id, scope, op, after, before)'),
      ('context_many', '(select pg_current_xact_id() as x1, clock_timestamp() as x2, ' || (
        select string_agg(format('nullif(current_setting(%L, true), '''') as x%s', 'tide.' || name, place + 2), ', ' order by place)
        from unnest(who_and_how) with ordinality c(name, place)) || ' offset 0) tide_x'),
      ('head', 'insert into tide.outbox (entity, entity_id, scope, op, after, before, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent)'),
      ('context', (
        select string_agg(format('nullif(current_setting(%L, true), '''')', 'tide.' || name), ', ' order by place)
        from unnest(who_and_how) with ordinality c(name, place))),
      ('id_n', tide.fitting_id_expression(relation, keys, 'tide_n')),
      ('id_c', tide.fitting_id_expression(relation, keys, 'tide_c')),
      ('id_o', tide.id_expression(relation, keys, 'tide_o')),
      ('id_new', tide.fitting_id_expression(relation, keys, 'new')),
      ('id_old', tide.id_expression(relation, keys, 'old')),
      ('scope_c', tide.scope_expression(scope, 'tide_c')),
      ('scope_o', tide.scope_expression(scope, 'tide_o')),
      ('scope_new', tide.scope_expression(scope, 'new')),
      ('scope_old', tide.scope_expression(scope, 'old')),
      ('fit_n', tide.fitting_scope_expression(relation, scope, 'tide_n')),
      ('fit_c', tide.fitting_scope_expression(relation, scope, 'tide_c')),
      ('fit_new', tide.fitting_scope_expression(relation, scope, 'new')),
      ('image_o', case when before_image then '{row_o}' else 'null::json' end),
      ('image_old', case when before_image then '{row_old}' else 'null::json' end),
      ('c_is_new', tide.key_match(relation, keys, 'tide_c', 'new')),
      ('c_is_old', tide.key_match(relation, keys, 'tide_c', 'old')),
      ('c_is_n', tide.key_match(relation, keys, 'tide_c', 'tide_n')),
      ('c_is_o', tide.key_match(relation, keys, 'tide_c', 'tide_o')),
      ('truncated_rows', case when by_row
        then '{table} tide_o where tide_o.tableoid = tg_relid or tg_relid = {relation} and not exists (select from pg_trigger where tgrelid = tide_o.tableoid and tgname = ''tide_truncate'')'
        else 'only {table} tide_o' end),
      ('wake', tide.wake_key()::text),
      ('relation', relation::text),
      ('entity', entity),
      ('''{table}''', quote_literal(table_name)),
      ('table', table_name),
      ('row_o', tide.image_expression(relation, 'tide_o')),
      ('row_old', tide.image_expression(relation, 'old')),
      ('image_n', tide.image_expression(relation, 'tide_n')),
      ('image_new', tide.image_expression(relation, 'new'))
    ) parts(name, value)
  loop
    source := replace(source, case when part.name like '''%' then part.name else '{' || part.name || '}' end, part.value);
  end loop;
  return source;
end $function$
;

CREATE OR REPLACE FUNCTION authz.change(change jsonb, user_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "tide.user_id" TO ''
 SET "tide.mutation_id" TO ''
AS $function$
declare
  c_id        constant text := change ->> 'id';
  c_type      constant text := change ->> 'type';
  c_principal constant text := change ->> 'principal';
  c_scope     constant text := change ->> 'scope';
  c_entity    constant text := change ->> 'entity';
  c_entity_id constant text := change ->> 'entityId';
  c_role      constant text := change ->> 'role';
  c_member    constant text := change ->> 'member';
  c_user      constant text := change ->> 'user';
  c_session   constant text := change ->> 'session';
  denied      constant jsonb := jsonb_build_object('id', c_id, 'status', 'denied', 'message', 'no such thing, or not allowed');
  applied     constant jsonb := jsonb_build_object('id', c_id, 'status', 'applied');
  needed      authz.level;
  expires     timestamptz;
  who         text[];
  held        record;
  wrong       text;
begin
  -- Is it one?
  wrong := case
    when coalesce(user_id, '') = '' then 'no user'
    when jsonb_typeof(change) is distinct from 'object' then 'a change of access is a JSON object'
    when coalesce(c_id, '') = '' then 'id is missing'
    when length(c_id) > 200 then 'id is longer than 200 characters'
    when exists (select from jsonb_each(change) f where jsonb_typeof(f.value) not in ('string', 'null')) then 'the fields are texts, or null'
    when c_type is null or c_type not in ('grant', 'revoke', 'join', 'leave', 'sign-out') then 'type is grant, revoke, join, leave or sign-out'
    when c_type in ('grant', 'revoke') and not change ?& '{scope,entity,entityId}' then 'scope, entity and entityId must be said; null is any'
    when c_type = 'grant' and not change ? 'expiresAt' then 'expiresAt must be said; null is never'
    when c_type in ('join', 'leave') and coalesce(c_member, '') !~ '^(user|role):.' then 'member is user:<id> or role:<name>'
    when c_type = 'sign-out' and not change ? 'session' then 'session must be said; null is all'
    when change ->> 'expiresAt' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$' then 'expiresAt is an instant as in 2026-11-21T10:00:00Z'
  end;
  if wrong is not null then
    return jsonb_build_object('id', coalesce(c_id, ''), 'status', 'invalid', 'message', wrong);
  end if;

  -- A repeat waits for the first to end, in whatever connection that is.
  perform pg_advisory_xact_lock(hashtext('tide.mutate'), hashtext(length(user_id) || ':' || user_id || c_id));
  if exists (select from tide.mutation m where m.user_id = change.user_id and m.id = c_id) then return applied; end if;
  perform set_config('tide.user_id', user_id, true), set_config('tide.mutation_id', c_id, true);

  begin
    case c_type
      when 'grant', 'revoke' then
        -- Values that can be in no grant are told from those that may not be in this one before anything is looked at.
        perform authz.require_pattern(c_principal, c_scope, c_entity, c_entity_id);
        expires := (change ->> 'expiresAt')::timestamptz;
        needed := case c_type when 'grant' then greatest(authz.to_level(change ->> 'level'), 'SHARE') else 'SHARE' end;
        who := authz.hold(user_id, c_principal);
        held := authz.covering(who, c_scope, c_entity, c_entity_id, case c_type when 'revoke' then '-infinity'::timestamptz else expires end, needed);
        if held.level is null or held.level < needed then return denied; end if;
        if held.lasting is null or held.lasting < needed then
          return jsonb_build_object('id', c_id, 'status', 'invalid', 'message',
            format('it would outlive your own access, which ends at %s', to_char(held.lasts, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
        end if;
        if c_type = 'grant' then
          if authz.put_grant(c_principal, c_scope, c_entity, c_entity_id, change ->> 'level', expires, held.lasting) is null then return denied; end if;
        elsif not authz.take_grant(c_principal, c_scope, c_entity, c_entity_id, held.lasting) then
          return denied;
        end if;
      when 'join', 'leave' then
        perform authz.require_role(c_role), tide.fit_token(authz.member_id(c_role, c_member), 'role and member');
        if c_type = 'join' then who := authz.hold(user_id); else who := authz.hold(user_id, c_member); end if;
        if not authz.permits(who, 'EDIT', null, '_member', authz.member_id(c_role, c_member)) then return denied; end if;
        if c_type = 'join' then perform authz.add_member(c_role, c_member); else perform authz.remove_member(c_role, c_member); end if;
      when 'sign-out' then
        who := authz.hold(user_id);
        if c_user is distinct from user_id and not authz.permits(who, 'EDIT', null, '_sign_out', authz.sign_out_id(c_user, c_session)) then return denied; end if;
        perform authz.sign_out(c_user, c_session);
    end case;
  exception
    when data_exception or integrity_constraint_violation or program_limit_exceeded then
      return jsonb_build_object('id', c_id, 'status', 'invalid', 'message', sqlerrm);
  end;

  insert into tide.mutation (user_id, id) values (change.user_id, c_id);
  return applied;
end $function$
;

CREATE OR REPLACE FUNCTION tide.changes_of(entity text, entity_id text, scope text DEFAULT NULL::text, since timestamp with time zone DEFAULT '-infinity'::timestamp with time zone, until timestamp with time zone DEFAULT 'infinity'::timestamp with time zone)
 RETURNS TABLE(at timestamp with time zone, op text, scope text, fields json, user_id text, request_id text, endpoint text, method text, user_agent text, ip text, mutation_id text, traceparent text, xid xid8)
 LANGUAGE sql
 STABLE PARALLEL SAFE
BEGIN ATOMIC
 WITH found AS (
          SELECT o.id,
             o.xid,
             o.entity,
             o.entity_id,
             o.scope,
             o.op,
             o.after,
             o.before,
             o.at,
             o.user_id,
             o.request_id,
             o.endpoint,
             o.method,
             o.user_agent,
             o.ip,
             o.mutation_id,
             o.traceparent,
                 CASE
                     WHEN (o.op = ANY (ARRAY['UPDATE'::text, 'DELETE'::text])) THEN COALESCE(o.before, lag((o.after)::json) OVER (PARTITION BY o.scope ORDER BY o.id))
                     ELSE NULL::json
                 END AS was
            FROM tide.outbox o
           WHERE ((o.entity = changes_of.entity) AND (o.entity_id = changes_of.entity_id) AND (o.at >= changes_of.since) AND (o.at < changes_of.until) AND ((changes_of.scope IS NULL) OR (o.scope = changes_of.scope)))
         )
  SELECT f.at,
     f.op,
     f.scope,
     COALESCE(( SELECT json_object_agg(changed.name,
                 CASE
                     WHEN (changed.is_ IS NULL) THEN json_build_object('from', changed.was_)
                     WHEN (changed.was_ IS NULL) THEN json_build_object('to', changed.is_)
                     ELSE json_build_object('from', changed.was_, 'to', changed.is_)
                 END ORDER BY changed.place) AS json_object_agg
            FROM ( SELECT COALESCE(n.key, b.key) AS name,
                     b.value AS was_,
                     n.value AS is_,
                     COALESCE(n.ordinality, b.ordinality) AS place
                    FROM (json_each((f.after)::json) WITH ORDINALITY n(key, value, ordinality)
                      FULL JOIN json_each(f.was) WITH ORDINALITY b(key, value, ordinality) ON ((b.key = n.key)))
                   WHERE ((n.value)::text IS DISTINCT FROM (b.value)::text)) changed), '{}'::json) AS "coalesce",
     f.user_id,
     f.request_id,
     f.endpoint,
     f.method,
     f.user_agent,
     f.ip,
     f.mutation_id,
     f.traceparent,
     f.xid
    FROM found f
   ORDER BY f.id;
END
;

CREATE OR REPLACE FUNCTION tide.column_type(relation oid, column_name text)
 RETURNS regtype
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT (pg_attribute.atttypid)::regtype AS atttypid FROM pg_attribute WHERE ((pg_attribute.attrelid = column_type.relation) AND (pg_attribute.attname = column_type.column_name) AND (pg_attribute.attnum > 0) AND (NOT pg_attribute.attisdropped)))
;

CREATE OR REPLACE FUNCTION authz.covering(who text[], scope text, entity text, entity_id text, until timestamp with time zone, needed authz.level, OUT level authz.level, OUT lasting authz.level, OUT lasts timestamp with time zone)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 SELECT max(g.level) AS max,
     max(g.level) FILTER (WHERE ((g.expires_at IS NULL) OR (g.expires_at >= covering.until))) AS max,
     max(g.expires_at) FILTER (WHERE (g.level >= covering.needed)) AS max
    FROM authz.grants g
   WHERE ((g.principal = ANY (covering.who)) AND ((g.scope IS NULL) OR (g.scope = covering.scope)) AND ((NOT (g.entity IS DISTINCT FROM covering.entity)) OR ((g.entity IS NULL) AND (covering.entity !~~ '\_%'::text))) AND ((g.entity_id IS NULL) OR (g.entity_id = covering.entity_id)) AND ((g.expires_at IS NULL) OR (g.expires_at > clock_timestamp())));
END
;

CREATE OR REPLACE FUNCTION tide.denial(mutation_id text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN jsonb_build_object('id', mutation_id, 'status', 'denied', 'message', 'no such row, or not allowed')
;

CREATE OR REPLACE FUNCTION tide.detach(entity text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  execute format('drop function if exists tide.%I() cascade', tide.capture_name(entity));
end $function$
;

CREATE OR REPLACE FUNCTION tide.digest(id text, scope text, image json)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN encode(sha256(convert_to(((((id || '
'::text) || COALESCE(scope, '
'::text)) || '
'::text) || (image)::text), 'UTF8'::name)), 'base64'::text)
;

CREATE OR REPLACE FUNCTION tide.drop_partitions(older_than interval, published pg_snapshot, settled_for interval DEFAULT '24:00:00'::interval)
 RETURNS SETOF text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '200ms'
AS $function$
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
end $function$
;

CREATE OR REPLACE FUNCTION authz.expire()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '1s'
AS $function$
declare
  expired integer := 0;
  deleted integer;
  lock integer;
begin
  for lock in select distinct authz.lock_of(g.principal) as place from authz.grants g where g.expires_at <= clock_timestamp() order by place loop
    begin
      perform pg_advisory_xact_lock(authz.lock_space(), lock);
      delete from authz.grants g where g.expires_at <= clock_timestamp() and authz.lock_of(g.principal) = lock;
      get diagnostics deleted = row_count;
      expired := expired + deleted;
    exception
      when lock_not_available then null;
    end;
  end loop;
  return expired;
end $function$
;

CREATE OR REPLACE FUNCTION tide.explain_refusal(state text, message text, constraint_name text, column_name text, table_schema text, table_name text, relation oid, op text, own boolean)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  ours constant boolean := to_regclass(format('%I.%I', table_schema, table_name)) is not distinct from relation::regclass;
  columns text;
begin
  case
    when state = '23502' then
      return format('%s must not be empty', coalesce(nullif(column_name, ''), 'a value'));
    when own or state in ('P0001', '54000') or state like '23%' and constraint_name = '' then
      return message;
    when state = '23505' and ours then
      select string_agg(a.attname, ', ' order by k.place) into columns
      from pg_index i cross join lateral unnest(i.indkey::smallint[]) with ordinality k(attnum, place)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
      where i.indexrelid = to_regclass(format('%I.%I', table_schema, constraint_name));
      return format('%s must have another value', coalesce(columns, constraint_name));
    when state in ('23001', '23503') then
      select string_agg(a.attname, ', ') into columns
      from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
      where c.conname = constraint_name and c.conrelid = explain_refusal.relation and c.contype = 'f';
      if op = 'delete' or columns is null then return 'the row is in use'; end if;
      return format('%s refers to a row that does not exist', columns);
    when state like '23%' then
      return format('the values break the rule %s', constraint_name);
    else
      return format('the values do not go together (SQLSTATE %s)', state);
  end case;
end $function$
;

CREATE OR REPLACE FUNCTION tide.fit_token(value text, what text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if tide.token_bytes(value) > 1024 then
    raise exception '% too long for an event: % bytes once encoded, 1024 at most', what, tide.token_bytes(value)
      using errcode = 'program_limit_exceeded', detail = left(value, 80) || '…', hint = 'Use a shorter value, or untrack the table.';
  end if;
  return value;
end $function$
;

CREATE OR REPLACE FUNCTION tide.fitting_id_expression(relation oid, keys text[], alias text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT CASE WHEN ((SELECT bool_and(tide.is_plain_key_type(tide.column_type(fitting_id_expression.relation, k.k))) AS bool_and FROM unnest(fitting_id_expression.keys) k(k)) AND (cardinality(fitting_id_expression.keys) <= 8)) THEN e.id ELSE format('(case when octet_length(%1$s) <= 341 then %1$s else tide.fit_token(%1$s, ''entity id'') end)'::text, e.id) END AS format FROM (SELECT tide.id_expression(fitting_id_expression.relation, fitting_id_expression.keys, fitting_id_expression.alias) AS id) e)
;

CREATE OR REPLACE FUNCTION tide.fitting_scope_expression(relation oid, scope text, alias text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN CASE WHEN ((scope IS NULL) OR tide.is_plain_key_type(tide.column_type(relation, scope))) THEN tide.scope_expression(scope, alias) ELSE format('(case when octet_length(%1$s) <= 341 then %1$s else tide.fit_token(%1$s, ''scope'') end)'::text, tide.scope_expression(scope, alias)) END
;

CREATE OR REPLACE FUNCTION tide.forget_partition(partition regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  held tide.tracked;
begin
  select t.* into held from tide.tracked t where t.relation in (select relid from pg_partition_ancestors(partition)) and t.relation <> partition;
  if held.entity is null then
    perform tide.refuse(format('tide.forget_partition: %s is no partition of a tracked table', partition), 'To forget a whole table: select tide.untrack(…).');
  end if;
  execute format('lock table %s in share row exclusive mode', partition);
  perform tide.forget_rows(held, partition);
  delete from tide.partition p where p.entity = held.entity and p.relation in (select relid from pg_partition_tree(partition));
end $function$
;

CREATE OR REPLACE FUNCTION tide.forget_rows(tracked tide.tracked, source regclass DEFAULT NULL::regclass, gone boolean DEFAULT false)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
AS $function$
begin
  if exists (select from unnest(tracked.key_columns || tracked.scope_column) c where c is not null and tide.column_type(tracked.relation, c) is null) then
    raise warning 'the columns that made the addresses of % are gone or renamed', tracked.table_name
      using hint = 'Where they were renamed all is well; where they were dropped, what the log holds of the table stays there.';
    return;
  end if;
  execute format(
    'insert into tide.outbox (entity, entity_id, scope, op, before, user_id) select %L, %s, %s, ''DELETE'', %s, nullif(current_setting(''tide.user_id'', true), '''') from %s tide_o where %s',
    tracked.entity, tide.id_expression(tracked.relation, tracked.key_columns, 'tide_o'), tide.scope_expression(tracked.scope_column, 'tide_o'),
    case when tracked.before_image then 'to_json(tide_o.*)' else 'null::json' end, coalesce(source, tracked.relation),
    case when gone then format('not exists (select from %s tide_c where %s)', tracked.relation, tide.key_match(tracked.relation, tracked.key_columns, 'tide_c', 'tide_o')) else 'true' end);
  perform tide.wake_relay();
end $function$
;

CREATE OR REPLACE FUNCTION tide.found_scope()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
AS $function$
declare
  opened text;
begin
  execute format('select ($1).%I::text', tg_argv[0]) into opened using new;
  if authz.is_new_scope(opened) then
    perform authz.grant_access('user:' || current_setting('tide.user_id'), scope => opened, level => 'OWNER');
  end if;
  return null;
end $function$
;

CREATE OR REPLACE FUNCTION tide.free_aside(entity text, entity_id text, scope text DEFAULT NULL::text, OUT outbox_id bigint, OUT op text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '5s'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET extra_float_digits TO '1'
AS $function$
declare
  held tide.tracked;
  present text;
begin
  if not exists (select from tide.set_aside s where s.entity = free_aside.entity and s.entity_id = free_aside.entity_id
      and s.scope is not distinct from free_aside.scope and s.freed_by is null) then
    perform tide.refuse(format('nothing is set aside at %s %s%s', entity, entity_id, coalesce(' in ' || scope, '')), 'npx tideline aside lists what is.');
  end if;
  select * into held from tide.tracked t where t.entity = free_aside.entity;
  if held.entity is not null then
    present := format($q$
      insert into tide.outbox (entity, entity_id, scope, op, after, user_id)
      select %1$L, $1, $2, 'READ', s.image, nullif(current_setting('tide.user_id', true), '')
      from (select to_json(tide_t.*) as image from %2$s tide_t where %3$s = $1 and %4$s is not distinct from $2 for share of tide_t) s returning id$q$,
      held.entity, held.relation, tide.id_expression(held.relation, held.key_columns, 'tide_t'), tide.scope_expression(held.scope_column, 'tide_t'));
    execute present into outbox_id using entity_id, scope;
    if outbox_id is null then
      execute format('lock table %s in share mode', held.relation);
      execute present into outbox_id using entity_id, scope;
    end if;
  end if;
  op := 'READ';
  if outbox_id is null then
    op := 'DELETE';
    insert into tide.outbox (entity, entity_id, scope, op, user_id)
    values (free_aside.entity, free_aside.entity_id, free_aside.scope, 'DELETE', nullif(current_setting('tide.user_id', true), '')) returning id into outbox_id;
  end if;
  update tide.set_aside s set freed_by = free_aside.outbox_id, freed_xid = pg_current_xact_id()
  where s.entity = free_aside.entity and s.entity_id = free_aside.entity_id and s.scope is not distinct from free_aside.scope and s.freed_by is null;
  perform pg_notify('tide_wake', '');
end $function$
;

CREATE OR REPLACE FUNCTION authz.grant_access(principal text, scope text DEFAULT NULL::text, entity text DEFAULT NULL::text, entity_id text DEFAULT NULL::text, level text DEFAULT NULL::text, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN authz.put_grant(principal, scope, entity, entity_id, level, expires_at)
;

CREATE OR REPLACE FUNCTION tide.hand_over(relation regclass, capture text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  place text;
begin
  if (select relrowsecurity from pg_class where oid = relation) then
    execute format('alter function tide.%I() owner to current_user', capture);
    return;
  end if;
  -- Their own schemas, and those of their keys' types, which bring the operators that compare keys.
  for place in
    select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation
    union select n.nspname from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace where a.attrelid = relation and a.attnum > 0 and n.nspname <> 'pg_catalog'
  loop
    execute format('grant usage on schema %I to tide_capture', place);
  end loop;
  execute format('grant select on %s to tide_capture', relation);
  execute format('alter function tide.%I() owner to tide_capture', capture);
exception
  when insufficient_privilege then null;
end $function$
;

CREATE OR REPLACE FUNCTION tide.held_addresses(published pg_snapshot)
 RETURNS TABLE(entity text, entity_id text, scope text, open_from double precision, freed_from double precision, freed_to double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 SELECT s.entity,
     s.entity_id,
     s.scope,
     min(s.outbox_id) FILTER (WHERE (s.freed_by IS NULL)) AS min,
     min(s.outbox_id) FILTER (WHERE (s.freed_by IS NOT NULL)) AS min,
     max(s.freed_by) AS max
    FROM tide.set_aside s
   WHERE ((s.freed_xid IS NULL) OR (NOT pg_visible_in_snapshot(s.freed_xid, held_addresses.published)))
   GROUP BY s.entity, s.entity_id, s.scope;
END
;

CREATE OR REPLACE FUNCTION authz.hold(user_id text, VARIADIC alone text[] DEFAULT '{}'::text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  space constant integer := authz.lock_space();
  who text[] := authz.principals(user_id);
  held text[];
  step record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'access cannot be decided in a % transaction', current_setting('transaction_isolation')
      using errcode = 'object_not_in_prerequisite_state', hint = 'Its snapshot may be older than a revocation that has ended: use read committed.';
  end if;
  loop
    for step in
      select l.lock, bool_or(l.alone) as alone
      from (select authz.lock_of(p) as lock, false as alone from unnest(who) p union all select authz.lock_of(p), true from unnest(hold.alone) p) l
      group by l.lock order by l.lock
    loop
      if step.alone then perform pg_advisory_xact_lock(space, step.lock); else perform pg_advisory_xact_lock_shared(space, step.lock); end if;
    end loop;
    held := who;
    who := authz.principals(user_id);
    exit when who <@ held;
  end loop;
  return who;
end $function$
;

CREATE OR REPLACE FUNCTION authz.hold_grant()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock(authz.lock_space(), authz.lock_of(old.principal));
  return case when tg_op = 'DELETE' then old else new end;
end $function$
;

CREATE OR REPLACE FUNCTION authz.hold_member()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock(authz.lock_space(), authz.lock_of(old.member));
  return case when tg_op = 'DELETE' then old else new end;
end $function$
;

CREATE OR REPLACE FUNCTION tide.id_expression(relation oid, keys text[], alias text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN CASE WHEN (cardinality(keys) = 1) THEN format('%s.%I::text'::text, alias, (keys)[1]) ELSE (('('::text || (SELECT string_agg(CASE WHEN tide.is_plain_key_type(tide.column_type(id_expression.relation, k.name)) THEN format('%s.%I::text'::text, id_expression.alias, k.name) ELSE format('replace(replace(%s.%I::text, ''\'', ''\\''), '','', ''\,'')'::text, id_expression.alias, k.name) END, ' || '','' || '::text ORDER BY k.place) AS string_agg FROM unnest(id_expression.keys) WITH ORDINALITY k(name, place))) || ')'::text) END
;

CREATE OR REPLACE FUNCTION tide.image_at(place text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT (o.after)::text AS after FROM tide.outbox o WHERE ((o.tableoid = (split_part(image_at.place, ' '::text, 1))::oid) AND (o.ctid = (split_part(image_at.place, ' '::text, 2))::tid)))
;

CREATE OR REPLACE FUNCTION tide.image_expression(relation oid, alias text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT CASE WHEN bool_or((a.attgenerated = 'v'::"char")) THEN format('(select to_json(tide_r.*) from (select %s from (select %s.*) tide_v) tide_r)'::text, string_agg(CASE WHEN (a.attgenerated = 'v'::"char") THEN format('%s as %I'::text, pg_get_expr(d.adbin, d.adrelid), a.attname) ELSE format('tide_v.%I'::text, a.attname) END, ', '::text ORDER BY a.attnum), image_expression.alias) ELSE format('to_json(%s.*)'::text, image_expression.alias) END AS format FROM (pg_attribute a LEFT JOIN pg_attrdef d ON (((d.adrelid = a.attrelid) AND (d.adnum = a.attnum)))) WHERE ((a.attrelid = image_expression.relation) AND (a.attnum > 0) AND (NOT a.attisdropped)))
;

CREATE OR REPLACE FUNCTION authz.is_new_scope(scope text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock(authz.scope_space(), authz.scope_lock(scope));
  return not exists (select from authz.grants g where g.scope = is_new_scope.scope);
end $function$
;

CREATE OR REPLACE FUNCTION tide.is_plain_key_type(type regtype)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ((type)::oid = ANY ((ARRAY['smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'uuid'::regtype])::oid[]))
;

CREATE OR REPLACE FUNCTION tide.json_schema(relation regclass, entity text, keys text[], scope text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 WITH columns AS (
          SELECT a.attname AS name,
             a.attnum AS place,
             a.attnotnull AS required,
             tide.type_schema(a.atttypid, a.atttypmod) AS type,
             (
                 CASE
                     WHEN ((a.attgenerated <> ''::"char") OR (a.attidentity = 'a'::"char")) THEN '{"readOnly": true}'::text
                     WHEN (a.atthasdef OR (a.attidentity = 'd'::"char")) THEN '{"x-default": true}'::text
                     ELSE '{}'::text
                 END)::jsonb AS origin,
                 CASE
                     WHEN (d.text IS NULL) THEN '{}'::jsonb
                     ELSE jsonb_build_object('description', d.text)
                 END AS description
            FROM (pg_attribute a
              CROSS JOIN LATERAL col_description(a.attrelid, (a.attnum)::integer) d(text))
           WHERE ((a.attrelid = (json_schema.relation)::oid) AND (a.attnum > 0) AND (NOT a.attisdropped))
         ), properties AS (
          SELECT columns.name,
             columns.place,
             ((columns.origin || columns.description) ||
                 CASE
                     WHEN (columns.required OR (columns.type = '{}'::jsonb)) THEN columns.type
                     WHEN (columns.type ? 'enum'::text) THEN (columns.type || jsonb_build_object('type', '["string", "null"]'::jsonb, 'enum', ((columns.type -> 'enum'::text) || 'null'::jsonb)))
                     ELSE (columns.type || jsonb_build_object('type', jsonb_build_array((columns.type -> 'type'::text), 'null')))
                 END) AS property
            FROM columns
         )
  SELECT jsonb_build_object('$schema', 'https://json-schema.org/draft/2020-12/schema', 'title', json_schema.entity, 'type', 'object', 'properties', jsonb_object_agg(properties.name, properties.property), 'required', jsonb_agg(properties.name ORDER BY properties.place), 'x-key', to_jsonb(json_schema.keys), 'x-scope', json_schema.scope) AS jsonb_build_object
    FROM properties;
END
;

CREATE OR REPLACE FUNCTION tide.key_columns(relation oid)
 RETURNS text[]
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN COALESCE((SELECT array_agg((a.attname)::text ORDER BY k.place) AS array_agg FROM ((pg_index i CROSS JOIN LATERAL unnest((i.indkey)::smallint[]) WITH ORDINALITY k(attnum, place)) JOIN pg_attribute a ON (((a.attrelid = i.indrelid) AND (a.attnum = k.attnum)))) WHERE ((i.indrelid = key_columns.relation) AND i.indisprimary AND i.indisvalid)), '{}'::text[])
;

CREATE OR REPLACE FUNCTION tide.key_compare(relation oid, keys text[], parameter text, strategy integer)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  compared text;
  pair text;
begin
  for i in reverse cardinality(keys) .. 1 loop
    pair := format('tide_t.%I %%s %s', keys[i], tide.key_part(relation, keys[i], parameter, i));
    compared := case
      when compared is null then format(pair, tide.key_operator(relation, i, strategy))
      else format('(%s or %s and %s)', format(pair, tide.key_operator(relation, i, case strategy when 5 then 5 else 1 end)),
        format(pair, tide.key_operator(relation, i, 3)), compared)
    end;
  end loop;
  if cardinality(keys) > 1 then compared := format(pair, tide.key_operator(relation, 1, case strategy when 5 then 4 else 2 end)) || ' and ' || compared; end if;
  return compared;
end $function$
;

CREATE OR REPLACE FUNCTION tide.key_match(relation oid, keys text[], alias_a text, alias_b text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT string_agg((format('%s.%I operator(%I.%s) %s.%I'::text, key_match.alias_a, k.name, n.nspname, o.oprname, key_match.alias_b, k.name) || CASE WHEN tide.is_plain_key_type(tide.column_type(key_match.relation, k.name)) THEN ''::text ELSE format(' and %s.%I::text collate "C" = %s.%I::text'::text, key_match.alias_a, k.name, key_match.alias_b, k.name) END), ' and '::text ORDER BY k.place) AS string_agg FROM (((((unnest(key_match.keys) WITH ORDINALITY k(name, place) JOIN pg_index i ON (((i.indrelid = key_match.relation) AND i.indisprimary))) JOIN pg_opclass c ON ((c.oid = ((i.indclass)::oid[])[(k.place - 1)]))) JOIN pg_amop m ON (((m.amopfamily = c.opcfamily) AND (m.amopstrategy = 3) AND (m.amoplefttype = c.opcintype) AND (m.amoprighttype = c.opcintype)))) JOIN pg_operator o ON ((o.oid = m.amopopr))) JOIN pg_namespace n ON ((n.oid = o.oprnamespace))))
;

CREATE OR REPLACE FUNCTION tide.key_operator(relation oid, place integer, strategy integer)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT format('operator(%I.%s)'::text, n.nspname, o.oprname) AS format FROM ((((pg_index i JOIN pg_opclass c ON ((c.oid = ((i.indclass)::oid[])[(key_operator.place - 1)]))) JOIN pg_amop m ON (((m.amopfamily = c.opcfamily) AND (m.amopstrategy = key_operator.strategy) AND (m.amoplefttype = c.opcintype) AND (m.amoprighttype = c.opcintype)))) JOIN pg_operator o ON ((o.oid = m.amopopr))) JOIN pg_namespace n ON ((n.oid = o.oprnamespace))) WHERE ((i.indrelid = key_operator.relation) AND i.indisprimary))
;

CREATE OR REPLACE FUNCTION tide.key_part(relation oid, column_name text, parameter text, place integer)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT format('%s[%s]::%I.%I'::text, key_part.parameter, key_part.place, n.nspname, t.typname) AS format FROM (pg_type t JOIN pg_namespace n ON ((n.oid = t.typnamespace))) WHERE (t.oid = (tide.column_type(key_part.relation, key_part.column_name))::oid))
;

CREATE OR REPLACE FUNCTION tide.key_query(relation oid, keys text[])
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT ('select '::text || string_agg(format('$1[%s]::%I.%I as %I'::text, k.place, n.nspname, t.typname, k.name), ', '::text ORDER BY k.place)) FROM ((unnest(key_query.keys) WITH ORDINALITY k(name, place) JOIN pg_type t ON ((t.oid = (tide.column_type(key_query.relation, k.name))::oid))) JOIN pg_namespace n ON ((n.oid = t.typnamespace))))
;

CREATE OR REPLACE FUNCTION tide.large_bytes()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (16 * 1024)
;

CREATE OR REPLACE FUNCTION tide.lease_key()
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (7419002)::bigint
;

CREATE OR REPLACE FUNCTION authz.lock_of(principal text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (principal = 'everyone'::text) THEN authz.principal_locks() ELSE (hashtext(principal) & (authz.principal_locks() - 1)) END
;

CREATE OR REPLACE FUNCTION authz.lock_space()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN hashtext('authz.principal'::text)
;

CREATE OR REPLACE FUNCTION tide.look(xmax xid8, running xid8[], at_most integer)
 RETURNS SETOF tide.message
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return query
    select m.* from tide.message m
    where (m.xid >= look.xmax or m.xid = any (look.running)) and pg_visible_in_snapshot(m.xid, pg_current_snapshot())
    limit look.at_most;
end $function$
;

CREATE OR REPLACE FUNCTION tide.lost_reference(held tide.tracked, who text[], stored jsonb, image jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  reference record;
  place     record;
  may       boolean;
  whole     constant jsonb := coalesce(image, '{}') || stored;
begin
  for reference in
    select to_entity, scope_column, key_columns, relation, names, matching
    from pg_constraint c join tide.tracked t(to_entity, table_name, relation, key_columns, scope_column) on t.relation = c.confrelid
    cross join lateral (
      select array_agg(a.attname::text order by k.place) as names, array_agg(b.attname::text order by k.place) as targets,
        string_agg(format('tide_t.%I operator(%I.%s) tide_r.%I', b.attname, n.nspname, o.oprname, a.attname), ' and ') as matching
      from unnest(c.conkey, c.confkey, c.conpfeqop) with ordinality k(own, target, operator, place)
      join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.own
      join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.target
      join pg_operator o on o.oid = k.operator join pg_namespace n on n.oid = o.oprnamespace) pairs
    where c.conrelid = held.relation and c.contype = 'f' and (to_jsonb(c) ->> 'conperiod')::boolean is not true -- a period is covered by several rows
      and exists (select from unnest(names) name where stored -> name is distinct from image -> name and stored ? name)
      and not exists (select from unnest(names) name where coalesce(whole -> name, 'null') = 'null')
      -- A row may refer to itself before it is there.
      and not (c.confrelid = c.conrelid and (select bool_and(whole -> name = whole -> target) from unnest(names, targets) pair(name, target)))
    order by c.conname
  loop
    execute format('select %s as scope, %s as id from %s tide_t, jsonb_to_record($1) as tide_r(%s) where %s limit 1',
      tide.scope_expression(reference.scope_column, 'tide_t'), tide.id_expression(reference.relation, reference.key_columns, 'tide_t'), reference.relation,
      tide.record_columns(held.relation, (select jsonb_object_agg(name, null) from unnest(reference.names) name)), reference.matching)
    into place using whole;
    -- Of what is not there the same is asked.
    may := authz.permits(who, 'VIEW', place.scope, reference.to_entity, coalesce(place.id, ''));
    if place.id is null or not may then return array_to_string(reference.names, ', '); end if;
  end loop;
  return null;
end $function$
;

CREATE OR REPLACE FUNCTION tide.make_partitions(days_ahead integer DEFAULT 3)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
AS $function$
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
end $function$
;

CREATE OR REPLACE FUNCTION tide.may_found(held tide.tracked, who text[], scope text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  founders text;
begin
  if held.founders is null or not tide.opens_scopes(held.relation, held.key_columns, held.scope_column) then return false; end if;
  -- tide.track waits for who has the table in use: what it says of founders now is so at the end of the transaction, too.
  execute format('lock table %s in row exclusive mode', held.relation);
  select t.founders into founders from tide.tracked t where t.entity = held.entity;
  return founders = any (who) and authz.is_new_scope(scope);
end $function$
;

CREATE OR REPLACE FUNCTION authz.member_id(role text, member text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ((replace(replace(role, '\'::text, '\\'::text), ','::text, '\,'::text) || ','::text) || replace(replace(member, '\'::text, '\\'::text), ','::text, '\,'::text))
;

CREATE OR REPLACE FUNCTION tide.missing(held tide.tracked, scopes text[], ids text[])
 RETURNS TABLE(scope text, id text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
AS $function$
declare
  query constant text := format($q$
    select tide_a.scope, tide_a.id from unnest($1, $2) tide_a(scope, id) cross join lateral (select tide.split_id(tide_a.id, %s) as parts offset 0) tide_k
    where not exists (select from %s tide_t where %s %s = tide_a.id and %s is not distinct from tide_a.scope)$q$,
    cardinality(held.key_columns), held.relation, '%s', tide.id_expression(held.relation, held.key_columns, 'tide_t'), tide.scope_expression(held.scope_column, 'tide_t'));
begin
  if held.entity is null then return query select a.scope, a.id from unnest(scopes, ids) a(scope, id); return; end if;
  return query execute format(query, (
    select string_agg(format('tide_t.%I %s (%s) and ', k.name, tide.key_operator(held.relation, k.place::integer, 3), tide.key_part(held.relation, k.name, 'tide_k.parts', k.place::integer)), '' order by k.place)
    from unnest(held.key_columns) with ordinality k(name, place))) using scopes, ids;
exception
  -- Text that cannot be a key of the table as it is now: its index does not help.
  when data_exception then return query execute format(query, '') using scopes, ids;
end $function$
;

CREATE OR REPLACE FUNCTION tide.mutate(mutation jsonb, user_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
 SET "tide.user_id" TO ''
 SET "tide.mutation_id" TO ''
AS $function$
#variable_conflict use_column
declare
  m_id        constant text := mutation ->> 'id';
  m_entity    constant text := mutation ->> 'entityCode';
  m_entity_id constant text := mutation ->> 'entityId';
  m_op        constant text := mutation ->> 'op';
  data        jsonb := coalesce(nullif(mutation -> 'data', 'null'), '{}');
  base        jsonb := coalesce(nullif(mutation -> 'base', 'null'), '{}');
  hidden      constant jsonb := tide.denial(m_id);
  -- It includes VIEW, as each level does those before it.
  level       constant authz.level := case m_op when 'update' then 'EDIT' when 'delete' then 'DELETE' else 'CREATE' end;
  held        tide.tracked;
  who         text[];
  key         text[];
  -- Whether they may, as far as is known; and whether the database has seen more yet than what they sent.
  may         boolean := false;
  writing     boolean := false;
  here        record;
  there       record;
  stored      jsonb;
  clash       text;
  wrong       text;
  columns     text;
  statement   text;
  state text; reason text; rule text; at_column text; at_schema text; at_table text;
begin
  -- Is it a mutation?
  wrong := case
    when coalesce(user_id, '') = '' then 'no user'
    when jsonb_typeof(mutation) is distinct from 'object' then 'a mutation is a JSON object'
    when coalesce(m_id, '') = '' then 'id is missing'
    when length(m_id) > 200 then 'id is longer than 200 characters'
    when m_entity_id is null then 'entityId is missing'
    when m_op is null or m_op not in ('create', 'update', 'delete') then 'op is create, update or delete'
    when jsonb_typeof(data) <> 'object' or jsonb_typeof(base) <> 'object' then 'data and base are objects of column values'
  end;
  if wrong is null then
    select * into held from tide.tracked t where t.entity = m_entity;
    if held.entity is null then wrong := format('there is no entity %s', coalesce(quote_literal(m_entity), 'without a code')); end if;
  end if;
  if wrong is not null then
    return jsonb_build_object('id', coalesce(m_id, ''), 'status', 'invalid', 'message', wrong);
  end if;

  -- A repeat waits for the first to end, in whatever connection that is.
  perform pg_advisory_xact_lock(hashtext('tide.mutate'), hashtext(length(user_id) || ':' || user_id || m_id));
  if exists (select from tide.mutation m where m.user_id = mutate.user_id and m.id = m_id) then
    return jsonb_build_object('id', m_id, 'status', 'applied');
  end if;
  perform set_config('tide.user_id', user_id, true), set_config('tide.mutation_id', m_id, true);
  -- From here on what they were granted stays.
  who := authz.hold(user_id);

  -- The row.
  key := tide.split_id(m_entity_id, cardinality(held.key_columns));
  select null::jsonb as image, null::text as scope, null::text as id into here;
  if m_op <> 'create' then
    if key is null then return hidden; end if;
    -- Before the lock: who waits for it knows that the row is there, and that somebody works on it. Of what is not there the same is asked.
    select * into there from tide.row_place(held, key);
    may := authz.permits(who, level, there.scope, m_entity, m_entity_id);
    if there.id is distinct from m_entity_id or not may then return hidden; end if;
    -- It may have moved, and the right have ended, while this waited.
    select * into here from tide.row_at(held, key, true);
    if here.id is distinct from m_entity_id or not authz.permits(who, level, here.scope, m_entity, m_entity_id) then return hidden; end if;
  end if;

  begin
    -- The values.
    select string_agg(quote_ident(k), ', ') into wrong from jsonb_object_keys(data || base) k where tide.column_type(held.relation, k) is null;
    if wrong is not null then
      return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', format('%s has no column %s', m_entity, wrong));
    end if;
    stored := tide.as_stored(held.relation, data);

    if m_op = 'create' then
      if key is null then
        return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', 'entityId does not spell a key of ' || m_entity);
      end if;
      execute format('select to_jsonb(tide_k.*) as key, %s as id from (%s) tide_k', tide.id_expression(held.relation, held.key_columns, 'tide_k'), tide.key_query(held.relation, held.key_columns))
      into there using key;
      if there.id is distinct from m_entity_id then
        return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', format('entityId should be written %s', there.id));
      end if;
      select string_agg(k.name, ', ') into wrong from jsonb_each(there.key) k(name, value) where stored ? k.name and stored -> k.name <> k.value;
      if wrong is not null then
        return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', format('%s contradicts entityId', wrong));
      end if;
      data := data || there.key;
      stored := stored || there.key;
    elsif m_op = 'update' then
      -- What is sent unchanged may be of any column.
      select coalesce(jsonb_object_agg(d.name, d.value), '{}') into data
      from jsonb_each(data) d(name, value) join pg_attribute a on a.attrelid = held.relation and a.attname = d.name and a.attnum > 0
      where not (d.name = any (held.key_columns) or a.attgenerated <> '' or a.attidentity = 'a') or stored -> d.name is distinct from here.image -> d.name;
    end if;
    select string_agg(a.attname, ', ') into wrong from pg_attribute a
    where a.attrelid = held.relation and data ? a.attname and a.attnum > 0
      and (a.attgenerated <> '' or a.attidentity = 'a' or m_op = 'update' and a.attname = any (held.key_columns));
    if wrong is not null then
      return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', format('%s cannot be set', wrong));
    end if;

    -- Did somebody else change the same fields? Two who set the same value agree.
    if m_op <> 'create' then
      select string_agg(b.name, ', ') into clash from jsonb_each(tide.as_stored(held.relation, base)) b(name, value)
      where b.value is distinct from here.image -> b.name
        and (m_op = 'delete' or data ? b.name and stored -> b.name is distinct from here.image -> b.name);
      if clash is not null then
        return jsonb_build_object('id', m_id, 'status', 'conflict', 'current', here.image, 'message', format('changed meanwhile: %s', clash));
      end if;
    end if;

    -- May they put the row where it would go? Asked before the database looks at the values, so that its refusals tell nobody anything, …
    if m_op <> 'delete' and (held.scope_column is null and m_op = 'create' or data ? held.scope_column) then
      columns := tide.record_columns(held.relation, stored);
      execute format('select %s from jsonb_to_record($1) as tide_r(%s)', tide.scope_expression(held.scope_column, 'tide_r'), columns) into rule using stored;
      if (m_op = 'create' or rule is distinct from here.scope) and not authz.permits(who, 'CREATE', rule, m_entity, m_entity_id)
        and not (m_op = 'create' and tide.may_found(held, who, rule)) then return hidden; end if;
      may := true;
    elsif m_op = 'create' then
      -- Where it goes is for a default or a trigger to say.
      may := authz.permits(who, 'CREATE', null, m_entity, m_entity_id);
    end if;

    -- May they see what it refers to?
    if m_op <> 'delete' then
      wrong := tide.lost_reference(held, who, stored, here.image);
      if wrong is not null then
        return jsonb_build_object('id', m_id, 'status', 'invalid', 'message', format('%s refers to a row that does not exist', wrong));
      end if;
    end if;

    -- Is the key free? Whoever may see the row that has it is shown that.
    if m_op = 'create' then
      select * into there from tide.row_place(held, key);
      if there.id is not null then
        if authz.permits(who, 'VIEW', there.scope, m_entity, there.id) then
          select * into here from tide.row_at(held, key, false);
        end if;
        if here.id is null or not authz.permits(who, 'VIEW', here.scope, m_entity, here.id) then return hidden; end if;
        return jsonb_build_object('id', m_id, 'status', 'conflict', 'current', here.image, 'message', 'there is a row with this id already');
      end if;
    end if;

    -- The change. Triggers and defaults of the application run under its own search path.
    writing := true;
    columns := tide.record_columns(held.relation, data);
    statement := case m_op
      when 'create' then format('insert into %s as tide_t (%s) select %s from jsonb_to_record($2) as tide_r(%s)', held.relation,
        (select string_agg(quote_ident(k), ', ') from jsonb_object_keys(data) k), (select string_agg('tide_r.' || quote_ident(k), ', ') from jsonb_object_keys(data) k), columns)
      when 'update' then format('update %s as tide_t set %s from (%s) tide_k%s where %s', held.relation,
        coalesce((select string_agg(format('%1$I = tide_r.%1$I', k), ', ') from jsonb_object_keys(data) k), format('%1$I = tide_t.%1$I', held.key_columns[1])),
        tide.key_query(held.relation, held.key_columns), coalesce(', jsonb_to_record($2) as tide_r(' || columns || ')', ''),
        tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'))
      else format('delete from %s as tide_t using (%s) tide_k where %s', held.relation,
        tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'))
    end || format(' returning %s as scope, %s as id', tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'));
    set local search_path to default;
    execute statement into there using key, data;
    set constraints all immediate;
    set local search_path = pg_catalog, pg_temp;
    if there.id is null then
      raise exception 'a trigger of the table let nothing through' using errcode = 'raise_exception';
    end if;

    -- … and after, for defaults and triggers may have put it elsewhere.
    if there.id <> m_entity_id then
      raise exception 'a trigger of the table gave the row another key' using errcode = 'raise_exception';
    end if;
    if (m_op = 'create' or m_op = 'update' and there.scope is distinct from here.scope) and not authz.permits(who, 'CREATE', there.scope, m_entity, m_entity_id) then
      raise sqlstate 'TD403';
    end if;
  exception
    when sqlstate 'TD403' then
      return hidden;
    when integrity_constraint_violation or data_exception or program_limit_exceeded or raise_exception or cannot_coerce or datatype_mismatch or invalid_parameter_value then
      get stacked diagnostics state = returned_sqlstate, reason = message_text, rule = constraint_name, at_column = column_name, at_schema = schema_name, at_table = table_name;
      -- Somebody was quicker with this key. Whoever may see the row is shown it.
      if m_op = 'create' and state = '23505' and to_regclass(format('%I.%I', at_schema, at_table)) = held.relation then
        select * into here from tide.row_at(held, key, false);
        if here.id is not null then
          if not authz.permits(who, 'VIEW', here.scope, m_entity, m_entity_id) then return hidden; end if;
          return jsonb_build_object('id', m_id, 'status', 'conflict', 'current', here.image, 'message', 'there is a row with this id already');
        end if;
      end if;
      -- Whoever may not create it here learns nothing from what the other rows or the application's triggers had to say against it.
      if m_op = 'create' and not may and writing and state not in ('23502', '23514') then return hidden; end if;
      return jsonb_build_object('id', m_id, 'status', 'invalid',
        'message', tide.explain_refusal(state, reason, rule, at_column, at_schema, at_table, held.relation, m_op, not writing));
  end;

  insert into tide.mutation (user_id, id) values (mutate.user_id, m_id);
  return jsonb_build_object('id', m_id, 'status', 'applied');
end $function$
;

CREATE OR REPLACE FUNCTION tide.note_aside(changes json)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 INSERT INTO tide.set_aside (outbox_id, entity, entity_id, scope, op, reason, bytes, freed_by, freed_xid)  SELECT c."outboxId",
             c.entity,
             c.id,
             c.scope,
             c.operation,
             c.reason,
             c.bytes,
             f.freed_by,
             f.freed_xid
            FROM (json_to_recordset(note_aside.changes) c("outboxId" bigint, entity text, id text, scope text, operation text, reason text, bytes integer)
              LEFT JOIN LATERAL ( SELECT s.freed_by,
                     s.freed_xid
                    FROM tide.set_aside s
                   WHERE ((s.entity = c.entity) AND (s.entity_id = c.id) AND (NOT (s.scope IS DISTINCT FROM c.scope)) AND (s.freed_by > c."outboxId"))
                   ORDER BY s.freed_by
                  LIMIT 1) f ON (true)) ON CONFLICT(outbox_id) DO NOTHING;
END
;

CREATE OR REPLACE FUNCTION tide.note_partitions(relation regclass, entity text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  detached regclass;
begin
  for detached in
    delete from tide.partition p
    where p.entity = note_partitions.entity and p.relation not in (select relid from pg_partition_tree(note_partitions.relation)) returning p.relation
  loop
    if exists (select from pg_class where oid = detached) then execute format('drop trigger if exists tide_truncate on %s', detached); end if;
  end loop;
  insert into tide.partition as p (entity, relation, name)
  select note_partitions.entity, t.relid, t.relid::text from pg_partition_tree(note_partitions.relation) t where t.isleaf and t.relid <> note_partitions.relation
  on conflict on constraint partition_pkey do update set name = excluded.name;
end $function$
;

CREATE OR REPLACE FUNCTION tide.open_epoch(epoch text, stream_created text, state_created text, acked_seq bigint, reason text, loaded boolean, rebuild boolean)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if loaded and not exists (select from tide.relay_state s where s.system_identifier = tide.system_identifier()) then
    update tide.outbox set xid = '0' where xid <> '0';
    update tide.relay_state set dropped_xid = '0', settled = null, settled_at = null;
  end if;
  perform tide.save_relay_state(epoch, stream_created, acked_seq, state_created);
  if rebuild then perform tide.request_rebuild(reason, epoch); end if;
  return pg_current_snapshot()::text;
end $function$
;

CREATE OR REPLACE FUNCTION tide.open_window(xmax xid8, running xid8[], seen pg_snapshot, tx double precision, id double precision)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
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
end $function$
;

CREATE OR REPLACE FUNCTION tide.opens_scopes(relation oid, key_columns text[], scope_column text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 WITH RECURSIVE base(type) AS (
          SELECT (tide.column_type(opens_scopes.relation, opens_scopes.scope_column))::oid AS column_type
           WHERE (opens_scopes.key_columns = ARRAY[opens_scopes.scope_column])
         UNION ALL
          SELECT t.typbasetype
            FROM (base b
              JOIN pg_type t ON ((t.oid = b.type)))
           WHERE (t.typtype = 'd'::"char")
         )
  SELECT (EXISTS ( SELECT
            FROM (base b
              JOIN pg_type t ON ((t.oid = b.type)))
           WHERE ((t.typtype = 'b'::"char") AND (t.typnamespace = ('pg_catalog'::regnamespace)::oid)))) AS "exists";
END
;

CREATE OR REPLACE FUNCTION tide.outbox_size(published pg_snapshot, OUT bytes double precision, OUT partitions integer, OUT bytes_a_day double precision, OUT oldest_s double precision)
 RETURNS record
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
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
end $function$
;

CREATE OR REPLACE FUNCTION tide.outdated(OUT entity text, OUT table_name text, OUT what text)
 RETURNS SETOF record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  held tide.tracked;
  shape record;
  wanted text[];
begin
  for held in select * from tide.tracked t order by t.entity loop
    entity := held.entity;
    table_name := held.table_name;
    what := null;
    select * into shape from tide.capture_shape(held.relation);
    if not exists (select from pg_class where oid = held.relation) then
      what := 'the table was dropped';
    elsif tide.key_columns(held.relation) = '{}' then
      what := 'it has no primary key any more';
    elsif held.scope_column is not null and tide.column_type(held.relation, held.scope_column) is null then
      what := 'its scope column is gone';
    else
      wanted := case when shape.by_row then array['tide_change', 'tide_truncate'] else array['tide_insert', 'tide_update', 'tide_delete', 'tide_truncate'] end;
      if (select count(*) from pg_trigger g where g.tgrelid = held.relation and g.tgname = any (wanted) and g.tgenabled = 'A'
          and g.tgfoid = to_regproc('tide.' || tide.capture_name(held.entity))) < cardinality(wanted) then
        what := case when exists (select from pg_subscription_rel where srrelid = held.relation) and not exists (select from pg_trigger g where g.tgrelid = held.relation and g.tgname = 'tide_change')
          then 'a subscription fills it now, and fires no statement triggers: its changes are lost' else 'its triggers are gone, disabled, or not enabled always' end;
      elsif tide.opens_scopes(held.relation, held.key_columns, held.scope_column) and not exists (select from pg_trigger g where g.tgrelid = held.relation and g.tgname = 'tide_found' and g.tgenabled <> 'D') then
        what := 'who opens a scope does not own it: its trigger is gone or disabled';
      elsif not exists (
        select from pg_proc p where p.pronamespace = 'tide'::regnamespace and p.proname = tide.capture_name(held.entity)
          and p.prosrc = tide.capture_source(held.relation, shape.table_name, held.entity, tide.key_columns(held.relation), held.scope_column, held.before_image, shape.by_row, shape.deferrable_key)
      ) then
        what := 'its key or its name changed';
      elsif exists (
        select from pg_proc p join pg_class c on c.oid = held.relation
        where p.pronamespace = 'tide'::regnamespace and p.proname = tide.capture_name(held.entity) and p.proowner = 'tide_capture'::regrole and c.relrowsecurity
      ) then
        what := 'its policies hide rows from tide_capture';
      elsif held.json_schema <> tide.json_schema(held.relation, held.entity, held.key_columns, held.scope_column) then
        what := 'its columns changed';
      elsif shape.by_row and exists (
        select from pg_partition_tree(held.relation) p where not exists (select from pg_trigger g where g.tgrelid = p.relid and g.tgname = 'tide_truncate')
      ) then
        what := 'TRUNCATE of a newer partition would go unseen';
      else
        select 'the rows of ' || string_agg(p.name, ', ' order by p.name) || ', detached or dropped, are still in the log' into what
        from tide.partition p where p.entity = held.entity and p.relation not in (select relid from pg_partition_tree(held.relation));
        if what is null then
          select 'rows that ' || string_agg(t.relid::text, ', ' order by t.relid::text) || ' had before it was attached are not in the log (npx tideline backfill)' into what
          from pg_partition_tree(held.relation) t
          where t.isleaf and t.relid <> held.relation and tide.was_attached(t.relid) and t.relid not in (select p.relation from tide.partition p where p.entity = held.entity);
        end if;
      end if;
    end if;
    if what is not null then return next; end if;
  end loop;
end $function$
;

CREATE OR REPLACE FUNCTION authz.permits(who text[], needed authz.level, scope text, entity text, entity_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return exists (
    select from authz.grants g
    where g.principal = any (who)
      and g.level >= needed
      and (g.scope is null or g.scope = permits.scope)
      and (g.entity = permits.entity or g.entity is null and permits.entity not like '\_%')
      and (g.entity_id is null or g.entity_id = permits.entity_id)
      and (g.expires_at is null or g.expires_at > clock_timestamp()));
end $function$
;

CREATE OR REPLACE FUNCTION tide.pins(relation oid)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (WITH types AS (SELECT DISTINCT (COALESCE(NULLIF(t.typelem, (0)::oid), t.oid))::regtype AS type FROM (pg_attribute a JOIN pg_type t ON ((t.oid = a.atttypid))) WHERE ((a.attrelid = pins.relation) AND (a.attnum > 0) AND (NOT a.attisdropped))), kinds AS (SELECT bool_or(((types.type)::oid = ANY ((ARRAY['timestamp with time zone'::regtype, 'time with time zone'::regtype])::oid[]))) AS zoned, bool_or(((types.type)::oid = ANY ((ARRAY['real'::regtype, 'double precision'::regtype])::oid[]))) AS floating, bool_or((NOT (((types.type)::oid = ANY ((ARRAY['boolean'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype, 'text'::regtype, 'character varying'::regtype, 'character'::regtype, 'uuid'::regtype, 'json'::regtype, 'jsonb'::regtype, 'timestamp with time zone'::regtype, 'real'::regtype, 'double precision'::regtype, 'name'::regtype])::oid[])) OR (EXISTS (SELECT FROM pg_type WHERE ((pg_type.oid = (types.type)::oid) AND (pg_type.typtype = 'e'::"char"))))))) AS other FROM types) SELECT concat_ws(' '::text, 'set search_path = pg_catalog, pg_temp', CASE WHEN (kinds.zoned OR kinds.other) THEN 'set timezone = ''UTC'''::text ELSE NULL::text END, CASE WHEN (kinds.floating OR kinds.other) THEN 'set extra_float_digits = 1'::text ELSE NULL::text END, CASE WHEN kinds.other THEN 'set datestyle = ''ISO, YMD'' set intervalstyle = ''postgres'' set bytea_output = ''hex'' set lc_monetary = ''C'''::text ELSE NULL::text END) AS concat_ws FROM kinds)
;

CREATE OR REPLACE FUNCTION tide.present_key()
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (7419004)::bigint
;

CREATE OR REPLACE FUNCTION authz.principal_locks()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN 512
;

CREATE OR REPLACE FUNCTION authz.principals(user_id text)
 RETURNS text[]
 LANGUAGE sql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 WITH RECURSIVE held(principal) AS (
          SELECT ('user:'::text || principals.user_id) AS "?column?"
         UNION
          SELECT ('role:'::text || m.role)
            FROM (held h
              JOIN authz.members m ON ((m.member = h.principal)))
         )
  SELECT (array_agg(held.principal) || 'everyone'::text)
    FROM held;
END
;

CREATE OR REPLACE FUNCTION tide.prune_mutations(older_than interval DEFAULT '30 days'::interval)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  pruned integer;
begin
  delete from tide.mutation m where m.at < now() - older_than;
  get diagnostics pruned = row_count;
  return pruned;
end $function$
;

CREATE OR REPLACE FUNCTION authz.put_grant(principal text, scope text, entity text, entity_id text, level text, expires_at timestamp with time zone, at_most authz.level DEFAULT 'OWNER'::authz.level)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  granted text;
begin
  perform authz.require_pattern(principal, scope, entity, entity_id), authz.to_level(level);
  if expires_at <= clock_timestamp() then
    raise exception 'the grant would have expired at %', expires_at using errcode = 'invalid_parameter_value', hint = 'Give a time to come, or none.';
  end if;
  insert into authz.grants as g (principal, scope, entity, entity_id, level, expires_at)
  values (put_grant.principal, put_grant.scope, put_grant.entity, put_grant.entity_id, put_grant.level::authz.level, put_grant.expires_at)
  on conflict on constraint grants_pkey do update
    set level = excluded.level, expires_at = excluded.expires_at, granted_by = excluded.granted_by, granted_at = excluded.granted_at
    where g.level <= put_grant.at_most or g.expires_at <= clock_timestamp()
  returning g.id into granted;
  return granted;
end $function$
;

CREATE OR REPLACE FUNCTION tide.read_page(held tide.tracked, after_key text[], page_size integer, OUT last_key text[], OUT ids text[], OUT scopes text[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
AS $function$
declare
  key_list text;
  key_texts text;
begin
  select string_agg(format('tide_t.%I', k.name), ', ' order by k.place), string_agg(format('tide_t.%I::text', k.name), ', ' order by k.place)
  into key_list, key_texts from unnest(held.key_columns) with ordinality k(name, place);
  execute format($q$
    with page as (select array[%1$s] as key, %2$s as id, %3$s as scope, row_number() over (order by %4$s) as place from %5$s tide_t where %6$s order by %4$s limit $2)
    select (select key from page order by place desc limit 1), array_agg(id order by place), array_agg(scope order by place) from page$q$,
    key_texts, tide.id_expression(held.relation, held.key_columns, 'tide_t'), tide.scope_expression(held.scope_column, 'tide_t'), key_list, held.relation,
    case when after_key is null then 'true' else tide.key_compare(held.relation, held.key_columns, '$1', 5) end)
  into last_key, ids, scopes using after_key, page_size;
end $function$
;

CREATE OR REPLACE FUNCTION tide.rebuild_failed(place bigint, error text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 UPDATE tide.rebuild r SET done_at = now(), error = rebuild_failed.error
   WHERE ((r.place = rebuild_failed.place) AND (r.done_at IS NULL));
END
;

CREATE OR REPLACE FUNCTION tide.rebuild_gone(place bigint, looked_at bigint, after_seq bigint, upto_seq bigint, entities text[], scopes text[], ids text[], OUT written bigint, OUT xid text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  step constant tide.rebuild := tide.rebuild_step(place, looked_at);
  part record;
  wrote bigint;
begin
  written := 0;
  for part in select a.entity, array_agg(a.scope) as scopes, array_agg(a.id) as ids from unnest(entities, scopes, ids) a(entity, scope, id) group by a.entity order by a.entity loop
    insert into tide.outbox (entity, entity_id, scope, op, user_id)
    select part.entity, m.id, m.scope, 'DELETE', nullif(current_setting('tide.user_id', true), '') from tide.missing(tide.source(part.entity), part.scopes, part.ids) m;
    get diagnostics wrote = row_count;
    written := written + wrote;
  end loop;
  update tide.rebuild r set after_seq = coalesce(rebuild_gone.after_seq, r.after_seq), upto_seq = rebuild_gone.upto_seq,
    looked_at = r.looked_at + coalesce(cardinality(ids), 0), written = r.written + rebuild_gone.written,
    done_at = case when coalesce(rebuild_gone.after_seq >= rebuild_gone.upto_seq, true) then now() end where r.place = step.place;
  if written > 0 then perform tide.wake_relay(); end if;
  xid := pg_current_xact_id()::text;
end $function$
;

CREATE OR REPLACE FUNCTION tide.rebuild_read(place bigint, page_size integer, OUT last_key text[], OUT ids text[], OUT scopes text[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  step tide.rebuild;
  held tide.tracked;
begin
  select * into step from tide.rebuild r where r.place = rebuild_read.place;
  held := tide.source(step.what);
  if held.entity is null then return; end if;
  select p.last_key, p.ids, p.scopes into last_key, ids, scopes from tide.read_page(held, step.after_key, page_size) p;
end $function$
;

CREATE OR REPLACE FUNCTION tide.rebuild_rows(place bigint, looked_at bigint, last_key text[], page_rows integer, known text[], OUT written bigint, OUT xid text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  step constant tide.rebuild := tide.rebuild_step(place, looked_at);
  held constant tide.tracked := tide.source(step.what);
begin
  written := 0;
  if last_key is not null and held.entity is not null then written := tide.write_page(held, step.after_key, last_key, known); end if;
  update tide.rebuild r set after_key = coalesce(rebuild_rows.last_key, r.after_key), looked_at = r.looked_at + page_rows, written = r.written + rebuild_rows.written,
    done_at = case when last_key is null then now() end where r.place = step.place;
  xid := pg_current_xact_id()::text;
end $function$
;

CREATE OR REPLACE FUNCTION tide.rebuild_step(place bigint, looked_at bigint)
 RETURNS tide.rebuild
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  step tide.rebuild;
begin
  select * into step from tide.rebuild r where r.place = rebuild_step.place and r.done_at is null for update;
  if step.looked_at is distinct from rebuild_step.looked_at then
    raise exception 'step % of the rebuild is not at %', place, looked_at using errcode = 'serialization_failure', hint = 'Somebody else goes on with it: read where it is.';
  end if;
  return step;
end $function$
;

CREATE OR REPLACE FUNCTION tide.record_columns(relation oid, object jsonb)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT string_agg(format('%I %s'::text, a.attname, format_type(a.atttypid, a.atttypmod)), ', '::text ORDER BY a.attnum) AS string_agg FROM pg_attribute a WHERE ((a.attrelid = record_columns.relation) AND (a.attnum > 0) AND (NOT a.attisdropped) AND (record_columns.object ? (a.attname)::text)))
;

CREATE OR REPLACE FUNCTION tide.refusal_of(mutation jsonb, user_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  m_id     constant text := mutation ->> 'id';
  m_entity constant text := mutation ->> 'entityCode';
  held     tide.tracked;
  place    record;
  may      boolean;
begin
  select * into held from tide.tracked t where t.entity = m_entity;
  if held.entity is null or not mutation ->> 'op' in ('update', 'delete') then return null; end if;
  select * into place from tide.row_place(held, tide.split_id(mutation ->> 'entityId', cardinality(held.key_columns)));
  may := authz.allows(user_id, case mutation ->> 'op' when 'update' then 'EDIT' else 'DELETE' end, place.scope, m_entity, mutation ->> 'entityId');
  if may and place.id = mutation ->> 'entityId' then return null; end if;
  -- A repeat of what was applied. Looked at last: the first may have taken the row away just now.
  if exists (select from tide.mutation m where m.user_id = refusal_of.user_id and m.id = m_id) then return null; end if;
  return tide.denial(m_id);
end $function$
;

CREATE OR REPLACE FUNCTION tide.refuse(message text, hint text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception '%', message using errcode = 'invalid_parameter_value', hint = hint;
end $function$
;

CREATE OR REPLACE FUNCTION authz.refuse_cycle()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if new.member not like 'role:%' then return new; end if;
  -- One at a time: two transactions could each add half of a cycle.
  perform pg_advisory_xact_lock(hashtext('authz'), hashtext('members'));
  if exists (
    with recursive inside(role) as (
      select new.role
      union
      select m.role from inside i join authz.members m on m.member = 'role:' || i.role)
    select from inside where 'role:' || role = new.member
  ) then
    raise exception 'role % cannot be inside role %: that one is inside it already', substr(new.member, 6), new.role
      using errcode = 'check_violation', hint = 'Roles inside roles must not go in a circle.';
  end if;
  return new;
end $function$
;

CREATE OR REPLACE FUNCTION tide.refuse_row(bytes integer)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception 'a row too large for an event: % bytes as JSON, % at most', bytes, tide.row_bytes()
    using errcode = 'program_limit_exceeded', hint = 'Keep what is large in a table of its own that is not tracked, or outside the database.';
end $function$
;

CREATE OR REPLACE FUNCTION tide.refuse_setting()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  long constant text[] := array(
    select s from unnest('{tide.user_id,tide.mutation_id,tide.traceparent}'::text[]) s where octet_length(current_setting(s, true)) > tide.setting_bytes());
begin
  raise exception '% too long for an event: % bytes at most', coalesce(nullif(array_to_string(long, ', '), ''), 'user, mutation or trace'), tide.setting_bytes()
    using errcode = 'program_limit_exceeded', hint = 'Set an id there, or nothing.';
end $function$
;

CREATE OR REPLACE FUNCTION authz.remove_member(role text, member text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform authz.require_role(role);
  delete from authz.members m where m.role = remove_member.role and m.member = authz.to_member(remove_member.member);
  return found;
end $function$
;

CREATE OR REPLACE FUNCTION tide.request_backfill(relation regclass, rate integer DEFAULT NULL::integer)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  code constant text := (select t.entity from tide.tracked t where t.relation = request_backfill.relation);
  step bigint;
begin
  if code is null then
    perform tide.refuse(format('tide.request_backfill: %s is not tracked', relation), format('First: select tide.track(%L, entity => …).', relation));
  end if;
  delete from tide.rebuild r where r.kind = 'rows' and r.what = code and r.epoch is null and r.done_at is not null;
  insert into tide.rebuild as r (kind, what, reason, rate, about) values ('rows', code, 'backfill', request_backfill.rate, tide.rows_about(relation))
  on conflict (kind, what) where done_at is null do update set rate = coalesce(excluded.rate, r.rate)
  returning place into step;
  perform pg_notify('tide_rebuild', '');
  return step;
end $function$
;

CREATE OR REPLACE FUNCTION tide.request_rebuild(reason text, epoch text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from tide.rebuild;
  insert into tide.rebuild (kind, what, epoch, reason, about)
  select s.kind, s.what, request_rebuild.epoch, request_rebuild.reason, s.about from (
    select * from (values (1, 'gone', '_acl', null::bigint), (2, 'rows', '_grant', null), (3, 'rows', '_member', null), (4, 'rows', '_sign_out', null),
      (5, 'gone', '_schema', null), (6, 'rows', '_entity', null), (7, 'gone', '*', null)) own(place, kind, what, about)
    union all
    select 7 + row_number() over (order by t.entity), 'rows', t.entity, tide.rows_about(t.relation)
    from tide.tracked t where exists (select from pg_class where oid = t.relation)) s(place, kind, what, about)
  order by s.place;
  perform pg_notify('tide_rebuild', '');
end $function$
;

CREATE OR REPLACE FUNCTION tide.require_name(name text, relation oid)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if to_regclass(name) is distinct from relation::regclass then
    raise exception '% is called % since it was tracked', name, relation::regclass
      using errcode = 'object_not_in_prerequisite_state', hint = 'Track it once more, best in the transaction that renames it: tide.track with the same entity and scope.';
  end if;
end $function$
;

CREATE OR REPLACE FUNCTION authz.require_pattern(principal text, scope text, entity text, entity_id text)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform authz.require_principal(principal), tide.fit_token(scope, 'scope'), tide.fit_token(entity_id, 'entity id');
  if entity !~ '^([a-z][a-z0-9_]{0,63}|_grant|_member|_sign_out|_entity)$' then
    raise exception '% is not an entity code', quote_literal(entity)
      using errcode = 'invalid_parameter_value', hint = 'As in tide.tracked: select entity from tide.tracked.';
  end if;
end $function$
;

CREATE OR REPLACE FUNCTION authz.require_principal(principal text)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if principal is null or principal !~ '^(user|role):.' and principal <> 'everyone' then
    raise exception '% is not a principal', coalesce(quote_literal(left(principal, 80)), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write user:<id>, role:<name> or everyone.';
  elsif octet_length(principal) > tide.setting_bytes() + 5 then
    raise exception 'principal too long: % bytes, % at most', octet_length(principal), tide.setting_bytes() + 5
      using errcode = 'program_limit_exceeded', hint = 'A user is named by the id that their token has as sub.';
  end if;
end $function$
;

CREATE OR REPLACE FUNCTION authz.require_role(role text)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if role is null or role = '' or role ~ '^(user|role):' then
    raise exception '% is not a role''s name', coalesce(quote_literal(role), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write the bare name: editors.';
  end if;
end $function$
;

CREATE OR REPLACE FUNCTION authz.revoke_access(principal text, scope text DEFAULT NULL::text, entity text DEFAULT NULL::text, entity_id text DEFAULT NULL::text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform authz.require_principal(principal);
  delete from authz.grants g
  where g.principal = revoke_access.principal and g.scope is not distinct from revoke_access.scope
    and g.entity is not distinct from revoke_access.entity and g.entity_id is not distinct from revoke_access.entity_id;
  return found;
end $function$
;

CREATE OR REPLACE FUNCTION tide.row_at(held tide.tracked, key text[], locked boolean, OUT image jsonb, OUT scope text, OUT id text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  execute format('select to_jsonb(tide_t.*), %s, %s from %s tide_t join (%s) tide_k on %s%s',
    tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'),
    held.relation, tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'),
    case when locked then ' for update of tide_t' else '' end)
  into image, scope, id using key;
end $function$
;

CREATE OR REPLACE FUNCTION tide.row_bytes()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (((8 * 1024) * 1024) - (64 * 1024))
;

CREATE OR REPLACE FUNCTION tide.row_place(held tide.tracked, key text[], OUT scope text, OUT id text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  execute format('select %s, %s from %s tide_t join (%s) tide_k on %s',
    tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'),
    held.relation, tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'))
  into scope, id using key;
exception
  when data_exception then return; -- text that cannot be such a key is no row's key
end $function$
;

CREATE OR REPLACE FUNCTION tide.rows_about(relation regclass)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT (NULLIF(GREATEST(sum(c.reltuples), ('-1'::integer)::real), ('-1'::integer)::double precision))::bigint AS "nullif" FROM (pg_partition_tree(rows_about.relation) p(relid, parentrelid, isleaf, level) JOIN pg_class c ON ((c.oid = (p.relid)::oid))) WHERE p.isleaf)
;

CREATE OR REPLACE FUNCTION tide.save_relay_state(epoch text, stream_created text, acked_seq bigint, state_created text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 INSERT INTO tide.relay_state AS s (epoch, stream_created, state_created, system_identifier, acked_seq)
   VALUES (save_relay_state.epoch, save_relay_state.stream_created, save_relay_state.state_created, tide.system_identifier(), save_relay_state.acked_seq) ON CONFLICT(only_row) DO UPDATE SET epoch = excluded.epoch, stream_created = excluded.stream_created, state_created = excluded.state_created, system_identifier = excluded.system_identifier, acked_seq = excluded.acked_seq, updated_at = now();
END
;

CREATE OR REPLACE FUNCTION tide.scope_expression(scope text, alias text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN CASE WHEN (scope IS NULL) THEN 'null::text'::text ELSE format('%s.%I::text'::text, alias, scope) END
;

CREATE OR REPLACE FUNCTION authz.scope_lock(scope text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (hashtext(scope) & (authz.principal_locks() - 1))
;

CREATE OR REPLACE FUNCTION authz.scope_space()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN hashtext('authz.scope'::text)
;

CREATE OR REPLACE FUNCTION tide.setting_bytes()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN 1024
;

CREATE OR REPLACE FUNCTION authz.share_scope()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock_shared(authz.scope_space(), authz.scope_lock(new.scope));
  return new;
end $function$
;

CREATE OR REPLACE FUNCTION authz.sign_out(user_id text, session text DEFAULT NULL::text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  since timestamptz;
  many text[];
  until timestamptz;
begin
  if coalesce(user_id, '') = '' or session = '' then
    raise exception '% is not a %', quote_nullable(case when session = '' then session else user_id end), case when session = '' then 'session' else 'user id' end
      using errcode = 'invalid_parameter_value', hint = 'The user as the token''s sub names them, the session as its sid does; no session is all of them.';
  elsif greatest(octet_length(user_id), octet_length(session)) > tide.setting_bytes() then
    raise exception 'user or session too long: % bytes, % at most', greatest(octet_length(user_id), octet_length(session)), tide.setting_bytes()
      using errcode = 'program_limit_exceeded', hint = 'No token with such a sub or sid is taken.';
  end if;
  -- The time is read again where it was waited for somebody else's sign-out, and never goes back: clocks do.
  insert into authz.sign_outs as s (user_id, session) values (sign_out.user_id, sign_out.session)
  on conflict on constraint sign_outs_pkey do update
    set signed_out_at = greatest(clock_timestamp(), s.signed_out_at), signed_out_by = excluded.signed_out_by
  returning s.signed_out_at into since;
  -- Of too many the oldest become one of all sessions, as of the youngest among them: it ends what they ended, and what else was issued before.
  if session is not null then
    select array_agg(o.id), max(o.signed_out_at) into many, until from (
      select s.id, s.signed_out_at from authz.sign_outs s where s.user_id = sign_out.user_id and s.session is not null
      order by s.signed_out_at desc, s.id offset authz.sign_outs_kept()) o;
    if until is not null then
      insert into authz.sign_outs as s (user_id, signed_out_at) values (sign_out.user_id, until)
      on conflict on constraint sign_outs_pkey do update set signed_out_at = greatest(excluded.signed_out_at, s.signed_out_at), signed_out_by = excluded.signed_out_by
      where s.signed_out_at < excluded.signed_out_at;
      delete from authz.sign_outs s where s.id = any (many);
    end if;
  end if;
  return since;
end $function$
;

CREATE OR REPLACE FUNCTION authz.sign_out_id(user_id text, session text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN md5(((quote_literal(user_id) || ','::text) || quote_nullable(session)))
;

CREATE OR REPLACE FUNCTION authz.sign_outs_kept()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN 1000
;

CREATE OR REPLACE FUNCTION tide.source(entity text)
 RETURNS tide.tracked
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 SELECT (s.held).entity AS entity,
     (s.held).table_name AS table_name,
     (s.held).relation AS relation,
     (s.held).key_columns AS key_columns,
     (s.held).scope_column AS scope_column,
     (s.held).before_image AS before_image,
     (s.held).json_schema AS json_schema,
     (s.held).tracked_at AS tracked_at,
     (s.held).founders AS founders
    FROM ( SELECT t.*::tide.tracked AS held
            FROM tide.tracked t
           WHERE (t.entity = source.entity)
         UNION ALL
          SELECT ROW(own.entity, (own.relation)::text, own.relation, tide.key_columns((own.relation)::oid), NULL::text, true, '{}'::jsonb, now(), NULL::text)::tide.tracked AS "row"
            FROM ( VALUES ('_entity'::text,'tide.tracked'::regclass), ('_grant'::text,'authz.grants'::regclass), ('_member'::text,'authz.members'::regclass), ('_sign_out'::text,'authz.sign_outs'::regclass)) own(entity, relation)
           WHERE (own.entity = source.entity)) s;
END
;

CREATE OR REPLACE FUNCTION tide.split_id(entity_id text, parts integer)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if parts = 1 then return array[entity_id]; end if;
  if entity_id !~ '^(\\[\\,]|[^\\])*$' then return null; end if;
  return (
    select case when count(*) = parts then array_agg(regexp_replace(part[1], '\\([\\,])', '\1', 'g') order by place) end
    from regexp_matches(entity_id || ',', '((?:\\[\\,]|[^\\,])*),', 'g') with ordinality p(part, place));
end $function$
;

CREATE OR REPLACE FUNCTION tide.system_identifier()
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$select system_identifier::text from pg_control_system()$function$
;

CREATE OR REPLACE FUNCTION authz.take_grant(principal text, scope text, entity text, entity_id text, at_most authz.level)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  found_level authz.level;
begin
  select case when g.expires_at <= clock_timestamp() then 'VIEW' else g.level end into found_level from authz.grants g
  where g.principal = take_grant.principal and g.scope is not distinct from take_grant.scope
    and g.entity is not distinct from take_grant.entity and g.entity_id is not distinct from take_grant.entity_id
  for update;
  if found_level > at_most then return false; end if;
  if found_level is not null then perform authz.revoke_access(principal, scope, entity, entity_id); end if;
  return true;
end $function$
;

CREATE OR REPLACE FUNCTION authz.to_level(name text)
 RETURNS authz.level
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if name is null or not name = any (enum_range(null::authz.level)::text[]) then
    raise exception '% is not a level', coalesce(quote_literal(name), 'null')
      using errcode = 'invalid_parameter_value', hint = 'One of ' || array_to_string(enum_range(null::authz.level), ', ') || '.';
  end if;
  return name::authz.level;
end $function$
;

CREATE OR REPLACE FUNCTION authz.to_member(name text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN CASE WHEN (name ~ '^(user|role):.'::text) THEN name ELSE ('user:'::text || name) END
;

CREATE OR REPLACE FUNCTION tide.token_bytes(value text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN CASE WHEN (value = ''::text) THEN 1 ELSE (((3 * octet_length(value)) - (2 * octet_length(regexp_replace(value, '[^A-Za-z0-9:@,+/~=_-]'::text, ''::text, 'g'::text)))) + CASE WHEN (value ~~ '\_%'::text) THEN 2 ELSE 0 END) END
;

CREATE OR REPLACE FUNCTION tide.track(relation regclass, entity text, scope text DEFAULT NULL::text, before_image boolean DEFAULT true, founders text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET client_min_messages TO 'warning'
AS $function$
declare
  target record;
  keys text[];
  held tide.tracked;
  lost record;
begin
  if relation is null then
    perform tide.refuse('tide.track: no table given', 'select tide.track(''app.task'', entity => ''task'', scope => ''project_id'')');
  end if;
  if entity is null or entity !~ '^[a-z][a-z0-9_]{0,63}$' then
    perform tide.refuse(format('tide.track: %L is not an entity code', entity),
      'A small letter, then small letters, digits and underscores, 64 characters at most: task, order_line.');
  end if;
  select c.relkind, c.relpersistence, n.nspname, format('%I.%I', n.nspname, c.relname) as table_name,
    exists (select from pg_inherits where inhparent = c.oid) and c.relkind <> 'p' as has_children
  into strict target from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = track.relation;
  if target.relkind not in ('r', 'p') then
    perform tide.refuse(format('tide.track: %s is not a table', target.table_name), 'Track the tables behind it.');
  elsif target.nspname in ('tide', 'authz', 'pg_catalog', 'information_schema') then
    perform tide.refuse(format('tide.track: %s belongs to the system', target.table_name), 'Track tables of your own schemas; grants and members are in the log already.');
  elsif target.relpersistence <> 'p' then
    perform tide.refuse(format('tide.track: %s is temporary or unlogged', target.table_name),
      format('Its rows can vanish without an event. For an unlogged table: alter table %s set logged.', target.table_name));
  elsif target.has_children then
    perform tide.refuse(format('tide.track: other tables inherit from %s', target.table_name), 'Track each of them, or use declarative partitioning.');
  end if;

  execute format('lock table %s in share row exclusive mode', relation);
  keys := tide.key_columns(relation);
  if keys = '{}' then
    perform tide.refuse(format('tide.track: %s has no primary key', target.table_name),
      format('A row needs an address: alter table %s add primary key (…).', target.table_name));
  end if;
  if scope is not null and tide.column_type(relation, scope) is null then
    perform tide.refuse(format('tide.track: %s has no column %L to be the scope', target.table_name, scope),
      'Columns: ' || (select string_agg(attname, ', ' order by attnum) from pg_attribute where attrelid = track.relation and attnum > 0 and not attisdropped));
  end if;
  if exists (select from pg_attribute where attrelid = track.relation and attname = track.scope and attgenerated = 'v') then
    perform tide.refuse(format('tide.track: column %L of %s is virtual: a trigger does not see it', scope, target.table_name), 'A scope must be a column that is stored.');
  end if;
  if founders is not null then
    perform authz.require_principal(founders);
    if not tide.opens_scopes(relation, keys, scope) then
      perform tide.refuse(format('tide.track: %s opens no scopes that could be founded', target.table_name), 'A scope is opened by a row whose whole key is the scope: scope => the primary key''s only column, of a type of Postgres'' own.');
    end if;
  end if;
  if row_security_active(relation) then
    perform tide.refuse(format('tide.track: policies of %s hide rows from %s', target.table_name, current_user),
      'Where a trigger looks at the table again, a hidden row would count as deleted. Track it as its owner without FORCE ROW LEVEL SECURITY, or as a role with BYPASSRLS.');
  end if;
  if not has_table_privilege(relation, 'select') then
    perform tide.refuse(format('tide.track: %s may not read %s', current_user, target.table_name), format('grant select on %s to %I', target.table_name, current_user));
  end if;

  perform pg_advisory_xact_lock(hashtext('tide'), hashtext('track'));
  select * into held from tide.tracked t where t.entity = track.entity;
  if held.relation is not null and held.relation <> track.relation then
    perform tide.refuse(format('tide.track: entity %L is already table %s', entity, held.table_name),
      format('Choose another entity code, or first: select tide.untrack_entity(%L).', entity));
  end if;
  select * into held from tide.tracked t where t.relation = track.relation;
  if held.entity <> track.entity then
    perform tide.refuse(format('tide.track: %s is already tracked as %L', target.table_name, held.entity), format('First: select tide.untrack(%L).', target.table_name));
  end if;

  -- Other addresses for the same rows: the old ones must not stay behind in the log.
  if held.entity is not null and (held.scope_column is distinct from track.scope or held.key_columns <> keys) then
    perform tide.forget_rows(held);
    raise warning 'tide.track: the addresses of % changed', target.table_name
      using hint = format('Bring its rows into the log at the new ones: select tide.backfill(%L).', target.table_name);
  end if;
  -- Partitions that went since, without a word.
  for lost in select p.* from tide.partition p where p.entity = track.entity and p.relation not in (select relid from pg_partition_tree(track.relation)) loop
    if exists (select from pg_class where oid = lost.relation) then
      perform tide.forget_rows(held, lost.relation, true);
    else
      raise warning 'tide.track: the rows of partition %, which was dropped, are still in the log', lost.name
        using hint = 'To take them out: npx tideline rebuild. The next time, before it is dropped: select tide.forget_partition(…).';
    end if;
  end loop;
  perform tide.attach(relation, entity, scope, before_image);
  perform tide.note_partitions(relation, entity);
  insert into tide.tracked as t (entity, table_name, relation, key_columns, scope_column, before_image, founders, json_schema)
  values (track.entity, target.table_name, track.relation, keys, track.scope, track.before_image, track.founders, tide.json_schema(track.relation, track.entity, keys, track.scope))
  on conflict on constraint tracked_pkey do update set
    table_name = excluded.table_name, key_columns = excluded.key_columns, scope_column = excluded.scope_column,
    before_image = excluded.before_image, founders = excluded.founders, json_schema = excluded.json_schema;
  return entity;
end $function$
;

CREATE OR REPLACE FUNCTION tide.type_schema(type oid, modifier integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  t pg_type;
begin
  select * into strict t from pg_type where oid = type;
  if t.typtype = 'd' then
    return tide.type_schema(t.typbasetype, t.typtypmod);
  elsif t.typcategory = 'A' and t.typelem <> 0 then
    return jsonb_build_object('type', 'array', 'items', tide.type_schema(t.typelem, modifier));
  elsif t.typtype = 'e' then
    return jsonb_build_object('type', 'string', 'enum', (select jsonb_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = type));
  elsif t.typtype = 'c' then
    return jsonb_build_object('type', 'object');
  end if;
  return case type::regtype
    when 'bool'::regtype then '{"type": "boolean"}'
    when 'int2'::regtype then '{"type": "integer", "minimum": -32768, "maximum": 32767}'
    when 'int4'::regtype then '{"type": "integer", "minimum": -2147483648, "maximum": 2147483647}'
    when 'int8'::regtype then '{"type": "integer", "format": "int64"}'
    when 'numeric'::regtype then '{"type": "number"}'
    when 'float4'::regtype then '{"type": "number"}'
    when 'float8'::regtype then '{"type": "number"}'
    when 'uuid'::regtype then '{"type": "string", "format": "uuid"}'
    when 'date'::regtype then '{"type": "string", "format": "date"}'
    when 'timestamptz'::regtype then '{"type": "string", "format": "date-time"}'
    when 'json'::regtype then '{}'
    when 'jsonb'::regtype then '{}'
    else case when type in ('varchar'::regtype, 'bpchar'::regtype) and modifier > 4
      then jsonb_build_object('type', 'string', 'maxLength', modifier - 4)
      when type in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype) then '{"type": "string"}'
      else jsonb_build_object('type', 'string', 'x-type', format_type(type, modifier)) end
  end::jsonb;
end $function$
;

CREATE OR REPLACE FUNCTION tide.untrack(relation regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  code constant text := (select t.entity from tide.tracked t where t.relation = untrack.relation);
begin
  if code is null then
    perform tide.refuse(format('tide.untrack: %s is not tracked', relation), 'What is: select entity, table_name from tide.tracked.');
  end if;
  perform tide.untrack_entity(code);
end $function$
;

CREATE OR REPLACE FUNCTION tide.untrack_entity(entity text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET client_min_messages TO 'warning'
AS $function$
declare
  held tide.tracked;
begin
  perform pg_advisory_xact_lock(hashtext('tide'), hashtext('track'));
  select * into held from tide.tracked t where t.entity = untrack_entity.entity;
  if held.entity is null then
    perform tide.refuse(format('tide.untrack: no entity %L is tracked', entity), 'What is: select entity, table_name from tide.tracked.');
  end if;
  if exists (select from pg_class where oid = held.relation) then
    execute format('lock table %s in share row exclusive mode', held.relation);
    perform tide.forget_rows(held);
  end if;
  perform tide.detach(entity);
  if exists (select from pg_class where oid = held.relation) then execute format('drop trigger if exists tide_found on %s', held.relation); end if;
  begin
    execute format('revoke select on %s from tide_capture', held.relation);
  exception
    when insufficient_privilege or undefined_table or syntax_error then null; -- dropped: then there is only its number
  end;
  delete from tide.partition p where p.entity = untrack_entity.entity;
  delete from tide.tracked t where t.entity = untrack_entity.entity;
end $function$
;

CREATE OR REPLACE FUNCTION authz.visible(user_id text, scope text, entity text, entity_id text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN authz.allows(user_id, 'VIEW'::text, scope, entity, entity_id)
;

CREATE OR REPLACE FUNCTION tide.wake_key()
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (7419001)::bigint
;

CREATE OR REPLACE FUNCTION tide.wake_relay()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_setting('max_prepared_transactions') <> '0' then return; end if;
  if pg_try_advisory_lock_shared(tide.present_key()) then
    perform pg_advisory_unlock_shared(tide.present_key());
  else
    perform pg_notify('tide_wake', '');
  end if;
end $function$
;

CREATE OR REPLACE FUNCTION tide.was_attached(partition regclass)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (EXISTS (SELECT FROM ((pg_partition_ancestors(was_attached.partition) a(relid) JOIN pg_inherits i ON ((i.inhrelid = (a.relid)::oid))) JOIN pg_type y ON ((y.typrelid = (a.relid)::oid))) WHERE (y.xmin <> i.xmin)))
;

CREATE OR REPLACE FUNCTION tide.write_page(held tide.tracked, after_key text[], last_key text[], known text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET lc_monetary TO 'C'
 SET extra_float_digits TO '1'
AS $function$
declare
  id constant text := tide.fitting_id_expression(held.relation, held.key_columns, 'tide_t');
  scope constant text := tide.fitting_scope_expression(held.relation, held.scope_column, 'tide_t');
  written bigint;
begin
  execute format($q$
    insert into tide.outbox (entity, entity_id, scope, op, after, user_id, request_id)
    select %1$L, s.id, s.scope, 'READ', s.image,
      nullif(current_setting('tide.user_id', true), ''), nullif(current_setting('tide.request_id', true), '')
    from (
      select %2$s as id, %3$s as scope, to_json(tide_t.*) as image from %4$s tide_t
      where %5$s and %6$s and ($3 is null or tide.digest(%2$s, %3$s, to_json(tide_t.*)) <> all ($3))
      order by %7$s for share of tide_t) s$q$,
    held.entity, id, scope, held.relation,
    case when after_key is null then 'true' else tide.key_compare(held.relation, held.key_columns, '$1', 5) end,
    tide.key_compare(held.relation, held.key_columns, '$2', 2),
    (select string_agg(format('tide_t.%I', k.name), ', ' order by k.place) from unnest(held.key_columns) with ordinality k(name, place)))
  using after_key, last_key, known;
  get diagnostics written = row_count;
  if written > 0 then perform tide.wake_relay(); end if;
  return written;
end $function$
;

CREATE TRIGGER hold_grant BEFORE DELETE OR UPDATE ON authz.grants FOR EACH ROW EXECUTE FUNCTION authz.hold_grant();

CREATE TRIGGER share_scope BEFORE INSERT OR UPDATE OF scope ON authz.grants FOR EACH ROW WHEN ((new.scope IS NOT NULL)) EXECUTE FUNCTION authz.share_scope();

CREATE TRIGGER tide_delete AFTER DELETE ON authz.grants REFERENCING OLD TABLE AS tide_old FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__grant();

CREATE TRIGGER tide_insert AFTER INSERT ON authz.grants REFERENCING NEW TABLE AS tide_new FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__grant();

CREATE TRIGGER tide_truncate BEFORE TRUNCATE ON authz.grants FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__grant();

CREATE TRIGGER tide_update AFTER UPDATE ON authz.grants FOR EACH ROW EXECUTE FUNCTION tide.capture__grant();

CREATE TRIGGER hold_member BEFORE DELETE OR UPDATE ON authz.members FOR EACH ROW EXECUTE FUNCTION authz.hold_member();

CREATE TRIGGER refuse_cycle BEFORE INSERT OR UPDATE ON authz.members FOR EACH ROW EXECUTE FUNCTION authz.refuse_cycle();

CREATE TRIGGER tide_delete AFTER DELETE ON authz.members REFERENCING OLD TABLE AS tide_old FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__member();

CREATE TRIGGER tide_insert AFTER INSERT ON authz.members REFERENCING NEW TABLE AS tide_new FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__member();

CREATE TRIGGER tide_truncate BEFORE TRUNCATE ON authz.members FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__member();

CREATE TRIGGER tide_update AFTER UPDATE ON authz.members FOR EACH ROW EXECUTE FUNCTION tide.capture__member();

CREATE TRIGGER tide_delete AFTER DELETE ON authz.sign_outs REFERENCING OLD TABLE AS tide_old FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__sign_out();

CREATE TRIGGER tide_insert AFTER INSERT ON authz.sign_outs REFERENCING NEW TABLE AS tide_new FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__sign_out();

CREATE TRIGGER tide_truncate BEFORE TRUNCATE ON authz.sign_outs FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__sign_out();

CREATE TRIGGER tide_update AFTER UPDATE ON authz.sign_outs FOR EACH ROW EXECUTE FUNCTION tide.capture__sign_out();

CREATE TRIGGER tide_delete AFTER DELETE ON tide.tracked REFERENCING OLD TABLE AS tide_old FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__entity();

CREATE TRIGGER tide_insert AFTER INSERT ON tide.tracked REFERENCING NEW TABLE AS tide_new FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__entity();

CREATE TRIGGER tide_truncate BEFORE TRUNCATE ON tide.tracked FOR EACH STATEMENT EXECUTE FUNCTION tide.capture__entity();

CREATE TRIGGER tide_update AFTER UPDATE ON tide.tracked FOR EACH ROW EXECUTE FUNCTION tide.capture__entity();

grant SELECT on authz.grants to tide_capture;

grant SELECT on authz.members to tide_capture;

grant SELECT on authz.sign_outs to tide_capture;

grant EXECUTE on function authz.add_member(text,text) to tide_access;

grant EXECUTE on function authz.change(jsonb,text) to tide_command;

grant EXECUTE on function authz.expire() to tide_command;

grant EXECUTE on function authz.grant_access(text,text,text,text,text,timestamp with time zone) to tide_access;

grant EXECUTE on function authz.remove_member(text,text) to tide_access;

grant EXECUTE on function authz.revoke_access(text,text,text,text) to tide_access;

grant EXECUTE on function authz.sign_out(text,text) to tide_access;

grant EXECUTE on function tide.drop_partitions(interval,pg_snapshot,interval) to tide_relay;

grant EXECUTE on function tide.fit_token(text,text) to tide_capture;

grant EXECUTE on function tide.held_addresses(pg_snapshot) to tide_relay;

grant EXECUTE on function tide.image_at(text) to tide_relay;

grant EXECUTE on function tide.large_bytes() to tide_relay;

grant EXECUTE on function tide.lease_key() to tide_relay;

grant EXECUTE on function tide.look(xid8,xid8[],integer) to tide_relay;

grant EXECUTE on function tide.make_partitions(integer) to tide_relay;

grant EXECUTE on function tide.mutate(jsonb,text) to tide_command;

grant EXECUTE on function tide.note_aside(json) to tide_relay;

grant EXECUTE on function tide.open_epoch(text,text,text,bigint,text,boolean,boolean) to tide_relay;

grant EXECUTE on function tide.open_window(xid8,xid8[],pg_snapshot,double precision,double precision) to tide_relay;

grant EXECUTE on function tide.outbox_size(pg_snapshot) to tide_relay;

grant EXECUTE on function tide.present_key() to tide_capture;

grant EXECUTE on function tide.present_key() to tide_relay;

grant EXECUTE on function tide.prune_mutations(interval) to tide_command;

grant EXECUTE on function tide.rebuild_failed(bigint,text) to tide_relay;

grant EXECUTE on function tide.rebuild_gone(bigint,bigint,bigint,bigint,text[],text[],text[]) to tide_relay;

grant EXECUTE on function tide.rebuild_read(bigint,integer) to tide_relay;

grant EXECUTE on function tide.rebuild_rows(bigint,bigint,text[],integer,text[]) to tide_relay;

grant EXECUTE on function tide.refusal_of(jsonb,text) to tide_command;

grant EXECUTE on function tide.refuse_row(integer) to tide_capture;

grant EXECUTE on function tide.refuse_setting() to tide_capture;

grant EXECUTE on function tide.require_name(text,oid) to tide_capture;

grant EXECUTE on function tide.row_bytes() to tide_capture;

grant EXECUTE on function tide.save_relay_state(text,text,bigint,text) to tide_relay;

grant EXECUTE on function tide.setting_bytes() to tide_capture;

grant EXECUTE on function tide.system_identifier() to tide_relay;

grant EXECUTE on function tide.token_bytes(text) to tide_capture;

grant EXECUTE on function tide.wake_key() to tide_capture;

grant EXECUTE on function tide.wake_key() to tide_relay;

grant EXECUTE on function tide.wake_relay() to tide_capture;

grant USAGE on schema authz to tide_access;

grant USAGE on schema authz to tide_capture;

grant USAGE on schema authz to tide_command;

grant USAGE on schema tide to tide_capture;

grant USAGE on schema tide to tide_command;

grant USAGE on schema tide to tide_relay;

grant SELECT on tide.message to tide_relay;

grant INSERT on tide.outbox to tide_capture;

grant SELECT on tide.outbox to tide_relay;

grant SELECT on tide.rebuild to tide_relay;

grant SELECT on tide.relay_state to tide_relay;

grant SELECT on tide.tracked to tide_capture;
