-- tide.mutate applies one mutation (protocol/mutation.ts) of one user to one row of any tracked table. Called by
-- services/command with what arrived from an edge; the change leaves through the outbox like any other, with the mutation's id.
--
-- Order: seen before? → which row → may they see it → did somebody else change the same fields → may they do it → do it → may they
-- have it where it ended up. A row that the user may not view is answered exactly as one that is not there. Messages name columns
-- and rules, never values of rows.

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

-- The row of a key, locked; null where there is none.
create or replace function tide.locked_row(held tide.tracked, key text[], out image jsonb, out scope text, out id text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select to_jsonb(tide_t.*), %s, %s from %s tide_t join (%s) tide_k on %s for update of tide_t',
    tide.scope_expression(held.scope_column, 'tide_t'), tide.id_expression(held.relation, held.key_columns, 'tide_t'),
    held.relation, tide.key_query(held.relation, held.key_columns), tide.key_match(held.relation, held.key_columns, 'tide_t', 'tide_k'))
  into image, scope, id using key;
exception
  when data_exception then return; -- text that cannot be such a key is no row's key
end $$;

-- What a refusal by the database means to the person who wrote the values.
create or replace function tide.explain_refusal(state text, message text, constraint_name text, column_name text, table_schema text, table_name text, relation oid, op text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  columns text;
begin
  case state
    when '23502' then
      return format('%s must not be empty', column_name);
    when '23505' then
      select string_agg(a.attname, ', ' order by k.place) into columns
      from pg_index i cross join lateral unnest(i.indkey::smallint[]) with ordinality k(attnum, place)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
      where i.indexrelid = to_regclass(format('%I.%I', table_schema, constraint_name));
      return format('another row has the same %s', coalesce(columns, constraint_name));
    when '23503' then
      select string_agg(a.attname, ', ') into columns
      from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
      where c.conname = constraint_name and c.conrelid = explain_refusal.relation and c.contype = 'f';
      if op = 'delete' or columns is null then return 'other rows refer to this one'; end if;
      return format('%s refers to a row that does not exist', columns);
    when '23514' then
      return format('the values break the rule %s', constraint_name);
    when '23P01' then
      return format('the values clash with another row (%s)', constraint_name);
    else
      return message;
  end case;
end $$;

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
  hidden      constant jsonb := jsonb_build_object('id', m_id, 'status', 'denied', 'message', 'no such row, or not allowed');
  held        tide.tracked;
  key         text[];
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

  -- The row.
  key := tide.split_id(m_entity_id, cardinality(held.key_columns));
  select null::jsonb as image, null::text as scope, null::text as id into here; -- a creation has none
  if m_op <> 'create' then
    if key is null then return hidden; end if;
    select * into here from tide.locked_row(held, key);
    if here.image is null or here.id is distinct from m_entity_id or not authz.allows(user_id, 'VIEW', here.scope, m_entity, m_entity_id) then return hidden; end if;
    if not authz.allows(user_id, case m_op when 'update' then 'EDIT' else 'DELETE' end, here.scope, m_entity, m_entity_id) then return hidden; end if;
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
      if (m_op = 'create' or rule is distinct from here.scope) and not authz.allows(user_id, 'CREATE', rule, m_entity, m_entity_id) then return hidden; end if;
    end if;

    -- The change. Triggers and defaults of the application run under its own search path.
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
    if (m_op = 'create' or m_op = 'update' and there.scope is distinct from here.scope) and not authz.allows(user_id, 'CREATE', there.scope, m_entity, m_entity_id) then
      raise sqlstate 'TD403';
    end if;
  exception
    when sqlstate 'TD403' then
      return hidden;
    when integrity_constraint_violation or data_exception or program_limit_exceeded or raise_exception or cannot_coerce or datatype_mismatch or invalid_parameter_value then
      get stacked diagnostics state = returned_sqlstate, reason = message_text, rule = constraint_name, at_column = column_name, at_schema = schema_name, at_table = table_name;
      if m_op = 'create' and state = '23505' and at_table = (select relname from pg_class where oid = held.relation) then
        -- Taken. Whoever may see the row is shown it.
        select * into here from tide.locked_row(held, key);
        if here.image is not null then
          if not authz.allows(user_id, 'VIEW', here.scope, m_entity, m_entity_id) then return hidden; end if;
          return jsonb_build_object('id', m_id, 'status', 'conflict', 'current', here.image, 'message', 'there is a row with this id already');
        end if;
      end if;
      return jsonb_build_object('id', m_id, 'status', 'invalid',
        'message', tide.explain_refusal(state, reason, rule, at_column, at_schema, at_table, held.relation, m_op));
  end;

  insert into tide.mutation (user_id, id) values (mutate.user_id, m_id);
  return jsonb_build_object('id', m_id, 'status', 'applied');
end $fn$;
comment on function tide.mutate(jsonb, text) is 'Applies one user''s mutation to one row of a tracked table; see protocol/mutation.ts';
