-- Who is there, who may do what, and what they are at. Dates are relative to the day of the first start.

insert into app.person (id, name, color) values
  ('ada', 'Ada Lovelace', '#7c5cff'),
  ('grace', 'Grace Hopper', '#e5484d'),
  ('linus', 'Linus Torvalds', '#f5a524'),
  ('margaret', 'Margaret Hamilton', '#12a594'),
  ('edsger', 'Edsger Dijkstra', '#3e8ed0'),
  ('barbara', 'Barbara Liskov', '#d6409f');

insert into app.project (id, name, color, position) values
  ('ferry', 'Ferry booking', '#3e63dd', 1),
  ('tides', 'Tide tables', '#12a594', 2),
  ('harbour', 'Harbour map', '#f76b15', 3),
  ('site', 'Website', '#ab4aba', 4),
  ('summer', 'Summer regatta', '#e5484d', 5);

-- ada runs the place. Builders build ferry and tides; leads are builders too and plan the regatta. barbara only looks.
select authz.grant_access('everyone', entity => 'person', level => 'VIEW');
select authz.grant_access('everyone', entity => 'file', level => 'VIEW');
select authz.grant_access('user:ada', level => 'OWNER');
select authz.add_member('builders', 'grace');
select authz.add_member('builders', 'linus');
select authz.add_member('leads', 'margaret');
select authz.add_member('builders', 'role:leads');
select authz.grant_access('role:builders', scope => 'ferry', level => 'CREATE');
select authz.grant_access('role:builders', scope => 'tides', level => 'CREATE');
select authz.grant_access('role:leads', scope => 'summer', level => 'OWNER');
select authz.grant_access('user:grace', scope => 'harbour', level => 'EDIT');
select authz.grant_access('user:linus', scope => 'site', level => 'VIEW');
select authz.grant_access('user:margaret', scope => 'harbour', level => 'VIEW');
select authz.grant_access('user:edsger', scope => 'harbour', level => 'CREATE');
select authz.grant_access('user:edsger', scope => 'site', level => 'CREATE');
select authz.grant_access('user:edsger', scope => 'tides', level => 'VIEW');
select authz.grant_access('user:barbara', scope => 'site', level => 'VIEW');
select authz.grant_access('user:barbara', scope => 'summer', level => 'VIEW');

with work (project_id, status, title, assignee, labels, due, description) as (values
  ('ferry', 'done', 'Seat plan for the Skerryvore', 'grace', '{design}', -12, 'Forty seats inside, twelve on deck. Wheelchair places by the ramp.'),
  ('ferry', 'done', 'Take card payments', 'linus', '{payments}', -9, 'The bank''s sandbox first. Refund on the same card within five days.'),
  ('ferry', 'done', 'Tickets as a QR code', 'grace', '{tickets}', -5, ''),
  ('ferry', 'review', 'Cancel a crossing and tell everybody on it', 'margaret', '{tickets,mail}', 1, 'When the wind is above 8. One mail, one text, and the choice of a later boat or the money.'),
  ('ferry', 'review', 'Group bookings for schools', 'grace', '{tickets}', 2, ''),
  ('ferry', 'doing', 'Prices by season', 'linus', '{payments}', 3, 'Low, high, and the two regatta weekends.'),
  ('ferry', 'doing', 'Offline check at the pier', 'grace', '{tickets,offline}', 4, 'The scanner has no signal behind the sea wall. It must know the day''s tickets and send its scans later.'),
  ('ferry', 'doing', 'Bicycles and dogs', 'margaret', '{tickets}', null, 'Both need a place on deck; dogs are free.'),
  ('ferry', 'todo', 'Waiting list for full boats', null, '{tickets}', 9, ''),
  ('ferry', 'todo', 'Show how full each crossing is', 'linus', '{design}', 11, ''),
  ('ferry', 'todo', 'Yearly ticket for islanders', null, '{payments}', null, 'Paid by the council, so it needs a report each quarter.'),
  ('ferry', 'todo', 'Invoice for companies', 'margaret', '{payments}', 16, ''),
  ('ferry', 'todo', 'Gaelic on the ticket machine', null, '{language}', 20, ''),
  ('tides', 'done', 'Read the gauge at the north pier', 'linus', '{data}', -20, 'One reading a minute. A missing one is missing, not zero.'),
  ('tides', 'done', 'Harmonic constants for eleven ports', 'grace', '{data,maths}', -14, ''),
  ('tides', 'done', 'Times in summer time', 'linus', '{bug}', -3, 'The tables were an hour early from the last Sunday of March.'),
  ('tides', 'review', 'Curve for one day', 'grace', '{design}', 0, 'High and low water marked, the present moment as a line.'),
  ('tides', 'review', 'Spring and neap in the month view', 'margaret', '{design}', 2, ''),
  ('tides', 'doing', 'Surge on top of the prediction', 'grace', '{data,maths}', 5, 'Pressure and wind push the water by up to a metre. Show it as a band, never as the prediction itself.'),
  ('tides', 'doing', 'Warn when the causeway floods', 'linus', '{alerts}', 3, ''),
  ('tides', 'todo', 'Print a year as a booklet', null, '{print}', 25, 'The fishermen want paper. A6, waterproof.'),
  ('tides', 'todo', 'Moon phases', 'margaret', '{design}', null, ''),
  ('tides', 'todo', 'Compare prediction and gauge', 'grace', '{data,maths}', 12, ''),
  ('tides', 'todo', 'Tables for visitors without an account', null, '{web}', 18, ''),
  ('tides', 'todo', 'What if the gauge lies?', 'linus', '{data}', null, 'It reported 14 metres when a gull sat on it.'),
  ('harbour', 'done', 'Survey the inner basin', 'edsger', '{survey}', -30, 'Every ten metres, at low water springs.'),
  ('harbour', 'done', 'Berths with power and water', 'grace', '{berths}', -8, ''),
  ('harbour', 'review', 'Depth at the present tide', 'edsger', '{survey,map}', 1, 'Chart depth plus the height from the tide tables. Red below two metres.'),
  ('harbour', 'doing', 'Which berths are free', 'grace', '{berths,map}', 2, 'The harbour master taps a berth; everybody sees it.'),
  ('harbour', 'doing', 'Map without a network', 'edsger', '{map,offline}', 6, 'Tiles of the harbour fit in four megabytes. Keep them.'),
  ('harbour', 'todo', 'Mark the new sandbank', 'edsger', '{survey}', 7, 'It moved twenty metres east since March.'),
  ('harbour', 'todo', 'Night colours', 'grace', '{design,map}', 10, 'Dark red, so that eyes stay used to the dark.'),
  ('harbour', 'todo', 'Visitors'' berths by length', null, '{berths}', 13, ''),
  ('harbour', 'todo', 'Where the fuel boat is', null, '{map}', null, ''),
  ('harbour', 'todo', 'Photos of the entrance', 'edsger', '{map}', 21, 'By day, by night, in fog.'),
  ('site', 'done', 'New front page', 'edsger', '{design}', -16, ''),
  ('site', 'done', 'Contrast of the blue links', 'edsger', '{accessibility}', -6, '4.5 to 1 at least.'),
  ('site', 'done', 'Leave the old shop', 'ada', '{shop}', -2, ''),
  ('site', 'review', 'Weather on every page', 'edsger', '{design}', 0, 'One line: wind, sea, visibility. Nothing that moves.'),
  ('site', 'review', 'Forms with a keyboard alone', 'ada', '{accessibility}', 3, ''),
  ('site', 'doing', 'History of the lighthouse', 'edsger', '{words}', 8, 'The archive sent forty pictures; eight are good.'),
  ('site', 'doing', 'Webcam that respects swimmers', 'ada', '{privacy}', 5, 'Blur people, always, before anything is stored.'),
  ('site', 'todo', 'Search that finds "ferrie"', null, '{search}', 14, ''),
  ('site', 'todo', 'Pages in three languages', 'edsger', '{language,words}', 22, ''),
  ('site', 'todo', 'Newsletter, once a month at most', null, '{words,mail}', null, ''),
  ('site', 'todo', 'Load in a second on the old phone', 'ada', '{speed}', 9, 'The one at the pier kiosk, eight years old.'),
  ('site', 'todo', 'Open data page', 'edsger', '{data}', 28, ''),
  ('summer', 'done', 'Date and courses', 'margaret', '{plan}', -25, 'Second weekend of July; three courses, by wind.'),
  ('summer', 'done', 'Ask the coastguard', 'margaret', '{safety}', -10, 'Granted, with two safety boats.'),
  ('summer', 'review', 'Rules of the rowing race', 'ada', '{plan}', 1, ''),
  ('summer', 'doing', 'Entries open', 'margaret', '{web}', 2, 'Boat, crew, phone on board. Ninety boats and no more.'),
  ('summer', 'doing', 'Sponsors for the prizes', 'ada', '{money}', 6, ''),
  ('summer', 'doing', 'Two safety boats and their crews', 'margaret', '{safety}', 10, ''),
  ('summer', 'todo', 'Live positions on a big screen', null, '{web,map}', 30, 'A tracker on every boat, a screen on the quay.'),
  ('summer', 'todo', 'Food on the quay', 'ada', '{plan}', 24, 'Fish, something without fish, and enough of both.'),
  ('summer', 'todo', 'Band for Saturday evening', null, '{plan}', 26, ''),
  ('summer', 'todo', 'First aid tent', 'margaret', '{safety}', 27, ''),
  ('summer', 'todo', 'Results within ten minutes', 'margaret', '{web}', 33, 'Handicaps are known beforehand; only the times are missing.'),
  ('summer', 'todo', 'What if there is no wind?', null, '{plan}', null, 'There was none in 2019.'),
  ('summer', 'todo', 'Thank the volunteers', 'ada', '{plan}', 40, '')),
numbered as (select row_number() over () as n, work.* from work)
insert into app.task (id, project_id, title, description, status, assignee, due, labels, position, created_by, created_at, updated_at)
select md5('demo task ' || n)::uuid, project_id, title, description, status::app.task_status, assignee, current_date + due, labels::text[],
  row_number() over (partition by project_id, status order by n), coalesce(assignee, 'ada'),
  now() - make_interval(days => 45 - n::int / 2, mins => (n * 37 % 600)::int), now() - make_interval(hours => (n * 11 % 200)::int)
from numbered;

with said (title, author, days, body) as (values
  ('Cancel a crossing and tell everybody on it', 'grace', 3, 'Who decides, the skipper or the office?'),
  ('Cancel a crossing and tell everybody on it', 'margaret', 3, 'The skipper. The office only presses the button.'),
  ('Cancel a crossing and tell everybody on it', 'linus', 1, 'Tested with the list of last Sunday: 112 mails, all out within a minute.'),
  ('Offline check at the pier', 'linus', 4, 'How large is a day''s list?'),
  ('Offline check at the pier', 'grace', 4, 'In August about 900 tickets. It fits easily.'),
  ('Offline check at the pier', 'grace', 2, 'Two scanners let the same ticket through while both were offline. We count it and smile.'),
  ('Prices by season', 'ada', 5, 'Children under six stay free in every season, please.'),
  ('Group bookings for schools', 'margaret', 2, 'The teacher pays, the names come later.'),
  ('Seat plan for the Skerryvore', 'ada', 14, 'The crew loves it.'),
  ('Curve for one day', 'edsger', 2, 'The line of the present moment is two minutes late.'),
  ('Curve for one day', 'grace', 1, 'Fixed: it moved once a minute and rounded down.'),
  ('Surge on top of the prediction', 'margaret', 6, 'A band is right. People remember a line as a promise.'),
  ('Times in summer time', 'linus', 3, 'Everything is kept in UTC now and only shown in local time.'),
  ('What if the gauge lies?', 'grace', 8, 'Median of five minutes. The gull never sat for five.'),
  ('What if the gauge lies?', 'linus', 7, 'You have not met this gull.'),
  ('Depth at the present tide', 'grace', 3, 'Does it say where the number comes from?'),
  ('Depth at the present tide', 'edsger', 2, 'A tap on it shows survey date and tide.'),
  ('Which berths are free', 'edsger', 1, 'The master asks for a bigger tap target. He wears gloves.'),
  ('Mark the new sandbank', 'edsger', 5, 'Measured again on Tuesday; the buoy needs to move as well.'),
  ('Weather on every page', 'ada', 2, 'Lovely. Could visibility be in miles as well?'),
  ('Webcam that respects swimmers', 'edsger', 6, 'Blurring happens on the camera, so nothing sharp ever leaves the pier.'),
  ('History of the lighthouse', 'ada', 9, 'My grandmother is on picture three.'),
  ('Load in a second on the old phone', 'edsger', 4, '1.4 s today. Half of it is one font.'),
  ('Entries open', 'ada', 2, 'Seventeen boats in the first hour!'),
  ('Two safety boats and their crews', 'margaret', 3, 'The lifeboat crew offers one, the diving school the other.'),
  ('What if there is no wind?', 'ada', 10, 'Then everybody rows.'),
  ('What if there is no wind?', 'margaret', 10, 'That is what happened in 2019. It was the best one.'))
insert into app.comment (id, project_id, task_id, author, body, created_at)
select md5('demo comment ' || row_number() over ())::uuid, t.project_id, t.id, s.author, s.body, now() - make_interval(days => s.days, mins => (row_number() over () * 53 % 400)::int)
from said s join app.task t on t.title = s.title;
