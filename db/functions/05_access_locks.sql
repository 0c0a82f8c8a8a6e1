-- What was allowed when it was decided is allowed where it stands in the log: what a decision rests on stays until the transaction that
-- made it has ended, and who takes it away waits, or is waited for.
--
--   * Who decides (tide.mutate, authz.change) holds the user's principals: shared, to the end of the transaction, before asking anything.
--   * Who changes or removes a grant or a membership holds its principal: alone, to the end of the transaction, before the row is
--     changed and so before the change has its place in the outbox. Triggers of the tables do, whoever writes.
--
-- So of a mutation and the revocation that it would have been denied by, one has ended before the other has its place. A grant that is added
-- needs none of this: nobody sees it before its transaction has ended. A membership that is added might bring grants of a role that is not held: so
-- what is asked after is the list of principals that is held, not who the user is by then.
--
-- Locks of a server are bounded (max_locks_per_transaction, 64 for each connection by default), principals are not: they share so many locks by a
-- hash (protocol/limits.ts, PRINCIPAL_LOCKS). A revocation of ten thousand grants takes them all and no more; one in a transaction that stays open
-- stalls those who share its principal's, one of 512. Everyone is in each decision and has a lock of its own.

create or replace function authz.principal_locks() returns integer language sql immutable parallel safe return 512;
create or replace function authz.lock_of(principal text) returns integer
language sql immutable parallel safe return case when principal = 'everyone' then authz.principal_locks() else hashtext(principal) & (authz.principal_locks() - 1) end;
create or replace function authz.lock_space() returns integer language sql immutable parallel safe return hashtext('authz.principal');

-- The principals that the user counts as, held to the end of the transaction; those of `alone` for this transaction alone. In the order of the locks,
-- so that two who do this never wait for each other. Roles may change until they are held: so it is looked again until nothing new is found.
create or replace function authz.hold(user_id text, variadic alone text[] default '{}') returns text[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  space constant integer := authz.lock_space();
  who text[] := authz.principals(user_id);
  held text[];
  step record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'access cannot be decided in a % transaction', current_setting('transaction_isolation')
      using errcode = 'object_not_in_prerequisite_state', hint = 'Its snapshot may be older than a revocation that has ended: use read committed.';
  end if;
  loop
    for step in
      select l.lock, bool_or(l.alone) as alone
      from (select authz.lock_of(p) as lock, false as alone from unnest(who) p union all select authz.lock_of(p), true from unnest(hold.alone) p) l
      group by l.lock order by l.lock
    loop
      if step.alone then perform pg_advisory_xact_lock(space, step.lock); else perform pg_advisory_xact_lock_shared(space, step.lock); end if;
    end loop;
    held := who;
    who := authz.principals(user_id);
    exit when who <@ held;
  end loop;
  return who;
end $$;

create or replace function authz.hold_grant() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(authz.lock_space(), authz.lock_of(old.principal));
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create or replace trigger hold_grant before update or delete on authz.grants for each row execute function authz.hold_grant();
alter table authz.grants enable always trigger hold_grant;

-- A membership is what makes its member's principals.
create or replace function authz.hold_member() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(authz.lock_space(), authz.lock_of(old.member));
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create or replace trigger hold_member before update or delete on authz.members for each row execute function authz.hold_member();
alter table authz.members enable always trigger hold_member;
