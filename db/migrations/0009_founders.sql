-- Who may open a scope, and who may change access (db/functions/06_founders.sql, 05_access_change.sql).

-- A tracked table whose scope column is its whole key opens scopes: each of its rows is one. Its founders may create rows there by
-- mutation without a grant. Whoever creates one, founder or not, owns the new scope.
alter table tide.tracked add column founders text constraint founders_is_a_principal check (founders = 'everyone' or founders ~ '^(user|role):.');
comment on column tide.tracked.founders is 'user:<id>, role:<name> or everyone; null: who may create rows there has been granted it';

-- Whether anybody was granted something in a scope: asked when one is opened.
create index grants_scope on authz.grants (scope) where scope is not null;

-- Of somebody's ten thousand grants on single rows those are looked at that are of the row asked after.
create index grants_address on authz.grants (principal, entity_id, scope);
drop index authz.grants_principal;

-- For an application that changes access in SQL: granted to its role it gives the functions that do that, and neither tables nor the rest.
do $$
begin
  if not exists (select from pg_roles where rolname = 'tide_access') then
    begin
      create role tide_access nologin;
    exception
      when duplicate_object or unique_violation then null; -- another database's migration was faster
      when insufficient_privilege then
        raise exception 'role tide_access does not exist and % may not create it', current_user
          using hint = 'As a superuser: create role tide_access nologin; then migrate again.';
    end;
  end if;
end $$;
grant usage on schema authz to tide_access;
