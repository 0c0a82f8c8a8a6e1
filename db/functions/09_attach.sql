-- Last: what the functions before this file are put to. Tables that were tracked before get the capture functions of this version.

select tide.make_partitions();

-- The registry, grants, memberships and sign-outs travel in the log like any table.
select tide.attach('tide.tracked', '_entity', null, true);
select tide.attach('authz.grants', '_grant', null, true);
select tide.attach('authz.members', '_member', null, true);
select tide.attach('authz.sign_outs', '_sign_out', null, false);

-- What cannot be attached keeps what it has, and tide.outdated() names it: its key or scope is gone, or it belongs to somebody else.
do $$
declare
  held tide.tracked;
begin
  for held in
    select * from tide.tracked t
    where exists (select from pg_class where oid = t.relation) and tide.key_columns(t.relation) = t.key_columns
      and (t.scope_column is null or tide.column_type(t.relation, t.scope_column) is not null)
  loop
    begin
      perform tide.attach(held.relation, held.entity, held.scope_column, held.before_image);
    exception
      when insufficient_privilege then
        raise warning 'the triggers of % are of an older version: % may not change them', held.table_name, current_user
          using hint = format('As the owner of the table: select tide.track(%L, entity => %L%s%s);', held.table_name, held.entity, ', scope => ' || quote_literal(held.scope_column), ', founders => ' || quote_literal(held.founders));
    end;
  end loop;
end $$;

-- Nobody calls what they were not given.
revoke all on all functions in schema tide from public;
revoke all on all functions in schema authz from public;
grant execute on function
  tide.wake_key(), tide.lease_key(), tide.present_key(), tide.make_partitions(integer), tide.drop_partitions(interval, pg_snapshot, interval),
  tide.system_identifier(), tide.save_relay_state(text, text, bigint, text), tide.outbox_size(pg_snapshot), tide.note_aside(json), tide.held_addresses(pg_snapshot), tide.open_epoch(text, text, text, bigint, text, boolean, boolean),
  tide.look(xid8, xid8[], integer), tide.large_bytes(), tide.image_at(text), tide.open_window(xid8, xid8[], pg_snapshot, float8, float8),
  tide.rebuild_read(bigint, integer), tide.rebuild_rows(bigint, bigint, text[], integer, text[]),
  tide.rebuild_gone(bigint, bigint, bigint, bigint, text[], text[], text[]), tide.rebuild_failed(bigint, text) to tide_relay;
grant select on tide.message to tide_relay;
grant execute on function
  tide.wake_key(), tide.wake_relay(), tide.present_key(), tide.token_bytes(text), tide.fit_token(text, text), tide.require_name(text, oid),
  tide.row_bytes(), tide.refuse_row(integer), tide.setting_bytes(), tide.refuse_setting() to tide_capture;
grant execute on function
  authz.grant_access(text, text, text, text, text, timestamptz), authz.revoke_access(text, text, text, text),
  authz.add_member(text, text), authz.remove_member(text, text), authz.sign_out(text, text) to tide_access;
grant execute on function authz.expire(), authz.change(jsonb, text), tide.mutate(jsonb, text), tide.refusal_of(jsonb, text), tide.prune_mutations(interval) to tide_command;
