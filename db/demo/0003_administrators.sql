-- ada runs the place as an administrator: everything, and by name who may do what, which nothing else covers.
select authz.grant_access('role:administrators', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_grant', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_member', level => 'OWNER');
select authz.grant_access('role:administrators', entity => '_sign_out', level => 'OWNER');
select authz.add_member('administrators', 'ada');
select authz.revoke_access('user:ada');
