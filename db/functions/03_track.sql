-- tide.track: from now on every change of a table's rows is an event; tide.untrack ends it. What is tracked is in the log itself (_entity):
-- an edge learns of its entities from there.

create or replace function tide.refuse(message text, hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '%', message using errcode = 'invalid_parameter_value', hint = hint;
end $$;

-- What the capture function of a table depends on, as it is now.
create or replace function tide.capture_shape(relation regclass, out table_name text, out by_row boolean, out deferrable_key boolean)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select format('%I.%I', n.nspname, c.relname),
    c.relkind = 'p' or exists (select from pg_inherits where inhrelid = c.oid) or exists (select from pg_subscription_rel where srrelid = c.oid),
    not i.indimmediate
  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indrelid = c.oid and i.indisprimary
  where c.oid = capture_shape.relation;
end;

-- A capture function becomes tide_capture's, which may read the table. It stays whose it was where policies would hide rows from tide_capture, and
-- where whoever tracks may not hand it over.
create or replace function tide.hand_over(relation regclass, capture text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- Generates the capture function and its triggers. The caller has checked the table.
create or replace function tide.attach(relation regclass, entity text, scope text, before_image boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $fn$
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
end $fn$;

-- The leaf partitions of a tracked table as they are now become those that are known. What is gone and still there as a table loses its trigger.
create or replace function tide.note_partitions(relation regclass, entity text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- Whether a partition, or one it is in, was a table of its own first: a row type is as old as its table, and nobody changes it.
create or replace function tide.was_attached(partition regclass) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from pg_partition_ancestors(partition) a join pg_inherits i on i.inhrelid = a.relid join pg_type y on y.typrelid = a.relid where y.xmin <> i.xmin);

-- Partitions made or attached since their table was tracked have its row trigger by themselves, but not its TRUNCATE trigger: TRUNCATE of them by their own
-- name would go unseen. They get it here; tide.make_partitions calls this each time. Returns how many. One that was a table before and was attached may
-- have brought rows that were never told: it stays unknown, and named, until its table is tracked once more.
create or replace function tide.adopt_partitions() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function tide.adopt_partitions() is 'Partitions made since their table was tracked get its TRUNCATE trigger; returns how many';

-- Removes the capture function of an entity and with it every trigger that calls it.
create or replace function tide.detach(entity text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('drop function if exists tide.%I() cascade', tide.capture_name(entity));
end $$;

-- A DELETE of every row at its present address: the log forgets them.
-- `source`: of this partition alone; `gone`: but not of rows that the table has again.
create or replace function tide.forget_rows(tracked tide.tracked, source regclass default null, gone boolean default false) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1 as $$
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
end $$;

-- Before a partition is detached or dropped, in the same transaction: its rows leave the log. (TRUNCATE of it says the same where its rows may go.)
create or replace function tide.forget_partition(partition regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function tide.forget_partition(regclass) is 'The rows of a partition leave the log (a DELETE each); call it in the transaction that detaches or drops the partition';

drop function if exists tide.track(regclass, text, text, boolean);
create or replace function tide.track(relation regclass, entity text, scope text default null, before_image boolean default true, founders text default null) returns text
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $fn$
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
end $fn$;
comment on function tide.track(regclass, text, text, boolean, text) is
  'From now on changes of the table become events of the entity. Once more: takes over a changed scope, key or set of columns';

create or replace function tide.untrack_entity(entity text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
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
end $$;
comment on function tide.untrack_entity(text) is 'As tide.untrack, by entity code: also for a table that was dropped';

create or replace function tide.untrack(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  code constant text := (select t.entity from tide.tracked t where t.relation = untrack.relation);
begin
  if code is null then
    perform tide.refuse(format('tide.untrack: %s is not tracked', relation), 'What is: select entity, table_name from tide.tracked.');
  end if;
  perform tide.untrack_entity(code);
end $$;
comment on function tide.untrack(regclass) is 'The table''s rows leave the log (a DELETE each), and later changes are no events';

-- Tracked tables that changed since in a way that matters to their events (a key, a foreign key, a name, columns; attached as a
-- partition; triggers gone or disabled). Tracking them once more is the remedy.
create or replace function tide.outdated(out entity text, out table_name text, out what text) returns setof record
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function tide.outdated() is 'Tracked tables that changed since; the remedy is to track them once more, or to untrack what was dropped';
