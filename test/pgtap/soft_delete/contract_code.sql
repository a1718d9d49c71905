-- No client can tell: cursors, prepared statements, functions, plans that are kept, transactions; see
-- test/lib/soft_delete_contract.sql.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
\ir ../../lib/soft_delete_contract.sql

----------------------------------------------------------------------------------------------------------------------
-- Cursors
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, script) VALUES
('WHERE CURRENT OF', '{client,owner}', $c$
	BEGIN;
	DECLARE c CURSOR FOR SELECT id, name FROM users;
	FETCH 2 FROM c;
	DELETE FROM users WHERE CURRENT OF c RETURNING *;
	DELETE FROM users WHERE CURRENT OF c RETURNING *;
	FETCH c;
	DELETE FROM users WHERE CURRENT OF c;
	FETCH ALL FROM c;
	COMMIT;
	SELECT count(*) FROM users; $c$),
('WHERE CURRENT OF a cursor FOR UPDATE', '{writer,owner}', $c$
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM users WHERE age > 20 FOR UPDATE;
	FETCH c;
	UPDATE users SET name = 'x' WHERE CURRENT OF c;
	DELETE FROM users WHERE CURRENT OF c RETURNING id, name;
	UPDATE users SET name = 'y' WHERE CURRENT OF c;
	FETCH c;
	DELETE FROM users WHERE CURRENT OF c;
	MOVE 1 IN c;
	DELETE FROM users WHERE CURRENT OF c RETURNING name;
	FETCH ALL FROM c;
	COMMIT; $c$),
('WHERE CURRENT OF before, after and elsewhere', '{client,owner}', $c$
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM users;
	SAVEPOINT s;
	DELETE FROM users WHERE CURRENT OF c;
	ROLLBACK TO s;
	FETCH c;
	DELETE FROM orders WHERE CURRENT OF c;
	ROLLBACK TO s;
	DECLARE o CURSOR FOR SELECT user_id, count(*) FROM orders GROUP BY 1;
	FETCH o;
	DELETE FROM users WHERE CURRENT OF o;
	ROLLBACK TO s;
	DELETE FROM users WHERE CURRENT OF nothing;
	ROLLBACK TO s;
	DELETE FROM users WHERE CURRENT OF c RETURNING id;
	CLOSE c;
	COMMIT; $c$),
('cursors see what was there when they were opened', '{client,owner}', $c$
	BEGIN;
	DECLARE c SCROLL CURSOR FOR SELECT id FROM users ORDER BY id;
	FETCH 2 FROM c;
	DELETE FROM users WHERE id > 2;
	FETCH 2 FROM c;
	FETCH BACKWARD 2 FROM c;
	DECLARE d CURSOR WITH HOLD FOR SELECT id FROM users ORDER BY id;
	DELETE FROM users;
	COMMIT;
	FETCH ALL FROM d;
	SELECT count(*) FROM users; $c$),
('cursors that delete are refused', '{client,owner}', $c$
	BEGIN;
	SAVEPOINT s;
	DECLARE c CURSOR FOR DELETE FROM users RETURNING id;
	ROLLBACK TO s;
	DECLARE c CURSOR FOR WITH d AS (DELETE FROM users RETURNING id) SELECT id FROM d;
	ROLLBACK; $c$);
UPDATE contract.cases SET errors = '{24000,34000}' WHERE name = 'WHERE CURRENT OF before, after and elsewhere';
UPDATE contract.cases SET errors = '{0A000,42601}' WHERE name = 'cursors that delete are refused';

----------------------------------------------------------------------------------------------------------------------
-- Prepared statements and plans that are kept
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, script)
SELECT format('prepared, %s', mode), roles, format('SET plan_cache_mode = %s;', mode) || script FROM unnest('{auto,force_custom_plan,force_generic_plan}'::text[]) mode, (VALUES ('{client,owner,superuser}'::text[], $c$
	PREPARE p (int) AS DELETE FROM users WHERE id = $1 RETURNING id, name;
	PREPARE q AS DELETE FROM users WHERE id = $1;
	PREPARE w AS WITH d AS (DELETE FROM users WHERE id > $1 RETURNING id) SELECT count(*) FROM d;
	PREPARE m AS MERGE INTO users USING (VALUES ($1::int)) v (i) ON id = i WHEN MATCHED THEN DELETE;
	EXECUTE p (1); EXECUTE p (1); EXECUTE p (2); EXECUTE p (9); EXECUTE p (NULL); EXECUTE p (2); EXECUTE p (1);
	EXECUTE q (3); EXECUTE q (3);
	EXECUTE m (4); EXECUTE m (4);
	EXECUTE w (5); EXECUTE w (5);
	EXPLAIN (COSTS off) SELECT 1;
	DEALLOCATE p;
	SELECT name, result_types, from_sql FROM (SELECT name, NULL AS result_types, from_sql FROM pg_prepared_statements) x ORDER BY 1; $c$)) s (roles, script);
INSERT INTO contract.cases (name, roles, needs, script) VALUES
('plans that are kept while the table changes', '{client}', '{users}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM users WHERE id = $1 RETURNING id, name;
	PREPARE a AS DELETE FROM users WHERE id = $1 RETURNING *;
	PREPARE s AS SELECT count(*) FROM users;
	EXECUTE p (1); EXECUTE s;
	SET SESSION AUTHORIZATION soft_contract_owner;
	ALTER TABLE users ADD COLUMN more int DEFAULT 5;
	CREATE INDEX ON users (name);
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (2); EXECUTE s; EXECUTE a (3);
	SET SESSION AUTHORIZATION soft_contract_owner;
	ALTER TABLE users ALTER COLUMN name TYPE varchar(10), DROP COLUMN tags;
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (3); EXECUTE s;
	DELETE FROM users WHERE id = 4 RETURNING *; $c$),
('a role that comes and goes while a plan is kept', '{client}', '{users}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM users WHERE id = $1 RETURNING id;
	PREPARE s AS SELECT count(*) FROM users;
	EXECUTE p (1); EXECUTE s;
	SET SESSION AUTHORIZATION soft_contract_owner;
	EXECUTE p (2); EXECUTE p (1); EXECUTE s;
	SET ROLE soft_contract_owner;
	EXECUTE p (3); EXECUTE s;
	RESET ROLE;
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (3); EXECUTE p (4); EXECUTE s; $c$),
('plans that are kept across enable() and disable()', '{client}', '{late}', $c$
	SET plan_cache_mode = force_generic_plan;
	CREATE TEMP TABLE t (n int);
	CREATE FUNCTION pg_temp.f(i int) RETURNS text LANGUAGE plpgsql AS 'DECLARE n int; r text; BEGIN DELETE FROM shop.late WHERE id = i RETURNING name INTO r; GET DIAGNOSTICS n = ROW_COUNT; RETURN concat_ws('' '', FOUND, n, r, (SELECT count(*) FROM shop.late)); END';
	CREATE FUNCTION pg_temp.g(i int) RETURNS SETOF text LANGUAGE sql AS 'DELETE FROM shop.late WHERE id = i RETURNING name';
	PREPARE p AS DELETE FROM late WHERE id = $1 RETURNING id, name;
	PREPARE s AS SELECT count(*) FROM late;
	EXECUTE p (1); EXECUTE p (1); EXECUTE s; SELECT pg_temp.f(2); SELECT pg_temp.g(3);
	SET SESSION AUTHORIZATION soft_contract_owner;
	SELECT contract.enable('late');
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (4); EXECUTE p (4); EXECUTE p (1); EXECUTE s; SELECT pg_temp.f(5); SELECT pg_temp.f(5); SELECT pg_temp.g(6); SELECT pg_temp.g(6);
	SET SESSION AUTHORIZATION soft_contract_owner;
	EXECUTE p (4); EXECUTE s;
	SELECT contract.disable('late');
	SET SESSION AUTHORIZATION soft_contract_client;
	EXECUTE p (7); EXECUTE p (7); EXECUTE p (4); EXECUTE s; SELECT pg_temp.f(8); SELECT pg_temp.f(5); SELECT pg_temp.g(9);
	SELECT id, name FROM late; $c$),
('enable() in a transaction that is rolled back', '{owner}', '{late}', $c$
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS DELETE FROM late WHERE id = $1 RETURNING id;
	EXECUTE p (1);
	BEGIN;
	SELECT contract.enable('late');
	EXECUTE p (2); EXECUTE p (2);
	SELECT count(*) FROM late;
	ROLLBACK;
	EXECUTE p (2); EXECUTE p (2);
	SELECT count(*) FROM late;
	SELECT * FROM late WHERE id = 3; $c$);
UPDATE contract.cases SET kept = false WHERE needs = '{late}';
UPDATE contract.cases SET errors = '{0A000}' WHERE name = 'plans that are kept while the table changes';
UPDATE contract.cases SET kept = false WHERE name = 'plans that are kept while the table changes';
INSERT INTO contract.cases (name, version, script) VALUES
('the extended protocol', 160000, $c$
	DELETE FROM users WHERE id = $1 RETURNING id, name \bind 1 \g
	DELETE FROM users WHERE id = $1 RETURNING id, name \bind 1 \g
	DELETE FROM users WHERE id = $1 \bind 2 \g
	\echo :ROW_COUNT
	DELETE FROM users WHERE id = $1 \bind x \g $c$);
UPDATE contract.cases SET errors = '{22P02}' WHERE name = 'the extended protocol';

----------------------------------------------------------------------------------------------------------------------
-- Functions
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (needs, name, roles, script)
SELECT '{users,code}', name, coalesce(roles, '{client,owner}'), script FROM (VALUES
('SQL functions', '{client,owner,superuser}'::text[], $c$
	SELECT sql_delete(1); SELECT sql_delete(1); SELECT * FROM sql_delete_all(5); SELECT sql_delete_all(5); SELECT sql_nothing(2);
	SELECT * FROM atomic_delete(3); SELECT * FROM atomic_delete(3);
	SELECT i, sql_delete(i) FROM generate_series(1, 6) i; $c$),
('FOUND and ROW_COUNT', '{client,owner,superuser}', 'SELECT counted(5); SELECT counted(5); SELECT counted(1); SELECT counted(1);'),
('RETURN QUERY', NULL, 'SELECT * FROM queried(4); SELECT id, name FROM queried(4); SELECT count(*) FROM queried(1);'),
('SECURITY DEFINER', '{client,reader,lodger}', 'SELECT as_owner(1); SELECT as_owner(1); SELECT as_owner(i) FROM generate_series(1, 3) i;'),
('a volatile function sees rows go', NULL, 'DELETE FROM users WHERE id <> 4 RETURNING id, remaining(); SELECT remaining(); DELETE FROM users WHERE remaining() = 1 RETURNING remaining();'),
('a procedure that commits', NULL, 'CALL in_batches(2); CALL in_batches(2);'),
('a function that deletes while its caller reads', NULL, 'SELECT u.id, sql_delete(7 - u.id) FROM users u ORDER BY u.id; SELECT count(*) FROM users;')
) AS c (name, roles, script);

INSERT INTO contract.cases (name, roles, script) VALUES
('PL/pgSQL: INTO, STRICT, FOR, EXECUTE', '{client,owner}', $c$
	DO $$
	DECLARE
		n bigint;
		r record;
		u users;
		t text;
	BEGIN
		DELETE FROM users WHERE id = 1 RETURNING * INTO u;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE NOTICE '% % % %', FOUND, n, u.name, u.deleted_at;
		DELETE FROM users WHERE id = 1 RETURNING name INTO t;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE NOTICE '% % %', FOUND, n, t;
		DELETE FROM users WHERE id = 2 RETURNING name INTO STRICT t;
		RAISE NOTICE '%', t;
		BEGIN
			DELETE FROM users WHERE id = 2 RETURNING name INTO STRICT t;
		EXCEPTION WHEN no_data_found THEN
			RAISE NOTICE '% %', SQLSTATE, SQLERRM;
		END;
		BEGIN
			DELETE FROM users RETURNING name INTO STRICT t;
		EXCEPTION WHEN too_many_rows THEN
			RAISE NOTICE '% %', SQLSTATE, SQLERRM;
		END;
		FOR r IN DELETE FROM users WHERE age > 40 RETURNING * LOOP
			RAISE NOTICE '% %', r.id, r.name;
		END LOOP;
		RAISE NOTICE '%', FOUND;
		EXECUTE 'DELETE FROM users WHERE id = $1' USING 5;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE NOTICE '%', n;
		EXECUTE 'DELETE FROM users WHERE id >= $1 RETURNING id' INTO n USING 5;
		RAISE NOTICE '%', n;
		PERFORM FROM users;
		RAISE NOTICE '%', FOUND;
	END $$; $c$),
('PL/pgSQL: what is undone', '{client,owner}', $c$
	DO $$
	DECLARE
		n bigint;
	BEGIN
		BEGIN
			DELETE FROM users WHERE id < 4;
			GET DIAGNOSTICS n = ROW_COUNT;
			RAISE EXCEPTION 'undo %', n;
		EXCEPTION WHEN OTHERS THEN
			RAISE NOTICE '% %', SQLERRM, (SELECT count(*) FROM users);
		END;
		DELETE FROM users WHERE id < 3;
		RAISE NOTICE '%', (SELECT count(*) FROM users);
	END $$;
	DO $$ BEGIN DELETE FROM users; RAISE division_by_zero; END $$;
	SELECT count(*) FROM users; $c$),
('PL/pgSQL: cursors', '{client,owner}', $c$
	DO $$
	DECLARE
		c CURSOR FOR SELECT id FROM users;
		n bigint;
		i int;
	BEGIN
		FOR r IN c LOOP
			CONTINUE WHEN r.id % 2 = 0;
			DELETE FROM users WHERE CURRENT OF c RETURNING id INTO i;
			GET DIAGNOSTICS n = ROW_COUNT;
			RAISE NOTICE '% % % %', r.id, FOUND, n, i;
			DELETE FROM users WHERE CURRENT OF c;
			RAISE NOTICE '%', FOUND;
		END LOOP;
	END $$; $c$),
('PL/pgSQL: MERGE, WITH, and a loop over its own rows', '{client,owner}', $c$
	DO $$
	DECLARE
		n bigint;
		r record;
	BEGIN
		MERGE INTO users USING (VALUES (1), (2)) v (i) ON id = i WHEN MATCHED THEN DELETE;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE NOTICE '% %', FOUND, n;
		WITH d AS (DELETE FROM users WHERE id = 3 RETURNING *) SELECT count(*) INTO n FROM d;
		RAISE NOTICE '% %', FOUND, n;
		FOR r IN SELECT id FROM users ORDER BY id LOOP
			DELETE FROM users WHERE id IN (r.id, r.id + 1);
			GET DIAGNOSTICS n = ROW_COUNT;
			RAISE NOTICE '% % %', r.id, FOUND, n;
		END LOOP;
	END $$; $c$),
('PL/pgSQL: a plan that is kept in a loop', '{client,owner}', $c$
	DO $$
	DECLARE
		n bigint;
		total bigint := 0;
	BEGIN
		FOR i IN 1..20 LOOP
			DELETE FROM users WHERE id = i % 8;
			GET DIAGNOSTICS n = ROW_COUNT;
			total := total + n;
		END LOOP;
		RAISE NOTICE '%', total;
	END $$; $c$);
UPDATE contract.cases SET errors = '{22012}' WHERE name = 'PL/pgSQL: what is undone';

----------------------------------------------------------------------------------------------------------------------
-- Transactions, and EXPLAIN
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.cases (name, roles, script) VALUES
('ROLLBACK', '{client,owner}', $c$
	BEGIN;
	DELETE FROM users WHERE id < 3 RETURNING id;
	SELECT count(*) FROM users;
	ROLLBACK;
	SELECT count(*) FROM users;
	DELETE FROM users WHERE id < 3 RETURNING id; $c$),
('savepoints', '{client,owner}', $c$
	BEGIN;
	DELETE FROM users WHERE id = 1;
	SAVEPOINT a;
	DELETE FROM users WHERE id IN (1, 2);
	SAVEPOINT b;
	DELETE FROM users WHERE id IN (1, 2, 3) RETURNING id;
	ROLLBACK TO b;
	DELETE FROM users WHERE id IN (1, 2, 3) RETURNING id;
	ROLLBACK TO a;
	SELECT id FROM users ORDER BY id;
	DELETE FROM users WHERE id IN (1, 4) RETURNING id;
	RELEASE a;
	COMMIT;
	SELECT id FROM users ORDER BY id; $c$),
('an error in a transaction', '{client,owner}', $c$
	BEGIN;
	DELETE FROM users WHERE id = 1;
	SELECT 1 / 0;
	DELETE FROM users WHERE id = 2;
	COMMIT;
	SELECT count(*) FROM users; $c$),
('higher isolation', '{client,owner}', $c$
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	DELETE FROM users WHERE id = 1 RETURNING id;
	DELETE FROM users WHERE id = 1 RETURNING id;
	SELECT count(*) FROM users;
	COMMIT;
	BEGIN ISOLATION LEVEL SERIALIZABLE;
	DELETE FROM users WHERE id IN (1, 2) RETURNING id;
	SELECT count(*) FROM users;
	COMMIT; $c$),
('COMMIT AND CHAIN, and psql without autocommit', '{client,owner}', $c$
	BEGIN;
	DELETE FROM users WHERE id = 1;
	COMMIT AND CHAIN;
	DELETE FROM users WHERE id IN (1, 2);
	ROLLBACK;
	\set AUTOCOMMIT off
	DELETE FROM users WHERE id IN (2, 3);
	COMMIT;
	DELETE FROM users;
	ROLLBACK;
	\set AUTOCOMMIT on
	SELECT count(*) FROM users; $c$),
('two-phase commit', '{client}', $c$
	BEGIN;
	DELETE FROM users WHERE id = 1;
	PREPARE TRANSACTION 'soft_contract';
	SELECT count(*) FROM users;
	COMMIT PREPARED 'soft_contract';
	SELECT count(*) FROM users;
	DELETE FROM users WHERE id = 1; $c$),
('a deferred trigger on another event', '{writer,owner}', $c$
	SET SESSION AUTHORIZATION soft_contract_owner;
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', TG_OP; RETURN NULL; END';
	CREATE CONSTRAINT TRIGGER told AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
	CREATE TRIGGER told2 AFTER INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION tell();
	SET SESSION AUTHORIZATION soft_contract_writer;
	BEGIN;
	INSERT INTO users VALUES (7, 'gil');
	DELETE FROM users WHERE id IN (1, 7);
	COMMIT; $c$),
('EXPLAIN runs and deletes nothing', '{client,owner}', $c$
	\o /dev/null
	EXPLAIN DELETE FROM users WHERE id = 1 RETURNING *;
	EXPLAIN (VERBOSE, FORMAT json) DELETE FROM users u USING orders o WHERE o.user_id = u.id RETURNING u, o;
	PREPARE p AS DELETE FROM users WHERE id = $1 RETURNING *;
	EXPLAIN (VERBOSE) EXECUTE p (1);
	SET plan_cache_mode = force_generic_plan;
	EXPLAIN (VERBOSE) EXECUTE p (1);
	EXPLAIN (VERBOSE) MERGE INTO users USING orders ON user_id = users.id WHEN MATCHED THEN DELETE;
	EXPLAIN (VERBOSE) WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d;
	BEGIN;
	EXPLAIN (ANALYZE, VERBOSE, BUFFERS) DELETE FROM users WHERE id = 1 RETURNING *;
	ROLLBACK;
	\o
	\echo :SQLSTATE
	SELECT count(*) FROM users; $c$),
('EXPLAIN ANALYZE deletes', '{client,owner}', $c$
	\o /dev/null
	EXPLAIN ANALYZE DELETE FROM users WHERE id = 1 RETURNING *;
	EXPLAIN ANALYZE WITH d AS (DELETE FROM users WHERE id = 2 RETURNING *) SELECT * FROM d;
	\o
	\echo :SQLSTATE
	SELECT count(*) FROM users; $c$);
UPDATE contract.cases SET errors = '{22012,25P02}' WHERE name = 'an error in a transaction';
UPDATE contract.cases SET dead = '{7}' WHERE name = 'a deferred trigger on another event';

CALL contract.run();
SELECT contract.verdicts();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_contract_');
SELECT * FROM finish();
