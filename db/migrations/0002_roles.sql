-- The roles of the services. They cannot log in until an operator gives them a password (`alter role tide_relay login
-- password …`). tide_capture never does: capture functions are its own and run with its rights, which are to write the outbox and to
-- read tracked tables; a table's owner may have functions of theirs run there (a cast of a type to json). Roles belong to the cluster, so another database may have made them already.
do $$
declare
  name text;
begin
  foreach name in array array['tide_relay', 'tide_command', 'tide_capture'] loop
    if not exists (select from pg_roles where rolname = name) then
      begin
        execute format('create role %I nologin', name);
      exception
        when duplicate_object or unique_violation then null; -- another database's migration was faster
        when insufficient_privilege then
          raise exception 'role % does not exist and % may not create it', name, current_user
            using hint = format('As a superuser: create role %I nologin; then migrate again.', name);
      end;
    end if;
  end loop;
end $$;

grant usage on schema tide to tide_relay, tide_command, tide_capture;
grant insert on tide.outbox to tide_capture;
grant select on tide.outbox, tide.relay_state to tide_relay;
