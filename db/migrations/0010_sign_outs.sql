-- Who was signed out, and when: of all sessions or of one. In the log as _sign_out, in order with what the user may no longer be sent. A
-- token that was issued before is refused from there on, though it be good for days (protocol/sign-out.ts says the rule).
create table authz.sign_outs (
  -- Made of what is signed out, so signing out once more changes the row and its events share an address.
  id            text not null generated always as (md5(quote_literal(user_id) || ',' || quote_nullable(session))) stored primary key,
  user_id       text not null constraint user_is_named check (user_id <> ''),
  session       text constraint session_is_named check (session <> ''),
  signed_out_at timestamptz not null default clock_timestamp(),
  signed_out_by text default nullif(current_setting('tide.user_id', true), ''),
  constraint texts_fit_an_event check (octet_length(user_id) <= 1024 and octet_length(session) <= 1024 and octet_length(signed_out_by) <= 1024)
);
comment on table authz.sign_outs is 'user_id: as in the token''s sub. session: as in its sid, null is all sessions';
create index sign_outs_user on authz.sign_outs (user_id);
