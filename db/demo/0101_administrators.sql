-- Who runs the place, by name of a role: everything, and who may do what. Whoever is in it may let others in. And everybody may open a project, which is theirs then.
select authz.grant_access('role:administrators', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_grant', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_member', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_sign_out', level => 'OWNER');
select authz.add_member('administrators', 'ada');

select tide.track('app.project', entity => 'project', scope => 'id', founders => 'everyone');
