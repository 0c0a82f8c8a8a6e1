-- authz.change applies one change of access (protocol/access-change.ts) that a user asks for. Called by services/command with what arrived from
-- an edge; the change leaves through the outbox like any other, with who asked, how, and the change's id.
--
-- Order: is it one? → seen before? → hold whom it is decided by and whom it is about (05_access_locks.sql) → may they? → do it. What is
-- refused is refused in the same words whether there was such a grant, membership, user or row, or not.

-- The row ids of a membership and of a sign-out in the log, by which they may have been granted.
create or replace function authz.member_id(role text, member text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return replace(replace(role, '\', '\\'), ',', '\,') || ',' || replace(replace(member, '\', '\\'), ',', '\,');

create or replace function authz.sign_out_id(user_id text, session text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return md5(quote_literal(user_id) || ',' || quote_nullable(session));

-- Of the grants of these principals that cover the whole of a pattern: the highest level there is, the highest of those that last until `until`
-- (null: for ever), and until when any that gives `needed` lasts.
create or replace function authz.covering(who text[], scope text, entity text, entity_id text, until timestamptz, needed authz.level,
  out level authz.level, out lasting authz.level, out lasts timestamptz)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select max(g.level), max(g.level) filter (where g.expires_at is null or g.expires_at >= covering.until), max(g.expires_at) filter (where g.level >= covering.needed)
  from authz.grants g
  where g.principal = any (covering.who)
    and (g.scope is null or g.scope = covering.scope)
    and (g.entity is not distinct from covering.entity or g.entity is null and covering.entity not like '\_%')
    and (g.entity_id is null or g.entity_id = covering.entity_id)
    and (g.expires_at is null or g.expires_at > clock_timestamp());
end;

create or replace function authz.change(change jsonb, user_id text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC'
-- Local to this call, so that neither outlives it in the caller's transaction.
set tide.user_id = '' set tide.mutation_id = ''
as $fn$
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
end $fn$;
comment on function authz.change(jsonb, text) is 'Applies one user''s change of access; see protocol/access-change.ts';
