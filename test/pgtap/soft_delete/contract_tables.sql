-- No client can tell: statements on every kind of table, and through everything that leads to one; see
-- test/lib/soft_delete_contract.sql.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
\ir ../../lib/soft_delete_contract.sql

----------------------------------------------------------------------------------------------------------------------
-- Partitions
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (needs, name, roles, script)
SELECT '{parts}', name, coalesce(roles, '{client,owner}'), script FROM (VALUES
('partitions: DELETE on the root', '{client,owner,superuser}'::text[], $c$
	DELETE FROM parts WHERE id = 1;
	DELETE FROM parts WHERE qty >= 40 RETURNING tableoid::regclass, *;
	DELETE FROM parts WHERE qty >= 40;
	DELETE FROM parts;
	DELETE FROM parts; $c$),
('partitions: DELETE on a leaf and on what lies between', NULL, $c$
	DELETE FROM parts_low WHERE id = 1 RETURNING *;
	DELETE FROM parts_mid WHERE id = 11 RETURNING *;
	DELETE FROM parts_high_a RETURNING *;
	DELETE FROM parts_high RETURNING tableoid::regclass, *;
	DELETE FROM ONLY parts;
	DELETE FROM ONLY parts_low;
	SELECT tableoid::regclass, id FROM parts ORDER BY id;
	SELECT * FROM parts_low; $c$),
('partitions: RETURNING the whole row of leaves that look otherwise', NULL, $c$
	DELETE FROM parts WHERE id IN (2, 11, 21) RETURNING parts;
	DELETE FROM parts p WHERE id IN (3, 12, 22) RETURNING p.*, to_jsonb(p), p.deleted_at; $c$),
('partitions: none that could hold the row', NULL, 'DELETE FROM parts WHERE id = 1000; DELETE FROM parts WHERE id = 5 RETURNING *; DELETE FROM parts WHERE false; DELETE FROM parts WHERE id IN (1000, 2000) RETURNING id;'),
('partitions: pruned when the statement begins', NULL, $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM parts WHERE id = $1 RETURNING tableoid::regclass, id;
	EXECUTE p (1); EXECUTE p (11); EXECUTE p (22); EXECUTE p (11); EXECUTE p (1000);
	PREPARE q AS DELETE FROM parts WHERE id = $1;
	EXECUTE q (2); EXECUTE q (2); EXECUTE q (1000); $c$),
('partitions: USING and WITH', NULL, $c$
	DELETE FROM parts p USING (VALUES (1), (11), (21)) v (i) WHERE p.id = v.i RETURNING p.id, v.i;
	DELETE FROM parts p USING parts q WHERE q.id = p.id + 1 RETURNING p.id, q.id, q.tableoid::regclass;
	WITH d AS (DELETE FROM parts RETURNING *) SELECT count(*), sum(qty) FROM d; $c$),
('partitions: WHERE CURRENT OF', NULL, $c$
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM parts;
	FETCH 4 FROM c;
	DELETE FROM parts WHERE CURRENT OF c RETURNING tableoid::regclass, id;
	DELETE FROM parts WHERE CURRENT OF c;
	FETCH 2 FROM c;
	DELETE FROM parts WHERE CURRENT OF c;
	FETCH 10 FROM c;
	COMMIT; $c$),
('partitions: a row that moves', '{writer,owner}', $c$
	UPDATE parts SET id = 15 WHERE id = 1 RETURNING tableoid::regclass, id;
	UPDATE parts SET kind = 'b' WHERE id = 21 RETURNING tableoid::regclass, id;
	SELECT tableoid::regclass, id, kind, deleted_at FROM parts ORDER BY id;
	DELETE FROM parts WHERE id IN (15, 21) RETURNING tableoid::regclass, id;
	UPDATE parts SET id = id + 16 WHERE id IN (2, 15);
	SELECT tableoid::regclass, id, kind FROM parts ORDER BY id; $c$),
('partitions: all rows move', '{writer,owner}', 'DELETE FROM parts WHERE id = 2; UPDATE parts SET id = id + 15 WHERE id < 10; UPDATE parts SET qty = 0; SELECT tableoid::regclass, id, qty FROM parts ORDER BY id;'),
('partitions: a row that has nowhere to go', '{writer,owner}', 'UPDATE parts SET id = 1000 WHERE id = 1; INSERT INTO parts VALUES (1000, ''a''); DELETE FROM parts WHERE id = 1;'),
('partitions: a row that moves and one that is deleted', '{writer,owner}', 'WITH m AS (UPDATE parts SET id = 16 WHERE id = 1 RETURNING id) DELETE FROM parts WHERE id IN (2, 16) RETURNING id; DELETE FROM parts WHERE id = 16 RETURNING tableoid::regclass;'),
('partitions: MERGE', '{client,owner}', 'MERGE INTO parts p USING (VALUES (1), (11), (22), (77)) v (i) ON p.id = v.i WHEN MATCHED THEN DELETE; MERGE INTO parts p USING (VALUES (1), (3)) v (i) ON p.id = v.i WHEN MATCHED AND kind = ''a'' THEN DELETE;'),
('partitions: COPY', '{client,owner}', 'COPY (DELETE FROM parts WHERE kind = ''a'' RETURNING tableoid::regclass, *) TO STDOUT; COPY (SELECT * FROM parts ORDER BY id) TO STDOUT;'),
('partitions: partitionwise joins', '{client,owner}', 'SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on; DELETE FROM parts p USING parts q WHERE p.id = q.id AND q.qty > 20 RETURNING p.id; SELECT id, count(*) FROM parts GROUP BY id ORDER BY 1; SELECT p.id FROM parts p JOIN parts q USING (id, kind) ORDER BY 1;')
) AS c (name, roles, script);
UPDATE contract.cases SET moved = '{1,2}', dead = '{15}' WHERE name = 'partitions: a row that moves';
UPDATE contract.cases SET moved = '{1,3}' WHERE name = 'partitions: all rows move';
UPDATE contract.cases SET moved = '{1}', dead = '{16}' WHERE name = 'partitions: a row that moves and one that is deleted';
UPDATE contract.cases SET errors = '{23514}' WHERE name = 'partitions: a row that has nowhere to go';

INSERT INTO contract.cases (needs, name, roles, script) VALUES
('{parts,parts_late}', 'partitions that came later', '{client,owner,superuser}', $c$
	DELETE FROM parts WHERE id IN (1, 31, 41) RETURNING tableoid::regclass, *;
	DELETE FROM parts_new RETURNING id;
	DELETE FROM parts_newer WHERE id = 42;
	DELETE FROM parts WHERE id > 30; $c$),
('{parts,parts_late}', 'partitions that came later: rows move there', '{writer,owner}', $c$
	UPDATE parts SET id = id + 32 WHERE id = 1 RETURNING tableoid::regclass, id;
	UPDATE parts SET id = id - 28 WHERE id = 33 RETURNING tableoid::regclass, id;
	SELECT tableoid::regclass, id, kind, qty FROM parts ORDER BY id; $c$),
('{parts}', 'a partition that comes while a plan is kept', '{client}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM parts WHERE id = $1 RETURNING tableoid::regclass, id;
	EXECUTE p (1); EXECUTE p (61);
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE TABLE parts_last PARTITION OF parts FOR VALUES FROM (60) TO (70);
	INSERT INTO parts VALUES (61, 'a', 1), (62, 'b', 2);
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (61); EXECUTE p (61);
	SELECT tableoid::regclass, id FROM parts ORDER BY id; $c$);
UPDATE contract.cases SET moved = '{1}' WHERE name = 'partitions that came later: rows move there';
UPDATE contract.cases SET dead = '{61}' WHERE name = 'a partition that comes while a plan is kept';

----------------------------------------------------------------------------------------------------------------------
-- Inheritance, and columns of all kinds
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (needs, name, roles, script) VALUES
('{family}', 'inheritance: DELETE on the parent', '{client,owner,superuser}', $c$
	DELETE FROM animals WHERE id IN (1, 11) RETURNING tableoid::regclass, *;
	DELETE FROM animals WHERE id IN (1, 11, 21);
	DELETE FROM animals RETURNING animals;
	DELETE FROM animals; $c$),
('{family}', 'inheritance: ONLY, and a child', '{client,owner}', $c$
	DELETE FROM ONLY animals WHERE id IN (1, 11) RETURNING *;
	DELETE FROM dogs WHERE id = 11 RETURNING id, name, bark;
	DELETE FROM ONLY cats RETURNING id, lives;
	SELECT tableoid::regclass, id, name FROM animals ORDER BY id;
	SELECT id FROM ONLY animals;
	SELECT count(*) FROM cats; $c$),
('{family}', 'inheritance: USING, WITH, CURRENT OF, MERGE', '{client,owner}', $c$
	DELETE FROM animals a USING dogs d WHERE d.id = a.id AND d.bark = 'arf' RETURNING a.id, d.id, a.tableoid::regclass;
	WITH x AS (DELETE FROM animals WHERE id = 1 RETURNING *) SELECT * FROM x;
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM animals WHERE id > 20 FOR UPDATE;
	ROLLBACK;
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM animals WHERE id > 20;
	FETCH c;
	DELETE FROM animals WHERE CURRENT OF c RETURNING tableoid::regclass, id;
	DELETE FROM animals WHERE CURRENT OF c;
	COMMIT;
	MERGE INTO animals a USING (VALUES (2), (22)) v (i) ON a.id = v.i WHEN MATCHED THEN DELETE; $c$),
('{family}', 'inheritance: a child by prepared statements', '{client,owner}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM animals WHERE id = $1 RETURNING name;
	EXECUTE p (11); EXECUTE p (11); EXECUTE p (22); EXECUTE p (1); $c$),
('{shapes}', 'columns of all kinds', '{client,owner,superuser}', $c$
	DELETE FROM shapes WHERE w = 2 RETURNING *;
	DELETE FROM shapes WHERE (at).x = 2 RETURNING shapes, (at).x, doc, "Odd ""Name", more;
	DELETE FROM shapes WHERE area IS NULL RETURNING area, id, to_jsonb(shapes); $c$),
('{shapes}', 'columns of all kinds: rows that come after', '{client,owner}', $c$
	DELETE FROM shapes WHERE id = 3;
	INSERT INTO shapes (w, h) VALUES (6, 7) RETURNING id, area;
	DELETE FROM shapes WHERE area > 40 RETURNING *;
	INSERT INTO shapes (w) VALUES (0); $c$);
INSERT INTO contract.cases (needs, name, roles, version, script)
SELECT ARRAY[kind], kind || ': ' || name, roles, greatest(version, CASE kind WHEN 'virtual' THEN 180000 ELSE 0 END), script FROM unnest('{computed,virtual}'::text[]) kind, (VALUES
('RETURNING', '{client,owner}'::text[], 0, $c$
	DELETE FROM items WHERE gross = 20 RETURNING *;
	DELETE FROM items WHERE alive AND id = 2 RETURNING gross, size, alive, number, items, to_jsonb(items);
	DELETE FROM items i USING items j WHERE j.id = i.id + 1 AND i.size = 'big' RETURNING i.*, j.gross, j.alive;
	SELECT id, gross, alive, number FROM items ORDER BY id; $c$),
('changes', '{writer,owner}', 0, $c$
	DELETE FROM items WHERE id = 1;
	UPDATE items SET net = net + 1 WHERE id < 3 RETURNING *;
	INSERT INTO items (id, net) VALUES (9, 90) RETURNING *;
	INSERT INTO items (id, net) VALUES (2, 20) ON CONFLICT (id) DO UPDATE SET net = excluded.net RETURNING gross, alive, number;
	DELETE FROM items WHERE NOT alive;
	DELETE FROM items WHERE number = 'none' AND id > 8 RETURNING *; $c$),
('MERGE', '{writer,owner}', 170000, $c$
	MERGE INTO items i USING (VALUES (1), (2), (3), (8)) v (n) ON i.id = n WHEN MATCHED AND n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET net = 9 WHEN NOT MATCHED THEN INSERT (id, net) VALUES (n, 80) RETURNING merge_action(), i.*, i;
	MERGE INTO items i USING (VALUES (4), (5)) v (n) ON i.id = n WHEN MATCHED THEN DELETE RETURNING merge_action(), i.*, i, gross; $c$),
('RETURNING old and new', '{writer,owner}', 180000, $c$
	DELETE FROM items WHERE id = 1 RETURNING old.*, new.*, old, new, items;
	DELETE FROM items WHERE id = 2 RETURNING old.size, new.size, old.alive, new.alive, alive, old.number, new.number, number, new IS NULL;
	MERGE INTO items i USING (VALUES (3), (4), (8)) v (n) ON i.id = n WHEN MATCHED AND n = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET net = 9 WHEN NOT MATCHED THEN INSERT (id, net) VALUES (n, 80) RETURNING merge_action(), old.*, new.*, i.*; $c$)
) AS c (name, roles, version, script);
UPDATE contract.cases SET dead = '{9}' WHERE name IN ('computed: changes', 'virtual: changes');
INSERT INTO contract.cases (needs, name, roles, version, script) VALUES
('{virtual_parts}', 'virtual columns of partitions', '{client,owner}', 180000, $c$
	DELETE FROM items WHERE gross IN (20, 100) RETURNING tableoid::regclass, *;
	DELETE FROM items WHERE id IN (2, 6) RETURNING items, old.gross, new.gross, alive, new.alive, old.alive;
	DELETE FROM items_high RETURNING gross;
	MERGE INTO items i USING (VALUES (3), (4)) v (n) ON i.id = n WHEN MATCHED THEN DELETE RETURNING merge_action(), i.*, new.gross; $c$),
('{bookings}', 'a key WITHOUT OVERLAPS', '{client,owner}', 180000, $c$
	DELETE FROM bookings WHERE during @> DATE '2030-01-02' AND room @> 1 RETURNING *;
	DELETE FROM bookings b USING bookings c WHERE b.room = c.room AND b.during << c.during RETURNING b.id, c.id, b.during;
	SELECT id FROM bookings WHERE during && daterange('2030-01-01', '2030-02-01') ORDER BY id; $c$),
('{bookings}', 'a key WITHOUT OVERLAPS: changes', '{writer,owner}', 180000, $c$
	DELETE FROM bookings WHERE id = 3;
	UPDATE bookings SET during = daterange('2030-01-05', '2030-01-08') WHERE id = 4;
	UPDATE bookings SET during = daterange('2030-01-03', '2030-01-08') WHERE id = 1;
	INSERT INTO bookings VALUES (9, '[1,2)', '[2030-01-08,2030-01-12)');
	INSERT INTO bookings VALUES (9, '[1,2)', '[2030-01-08,2030-01-12)') ON CONFLICT DO NOTHING;
	DELETE FROM bookings WHERE room = '[1,2)'; $c$);
UPDATE contract.cases SET errors = '{23P01}' WHERE name = 'a key WITHOUT OVERLAPS: changes';
UPDATE contract.cases SET errors = '{42501}', roles = '{client}' WHERE name = 'inheritance: USING, WITH, CURRENT OF, MERGE';
UPDATE contract.cases SET dead = '{4}', errors = '{23514}' WHERE name = 'columns of all kinds: rows that come after';

----------------------------------------------------------------------------------------------------------------------
-- Row-level security of one's own
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (needs, name, roles, script) VALUES
('{docs}', 'policies: with a condition both for SELECT and for DELETE count', '{client,owner,superuser}', $c$
	DELETE FROM docs WHERE id > 0 RETURNING id, tenant;
	DELETE FROM docs WHERE id > 0;
	SET shop.tenant = 'y';
	DELETE FROM docs WHERE id IN (1, 3, 4) RETURNING *; $c$),
('{docs}', 'policies: without one those for DELETE alone', '{client,blind,owner,superuser}', 'DELETE FROM docs; DELETE FROM docs; SET shop.tenant = ''y''; DELETE FROM docs;'),
('{docs}', 'policies: RETURNING asks for SELECT', '{client,owner}', 'DELETE FROM docs RETURNING ''x'' AS y; DELETE FROM docs RETURNING id;'),
('{docs}', 'policies: RETURNING asks for the right to SELECT', '{blind}', 'DELETE FROM docs RETURNING ''x'' AS y; DELETE FROM docs RETURNING id; DELETE FROM docs;'),
('{docs}', 'policies: tenants see their own', '{client,owner}', $c$
	DELETE FROM docs WHERE id = 1;
	SELECT id, body FROM docs ORDER BY id;
	SET shop.tenant = 'y';
	SELECT id, body FROM docs ORDER BY id;
	RESET shop.tenant;
	SELECT count(*) FROM docs; $c$),
('{docs}', 'policies: one plan for several tenants', '{client}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM docs WHERE id = ANY ($1) RETURNING id;
	EXECUTE p ('{1,3}');
	SET shop.tenant = 'y';
	EXECUTE p ('{1,3}');
	EXECUTE p ('{1,3}'); $c$),
('{docs}', 'policies: one plan for several roles', '{client}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM docs WHERE id = ANY ($1) RETURNING id;
	EXECUTE p ('{1,3}');
	SET SESSION AUTHORIZATION soft_contract_owner;
	EXECUTE p ('{2,3}');
	SET SESSION AUTHORIZATION soft_contract_blind;
	EXECUTE p ('{2,4}'); $c$),
('{docs}', 'policies: on the owner too', '{owner}', $c$
	ALTER TABLE docs FORCE ROW LEVEL SECURITY;
	DELETE FROM docs WHERE id > 0 RETURNING id;
	SELECT id FROM docs ORDER BY id;
	DELETE FROM docs;
	ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;
	SELECT id FROM docs ORDER BY id; $c$),
('{docs}', 'policies: restrictive ones, and one with a subquery', '{client}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE TABLE holds (doc int);
	INSERT INTO holds VALUES (1);
	GRANT SELECT ON holds TO PUBLIC;
	CREATE POLICY held ON docs AS RESTRICTIVE FOR DELETE USING (NOT EXISTS (SELECT FROM holds WHERE doc = docs.id));
	CREATE POLICY never ON docs AS RESTRICTIVE FOR UPDATE USING (false);
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM docs WHERE id < 10 RETURNING id;
	SELECT id FROM docs ORDER BY id;
	DELETE FROM docs; $c$),
('{docs}', 'policies: conditions that leak come after them', '{client}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE FUNCTION leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN RAISE NOTICE ''%'', t; RETURN true; END';
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM docs WHERE leak(body) RETURNING id;
	SELECT id FROM docs WHERE leak(body) ORDER BY id; $c$),
('{docs}', 'policies: MERGE', '{client,owner}', 'MERGE INTO docs d USING (VALUES (1), (3), (5)) v (i) ON d.id = v.i WHEN MATCHED THEN DELETE; SET shop.tenant = ''y''; MERGE INTO docs d USING (VALUES (1), (3), (5)) v (i) ON d.id = v.i WHEN MATCHED THEN DELETE;'),
('{docs}', 'policies: MERGE that may see a row and may not delete it', '{client}', 'MERGE INTO docs d USING (VALUES (1), (2)) v (i) ON d.id = v.i WHEN MATCHED THEN DELETE;'),
('{docs}', 'policies: USING, WITH, CURRENT OF', '{client,owner}', $c$
	DELETE FROM docs d USING docs e WHERE e.id = d.id + 4 RETURNING d.id, e.id;
	WITH x AS (DELETE FROM docs WHERE id = 5 RETURNING id) SELECT count(*) FROM x, docs;
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM docs ORDER BY id;
	FETCH c;
	COMMIT;
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM docs;
	FETCH c;
	DELETE FROM docs WHERE CURRENT OF c RETURNING id;
	COMMIT; $c$),
('{docs}', 'policies: COPY of the table', '{client}', 'DELETE FROM docs WHERE id = 1; COPY docs TO STDOUT; COPY docs (id) TO STDOUT; COPY (DELETE FROM docs WHERE id > 0 RETURNING id) TO STDOUT;'),
('{docs}', 'policies: changes are refused as before', '{writer}', 'SET shop.tenant = ''x''; UPDATE docs SET body = ''x''; UPDATE docs SET body = ''x'' WHERE id = 1; INSERT INTO docs VALUES (9, ''x''); INSERT INTO docs VALUES (8, ''y''); DELETE FROM docs WHERE id = 9;'),
('{users}', 'policies: the first ones come later', '{client,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	ALTER TABLE users ENABLE ROW LEVEL SECURITY;
	CREATE POLICY old ON users USING (age > 30);
	SET SESSION AUTHORIZATION soft_contract_client;
	SELECT id FROM users ORDER BY id;
	DELETE FROM users WHERE id IN (1, 2);
	DELETE FROM users;
	SELECT id FROM users ORDER BY id;
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE POLICY young ON users FOR SELECT USING (age < 20);
	SET SESSION AUTHORIZATION soft_contract_client;
	SELECT id FROM users ORDER BY id;
	DELETE FROM users WHERE id = 2; $c$),
('{users}', 'policies: a later one for another role', '{client,writer}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	ALTER TABLE users ENABLE ROW LEVEL SECURITY;
	CREATE POLICY clients ON users TO soft_contract_client USING (id < 3);
	SET SESSION AUTHORIZATION soft_contract_client;
	SELECT id FROM users ORDER BY id;
	DELETE FROM users WHERE id > 1 RETURNING id;
	SET SESSION AUTHORIZATION soft_contract_writer;
	SELECT id FROM users ORDER BY id;
	DELETE FROM users;
	UPDATE users SET age = 1; $c$);
UPDATE contract.cases SET errors = '{42501}' WHERE name IN ('policies: RETURNING asks for the right to SELECT', 'policies: one plan for several roles', 'policies: MERGE that may see a row and may not delete it');
UPDATE contract.cases SET errors = '{42501}', dead = '{9}' WHERE name = 'policies: changes are refused as before';

----------------------------------------------------------------------------------------------------------------------
-- Views and rules
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (needs, name, roles, script) VALUES
('{users,views}', 'views: a simple one', '{client,lodger,owner}', $c$
	DELETE FROM user_list WHERE id = 1;
	DELETE FROM user_list WHERE age > 40 RETURNING *;
	DELETE FROM user_list WHERE age > 40 RETURNING *; $c$),
('{users,views}', 'views: a view of a view, with a check and other names', '{client,lodger,owner}', $c$
	DELETE FROM adults WHERE id = 2 RETURNING *;
	DELETE FROM adults WHERE months > 400 RETURNING *, adults;
	DELETE FROM adults u WHERE called = 'fay' RETURNING u.called, id * 2;
	SELECT * FROM adults ORDER BY id;
	DELETE FROM adults; $c$),
('{users,views}', 'views: security_barrier, nested', '{client,lodger,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE FUNCTION leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN RAISE NOTICE ''%'', t; RETURN true; END';
	SET SESSION AUTHORIZATION soft_contract_lodger;
	DELETE FROM walled WHERE id = 1 RETURNING name;
	DELETE FROM nested WHERE leak(loud) AND id = 4 RETURNING *;
	SELECT * FROM nested WHERE leak(loud) ORDER BY id;
	DELETE FROM walled WHERE leak(name);
	DELETE FROM walled; $c$),
('{users,views}', 'views: security_invoker', '{client,lodger,owner}', 'DELETE FROM as_caller WHERE id = 1; DELETE FROM as_caller WHERE id = 2 RETURNING *; DELETE FROM as_caller; SELECT count(*) FROM as_caller;'),
('{users,views}', 'views: USING, WITH, COPY, prepared', '{client,lodger}', $c$
	DELETE FROM user_list u USING adults a WHERE a.id = u.id AND a.called = 'ann' RETURNING u.id, a.months;
	WITH d AS (DELETE FROM adults WHERE id = 3 RETURNING called) SELECT * FROM d;
	COPY (DELETE FROM walled WHERE id = 4 RETURNING *) TO STDOUT;
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM nested WHERE id = $1 RETURNING loud;
	EXECUTE p (2); EXECUTE p (2); EXECUTE p (5); $c$),
('{users,views}', 'views: one that cannot be deleted from', '{client,lodger}', 'DELETE FROM joined; DELETE FROM joined WHERE id = 1 RETURNING *;'),
('{users,views}', 'views: INSTEAD OF trigger', '{client,owner}', 'DELETE FROM triggered WHERE id = 1 RETURNING *; DELETE FROM triggered WHERE id < 4; DELETE FROM triggered WHERE id = 1;'),
('{users,views}', 'views: INSTEAD rule', '{client,lodger,owner}', 'DELETE FROM ruled WHERE id = 1; DELETE FROM ruled WHERE id IN (2, 3) RETURNING *; DELETE FROM ruled WHERE id = 1; SELECT * FROM ruled ORDER BY id;'),
('{users,views}', 'views: WHERE CURRENT OF', '{client}', 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM user_list; FETCH c; DELETE FROM user_list WHERE CURRENT OF c; COMMIT;'),
('{users,views}', 'views that came later', '{lodger,client}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE VIEW everything AS SELECT * FROM users;
	GRANT SELECT, DELETE ON everything TO PUBLIC;
	SET SESSION AUTHORIZATION soft_contract_lodger;
	DELETE FROM everything WHERE id < 3 RETURNING *;
	SELECT * FROM everything ORDER BY id;
	DELETE FROM everything; $c$),
('{users,views}', 'a materialized view', '{owner}', $c$
	CREATE MATERIALIZED VIEW snapshot AS SELECT id, name FROM users;
	DELETE FROM users WHERE id = 1;
	SELECT count(*) FROM snapshot;
	REFRESH MATERIALIZED VIEW snapshot;
	SELECT * FROM snapshot ORDER BY id; $c$),
('{users,rules}', 'rules: ALSO and a conditional INSTEAD', '{client,owner}', $c$
	DELETE FROM users WHERE id IN (1, 3);
	DELETE FROM users WHERE id IN (1, 3);
	DELETE FROM users;
	SELECT id FROM users ORDER BY id; $c$),
('{users,rules}', 'rules: RETURNING', '{client,owner}', 'DELETE FROM users WHERE id = 1 RETURNING id;'),
('{users}', 'rules: ALSO with RETURNING, and in WITH', '{client,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE RULE noted AS ON DELETE TO users DO ALSO INSERT INTO gone VALUES (old.id, old.name);
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM users WHERE id = 1 RETURNING id;
	DELETE FROM users WHERE age > 40 RETURNING *;
	WITH x AS (DELETE FROM users WHERE id = 2 RETURNING id) SELECT * FROM x; $c$),
('{users}', 'rules for UPDATE have no say', '{client,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE RULE changed AS ON UPDATE TO users DO INSTEAD NOTHING;
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM users WHERE id IN (1, 2) RETURNING id;
	SELECT count(*) FROM users; $c$),
('{users}', 'rules: one that deletes elsewhere', '{client,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE RULE with_order AS ON DELETE TO orders WHERE old.id > 12 DO ALSO DELETE FROM users WHERE id = old.user_id;
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM orders WHERE id = 13 RETURNING *;
	SELECT id FROM users ORDER BY id; $c$);
UPDATE contract.cases SET errors = '{55000}' WHERE name = 'views: one that cannot be deleted from';
UPDATE contract.cases SET errors = '{0A000}' WHERE name IN ('views: WHERE CURRENT OF', 'rules: RETURNING', 'rules: ALSO with RETURNING, and in WITH');
-- the lodger has no right to the table
INSERT INTO contract.cases (needs, name, roles, errors, script) SELECT needs, name || ', and no right to the table', '{lodger}', '{42501}', script FROM contract.cases WHERE name = 'views: security_invoker';
UPDATE contract.cases SET roles = array_remove(roles, 'lodger') WHERE name = 'views: security_invoker';

INSERT INTO contract.cases (needs, name, version, script) VALUES
('{users,views}', 'views: MERGE', 170000, $c$
	MERGE INTO user_list u USING (VALUES (1), (2), (9)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), u.*;
	MERGE INTO nested n USING (VALUES (4), (1)) v (i) ON n.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), n.*, i;
	MERGE INTO adults a USING (VALUES (3)) v (i) ON a.id = v.i WHEN MATCHED THEN DELETE;
	MERGE INTO triggered t USING (VALUES (5)) v (i) ON t.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), t.*; $c$),
('{parts}', 'partitions: MERGE with all actions RETURNING', 170000, $c$
	MERGE INTO parts p USING (VALUES (1), (2), (12), (22), (29)) v (i) ON p.id = v.i WHEN MATCHED AND i IN (1, 12) THEN DELETE WHEN MATCHED AND i = 22 THEN UPDATE SET kind = 'a' WHEN MATCHED THEN UPDATE SET id = 15 WHEN NOT MATCHED BY SOURCE AND id > 20 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.i, 'c', 1) RETURNING merge_action(), p.tableoid::regclass, p.*, p, i; $c$),
('{family}', 'inheritance: MERGE RETURNING', 170000, 'MERGE INTO animals a USING (VALUES (1), (11), (99)) v (i) ON a.id = v.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND id > 20 THEN DELETE RETURNING merge_action(), a.tableoid::regclass, a.*, a, i;'),
('{users,views}', 'views: MERGE ... WHEN NOT MATCHED BY SOURCE', 170000, 'MERGE INTO walled w USING (VALUES (1)) v (i) ON w.id = v.i WHEN NOT MATCHED BY SOURCE AND w.age > 30 THEN DELETE RETURNING merge_action(), w.*, i; MERGE INTO nested n USING (VALUES (2)) v (i) ON n.id = v.i WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), n.*; SELECT id FROM users ORDER BY id;'),
('{users,views}', 'views: MERGE from one', 170000, 'DELETE FROM users WHERE id = 1; MERGE INTO gone g USING nested n ON g.id = n.id WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.loud) RETURNING g.*; MERGE INTO orders o USING user_list u ON o.user_id = u.id WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING o.*;'),
('{docs}', 'policies: MERGE from the table', 170000, 'DELETE FROM docs WHERE id = 1; CREATE TEMP TABLE t (id int, body text); INSERT INTO t VALUES (1), (2), (3); MERGE INTO t USING docs d ON t.id = d.id WHEN MATCHED THEN UPDATE SET body = d.body WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.body) RETURNING merge_action(), t.*, d.*;'),
('{users,views}', 'views: RETURNING old and new', 180000, 'DELETE FROM user_list WHERE id = 1 RETURNING old.*, new.*; DELETE FROM nested WHERE id = 4 RETURNING old.loud, new.loud, new IS NULL; DELETE FROM adults WHERE id = 3 RETURNING old, new;'),
('{parts}', 'partitions: MERGE RETURNING', 170000, 'MERGE INTO parts p USING (VALUES (1), (11), (22)) v (i) ON p.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), p.tableoid::regclass, p.*;'),
('{parts}', 'partitions: RETURNING old and new', 180000, 'DELETE FROM parts WHERE id IN (1, 11, 22) RETURNING old.tableoid::regclass, old.*, new.*; DELETE FROM parts WHERE id IN (2, 12) RETURNING old, new;'),
('{family}', 'inheritance: RETURNING old and new', 180000, 'DELETE FROM animals WHERE id IN (1, 11) RETURNING old.*, new.*, new IS NULL;'),
('{docs}', 'policies: MERGE RETURNING', 170000, 'MERGE INTO docs d USING (VALUES (1), (3), (5)) v (i) ON d.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), d.*;'),
('{docs}', 'policies: MERGE ... WHEN NOT MATCHED BY SOURCE', 170000, 'MERGE INTO docs d USING (VALUES (2), (3)) v (i) ON d.id = v.i WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING d.id;');
UPDATE contract.cases SET roles = '{writer}', moved = '{2}', dead = '{}' WHERE name = 'partitions: MERGE with all actions RETURNING';
-- the owner may delete what is locked
UPDATE contract.cases SET roles = '{client}' WHERE name LIKE 'policies: MERGE ... %';
INSERT INTO contract.cases (needs, name, roles, errors, script) VALUES
('{docs}', 'policies: MERGE that deletes and updates', '{writer}', '{42501}', $c$
	MERGE INTO docs d USING (VALUES (1, 'd'), (3, 'd'), (9, 'i')) v (i, w) ON d.id = v.i WHEN MATCHED AND w = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'no' WHEN NOT MATCHED AND w = 'i' THEN INSERT VALUES (v.i, 'x');
	MERGE INTO docs d USING (VALUES (5, 'u')) v (i, w) ON d.id = v.i WHEN MATCHED AND w = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'no';
	MERGE INTO docs d USING (VALUES (2, 'd')) v (i, w) ON d.id = v.i WHEN MATCHED AND w = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'no'; $c$);

CALL contract.run();
SELECT contract.verdicts();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_contract_');
SELECT * FROM finish();
