-- A change of a tracked row becomes outbox rows, written by triggers in the same transaction. Here is what the triggers' functions are
-- made of; tide.track (03_track.sql) makes them.
--
-- Each tracked table has a function of its own, tide.capture_<entity>, generated for its key, its scope and its column
-- types: nothing is looked up when a row changes. Two shapes:
--   statements  an ordinary table. INSERT and DELETE by statement triggers with transition tables: a bulk statement writes its outbox rows with
--               one INSERT, 3 microseconds a row where a row trigger takes 17. UPDATE by a row trigger, which sees more (below): a single row,
--               what most transactions change, costs 27 where a statement trigger took 45. A bulk UPDATE pays for it: 17 a row instead of 6.
--   rows        a partitioned table, a partition, an inheritance child: a statement that names another table of the tree
--               changes their rows without firing their statement triggers; row triggers fire, and new partitions get them.
--               So does a table that a subscription fills: what applies it fires row triggers only.
--
-- An address is (scope, entity, id). An UPDATE that changed a row's key or its scope is a DELETE of the old address and then an INSERT of the new one.
--
-- The newest outbox row of an address must hold its newest image. Three things can put an older one last, and the remedy is the same:
-- to tell what is in the table now instead of what the statement left there.
--   * A trigger of the application, a foreign key or a function that a statement calls (… returning f(id), or after an INSERT in a WITH) changes rows
--     of this table again. That inner statement writes its outbox rows before the outer one does. An UPDATE sees by the row's own xmax that
--     it was changed again. An INSERT does not: whoever changes a row that this transaction wrote leaves word for it. At a trigger's depth that is
--     tide.nested_<entity>, and the rest of the transaction tells what is there now. A function is no trigger's depth, but the call stack shows it:
--     a statement of a function leaves its stack in tide.stack_<entity>, and one that finds its own stack at the end of a longer one was under
--     way when that one ran. A statement of no function is careful after any that was one's.
--   * A row whose address changed: its old address may be another row's by now.
--   * A deferrable primary key: two rows may trade places. Such a table always tells what is there now, and waits for others that had the key.
-- A deletion is told only where the row is gone: in one statement with an INSERT of the same key (WITH), the DELETE may be told last.
--
-- Triggers fire always, also where session_replication_role is replica: what a restore or a subscription writes is a change like any other.

-- Refusals ----------------------------------------------------------------------------------------------------------------

-- Bytes of `value` as a subject token (protocol/subject.ts, encodeToken).
create or replace function tide.token_bytes(value text) returns integer
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp
return case when value = '' then 1 else
  3 * octet_length(value) - 2 * octet_length(regexp_replace(value, '[^A-Za-z0-9:@,+/~=_-]', '', 'g')) + case when value like '\_%' then 2 else 0 end
end;

-- `value` where it fits a subject token (protocol/limits.ts, TOKEN_BYTES), else an error. Callers ask only for what is longer than a third of that.
create or replace function tide.fit_token(value text, what text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if tide.token_bytes(value) > 1024 then
    raise exception '% too long for an event: % bytes once encoded, 1024 at most', what, tide.token_bytes(value)
      using errcode = 'program_limit_exceeded', detail = left(value, 80) || '…', hint = 'Use a shorter value, or untrack the table.';
  end if;
  return value;
end $$;

-- A capture function names its table, as it was called when it was tracked. Few changes ask the table itself; where it was renamed, those are refused.
create or replace function tide.require_name(name text, relation oid) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass(name) is distinct from relation::regclass then
    raise exception '% is called % since it was tracked', name, relation::regclass
      using errcode = 'object_not_in_prerequisite_state', hint = 'Track it once more, best in the transaction that renames it: tide.track with the same entity and scope.';
  end if;
end $$;

-- What the generated functions are made of --------------------------------------------------------------------------------

-- The primary key's columns in key order; empty where there is none.
create or replace function tide.key_columns(relation oid) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
return coalesce((
  select array_agg(a.attname::text order by k.place)
  from pg_index i
  cross join lateral unnest(i.indkey::smallint[]) with ordinality k(attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = key_columns.relation and i.indisprimary and i.indisvalid), '{}');

create or replace function tide.column_type(relation oid, column_name text) returns regtype
language sql stable set search_path = pg_catalog, pg_temp
return (select atttypid::regtype from pg_attribute
  where attrelid = column_type.relation and attname = column_type.column_name and attnum > 0 and not attisdropped);

-- Types whose text is short, needs no escape, and is equal exactly where the values are.
create or replace function tide.is_plain_key_type(type regtype) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return type in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype);

-- The entity id of the row `alias`: the key column's text; of several, the texts joined by ',' with '\' and ',' escaped by '\'.
create or replace function tide.id_expression(relation oid, keys text[], alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return case
  when cardinality(keys) = 1 then format('%s.%I::text', alias, keys[1])
  else '(' || (select string_agg(
      case when tide.is_plain_key_type(tide.column_type(id_expression.relation, k.name)) then format('%s.%I::text', alias, k.name)
      else format($f$replace(replace(%s.%I::text, '\', '\\'), ',', '\,')$f$, alias, k.name) end,
      $f$ || ',' || $f$ order by k.place) from unnest(keys) with ordinality k(name, place)) || ')'
end;

-- The same, refused where it would not fit a subject.
create or replace function tide.fitting_id_expression(relation oid, keys text[], alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select case
    when (select bool_and(tide.is_plain_key_type(tide.column_type(fitting_id_expression.relation, k))) from unnest(keys) k) and cardinality(keys) <= 8 then id
    else format($f$(case when octet_length(%1$s) <= 341 then %1$s else tide.fit_token(%1$s, 'entity id') end)$f$, id)
  end
  from (select tide.id_expression(relation, keys, alias) as id) e);

-- The scope of the row `alias`, and the same refused where it would not fit.
create or replace function tide.scope_expression(scope text, alias text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
return case when scope is null then 'null::text' else format('%s.%I::text', alias, scope) end;

create or replace function tide.fitting_scope_expression(relation oid, scope text, alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return case
  when scope is null or tide.is_plain_key_type(tide.column_type(relation, scope)) then tide.scope_expression(scope, alias)
  else format($f$(case when octet_length(%1$s) <= 341 then %1$s else tide.fit_token(%1$s, 'scope') end)$f$, tide.scope_expression(scope, alias))
end;

-- Whether `alias_a` and `alias_b` are the same row, in a form the primary key's index serves.
create or replace function tide.key_match(relation oid, keys text[], alias_a text, alias_b text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select string_agg(
    format('%s.%I operator(%I.%s) %s.%I', alias_a, k.name, n.nspname, o.oprname, alias_b, k.name)
    || case when tide.is_plain_key_type(tide.column_type(key_match.relation, k.name)) then ''
       else format(' and %s.%I::text collate "C" = %s.%I::text', alias_a, k.name, alias_b, k.name) end,
    ' and ' order by k.place)
  from unnest(keys) with ordinality k(name, place)
  join pg_index i on i.indrelid = key_match.relation and i.indisprimary
  join pg_opclass c on c.oid = (i.indclass::oid[])[k.place - 1]
  join pg_amop m on m.amopfamily = c.opcfamily and m.amopstrategy = 3 and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
  join pg_operator o on o.oid = m.amopopr
  join pg_namespace n on n.oid = o.oprnamespace);

-- SET clauses under which a row's JSON is the same whoever writes it: a session's time zone, say, must not show in events.
create or replace function tide.pins(relation oid) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  with types as (
    select distinct coalesce(nullif(t.typelem, 0), t.oid)::regtype as type from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = pins.relation and a.attnum > 0 and not a.attisdropped),
  kinds as (
    select
      bool_or(type in ('timestamptz'::regtype, 'timetz'::regtype)) as zoned,
      bool_or(type in ('float4'::regtype, 'float8'::regtype)) as floating,
      bool_or(not (type in ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'text'::regtype, 'varchar'::regtype,
        'bpchar'::regtype, 'uuid'::regtype, 'json'::regtype, 'jsonb'::regtype, 'timestamptz'::regtype, 'float4'::regtype, 'float8'::regtype, 'name'::regtype)
        or exists (select from pg_type where oid = type and typtype = 'e'))) as other
    from types)
  select concat_ws(' ',
    'set search_path = pg_catalog, pg_temp',
    case when zoned or other then $f$set timezone = 'UTC'$f$ end,
    case when floating or other then 'set extra_float_digits = 1' end,
    case when other then $f$set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C'$f$ end)
  from kinds);

-- The row `alias` of a trigger as JSON. Postgres leaves virtual generated columns out of it, so they are computed here.
create or replace function tide.image_expression(relation oid, alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select case when bool_or(a.attgenerated = 'v')
    then format('(select to_json(tide_r.*) from (select %s from (select %s.*) tide_v) tide_r)', string_agg(
      case when a.attgenerated = 'v' then format('%s as %I', pg_get_expr(d.adbin, d.adrelid), a.attname) else format('tide_v.%I', a.attname) end, ', ' order by a.attnum), alias)
    else format('to_json(%s.*)', alias) end
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = image_expression.relation and a.attnum > 0 and not a.attisdropped);

create or replace function tide.capture_name(entity text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return 'capture_' || case when length(entity) <= 55 then entity else md5(entity) end;

-- The body of a capture function. {placeholders} are filled at the end; alias o is the row before, n after, c as it is now.
--
-- The common case, one row that stays where it is, is one INSERT that asks nothing twice; its WHERE says when it is not that case, and
-- only then more is looked at (the call stack alone takes ten microseconds). Each PL/pgSQL expression and each expression of a statement costs its share of a microsecond in every
-- transaction. Of many rows, who and how is read once (tide_x).
create or replace function tide.capture_source(
  relation oid, table_name text, entity text, keys text[], scope text, before_image boolean, by_row boolean, deferrable_key boolean
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
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
end $fn$;
