-- A change that fits no message is set aside, and with it every later one of its address, so that nothing overtakes it: until an operator frees
-- the address, by which its present state goes into the log. What was recorded stays recorded as long as the outbox has the rows: a stream
-- that lost its end is filled again with the same events in the same places.

-- Notes changes that were set aside. Again says nothing new: the relay may have stopped before it published what stands in their place. One whose
-- address was freed after it was made is freed with the others.
create or replace function tide.note_aside(changes json) returns void
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  insert into tide.set_aside (outbox_id, entity, entity_id, scope, op, reason, bytes, freed_by, freed_xid)
  select c."outboxId", c.entity, c.id, c.scope, c.operation, c.reason, c.bytes, f.freed_by, f.freed_xid
  from json_to_recordset(changes) c("outboxId" bigint, entity text, id text, scope text, operation text, reason text, bytes integer)
  left join lateral (
    select s.freed_by, s.freed_xid from tide.set_aside s
    where s.entity = c.entity and s.entity_id = c.id and s.scope is not distinct from c.scope and s.freed_by > c."outboxId"
    order by s.freed_by limit 1) f on true
  on conflict (outbox_id) do nothing;
end;
comment on function tide.note_aside(json) is 'Notes changes that fit no message';

-- The addresses of which changes are set aside, for a relay that has published what `published` sees: those with outbox ids of open_from and later,
-- and those from freed_from up to, without, freed_to. Either may be null.
create or replace function tide.held_addresses(published pg_snapshot)
returns table (entity text, entity_id text, scope text, open_from float8, freed_from float8, freed_to float8)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select s.entity, s.entity_id, s.scope, min(s.outbox_id) filter (where s.freed_by is null),
    min(s.outbox_id) filter (where s.freed_by is not null), max(s.freed_by)
  from tide.set_aside s
  where s.freed_xid is null or not pg_visible_in_snapshot(s.freed_xid, held_addresses.published)
  group by s.entity, s.entity_id, s.scope;
end;
comment on function tide.held_addresses(pg_snapshot) is 'Addresses of which the relay sets changes aside';

-- Writes what is at the address now into the outbox, as READ, or DELETE where nothing is, and frees the address from there on. Writers of the row
-- are waited for; where there is none, all of the table, for one may be about to appear.
create or replace function tide.free_aside(entity text, entity_id text, scope text default null, out outbox_id bigint, out op text)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '5s'
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set extra_float_digits = 1
as $fn$
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
end $fn$;
comment on function tide.free_aside(text, text, text) is 'Publishes what is at an address now, and takes up its changes from there on';
