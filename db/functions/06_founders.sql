-- Scopes that users open. A tracked table whose scope column is its whole key opens scopes: a project, a workspace, each row is one. Whoever
-- creates a row there (an INSERT with tide.user_id set, by tide.mutate or by the application) owns the new scope, by a grant in the same
-- transaction; so does who was granted CREATE on everything. tide.track's `founders` may do so by mutation without a grant.
--
-- A scope is new where no grant names it. So a scope that was somebody's is not taken over by creating its row again, and founders are denied there. Rows
-- of other tables that are in a scope without having been granted to anybody are its first owner's: have them refer to its row.
--
-- Who opens a scope holds its name alone to the end of the transaction, who grants in it shares it: of the two one has ended before
-- the other has its place in the log. Names share 512 locks by a hash, as principals do.

-- Only where the key is of a type of Postgres' own: the trigger runs with our rights, and how a type of somebody else's becomes text is for its
-- owner to say.
create or replace function tide.opens_scopes(relation oid, key_columns text[], scope_column text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  with recursive base(type) as (
    select tide.column_type(opens_scopes.relation, opens_scopes.scope_column)::oid where opens_scopes.key_columns = array[opens_scopes.scope_column]
    union all
    select t.typbasetype from base b join pg_type t on t.oid = b.type where t.typtype = 'd')
  select exists (select from base b join pg_type t on t.oid = b.type where t.typtype = 'b' and t.typnamespace = 'pg_catalog'::regnamespace);
end;

create or replace function authz.scope_space() returns integer language sql immutable parallel safe return hashtext('authz.scope');
create or replace function authz.scope_lock(scope text) returns integer
language sql immutable parallel safe return hashtext(scope) & (authz.principal_locks() - 1);

create or replace function authz.share_scope() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock_shared(authz.scope_space(), authz.scope_lock(new.scope));
  return new;
end $$;
create or replace trigger share_scope before insert or update of scope on authz.grants for each row when (new.scope is not null) execute function authz.share_scope();
alter table authz.grants enable always trigger share_scope;

-- Whether the scope is nobody's yet, and stays so but for this transaction.
create or replace function authz.is_new_scope(scope text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(authz.scope_space(), authz.scope_lock(scope));
  return not exists (select from authz.grants g where g.scope = is_new_scope.scope);
end $$;

-- May whoever counts as these principals open the scope by a mutation of this table?
create or replace function tide.may_found(held tide.tracked, who text[], scope text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  founders text;
begin
  if held.founders is null or not tide.opens_scopes(held.relation, held.key_columns, held.scope_column) then return false; end if;
  -- tide.track waits for who has the table in use: what it says of founders now is so at the end of the transaction, too.
  execute format('lock table %s in row exclusive mode', held.relation);
  select t.founders into founders from tide.tracked t where t.entity = held.entity;
  return founders = any (who) and authz.is_new_scope(scope);
end $$;

-- The trigger of tables that open scopes; its argument is the column.
create or replace function tide.found_scope() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set bytea_output = 'hex' set lc_monetary = 'C' set extra_float_digits = 1 as $$
declare
  opened text;
begin
  execute format('select ($1).%I::text', tg_argv[0]) into opened using new;
  if authz.is_new_scope(opened) then
    perform authz.grant_access('user:' || current_setting('tide.user_id'), scope => opened, level => 'OWNER');
  end if;
  return null;
end $$;
