-- authz.change applies one change of access (protocol/access-change.ts) that a user asks for. Called by services/command with what arrived from
-- an edge; the change leaves through the outbox like any other, with who asked, how, and the change's id.
--
-- Who may: the head of protocol/access-change.ts. What is refused is refused in the same words whether there was such a grant, membership,
-- user or row, or not.

create or replace function authz.change(change jsonb, user_id text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC'
-- Local to this call, so that neither outlives it in the caller's transaction.
set tide.user_id = '' set tide.mutation_id = ''
as $fn$
#variable_conflict use_column
declare
  c_id      constant text := change ->> 'id';
  c_type    constant text := change ->> 'type';
  principal constant text := change ->> 'principal';
  scope     constant text := change ->> 'scope';
  entity    constant text := change ->> 'entity';
  entity_id constant text := change ->> 'entityId';
  denied    constant jsonb := jsonb_build_object('id', c_id, 'status', 'denied', 'message', 'no such thing, or not allowed');
  applied   constant jsonb := jsonb_build_object('id', c_id, 'status', 'applied');
  needed    authz.level := 'SHARE';
  expires   timestamptz;
  held      record;
  wrong     text;
begin
  -- Is it one?
  wrong := case
    when coalesce(user_id, '') = '' then 'no user'
    when jsonb_typeof(change) is distinct from 'object' then 'a change of access is a JSON object'
    when coalesce(c_id, '') = '' then 'id is missing'
    when length(c_id) > 200 then 'id is longer than 200 characters'
    when c_type is null or c_type not in ('grant', 'revoke', 'join', 'leave', 'sign-out') then 'type is grant, revoke, join, leave or sign-out'
    when c_type in ('grant', 'revoke') and not change ?& '{scope,entity,entityId}' then 'scope, entity and entityId must be said; null is any'
    when c_type = 'grant' and not change ? 'expiresAt' then 'expiresAt must be said; null is never'
    when c_type = 'sign-out' and not change ? 'session' then 'session must be said; null is all'
    when change ->> 'expiresAt' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$' then 'expiresAt is an instant as in 2026-11-21T10:00:00Z'
    when exists (select from jsonb_each(change) f where jsonb_typeof(f.value) not in ('string', 'null')) then 'the fields are texts, or null'
  end;
  if wrong is not null then
    return jsonb_build_object('id', coalesce(c_id, ''), 'status', 'invalid', 'message', wrong);
  end if;

  -- A repeat waits for the first to end, in whatever connection that is.
  perform pg_advisory_xact_lock(hashtext('tide.mutate'), hashtext(length(user_id) || ':' || user_id || c_id));
  if exists (select from tide.mutation m where m.user_id = change.user_id and m.id = c_id) then return applied; end if;
  perform set_config('tide.user_id', user_id, true), set_config('tide.mutation_id', c_id, true);
  return denied;
end $fn$;
comment on function authz.change(jsonb, text) is 'Applies one user''s change of access; see protocol/access-change.ts';
