/** The tables that the writers of the world use, beside the demo's files. */

export const TABLES = `
  create schema fault;
  -- Small rows that many write to, and that move between scopes.
  create table fault.item (id int primary key, project text not null, v int not null);
  -- Each row says which version of another one its writer had seen.
  create table fault.chain (id int primary key, v int not null, cause_id int, cause_v int);
  -- Many rows at once.
  create table fault.bulk (id int primary key, scope text not null, v int not null, filler text not null);
  -- What the program itself writes to see that all goes on.
  create table fault.mark (id int primary key, v int not null);
  select tide.track('fault.item', entity => 'item', scope => 'project');
  select tide.track('fault.chain', entity => 'chain');
  select tide.track('fault.bulk', entity => 'bulk', scope => 'scope');
  select tide.track('fault.mark', entity => 'mark');
  insert into fault.chain select g, 0 from generate_series(0, 11) g;
  insert into fault.mark values (0, 0), (1, 0)`

export const CHAIN_ROWS = 12
