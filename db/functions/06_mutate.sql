-- tide.mutate applies one mutation (protocol/mutation.ts) of one user to one row of any tracked table. Called by
-- services/command with what arrived from an edge; the change leaves through the outbox like any other, with the mutation's id.
--
-- Order: seen before? → hold what they were granted (05_access_locks.sql) → where is the row, without its lock → may they → lock it and ask again → did somebody else change the same fields →
-- may they put it there, and refer to that → do it → may they have it where it ended up.
--
-- A row that the user may not view is answered exactly as one that is not there: in the same words, by the same questions, and without waiting for whoever
-- has it locked. So does a reference to one. Messages name columns and rules, never values of rows. What cannot be hidden is what the table's own rules
-- say to whoever writes into it: that a key, or a value that must be unique, is not free, that a row is in use; and a write that clashes with one under way must
-- wait for its end. Keys that nobody can guess, and unique rules that begin with the scope, keep that from telling anything.

create or replace function tide.prune_mutations(older_than interval default '30 days') returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  pruned integer;
begin
  delete from tide.mutation m where m.at < now() - older_than;
  get diagnostics pruned = row_count;
  return pruned;
end $$;
comment on function tide.prune_mutations(interval) is 'Forgets old mutation ids; returns how many';

-- The texts of the key columns that an entity id is made of, or null where it is not one (protocol: ',' between, '\' escapes).
create or replace function tide.split_id(entity_id text, parts integer) returns text[]
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if parts = 1 then return array[entity_id]; end if;
  if entity_id !~ '^(\\[\\,]|[^\\])*$' then return null; end if;
  return (
    select case when count(*) = parts then array_agg(regexp_replace(part[1], '\\([\\,])', '\1', 'g') order by place) end
    from regexp_matches(entity_id || ',', '((?:\\[\\,]|[^\\,])*),', 'g') with ordinality p(part, place));
end $$;

-- A query for the key whose texts are $1 (text[]), typed.
create or replace function tide.key_query(relation oid, keys text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select 'select ' || string_agg(format('$1[%s]::%I.%I as %I', k.place, n.nspname, t.typname, k.name), ', ' order by k.place)
  from unnest(keys) with ordinality k(name, place)
  join pg_type t on t.oid = tide.column_type(key_query.relation, k.name)
  join pg_namespace n on n.oid = t.typnamespace);

-- `tide_r("title" text, …)`: the columns that a JSON object names, typed as in the table.
create or replace function tide.record_columns(relation oid, object jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
  from pg_attribute a where a.attrelid = record_columns.relation and a.attnum > 0 and not a.attisdropped and object ? a.attname);

-- The values of `object` as the table would hold them, as JSON: '2026-11-21' and 2026-11-21T00:00 compare equal then.
create or replace function tide.as_stored(relation oid, object jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  stored jsonb := '{}';
  columns constant text := tide.record_columns(relation, object);
begin
  if columns is not null then
    execute format('select to_jsonb(tide_r.*) from jsonb_to_record($1) as tide_r(%s)', columns) into stored using object;
  end if;
  return stored;
end $$;

drop function if exists tide.locked_row(tide.tracked, text[]);

-- Where the row of a key is; nulls where there is none. Waits for nobody, and reads no more of the row than its address: how much else is in it takes no time.
create or replace function tide.row_place(held tide.tracked, key text[], out scope text, out id text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select %s, %s from %s tide_t join (%s) tide_k on %s',
    tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'),
    held.relation, tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'))
  into scope, id using key;
exception
  when data_exception then return; -- text that cannot be such a key is no row's key
end $$;

-- The row of a key, with its lock if wanted; nulls where there is none.
create or replace function tide.row_at(held tide.tracked, key text[], locked boolean, out image jsonb, out scope text, out id text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select to_jsonb(tide_t.*), %s, %s from %s tide_t join (%s) tide_k on %s%s',
    tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'),
    held.relation, tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'),
    case when locked then ' for update of tide_t' else '' end)
  into image, scope, id using key;
end $$;

drop function if exists tide.lost_reference(tide.tracked, text, jsonb, jsonb);

-- The columns of the first reference by which the row would lead to one of another tracked table that the user may not view, or that is not there; null
-- where every reference may stand. `stored`: what the user sets; `image`: the row before it, null where there is none. Asked before the write, for
-- the database would wait for whoever has the other row locked. What defaults and triggers of the application refer to is theirs to decide.
create or replace function tide.lost_reference(held tide.tracked, who text[], stored jsonb, image jsonb) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;

drop function if exists tide.explain_refusal(text, text, text, text, text, text, oid, text);

-- What a refusal by the database means to the person who wrote the values. It speaks of the columns and rules of the row itself, and never says that
-- there is another row: that may be a hidden one. `own`: the database had seen nothing yet but the values that the user sent, so it may quote them. What the
-- application's triggers raise without an SQLSTATE of their own (P0001), or as a broken rule without a name, is meant for people and passed on.
create or replace function tide.explain_refusal(state text, message text, constraint_name text, column_name text, table_schema text, table_name text, relation oid, op text, own boolean) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- The answer to a mutation of what the user may not change, or may not see, or is not there.
create or replace function tide.denial(mutation_id text) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return jsonb_build_object('id', mutation_id, 'status', 'denied', 'message', 'no such row, or not allowed');

-- Whether an update or a deletion is one that tide.mutate would deny as things are: its answer, or null. Waits for nobody. For services/command, where
-- mutations of one row wait for each other: who may not know of the row must not wait for those who work on it.
create or replace function tide.refusal_of(mutation jsonb, user_id text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function tide.refusal_of(jsonb, text) is 'The answer to a mutation that would be denied as things are, or null; waits for nobody';

create or replace function tide.mutate(mutation jsonb, user_id text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- The settings under which capture functions write images: what `current` and a comparison with `base` must agree with.
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1
-- Local to this call, so that neither outlives it in the caller's transaction.
set tide.user_id = '' set tide.mutation_id = ''
as $fn$
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
end $fn$;
comment on function tide.mutate(jsonb, text) is 'Applies one user''s mutation to one row of a tracked table; see protocol/mutation.ts';
