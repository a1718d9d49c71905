-- No client can tell: single statements.  Each case is run on an ordinary table and on an enabled one, and everything that
-- a client sees is the same; see test/lib/soft_delete_contract.sql.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
\ir ../../lib/soft_delete_contract.sql

----------------------------------------------------------------------------------------------------------------------
-- The tag and the rows
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, script) VALUES
('DELETE of one row', '{client,writer,owner,superuser}', 'DELETE FROM users WHERE id = 2;'),
('DELETE of several rows', '{client,owner,superuser}', 'DELETE FROM users WHERE age > 30;'),
('DELETE of no row', '{client,owner,superuser}', 'DELETE FROM users WHERE id = 99;'),
('DELETE without a condition', '{client,blind,owner,superuser}', 'DELETE FROM users;'),
('DELETE twice', '{client,owner,superuser}', $c$
	DELETE FROM users WHERE id IN (1, 2) RETURNING id;
	DELETE FROM users WHERE id IN (1, 2, 3) RETURNING id;
	DELETE FROM users;
	DELETE FROM users RETURNING *; $c$),
('DELETE twice without a condition', '{client,blind,owner,superuser}', 'DELETE FROM users; DELETE FROM users;'),
('psql''s own count of rows', DEFAULT, $c$
	DELETE FROM users WHERE id < 3;
	\echo :ROW_COUNT :ERROR :SQLSTATE
	DELETE FROM users WHERE id < 3;
	\echo :ROW_COUNT :ERROR :SQLSTATE
	DELETE FROM users WHERE id = 4 RETURNING id \gset got_
	\echo :ROW_COUNT :got_id $c$),
('an alias, ONLY, a qualified name', DEFAULT, $c$
	DELETE FROM users AS u WHERE u.id = 1 RETURNING u.id, u.name;
	DELETE FROM ONLY users u WHERE false;
	DELETE FROM ONLY users WHERE id = 2;
	DELETE FROM shop.users WHERE users.id = 3 RETURNING users.name; $c$),
('two tables in one message', DEFAULT, 'DELETE FROM users WHERE id = 1 RETURNING id \; DELETE FROM orders WHERE user_id = 1 \; SELECT count(*) FROM users;'),
('WHERE with NULL, false, and what is never true', DEFAULT, $c$
	DELETE FROM users WHERE NULL;
	DELETE FROM users WHERE false;
	DELETE FROM users WHERE age IS NULL RETURNING id;
	DELETE FROM users WHERE age <> age;
	DELETE FROM users WHERE id = 1 AND id = 2; $c$),
('subqueries on the table itself', DEFAULT, $c$
	DELETE FROM users WHERE age = (SELECT max(age) FROM users) RETURNING id;
	DELETE FROM users u WHERE EXISTS (SELECT FROM users v WHERE v.age > u.age) RETURNING id;
	DELETE FROM users WHERE id NOT IN (SELECT id FROM users WHERE age IS NULL); $c$),
('a LIMIT by ctid', DEFAULT, $c$
	DELETE FROM users WHERE ctid = ANY (ARRAY(SELECT ctid FROM users ORDER BY id LIMIT 2)) RETURNING id;
	DELETE FROM users WHERE ctid IN (SELECT ctid FROM users ORDER BY id LIMIT 2);
	SELECT count(*) FROM users; $c$),
('a queue', '{writer,owner}', $c$
	DELETE FROM users WHERE id = (SELECT id FROM users ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, name;
	DELETE FROM users WHERE id = (SELECT id FROM users ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, name; $c$),
('a condition that fails', '{client,owner}', $c$
	DELETE FROM users WHERE 1 / (id - 4) > 0;
	SELECT count(*) FROM users; $c$),
('by index, by bitmap, by sequential scan', DEFAULT, $c$
	SET enable_seqscan = off;
	DELETE FROM users WHERE id = 1 RETURNING id;
	DELETE FROM users WHERE age BETWEEN 40 AND 50 RETURNING id;
	SET enable_indexscan = off;
	DELETE FROM users WHERE age BETWEEN 10 AND 20 RETURNING id;
	SET enable_bitmapscan = off;
	SET enable_seqscan = on;
	DELETE FROM users WHERE name = 'fay' RETURNING id;
	SET enable_indexscan = on;
	SET enable_seqscan = off;
	SELECT count(*), count(age), max(id) FROM users;
	SELECT id FROM users WHERE age = 45; $c$);
UPDATE contract.cases SET errors = '{22012}' WHERE name = 'a condition that fails';

INSERT INTO contract.cases (name, script) VALUES
('RETURNING all columns', 'DELETE FROM users WHERE id < 3 RETURNING *;'),
('RETURNING expressions', $c$ DELETE FROM users WHERE id > 3 RETURNING id * 10 AS ten, upper(name), coalesce(age, -1), tags || 'z'::text, CASE WHEN age > 40 THEN 'old' END AS kind, 'constant', NULL; $c$),
('RETURNING the whole row', $c$
	DELETE FROM users WHERE id = 1 RETURNING users;
	DELETE FROM users u WHERE id = 2 RETURNING u, u.*, (u).name;
	DELETE FROM users WHERE id = 3 RETURNING to_jsonb(users), row_to_json(users.*), users IS NULL, users.* IS DISTINCT FROM NULL; $c$),
('RETURNING deleted_at and deletion_id', 'DELETE FROM users WHERE id < 4 RETURNING id, deleted_at, deletion_id, deleted_at IS NULL AND deletion_id IS NULL AS alive;'),
('RETURNING the table''s OID', 'DELETE FROM users WHERE id = 1 RETURNING tableoid::regclass, tableoid = ''users''::regclass, id;'),
('RETURNING a subquery', 'DELETE FROM users WHERE id < 4 RETURNING id, (SELECT count(*) FROM users) AS before, (SELECT name FROM users v WHERE v.id = users.id) AS same, (SELECT sum(amount) FROM orders WHERE user_id = users.id), EXISTS (SELECT FROM users v WHERE v.age > users.age), ARRAY(SELECT v.id FROM users v ORDER BY 1);'),
('RETURNING a set', 'DELETE FROM users WHERE id < 4 RETURNING id, unnest(tags);'),
('RETURNING an aggregate', 'DELETE FROM users RETURNING count(*);'),
('RETURNING what fails takes nothing away', $c$
	DELETE FROM users RETURNING 1 / (id - 3);
	SELECT count(*) FROM users; $c$),
('columns and their types', $c$
	DELETE FROM users RETURNING *, users, tableoid, id + 1.5 AS sum \gdesc
	DELETE FROM users \gdesc
	SELECT * FROM users \gdesc $c$);
UPDATE contract.cases SET errors = '{22012}' WHERE name = 'RETURNING what fails takes nothing away';
UPDATE contract.cases SET errors = '{42803}' WHERE name = 'RETURNING an aggregate';
UPDATE contract.cases SET errors = '{0A000}' WHERE name = 'RETURNING a set';

----------------------------------------------------------------------------------------------------------------------
-- With other tables, in WITH, in COPY, in MERGE
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, script) VALUES
('USING', $c$
	DELETE FROM users USING orders WHERE orders.user_id = users.id AND amount > 6 RETURNING users.id, users.name, orders.id, amount;
	DELETE FROM users u USING orders o WHERE o.user_id = u.id AND u.id = 2 RETURNING *; $c$),
('USING that finds a row more than once', 'DELETE FROM users u USING orders o WHERE o.user_id = u.id RETURNING u.id;'),
('USING the table itself', 'DELETE FROM users u USING users v WHERE v.age > u.age AND v.id = 4 RETURNING u.id, v.id, v.name;'),
('USING a join, LATERAL, VALUES, a function', $c$
	DELETE FROM users u USING orders o LEFT JOIN orders p ON p.id = o.id + 1, LATERAL (SELECT o.amount * 2 AS twice) l WHERE o.user_id = u.id AND o.id = 10 RETURNING u.id, o.id, p.id, twice;
	DELETE FROM users USING (VALUES (2), (3), (77)) v (x) WHERE users.id = v.x RETURNING id, x;
	DELETE FROM users USING generate_series(4, 5) g WHERE id = g RETURNING id, g; $c$),
('USING an enabled table only to look', $c$
	DELETE FROM users WHERE id = 1;
	DELETE FROM orders USING users WHERE users.id = user_id RETURNING orders.id, users.*;
	DELETE FROM orders o WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = o.user_id) RETURNING *; $c$),
('hash, merge and nested loop joins', $c$
	SET enable_hashjoin = off; SET enable_mergejoin = off;
	DELETE FROM users u USING orders o WHERE o.user_id = u.id AND u.id = 1;
	SET enable_hashjoin = on; SET enable_nestloop = off;
	DELETE FROM users u USING orders o WHERE o.user_id = u.id AND u.id < 3 RETURNING u.id, o.id;
	SET enable_hashjoin = off; SET enable_mergejoin = on;
	DELETE FROM users u USING orders o WHERE o.user_id = u.id RETURNING u.id, o.id; $c$),
('WITH (DELETE ... RETURNING)', $c$
	WITH d AS (DELETE FROM users WHERE id < 4 RETURNING *) SELECT count(*), sum(age), max(name), max(deleted_at) FROM d;
	WITH d AS (DELETE FROM users WHERE id < 6 RETURNING id) SELECT u.id, d.id AS gone FROM users u LEFT JOIN d USING (id) ORDER BY 1;
	SELECT count(*) FROM users; $c$),
('WITH (DELETE without RETURNING)', $c$
	WITH d AS (DELETE FROM users WHERE id < 4) SELECT count(*) FROM users;
	SELECT count(*) FROM users;
	WITH d AS (DELETE FROM users WHERE id < 4) DELETE FROM users WHERE id = 5; $c$),
('an archive', $c$
	WITH d AS (DELETE FROM users WHERE age > 40 RETURNING id, name) INSERT INTO gone SELECT * FROM d RETURNING *;
	WITH d AS (DELETE FROM users WHERE id = 1 RETURNING id, name) UPDATE orders SET amount = 0 FROM d WHERE user_id = d.id RETURNING orders.*;
	WITH d AS (DELETE FROM users WHERE id = 2 RETURNING id) DELETE FROM orders USING d WHERE user_id = d.id RETURNING orders.*; $c$),
('changes on several levels', $c$
	WITH RECURSIVE chain AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM chain WHERE i < 3),
		a AS (DELETE FROM users WHERE id IN (SELECT i FROM chain) RETURNING id, name),
		b AS (DELETE FROM orders WHERE user_id IN (SELECT id FROM a) RETURNING id, user_id),
		c AS (INSERT INTO gone SELECT b.id, a.name FROM a JOIN b ON b.user_id = a.id RETURNING *),
		d AS (DELETE FROM users WHERE id = 6 AND EXISTS (SELECT FROM c) RETURNING id)
	SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c), (SELECT id FROM d), (SELECT count(*) FROM users), (SELECT count(*) FROM orders); $c$),
('DELETE whose condition reads another DELETE', 'WITH a AS (DELETE FROM users WHERE id = 1 RETURNING id), b AS (DELETE FROM users WHERE id = (SELECT id + 1 FROM a) RETURNING id) DELETE FROM users WHERE id = (SELECT id + 1 FROM b) RETURNING id, name;'),
('the same row twice in one statement', $c$
	WITH a AS (DELETE FROM users WHERE id < 4 RETURNING id), b AS (DELETE FROM users WHERE id < 4 RETURNING id) SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b); $c$),
('COPY (DELETE ... RETURNING) TO', $c$
	COPY (DELETE FROM users WHERE id < 4 RETURNING *) TO STDOUT;
	\echo :ROW_COUNT
	COPY (DELETE FROM users WHERE id < 5 RETURNING id, name) TO STDOUT (FORMAT csv, HEADER);
	COPY (WITH d AS (DELETE FROM users WHERE id < 6 RETURNING id) SELECT id * 2 FROM d) TO STDOUT;
	COPY (DELETE FROM users) TO STDOUT; $c$),
('COPY of what is left', $c$
	DELETE FROM users WHERE id IN (2, 3);
	COPY (SELECT * FROM users ORDER BY id) TO STDOUT;
	COPY (TABLE users) TO STDOUT (FORMAT csv); $c$),
('CREATE TABLE AS', $c$
	DELETE FROM users WHERE id = 2;
	CREATE TEMP TABLE kept AS SELECT * FROM users;
	CREATE TEMP TABLE gone2 AS WITH d AS (DELETE FROM users WHERE id = 1 RETURNING *) SELECT * FROM d;
	SELECT count(*) FROM kept; $c$);
UPDATE contract.cases SET errors = '{0A000}' WHERE name = 'COPY (DELETE ... RETURNING) TO';
-- As the owner the table as a whole is what pg_dump reads.
INSERT INTO contract.cases (name, roles, script) VALUES
('COPY of the table', '{client}', 'DELETE FROM users WHERE id < 4; COPY users TO STDOUT; COPY users (name, id) TO STDOUT (FORMAT csv);');

INSERT INTO contract.cases (name, roles, version, script) VALUES
('MERGE ... DELETE', '{client,owner,superuser}', 0, $c$
	MERGE INTO users USING orders o ON o.user_id = users.id AND o.id <> 10 WHEN MATCHED AND amount > 6 THEN DELETE;
	MERGE INTO users u USING (VALUES (1), (2), (3)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE;
	MERGE INTO users u USING (VALUES (1), (2), (3)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE; $c$),
('MERGE ... DELETE or DO NOTHING', DEFAULT, 0, 'MERGE INTO users u USING (VALUES (1), (2), (3), (9)) v (i) ON u.id = v.i WHEN MATCHED AND age < 20 THEN DO NOTHING WHEN MATCHED AND u.name = ''ann'' THEN DELETE WHEN NOT MATCHED THEN DO NOTHING;'),
('MERGE ... DELETE or INSERT', '{writer,owner}', 0, $c$
	MERGE INTO users u USING (VALUES (1, 'new'), (2, 'new'), (7, 'gil')) v (i, s) ON u.id = v.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, v.s);
	SELECT id, name FROM users ORDER BY id; $c$),
('MERGE without DELETE', '{writer,owner}', 0, $c$
	DELETE FROM users WHERE id IN (1, 2);
	MERGE INTO users u USING (VALUES (1), (3), (8)) v (i) ON u.id = v.i WHEN MATCHED THEN UPDATE SET name = u.name || '!' WHEN NOT MATCHED AND i > 6 THEN INSERT VALUES (v.i, 'hal');
	SELECT id, name FROM users ORDER BY id; $c$),
('MERGE that meets a row twice', '{client,owner}', 0, 'MERGE INTO users u USING (VALUES (1), (1)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE;'),
('MERGE in which nothing matches', '{client,owner}', 0, 'MERGE INTO users u USING orders o ON u.id = o.id WHEN MATCHED THEN DELETE;'),
('MERGE ... UPDATE and DELETE', '{writer,owner}', 0, 'MERGE INTO users u USING (VALUES (1), (2), (3)) v (i) ON u.id = v.i WHEN MATCHED AND i < 3 THEN DELETE WHEN MATCHED THEN UPDATE SET age = 99;'),
('MERGE ... DELETE RETURNING', '{client,owner}', 170000, $c$
	MERGE INTO users u USING (VALUES (1, 'x'), (2, 'y'), (9, 'z')) v (i, s) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), u.*, v.*;
	MERGE INTO users u USING (VALUES (1), (3)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), u, deleted_at;
	WITH m AS (MERGE INTO users u USING (VALUES (1), (4)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action() AS a, id) SELECT * FROM m;
	COPY (MERGE INTO users u USING (VALUES (5)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), id) TO STDOUT; $c$),
('MERGE ... DELETE or INSERT RETURNING', '{writer,owner}', 170000, 'MERGE INTO users u USING (VALUES (1, ''new''), (7, ''gil'')) v (i, s) ON u.id = v.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, v.s) RETURNING merge_action(), u.*, s;'),
('MERGE ... WHEN NOT MATCHED BY SOURCE THEN DELETE', '{client,owner}', 170000, $c$
	MERGE INTO users u USING (VALUES (1), (2)) v (i) ON u.id = v.i WHEN NOT MATCHED BY SOURCE AND age > 30 THEN DELETE;
	MERGE INTO users u USING (VALUES (1), (2)) v (i) ON u.id = v.i WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), id, i; $c$),
('RETURNING old and new', '{client,owner}', 180000, $c$
	DELETE FROM users WHERE id = 1 RETURNING old.id, new.id, old.*, new.*;
	DELETE FROM users WHERE id = 2 RETURNING old, new, new IS NULL, old.deleted_at, new.deleted_at, new.deletion_id;
	DELETE FROM users WHERE id = 3 RETURNING WITH (OLD AS o, NEW AS n) o.name, n.name, name, coalesce(n.age, o.age), n.id IS NULL;
	WITH d AS (DELETE FROM users WHERE id = 4 RETURNING old.name AS a, new.name AS b) SELECT * FROM d;
	DELETE FROM users u USING orders o WHERE u.id = 5 AND o.id = 10 RETURNING old.id, new.id, o.id, u.id; $c$),
('RETURNING old and new of a MERGE', '{client,owner}', 180000, 'MERGE INTO users u USING (VALUES (1)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE RETURNING merge_action(), old.name, new.name, old, new, u.name;');
UPDATE contract.cases SET errors = '{21000}' WHERE name = 'MERGE that meets a row twice';

INSERT INTO contract.cases (name, roles, version, script) VALUES
('MERGE ... with all actions RETURNING', '{writer,owner}', 170000, $c$
	MERGE INTO users u USING (VALUES (1), (2), (3), (7)) v (i) ON u.id = v.i WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED AND i = 2 THEN UPDATE SET age = 50 WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'gil')
		RETURNING merge_action(), u.*, i, lower(merge_action()) || u.id, u, u.deleted_at, tableoid::regclass, (SELECT merge_action() || count(*) FROM orders WHERE user_id = u.id);
	WITH m AS (MERGE INTO users u USING (VALUES (2), (3), (8)) v (i) ON u.id = v.i WHEN MATCHED AND i = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'bo' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'hal') RETURNING merge_action() AS a, u.*)
		SELECT a, count(*), min(id), min(deleted_at) FROM m GROUP BY a ORDER BY a;
	MERGE INTO users u USING (VALUES (4), (5)) v (i) ON u.id = v.i WHEN MATCHED AND age IS NULL THEN UPDATE SET age = 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND id = 6 THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET tags = '{}' RETURNING merge_action(), id, i, age, tags; $c$),
('MERGE ... prepared', '{writer,owner}', 170000, $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p (int) AS MERGE INTO users u USING (VALUES ($1)) v (i) ON u.id = v.i WHEN MATCHED AND age < 40 THEN DELETE WHEN MATCHED THEN UPDATE SET age = 20 WHEN NOT MATCHED THEN INSERT (id, name, age) VALUES (v.i, 'new', 30) RETURNING merge_action(), id, name, age, deletion_id;
	EXECUTE p (1); EXECUTE p (3); EXECUTE p (7); EXECUTE p (7); EXECUTE p (5); $c$),
('RETURNING old and new of a MERGE with all actions', '{writer,owner}', 180000, $c$
	MERGE INTO users u USING (VALUES (1), (2), (7)) v (i) ON u.id = v.i WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET age = 50 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'gil')
		RETURNING merge_action(), old.id, new.id, old.age, new.age, u.age, coalesce(new.age, -1), coalesce(old.age, -1), old IS NULL, new IS NULL, old, new, u, old.deleted_at, new.deletion_id;
	MERGE INTO users u USING (VALUES (3), (4), (8)) v (i) ON u.id = v.i WHEN MATCHED AND i = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET age = 50 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'hal')
		RETURNING WITH (OLD AS o, NEW AS n) merge_action(), (SELECT o.name || count(*) FROM orders WHERE user_id = o.id) AS a, (SELECT count(*) FROM orders WHERE user_id = n.id) AS b, o.ctid IS NULL AS c, n.ctid IS NULL AS d, o.tableoid::regclass, n.tableoid::regclass; $c$),
('RETURNING columns of views that are no columns, of a MERGE', '{owner}', 180000, $c$
	CREATE VIEW v AS SELECT id, name, coalesce(age, 0) AS years, 'k' AS k FROM users;
	MERGE INTO v USING (VALUES (1), (2), (7)) s (i) ON v.id = s.i WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'bo' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.i, 'gil') RETURNING merge_action(), v.*, old.*, new.*;
	MERGE INTO v USING (VALUES (3), (8)) s (i) ON v.id = s.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.i, 'hal') RETURNING merge_action(), v.years, old.years, new.years, new.k, old.k, v.k;
	MERGE INTO v USING (VALUES (4)) s (i) ON v.id = s.i WHEN MATCHED THEN DELETE RETURNING merge_action(), v.years, old.years, new.years, new.k, old.k, v.k;
	DELETE FROM v WHERE id = 5 RETURNING v.years, old.years, new.years, new.k, old.k, v.k, new, old; $c$),
('RETURNING old and new where a table is called so', '{client,owner}', 180000, $c$
	DELETE FROM users old USING orders new WHERE new.user_id = old.id AND new.id = 12 RETURNING old.name, new.id;
	DELETE FROM users old WHERE id = 1 RETURNING old.*, new.name;
	DELETE FROM users new WHERE id = 3 RETURNING old.name, new.name; $c$);
UPDATE contract.cases SET dead = '{7}' WHERE name = 'MERGE ... prepared';

-- What is dead is no source either.
INSERT INTO contract.cases (name, roles, version, script) VALUES
('MERGE from the table', '{client,owner}', 0, $c$
	DELETE FROM users WHERE id IN (1, 3);
	MERGE INTO orders o USING users ON user_id = users.id WHEN MATCHED THEN UPDATE SET amount = age WHEN NOT MATCHED THEN INSERT VALUES (100 + users.id, users.id, age);
	MERGE INTO gone g USING users u ON g.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.name);
	SELECT * FROM orders ORDER BY id; $c$),
('MERGE from the table, joined', '{client,owner}', 0, $c$
	DELETE FROM users WHERE id IN (1, 3);
	MERGE INTO gone g USING (users u FULL JOIN orders o ON o.user_id = u.id) ON g.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (coalesce(u.id, o.id), concat(u.name, o.amount));
	MERGE INTO gone g USING (SELECT id, max(name) OVER () AS name FROM users) u ON g.id = u.id WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.name); $c$),
('MERGE from the table into itself', '{client,owner}', 0, $c$
	DELETE FROM users WHERE id IN (1, 4);
	MERGE INTO users u USING users v ON v.id = u.id + 1 WHEN MATCHED AND v.age > 20 THEN DELETE;
	SELECT id FROM users ORDER BY id; $c$),
('MERGE from the table: NOT MATCHED BY SOURCE', '{client,owner}', 170000, $c$
	DELETE FROM users WHERE id IN (1, 3);
	MERGE INTO orders o USING users u ON o.user_id = u.id WHEN NOT MATCHED BY SOURCE AND o.id < 11 THEN DELETE RETURNING merge_action(), o.*, u.id, u.name;
	MERGE INTO orders o USING users u ON o.user_id = u.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = 0 WHEN NOT MATCHED THEN INSERT VALUES (100 + u.id, u.id, u.age) RETURNING merge_action(), o.*, u.id, u.deleted_at; $c$);
UPDATE contract.cases SET may_refuse = true WHERE name = 'MERGE ... UPDATE and DELETE';

----------------------------------------------------------------------------------------------------------------------
-- What the planner makes of it
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, script) VALUES
('self-joins on the key', $c$
	DELETE FROM users t USING users t2 WHERE t.id = t2.id AND t2.age > 40 RETURNING t.id, t2.name;
	DELETE FROM users t USING users t2, users t3 WHERE t.id = t2.id AND t2.id = t3.id AND t3.id < 2 RETURNING t, t2, t3;
	SELECT a.id, b.name FROM users a JOIN users b USING (id) ORDER BY 1;
	SELECT a.id FROM users a WHERE EXISTS (SELECT FROM users b WHERE b.id = a.id) AND a.id IN (SELECT id FROM users) ORDER BY 1;
	SELECT a.id, b.id FROM users a LEFT JOIN users b ON a.id = b.id JOIN users c ON c.id = b.id AND c.age < 30 ORDER BY 1;
	DELETE FROM users WHERE id IN (SELECT a.id FROM users a JOIN users b ON a.id = b.id WHERE b.age IS NULL) RETURNING id; $c$),
('OR, IN and VALUES', $c$
	SET enable_seqscan = off;
	DELETE FROM users WHERE id = 1 OR id = 2 RETURNING id;
	DELETE FROM users WHERE (id = 4 OR age = 29) AND (name = 'dan' OR name = 'fay' OR name = 'ann') RETURNING id;
	SELECT id FROM users WHERE id = 1 OR id = 3 OR id = 4 ORDER BY 1;
	DELETE FROM users WHERE id IN (VALUES (1), (5)) RETURNING id;
	PREPARE p (int, int) AS DELETE FROM users WHERE id = $1 OR id = $2 OR age = $1 RETURNING id;
	SET plan_cache_mode = force_generic_plan;
	EXECUTE p (1, 2); EXECUTE p (3, 61);
	SELECT count(*) FROM users WHERE id = 3 OR age = 61; $c$),
('GROUP BY what is asked of the table', $c$
	DELETE FROM users WHERE id IN (1, 3);
	SELECT (SELECT count(*) FROM users v WHERE v.age < u.age) AS n, count(*) FROM users u GROUP BY 1 ORDER BY 1;
	SELECT count(*) FROM users GROUP BY (SELECT max(id) FROM users), age > 30 ORDER BY 1;
	SELECT x FROM (SELECT (SELECT sum(age) FROM users) AS x, name FROM users GROUP BY ROLLUP (name)) y GROUP BY x;
	SELECT (SELECT count(*) FROM users v WHERE v.id < u.id) AS n, grouping(age) AS g, count(*) FROM users u GROUP BY GROUPING SETS ((1, age), ()) ORDER BY 1, 2;
	DELETE FROM users WHERE age IN (SELECT max(age) FROM users GROUP BY (SELECT min(id) FROM users)) RETURNING id;
	DELETE FROM users WHERE id IN (SELECT min(id) FROM users GROUP BY (SELECT count(*) FROM users v WHERE v.id = 4) HAVING count(*) > 1) RETURNING id; $c$);
INSERT INTO contract.cases (name, roles, script) VALUES
('a plan that is explained at length', '{superuser}', $c$
	LOAD 'auto_explain';
	SET auto_explain.log_level = debug5;
	SET auto_explain.log_min_duration = 0;
	SET auto_explain.log_analyze = on;
	SET auto_explain.log_verbose = on;
	SET auto_explain.log_nested_statements = on;
	DELETE FROM users old USING orders o WHERE o.user_id = old.id AND o.id = 10 RETURNING old.*, old, o.id, old.ctid IS NULL, (SELECT max(v.id) FROM users v WHERE v.id <= old.id), old.tableoid::regclass;
	WITH d AS (DELETE FROM users WHERE id = 2 RETURNING *) SELECT id, name, deleted_at FROM d;
	DO $$ BEGIN DELETE FROM shop.users WHERE id = 3; END $$;
	MERGE INTO users u USING (VALUES (4), (8)) v (i) ON u.id = v.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'hal'); $c$);
INSERT INTO contract.cases (name, roles, version, script) VALUES
('the plan of a MERGE that is explained at length', '{superuser}', 170000, $c$
	LOAD 'auto_explain';
	SET auto_explain.log_level = debug5;
	SET auto_explain.log_min_duration = 0;
	SET auto_explain.log_analyze = on;
	SET auto_explain.log_verbose = on;
	MERGE INTO users u USING (VALUES (1), (2), (8)) v (i) ON u.id = v.i WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET age = 3 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, 'hal') RETURNING merge_action(), u.*, u, i, (SELECT merge_action() || max(id) FROM orders WHERE user_id = u.id);
	MERGE INTO users u USING (VALUES (3)) v (i) ON u.id = v.i WHEN NOT MATCHED BY SOURCE AND age < 30 THEN DELETE RETURNING merge_action(), u.*, i; $c$);

----------------------------------------------------------------------------------------------------------------------
-- What comes after
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, script) VALUES
('SELECT', '{client,reader,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	DELETE FROM users WHERE id IN (1, 3);
	SET SESSION AUTHORIZATION soft_contract_reader;
	SELECT count(*), count(age), sum(age), min(id), max(id) FROM users;
	SELECT * FROM users ORDER BY id;
	SELECT name FROM users WHERE id = 1;
	SELECT u.id, o.id FROM users u RIGHT JOIN orders o ON o.user_id = u.id ORDER BY 2;
	SELECT o.id, u.name FROM orders o LEFT JOIN users u ON u.id = o.user_id AND u.age > 30 ORDER BY 1;
	SELECT a.id, b.id FROM users a FULL JOIN users b ON b.id = a.id + 1 ORDER BY 1, 2;
	SELECT count(*) FROM users, orders;
	SELECT EXISTS (SELECT FROM users WHERE id = 3), ARRAY(SELECT id FROM users ORDER BY 1), (SELECT name FROM users WHERE id = 1);
	SELECT tags, count(*), rank() OVER (ORDER BY count(*), tags) FROM users GROUP BY GROUPING SETS ((tags), ()) ORDER BY 1;
	SELECT id FROM users UNION ALL SELECT id FROM users EXCEPT SELECT 2 ORDER BY 1;
	TABLE users ORDER BY id; $c$),
('SELECT FOR UPDATE', '{writer,owner}', 'DELETE FROM users WHERE id < 3; SELECT id FROM users ORDER BY id FOR UPDATE; SELECT count(*) FROM (SELECT FROM users FOR NO KEY UPDATE NOWAIT) x; SELECT id FROM users WHERE id = 1 FOR UPDATE;'),
('UPDATE of the rest', '{writer,owner}', $c$
	DELETE FROM users WHERE id IN (1, 2);
	UPDATE users SET age = age + 1 WHERE id < 4 RETURNING id, age;
	UPDATE users SET name = name || '?' WHERE id = 1;
	UPDATE users u SET age = 50 FROM orders o WHERE o.user_id = u.id RETURNING u.id, u.age; $c$),
('UPDATE without a condition', '{writer,owner}', 'DELETE FROM users WHERE id IN (1, 2); UPDATE users SET age = 33; UPDATE users SET age = 34 RETURNING id;'),
('UPDATE and DELETE of one row', '{writer,owner}', $c$
	UPDATE users SET name = 'x' WHERE id = 1;
	DELETE FROM users WHERE name = 'x' RETURNING *;
	BEGIN;
	UPDATE users SET name = 'y' WHERE id = 2;
	DELETE FROM users WHERE name = 'y' RETURNING *;
	UPDATE users SET name = 'z' WHERE id = 2;
	COMMIT; $c$),
('INSERT and DELETE', '{writer,owner}', $c$
	INSERT INTO users VALUES (7, 'gil', 20);
	DELETE FROM users WHERE id = 7 RETURNING *;
	INSERT INTO users (id, name) SELECT 8, name FROM users WHERE id = 1 RETURNING *;
	BEGIN;
	INSERT INTO users VALUES (9, 'ida') RETURNING id;
	DELETE FROM users WHERE id = 9 RETURNING id;
	COMMIT;
	INSERT INTO users VALUES (8, 'twice'); $c$),
('INSERT ... ON CONFLICT', '{writer,owner}', $c$
	DELETE FROM users WHERE id = 1;
	INSERT INTO users VALUES (2, 'two', 2), (7, 'gil', 7) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name, age;
	INSERT INTO users VALUES (2, 'not'), (8, 'hal') ON CONFLICT DO NOTHING RETURNING id;
	INSERT INTO users VALUES (2, 'not') ON CONFLICT ON CONSTRAINT users_pkey DO UPDATE SET age = 1 WHERE users.age > 100; $c$);
UPDATE contract.cases SET errors = '{23505}', dead = '{7,9}' WHERE name = 'INSERT and DELETE';

----------------------------------------------------------------------------------------------------------------------
-- Who may, and what is refused
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, errors, script) VALUES
('a role without DELETE', '{reader,lodger}', '{42501}', 'DELETE FROM users WHERE id = 1; DELETE FROM users; DELETE FROM users WHERE false RETURNING *; WITH d AS (DELETE FROM users RETURNING 1) SELECT 1; MERGE INTO users USING orders ON false WHEN MATCHED THEN DELETE; EXPLAIN DELETE FROM users; COPY (DELETE FROM users RETURNING 1) TO STDOUT;'),
('DELETE alone', '{blind}', '{42501}', $c$
	DELETE FROM users WHERE id = 1;
	DELETE FROM users RETURNING id;
	DELETE FROM users WHERE deleted_at IS NULL;
	SELECT count(*) FROM users;
	DELETE FROM users WHERE 1 = 2;
	DELETE FROM users RETURNING 'x' AS y; $c$),
('SELECT of one column', '{narrow}', '{42501}', $c$
	DELETE FROM users WHERE name = 'ann';
	DELETE FROM users WHERE id = 1 RETURNING name;
	DELETE FROM users WHERE id = 1 RETURNING *;
	DELETE FROM users WHERE id = 1 RETURNING id, tableoid::regclass;
	SELECT id FROM users ORDER BY id;
	SELECT count(*) FROM users;
	DELETE FROM users WHERE id = 2 RETURNING id; $c$),
('DELETE does not give UPDATE', '{client}', '{42501}', $c$
	UPDATE users SET age = 1;
	UPDATE users SET deleted_at = now() WHERE id = 1;
	UPDATE users SET deletion_id = 1;
	SELECT id FROM users FOR UPDATE;
	INSERT INTO users VALUES (7, 'gil');
	MERGE INTO users USING orders ON true WHEN MATCHED THEN UPDATE SET age = 1;
	TRUNCATE users;
	DELETE FROM users WHERE id = 1; $c$),
('a function that may not be called', '{client}', '{42501}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE FUNCTION secret(i int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
	REVOKE ALL ON FUNCTION secret(int) FROM PUBLIC;
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM users WHERE secret(id);
	DELETE FROM users RETURNING secret(id); $c$),
('a right that comes and goes', '{client}', '{42501}', $c$
	PREPARE p AS DELETE FROM users WHERE id = $1 RETURNING name;
	EXECUTE p (1);
	SET SESSION AUTHORIZATION soft_contract_owner;
	REVOKE DELETE ON users FROM soft_contract_client;
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (2);
	SET SESSION AUTHORIZATION soft_contract_owner;
	GRANT DELETE ON users TO soft_contract_client;
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (2); $c$),
('a read-only transaction', '{client,owner,superuser}', '{25006,25P02}', $c$
	BEGIN READ ONLY;
	DELETE FROM users WHERE id = 1;
	SELECT 1;
	ROLLBACK;
	SET default_transaction_read_only = on;
	DELETE FROM users;
	WITH d AS (DELETE FROM users RETURNING id) SELECT * FROM d;
	MERGE INTO users USING orders ON users.id = user_id WHEN MATCHED THEN DELETE;
	EXPLAIN (COSTS off) SELECT 1; $c$),
('mistakes', '{client,owner}', '{22P02,42601,42703,42712,42804,42883,42P01,42P10}', $c$
	DELETE FROM users WHERE nothing = 1;
	DELETE FROM users RETURNING nothing;
	DELETE FROM nobody;
	DELETE FROM users WHERE id = 'x';
	DELETE FROM users WHERE id;
	DELETE FROM users WHERE id ~ 1;
	DELETE FROM users USING users;
	DELETE users;
	DELETE FROM users WHERE;
	DELETE FROM users u WHERE users.id = 1;
	DELETE FROM users ORDER BY id LIMIT 1;
	SELECT * FROM (DELETE FROM users RETURNING *) x;
	INSERT INTO users (id, name) VALUES (1, 'x') ON CONFLICT (age) DO NOTHING;
	DELETE FROM users WHERE id = 1; $c$),
('a limit of time, and a cancelled statement', '{client}', '{57014}', $c$
	SET statement_timeout = '20ms';
	DELETE FROM users WHERE pg_sleep(1) IS NOT NULL;
	RESET statement_timeout;
	SELECT count(*) FROM users; $c$);

CALL contract.run();
SELECT contract.verdicts();

----------------------------------------------------------------------------------------------------------------------
-- The differences, which are documented
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION pg_temp.told(name text, role text, kind text) RETURNS text LANGUAGE sql AS $$ SELECT answer FROM contract.answers JOIN contract.cases c USING (n) WHERE (c.name, answers.role, answers.kind) = ($1, $2, $3) $$;
TRUNCATE contract.answers, contract.cases;
INSERT INTO contract.cases (name, roles, script) VALUES
('explain', '{client}', $c$
	EXPLAIN (COSTS off) DELETE FROM users WHERE id = 1 RETURNING name;
	EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) DELETE FROM users WHERE id = 1;
	SELECT count(*) FROM users; $c$),
('key', '{writer}', 'DELETE FROM users WHERE id = 1; INSERT INTO users VALUES (1, ''new'');'),
('triggers', '{client}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''% % % %'', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP; IF TG_WHEN = ''BEFORE'' AND TG_LEVEL = ''ROW'' THEN new.name := ''changed''; END IF; RETURN new; END';
	CREATE TRIGGER a BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER b AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER c BEFORE UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION tell();
	CREATE TRIGGER d AFTER UPDATE ON users REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tell();
	CREATE TRIGGER e BEFORE UPDATE OF name ON users FOR EACH ROW EXECUTE FUNCTION tell();
	SET SESSION AUTHORIZATION soft_contract_client;
	DELETE FROM users WHERE id = 1 RETURNING id, name, age; $c$);
CALL contract.run();
SELECT alike(pg_temp.told('explain', 'client', 'plain'), '%Delete on users%', 'EXPLAIN of an ordinary table says Delete');
SELECT alike(pg_temp.told('explain', 'client', 'soft'), '%Update on users%', 'EXPLAIN of an enabled one says what is done: Update');
SELECT unalike(pg_temp.told('explain', 'client', 'soft'), '%Delete on%', 'and nothing else');
SELECT alike(pg_temp.told('explain', 'client', 'soft'), E'%\n5\n(1 row)%', 'EXPLAIN ANALYZE deletes');
SELECT alike(pg_temp.told('key', 'writer', 'soft'), '%DELETE 1%ERROR:  23505:%users_pkey%', 'the key of a dead row is taken');
SELECT is((SELECT array_agg(m[1]) FROM regexp_matches(pg_temp.told('triggers', 'client', 'soft'), 'NOTICE:  00000: ([^\n]*)', 'g') m), '{"c BEFORE STATEMENT UPDATE","a BEFORE ROW UPDATE","b AFTER ROW UPDATE","d AFTER STATEMENT UPDATE"}', 'triggers for UPDATE fire, except those for other columns');
SELECT alike(pg_temp.told('triggers', 'client', 'soft'), E'%id|name|age\n1|ann|34\n(1 row)%DELETE 1%', 'RETURNING is the old row, whatever they have made of the new one');
SELECT is((SELECT answers.dead FROM contract.answers JOIN contract.cases USING (n) WHERE name = 'triggers' AND kind = 'soft'), '{1}', 'which is dead');

DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_contract_');
SELECT * FROM finish();
