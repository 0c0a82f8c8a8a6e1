/** What the program writes to, and who may do what when it begins. */

/** Cards have lines, which go where their card goes; notices have no scope; a room opens a scope, for whoever creates it; a tick is what everybody is told, and sees. */
export const TABLES = `
  create schema program;
  create table program.card (id text primary key, scope text not null, title text not null, n int not null default 0, unique (id, scope));
  create table program.line (id text primary key, scope text not null, card text not null, n int not null default 0,
    foreign key (card, scope) references program.card (id, scope) on update cascade on delete cascade);
  create table program.notice (id text primary key, body text not null);
  create table program.room (id text primary key, name text not null);
  create table program.tick (id int primary key, v bigint not null);
  select tide.track('program.card', entity => 'card', scope => 'scope');
  select tide.track('program.line', entity => 'line', scope => 'scope');
  select tide.track('program.notice', entity => 'notice');
  select tide.track('program.room', entity => 'room', scope => 'id', founders => 'everyone');
  select tide.track('program.tick', entity => 'tick');
  insert into program.card select 'c' || g, chr(97 + g % 6), 'first', 0 from generate_series(1, 40) g;
  insert into program.line select 'l' || g, scope, id, 0 from generate_series(1, 40) g join program.card on id = 'c' || g;
  insert into program.notice select 'n' || g, 'first' from generate_series(1, 12) g;
  insert into program.tick values (0, 0);
  select authz.grant_access('everyone', entity => 'tick', level => 'VIEW');
  select authz.grant_access('user:ada', level => 'OWNER');
  select authz.grant_access('user:grace', scope => 'a', level => 'CREATE'), authz.grant_access('user:grace', scope => 'b', level => 'EDIT');
  select authz.grant_access('user:linus', entity => 'card', level => 'EDIT');
  select authz.grant_access('user:margaret', entity => 'card', entity_id => 'c' || g, level => 'DELETE') from generate_series(1, 9) g;
  select authz.add_member('crew', 'edsger'), authz.add_member('office', 'role:crew'), authz.add_member('harbour', 'role:office'), authz.add_member('office', 'barbara');
  select authz.grant_access('role:crew', scope => 'c', level => 'CREATE'), authz.grant_access('role:office', scope => 'd', entity => 'card', level => 'EDIT');
  select authz.grant_access('role:harbour', entity => 'notice', level => 'CREATE'), authz.grant_access('everyone', scope => 'e', entity => 'line', level => 'VIEW');
  select authz.grant_access('user:ada', entity => code, level => 'OWNER') from unnest('{_grant,_member,_sign_out}'::text[]) code;
  select authz.grant_access('user:barbara', entity => '_grant', level => 'VIEW'), authz.grant_access('role:harbour', entity => '_member', level => 'EDIT')`

export const USERS = ["ada", "grace", "linus", "margaret", "edsger", "barbara", "alan", "joan"] as const
export const ROLES = ["crew", "office", "harbour", "pilots"] as const
export const SCOPES = ["a", "b", "c", "d", "e", "f"] as const
export const CARDS: ReadonlyArray<string> = Array.from({ length: 60 }, (_, i) => `c${i + 1}`)
export const LINES: ReadonlyArray<string> = Array.from({ length: 60 }, (_, i) => `l${i + 1}`)
export const NOTICES: ReadonlyArray<string> = Array.from({ length: 16 }, (_, i) => `n${i + 1}`)
export const ROOMS: ReadonlyArray<string> = Array.from({ length: 12 }, (_, i) => `r${i + 1}`)
/** What the log keeps of access: seen by who was granted it by name. */
export const OWN = ["_grant", "_member"] as const
/** The types that are watched, the tick aside. */
export const TYPES = ["card", "line", "notice"] as const
export type Type = (typeof TYPES)[number]
