-- The rule of who may do what, in SQL, and the functions that change it. The tables are in db/migrations/0004_access.sql.

create or replace function authz.refuse_cycle() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
create or replace trigger refuse_cycle before insert or update on authz.members for each row execute function authz.refuse_cycle();

-- The rule ----------------------------------------------------------------------------------------------------------------

-- Everyone a user counts as: themselves, everyone, and each role they are in, directly or through other roles.
create or replace function authz.principals(user_id text) returns text[]
language sql stable parallel safe set search_path = pg_catalog, pg_temp
begin atomic
  with recursive held(principal) as (
    select 'user:' || principals.user_id
    union
    select 'role:' || m.role from held h join authz.members m on m.member = h.principal)
  select array_agg(principal) || 'everyone'::text from held;
end;

create or replace function authz.to_level(name text) returns authz.level
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if name is null or not name = any (enum_range(null::authz.level)::text[]) then
    raise exception '% is not a level', coalesce(quote_literal(name), 'null')
      using errcode = 'invalid_parameter_value', hint = 'One of ' || array_to_string(enum_range(null::authz.level), ', ') || '.';
  end if;
  return name::authz.level;
end $$;

-- May whoever counts as these principals do what `needed` stands for to the entity? The log's own entities (_grant, …) must be granted by name. A
-- grant ends by the clock, not by when the transaction began: it may have waited. Planned once: planning takes five times as long as asking.
create or replace function authz.permits(who text[], needed authz.level, scope text, entity text, entity_id text) returns boolean
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
  return exists (
    select from authz.grants g
    where g.principal = any (who)
      and g.level >= needed
      and (g.scope is null or g.scope = permits.scope)
      and (g.entity = permits.entity or g.entity is null and permits.entity not like '\_%')
      and (g.entity_id is null or g.entity_id = permits.entity_id)
      and (g.expires_at is null or g.expires_at > clock_timestamp()));
end $$;

-- May the user do what `level` stands for to the entity?
create or replace function authz.allows(user_id text, level text, scope text, entity text, entity_id text) returns boolean
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
  return authz.permits(authz.principals(user_id), authz.to_level(level), scope, entity, entity_id);
end $$;
comment on function authz.allows(text, text, text, text, text) is 'May the user do this to the entity? scope is null for an entity without one';

create or replace function authz.visible(user_id text, scope text, entity text, entity_id text) returns boolean
language sql stable parallel safe set search_path = pg_catalog, pg_temp
return authz.allows(visible.user_id, 'VIEW', visible.scope, visible.entity, visible.entity_id);
comment on function authz.visible(text, text, text, text) is 'For queries over a table: … where authz.visible(''ada'', project_id, ''task'', id::text)';

-- Changing it -------------------------------------------------------------------------------------------------------------

create or replace function authz.require_principal(principal text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if principal is null or principal !~ '^(user|role):.' and principal <> 'everyone' then
    raise exception '% is not a principal', coalesce(quote_literal(left(principal, 80)), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write user:<id>, role:<name> or everyone.';
  elsif octet_length(principal) > tide.setting_bytes() + 5 then
    raise exception 'principal too long: % bytes, % at most', octet_length(principal), tide.setting_bytes() + 5
      using errcode = 'program_limit_exceeded', hint = 'A user is named by the id that their token has as sub.';
  end if;
end $$;

-- Refuses what can be in no grant.
create or replace function authz.require_pattern(principal text, scope text, entity text, entity_id text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  perform authz.require_principal(principal), tide.fit_token(scope, 'scope'), tide.fit_token(entity_id, 'entity id');
  if entity !~ '^([a-z][a-z0-9_]{0,63}|_grant|_member|_sign_out|_entity)$' then
    raise exception '% is not an entity code', quote_literal(entity)
      using errcode = 'invalid_parameter_value', hint = 'As in tide.tracked: select entity from tide.tracked.';
  end if;
end $$;

-- Writes a grant, but over none that gives more than `at_most`. Returns its id; null where there is such a one.
create or replace function authz.put_grant(
  principal text, scope text, entity text, entity_id text, level text, expires_at timestamptz, at_most authz.level default 'OWNER'
) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- The functions from here on are what an application's role may call that was granted tide_access; what they need is not its own.

-- Grants, or changes level and expiry of, one pattern. Returns the grant's id.
create or replace function authz.grant_access(
  principal text, scope text default null, entity text default null, entity_id text default null,
  level text default null, expires_at timestamptz default null
) returns text
language sql security definer set search_path = pg_catalog, pg_temp
return authz.put_grant(grant_access.principal, grant_access.scope, grant_access.entity, grant_access.entity_id, grant_access.level, grant_access.expires_at);
comment on function authz.grant_access(text, text, text, text, text, timestamptz) is 'Grants a level on a pattern; null scope, entity or entity_id is any';

-- Takes a grant back, but none that gives more than `at_most`. Returns whether there is none now.
create or replace function authz.take_grant(principal text, scope text, entity text, entity_id text, at_most authz.level) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- Takes back the grant on exactly this pattern. Returns whether there was one.
create or replace function authz.revoke_access(principal text, scope text default null, entity text default null, entity_id text default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform authz.require_principal(principal);
  delete from authz.grants g
  where g.principal = revoke_access.principal and g.scope is not distinct from revoke_access.scope
    and g.entity is not distinct from revoke_access.entity and g.entity_id is not distinct from revoke_access.entity_id;
  return found;
end $$;
comment on function authz.revoke_access(text, text, text, text) is 'Takes back the grant on exactly this pattern; returns whether there was one';

-- A member as it is stored: a bare name is a user's id.
create or replace function authz.to_member(name text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case when name ~ '^(user|role):.' then name else 'user:' || name end;

create or replace function authz.require_role(role text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if role is null or role = '' or role ~ '^(user|role):' then
    raise exception '% is not a role''s name', coalesce(quote_literal(role), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write the bare name: editors.';
  end if;
end $$;

create or replace function authz.add_member(role text, member text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform authz.require_role(role);
  if coalesce(member, '') in ('', 'everyone', 'user:', 'role:') then
    raise exception '% cannot be a member', coalesce(quote_literal(member), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write a user''s id, or role:<name>. What everyone may do is granted to everyone.';
  end if;
  perform tide.fit_token(add_member.role || ',' || authz.to_member(add_member.member), 'role and member');
  insert into authz.members (role, member) values (add_member.role, authz.to_member(add_member.member)) on conflict on constraint members_pkey do nothing;
end $$;
comment on function authz.add_member(text, text) is 'Puts a user (ada, user:ada) or a role (role:authors) into a role';

create or replace function authz.remove_member(role text, member text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform authz.require_role(role);
  delete from authz.members m where m.role = remove_member.role and m.member = authz.to_member(remove_member.member);
  return found;
end $$;
comment on function authz.remove_member(text, text) is 'Takes a user or a role out of a role; returns whether it was in';

-- Deletes what has expired, so that an expiry is a position in the log as well. Called by services/command now and then. Waits only a moment for a
-- principal that somebody holds (05_access_locks.sql): its grants count no more, and are deleted the next time.
create or replace function authz.expire() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
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
end $$;
comment on function authz.expire() is 'Deletes grants that have expired; returns how many';

-- Signing out -------------------------------------------------------------------------------------------------------------

-- Sessions of one user that are kept as signed out, each by itself.
create or replace function authz.sign_outs_kept() returns integer language sql immutable parallel safe return 1000;

-- From its commit on no token of the user is good that was issued before now, or that is of the session. Once more moves the time on. Returns the time.
create or replace function authz.sign_out(user_id text, session text default null) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function authz.sign_out(text, text) is 'Ends all sessions of a user, or one, and refuses their tokens; returns as of when';
