-- Who may do what. A grant is a pattern over addresses (scope, entity, id; null is any) with a level; a role is a set of users and
-- other roles. Both tables are in the log (_grant, _member), in order with the rows they govern: services/authz answers from
-- there. authz.allows is the same rule for the write path and for whoever asks in SQL.

create schema authz;
comment on schema authz is 'Tideline: who may do what';

-- Each level includes those before it (protocol/grant.ts, LEVELS).
create type authz.level as enum ('VIEW', 'EDIT', 'SHARE', 'DELETE', 'CREATE', 'OWNER');

create table authz.grants (
  -- Made of what is granted on, so granting once more changes the row and its events share an address.
  id         text not null generated always as (
               md5(quote_literal(principal) || quote_nullable(scope) || ',' || quote_nullable(entity) || ',' || quote_nullable(entity_id))
             ) stored primary key,
  principal  text not null constraint principal_is_user_role_or_everyone check (principal = 'everyone' or principal ~ '^(user|role):.'),
  scope      text,
  entity     text constraint entity_is_a_code check (entity ~ '^[a-z_][a-z0-9_]*$'),
  entity_id  text,
  level      authz.level not null,
  expires_at timestamptz,
  granted_by text default nullif(current_setting('tide.user_id', true), ''),
  granted_at timestamptz not null default now(),
  -- An event that takes a grant away carries it in a header, too.
  constraint texts_fit_an_event check (octet_length(principal) <= 2048 and octet_length(scope) <= 1024 and octet_length(entity_id) <= 1024 and octet_length(granted_by) <= 1024)
);
comment on table authz.grants is 'principal: user:<id>, role:<name> or everyone. scope, entity, entity_id: null is any';
create index grants_principal on authz.grants (principal);
create index grants_expiry on authz.grants (expires_at) where expires_at is not null;

create table authz.members (
  role     text not null constraint role_is_a_bare_name check (role <> '' and role !~ '^(user|role):'),
  member   text not null constraint member_is_user_or_role check (member ~ '^(user|role):.'),
  added_by text default nullif(current_setting('tide.user_id', true), ''),
  added_at timestamptz not null default now(),
  primary key (role, member),
  constraint texts_fit_an_event check (octet_length(role) <= 1024 and octet_length(member) <= 1024 and octet_length(added_by) <= 1024)
);
comment on table authz.members is 'member: user:<id>, or role:<name> for a role inside a role';
create index members_member on authz.members (member);

grant usage on schema authz to tide_command;
