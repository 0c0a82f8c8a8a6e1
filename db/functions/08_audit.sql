-- The outbox as the audit log: who changed this, when, how, from what to what. As far back as the outbox goes (its partitions are
-- dropped in time); longer histories are in the streams, without request and address.

-- An entity's changes, oldest first. `fields`: of each column that changed {"from": …, "to": …}; what it was before comes from the change itself where
-- its table is tracked with before_image, else from the change before. scope null: in any. The outbox has no index for this, because each
-- writer would pay for it: it is read as a whole from `since` on, a quarter of a second a million rows in memory.
create or replace function tide.changes_of(entity text, entity_id text, scope text default null, since timestamptz default '-infinity', until timestamptz default 'infinity')
returns table (
  at timestamptz, op text, scope text, fields json, user_id text, request_id text, endpoint text, method text, user_agent text, ip text, mutation_id text, traceparent text, xid xid8
)
language sql stable parallel safe
begin atomic
  with found as (
    select o.*, case when o.op in ('UPDATE', 'DELETE') then coalesce(o.before, lag(o.after::json) over (partition by o.scope order by o.id)) end as was
    from tide.outbox o
    where o.entity = changes_of.entity and o.entity_id = changes_of.entity_id and o.at >= changes_of.since and o.at < changes_of.until
      and (changes_of.scope is null or o.scope = changes_of.scope))
  select f.at, f.op, f.scope,
    coalesce((
      select json_object_agg(name, case
          when is_ is null then json_build_object('from', was_) when was_ is null then json_build_object('to', is_)
          else json_build_object('from', was_, 'to', is_) end order by place)
      from (
        select coalesce(n.key, b.key) as name, b.value as was_, n.value as is_, coalesce(n.ordinality, b.ordinality) as place
        from json_each(f.after::json) with ordinality n full join json_each(f.was) with ordinality b on b.key = n.key
        where n.value::text is distinct from b.value::text) changed), '{}'),
    f.user_id, f.request_id, f.endpoint, f.method, f.user_agent, f.ip, f.mutation_id, f.traceparent, f.xid
  from found f order by f.id;
end;
comment on function tide.changes_of(text, text, text, timestamptz, timestamptz) is 'Who changed this entity, when, how, from what to what: as far back as the outbox goes';
