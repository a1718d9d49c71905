-- The client contract: a statement is run by psql, in a session of its own, once on ordinary tables and once on the same
-- tables enabled, and everything that psql prints must be the same: rows with their columns, command tags, notices, errors
-- with their SQLSTATE and text; then what that role sees of the tables; and in the end, underneath, the rows that a DELETE
-- has taken are still there.
--
-- A test that includes this fills contract.cases, does CALL contract.run() and selects contract.verdicts().  Both runs are in
-- a schema of the same name, one after the other; the ordinary tables have two columns deleted_at and deletion_id that
-- nobody fills, so that nothing needs to be taken out of an answer before it is compared.
CREATE SCHEMA contract;

-- Who runs the cases.  Names of roles in this file and in cases are without the prefix.
SELECT drop_roles('soft_contract_');
CREATE ROLE soft_contract_owner;
CREATE ROLE soft_contract_client;	-- SELECT and DELETE
CREATE ROLE soft_contract_writer;	-- INSERT and UPDATE too
CREATE ROLE soft_contract_reader;	-- SELECT alone
CREATE ROLE soft_contract_blind;	-- DELETE alone
CREATE ROLE soft_contract_narrow;	-- SELECT (id) and DELETE
CREATE ROLE soft_contract_lodger;	-- on views alone
GRANT USAGE ON SCHEMA contract TO PUBLIC;

-- What a case may need.  "makes" is run by the owner, then enable() for each of "protects", then "after".
CREATE TABLE contract.fixtures (
	name text PRIMARY KEY,
	makes text NOT NULL,
	protects text[] NOT NULL DEFAULT '{}',
	after text NOT NULL DEFAULT '',
	shows text[] NOT NULL DEFAULT '{}'		-- what else is compared in the end
);
CREATE TABLE contract.cases (
	n int GENERATED ALWAYS AS IDENTITY,
	name text PRIMARY KEY,
	script text NOT NULL,						-- for psql
	needs text[] NOT NULL DEFAULT '{users}',
	roles text[] NOT NULL DEFAULT '{client,owner}',
	errors text[] NOT NULL DEFAULT '{}',		-- SQLSTATEs that the script gets on ordinary tables: no others, and each of them
	version int NOT NULL DEFAULT 0,				-- server_version_num from which on there is such a statement
	dead int[] NOT NULL DEFAULT '{}',			-- rows that the script itself makes and deletes
	moved int[] NOT NULL DEFAULT '{}',			-- ids that the script itself takes away by an UPDATE
	kept boolean NOT NULL DEFAULT true,			-- false where the script takes dead rows away
	may_refuse boolean NOT NULL DEFAULT false	-- 0A000 is also an answer, if nothing has happened
);
CREATE TABLE contract.answers (
	n int, role text, kind text,
	answer text,		-- what the script printed
	remains text,		-- what the role then sees
	live jsonb,			-- what is there: rows that are not dead
	dead int[],			-- and ids of those that are
	missing int[],		-- ids that were there before, and are not among the live
	odd int[],			-- ids of rows that bear one of the two marks without the other
	PRIMARY KEY (n, role, kind)
);

-- enable() and disable() as a script calls them; on ordinary tables only the columns come.
CREATE FUNCTION contract.enable(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	IF current_setting('contract.kind') = 'soft' THEN
		EXECUTE format('SELECT plinth_soft_delete.enable(%L::regclass)', target);
	ELSIF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = target AND attname = 'deleted_at') THEN
		EXECUTE format('ALTER TABLE %s ADD COLUMN deleted_at timestamptz, ADD COLUMN deletion_id bigint', target);
	END IF;
END $$;
CREATE FUNCTION contract.disable(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	IF current_setting('contract.kind') = 'soft' THEN
		EXECUTE format('SELECT plinth_soft_delete.disable(%L::regclass, dead => ''purge'')', target);
	END IF;
END $$;

-- The tables, new.
CREATE FUNCTION contract.build(kind text, needs text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	f contract.fixtures;
	target text;
BEGIN
	SET LOCAL client_min_messages = error;
	PERFORM set_config('contract.kind', kind, true);
	DROP SCHEMA IF EXISTS shop CASCADE;
	CREATE SCHEMA shop AUTHORIZATION soft_contract_owner;
	GRANT USAGE ON SCHEMA shop TO PUBLIC;
	SET LOCAL search_path = shop, contract, public;
	SET LOCAL ROLE soft_contract_owner;
	FOR f IN SELECT x.* FROM unnest(needs) WITH ORDINALITY AS u (name, n) JOIN contract.fixtures x USING (name) ORDER BY n LOOP
		EXECUTE f.makes;
		FOREACH target IN ARRAY f.protects LOOP
			PERFORM contract.enable(target::regclass);
		END LOOP;
		EXECUTE f.after;
	END LOOP;
	RESET ROLE;
END $$;
GRANT SELECT ON contract.fixtures TO PUBLIC;

-- Each row where it is: a table without its heirs, but with its partitions.
CREATE FUNCTION contract.alone(target text) RETURNS text LANGUAGE sql AS $$
	SELECT concat(CASE WHEN relkind = 'r' THEN 'ONLY ' END, 'shop.', target) FROM pg_class WHERE oid = ('shop.' || target)::regclass $$;

-- How a role looks at a table or view.  A superuser sees the dead, which is no secret.
CREATE FUNCTION contract.look(role text, target text, protected boolean) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'SELECT %s * FROM %s%s ORDER BY id;\n', CASE WHEN relkind <> 'v' THEN 'tableoid::regclass AS place,' END, target, CASE WHEN protected AND role = 'superuser' THEN ' WHERE deleted_at IS NULL' END)
	FROM pg_class WHERE oid = ('shop.' || target)::regclass $$;

-- What psql prints for a script, and for what it is told to look at after it.  Details of errors that show values of a row
-- are withheld wherever there is row-level security, so they are left out of both.
CREATE TEMP TABLE printed (n int GENERATED ALWAYS AS IDENTITY, line text);
CREATE FUNCTION contract.ask(kind text, role text, script text, looks text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	begins text := format(E'SET contract.kind = %L;\nSET search_path = shop, contract, public;\nSET shop.tenant = ''x'';\nSET SESSION AUTHORIZATION %s;\n', kind, CASE role WHEN 'superuser' THEN 'DEFAULT' ELSE 'soft_contract_' || role END);
	input text := concat(E'LOAD ''plinth_soft_delete'';\n', begins, E'\\echo ==answer\n', script, E'\n\\echo ==end\nROLLBACK;\nSET SESSION AUTHORIZATION DEFAULT;\nRESET ALL;\n', begins, E'\\echo ==remains\n', looks, E'\\echo ==done\n');
BEGIN
	TRUNCATE printed RESTART IDENTITY;
	EXECUTE format('COPY printed (line) FROM PROGRAM %L (FORMAT csv, DELIMITER E''\x01'', QUOTE E''\x02'')',
		format(E'PGOPTIONS=''-c lock_timeout=10s -c statement_timeout=60s'' PGAPPNAME=contract ''%s/psql'' -X -A -h ''%s'' -p %s -U ''%s'' -d ''%s'' -v VERBOSITY=verbose -v SHOW_CONTEXT=never -P ''null=(null)'' 2>&1 <<''plinth_input''\n%splinth_input',
			(SELECT setting FROM pg_config WHERE name = 'BINDIR'), trim(split_part(current_setting('unix_socket_directories'), ',', 1)), current_setting('port'), session_user, current_database(), input));
	RETURN regexp_match((SELECT string_agg(line, E'\n' ORDER BY n) FROM printed WHERE line NOT LIKE 'LOCATION: %' AND line !~ '^DETAIL:  (Key|Partition key|Failing row)'), '==answer\n(.*)==end\n.*==remains\n(.*)==done$');
END $$;

-- Runs a case once; the tables are those that it needs, new.
CREATE PROCEDURE contract.run_one(c contract.cases, role text, kind text) LANGUAGE plpgsql AS $$
DECLARE
	a contract.answers;
	protects text[] := ARRAY(SELECT p FROM contract.fixtures f, unnest(f.protects) p WHERE f.name = ANY (c.needs) ORDER BY 1);
	shows text[] := protects || ARRAY(SELECT s FROM contract.fixtures f, unnest(f.shows) s WHERE f.name = ANY (c.needs) ORDER BY 1);
	target text;
	said text[];
	some int[];
	before int[] := '{}';
	alive int[] := '{}';
	r record;
BEGIN
	PERFORM contract.build(kind, c.needs);
	COMMIT;
	FOREACH target IN ARRAY protects LOOP
		EXECUTE format('SELECT $1 || array_agg(id) FROM %s', contract.alone(target)) USING before INTO before;
	END LOOP;
	COMMIT;
	said := contract.ask(kind, role, c.script, (SELECT string_agg(contract.look(role, s, s = ANY (protects)), '' ORDER BY n) FROM unnest(shows) WITH ORDINALITY u (s, n)));
	a := ROW(c.n, role, kind, said[1], said[2], '[]', '{}', '{}', '{}');
	FOREACH target IN ARRAY protects LOOP
		FOR r IN EXECUTE format('SELECT id, deleted_at, deletion_id, (to_jsonb(t) - ''deleted_at'' - ''deletion_id'') || jsonb_build_object(''place'', tableoid::regclass) AS image FROM %s t ORDER BY id', contract.alone(target)) LOOP
			IF r.deleted_at IS NULL THEN
				alive := alive || r.id;
				a.live := a.live || r.image;
			ELSE
				a.dead := a.dead || r.id;
			END IF;
			IF (r.deleted_at IS NULL) <> (r.deletion_id IS NULL) THEN
				a.odd := a.odd || r.id;
			END IF;
		END LOOP;
	END LOOP;
	a.dead := ARRAY(SELECT unnest(a.dead) ORDER BY 1);
	a.missing := ARRAY(SELECT unnest(before) EXCEPT SELECT unnest(alive) ORDER BY 1);
	INSERT INTO contract.answers SELECT a.*;
	COMMIT;
END $$;
CREATE PROCEDURE contract.run() LANGUAGE plpgsql AS $$
DECLARE
	c contract.cases;
	role text;
	kind text;
BEGIN
	FOR c IN SELECT * FROM contract.cases WHERE version <= current_setting('server_version_num')::int ORDER BY n LOOP
		FOREACH role IN ARRAY c.roles LOOP
			FOREACH kind IN ARRAY '{plain,soft}'::text[] LOOP
				CALL contract.run_one(c, role, kind);
			END LOOP;
		END LOOP;
	END LOOP;
END $$;

-- Four promises a case and role; the first is the test's own, lest two equal mishaps pass for a contract kept.
CREATE FUNCTION contract.verdicts() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	v record;
	title text;
	refused boolean;
BEGIN
	FOR v IN SELECT c.*, p.role, p AS plain, s AS soft FROM contract.cases c JOIN contract.answers p ON p.n = c.n AND p.kind = 'plain' JOIN contract.answers s ON s.n = c.n AND s.kind = 'soft' AND s.role = p.role ORDER BY c.n, array_position(c.roles, p.role) LOOP
		title := format('%s (%s)', v.name, v.role);
		refused := v.may_refuse AND (v.soft).answer ~ 'ERROR:  0A000:';
		RETURN NEXT is(ARRAY(SELECT DISTINCT m[1] FROM regexp_matches((v.plain).answer, '(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}):', 'g') m ORDER BY 1), ARRAY(SELECT unnest(v.errors) ORDER BY 1), title || ': an ordinary table answers as the test believes');
		RETURN NEXT is(coalesce((v.soft).answer, '(the session came to no end)'), CASE WHEN refused THEN (v.soft).answer ELSE (v.plain).answer END, title || ': the answer is the same');
		IF NOT refused THEN
			RETURN NEXT is(coalesce((v.soft).remains, '(the session came to no end)'), (v.plain).remains, title || ': so is what can be seen');
		END IF;
		IF v.kept THEN
			RETURN NEXT is(jsonb_build_object('live', (v.soft).live, 'dead', (v.soft).dead, 'odd', (v.soft).odd),
				CASE WHEN refused THEN jsonb_build_object('live', (v.soft).live, 'dead', '{}'::int[], 'odd', '{}'::int[])
					ELSE jsonb_build_object('live', (v.plain).live, 'dead', ARRAY(SELECT i FROM unnest((v.plain).missing) i WHERE i <> ALL (v.moved) UNION ALL SELECT unnest(v.dead) ORDER BY 1), 'odd', '{}'::int[]) END, title || ': and nothing is lost');
		END IF;
	END LOOP;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Tables
----------------------------------------------------------------------------------------------------------------------

INSERT INTO contract.fixtures (name, makes, protects, after, shows) VALUES
('users', $f$
	CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, age int CHECK (age > 0), tags text[] NOT NULL DEFAULT '{}');
	CREATE INDEX ON users (age);
	INSERT INTO users VALUES (1, 'ann', 34, '{a,b}'), (2, 'bob', 17, '{b}'), (3, 'cyd', 61, '{}'), (4, 'dan', 45, '{a}'), (5, 'eve', NULL, '{c,a}'), (6, 'fay', 29, '{}');
	GRANT SELECT, DELETE ON users TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON users TO soft_contract_writer;
	GRANT SELECT ON users TO soft_contract_reader;
	GRANT DELETE ON users TO soft_contract_blind;
	GRANT SELECT (id), DELETE ON users TO soft_contract_narrow;
	-- ordinary in both runs
	CREATE TABLE orders (id int PRIMARY KEY, user_id int, amount numeric);
	INSERT INTO orders VALUES (10, 1, 5.50), (11, 1, 7), (12, 2, 1), (13, 4, 9.25), (14, 9, 3);
	CREATE TABLE gone (id int, what text);
	GRANT ALL ON orders, gone TO PUBLIC;
	$f$, '{users}', '', '{orders,gone}'),
-- enabled by the script, which then looks for itself: what columns there are is not the question
('late', $f$
	CREATE TABLE late (id int PRIMARY KEY, name text, age int);
	INSERT INTO late SELECT g, 'n' || g, g * 10 FROM generate_series(1, 9) g;
	GRANT SELECT, DELETE ON late TO soft_contract_client;
	$f$, '{}', '', '{}'),
('parts', $f$
	CREATE TABLE parts (id int NOT NULL, kind text NOT NULL, qty int, PRIMARY KEY (id, kind)) PARTITION BY RANGE (id);
	CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (1) TO (10);
	CREATE TABLE parts_mid (junk text, kind text NOT NULL, qty int, id int NOT NULL);
	ALTER TABLE parts_mid DROP COLUMN junk;
	ALTER TABLE parts ATTACH PARTITION parts_mid FOR VALUES FROM (10) TO (20);
	CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (20) TO (30) PARTITION BY LIST (kind);
	CREATE TABLE parts_high_a PARTITION OF parts_high FOR VALUES IN ('a');
	CREATE TABLE parts_high_rest PARTITION OF parts_high DEFAULT;
	INSERT INTO parts VALUES (1, 'a', 10), (2, 'b', 20), (3, 'a', 25), (11, 'a', 30), (12, 'b', 40), (21, 'a', 50), (22, 'b', 60);
	GRANT SELECT, DELETE ON parts, parts_low, parts_mid, parts_high, parts_high_a TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON parts, parts_low TO soft_contract_writer;
	$f$, '{parts}', '', '{}'),
-- as a partition that comes when the table is already enabled
('parts_late', '', '{}', $f$
	CREATE TABLE parts_new (LIKE parts INCLUDING DEFAULTS);
	INSERT INTO parts_new (id, kind, qty) VALUES (31, 'a', 70), (32, 'b', 80);
	ALTER TABLE parts ATTACH PARTITION parts_new FOR VALUES FROM (30) TO (40);
	CREATE TABLE parts_newer PARTITION OF parts FOR VALUES FROM (40) TO (50);
	INSERT INTO parts VALUES (41, 'a', 90), (42, 'b', 95);
	GRANT SELECT, DELETE ON parts_new, parts_newer TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON parts_new, parts_newer TO soft_contract_writer;
	$f$, '{}'),
('family', $f$
	CREATE TABLE animals (id int PRIMARY KEY, name text);
	CREATE TABLE dogs (bark text) INHERITS (animals);
	CREATE TABLE cats (lives int) INHERITS (animals);
	INSERT INTO animals VALUES (1, 'newt'), (2, 'eel');
	INSERT INTO dogs VALUES (11, 'rex', 'wuff'), (12, 'fido', 'arf');
	INSERT INTO cats VALUES (21, 'tom', 9), (22, 'kit', 3);
	GRANT SELECT, DELETE ON animals, dogs, cats TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON animals TO soft_contract_writer;
	$f$, '{animals,dogs,cats}', '', '{}'),
('shapes', $f$
	CREATE TYPE spot AS (x int, y int);
	CREATE DOMAIN side AS int CHECK (VALUE > 0);
	CREATE TABLE shapes (junk1 int DEFAULT 1, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, junk2 text DEFAULT 'x', w side NOT NULL, h int, area int GENERATED ALWAYS AS (w * h) STORED, at spot, doc jsonb, "Odd ""Name" uuid DEFAULT '00000000-0000-0000-0000-000000000001');
	INSERT INTO shapes (w, h, at, doc) VALUES (2, 3, (1, 1), '{"a": 1}'), (4, NULL, NULL, NULL), (5, 5, (2, NULL), '[]');
	ALTER TABLE shapes DROP COLUMN junk1, DROP COLUMN junk2;
	GRANT SELECT, INSERT, DELETE ON shapes TO soft_contract_client;
	$f$, '{shapes}', $f$
	ALTER TABLE shapes ADD COLUMN junk3 int DEFAULT 3, ADD COLUMN more text NOT NULL DEFAULT 'more';
	ALTER TABLE shapes DROP COLUMN junk3;
	$f$, '{}'),
-- columns that are made of others, ours among them; the virtual ones are for 18 and later
('computed', $f$
	CREATE TABLE items (id int PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2) STORED, size text GENERATED ALWAYS AS (CASE WHEN net > 30 THEN 'big' ELSE 'small' END) STORED);
	INSERT INTO items (id, net) SELECT g, g * 10 FROM generate_series(1, 7) g;
	GRANT SELECT, DELETE ON items TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON items TO soft_contract_writer;
	$f$, '{items}', $f$
	ALTER TABLE items ADD COLUMN alive boolean GENERATED ALWAYS AS (deleted_at IS NULL) STORED, ADD COLUMN number text GENERATED ALWAYS AS (coalesce(deletion_id::text, 'none')) STORED;
	$f$, '{}'),
('virtual', $f$
	CREATE TABLE items (id int PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2) VIRTUAL, size text GENERATED ALWAYS AS (CASE WHEN net > 30 THEN 'big' ELSE 'small' END) VIRTUAL);
	INSERT INTO items (id, net) SELECT g, g * 10 FROM generate_series(1, 7) g;
	GRANT SELECT, DELETE ON items TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON items TO soft_contract_writer;
	$f$, '{items}', $f$
	ALTER TABLE items ADD COLUMN alive boolean GENERATED ALWAYS AS (deleted_at IS NULL) VIRTUAL, ADD COLUMN number text GENERATED ALWAYS AS (coalesce(deletion_id::text, 'none')) VIRTUAL;
	$f$, '{}'),
('virtual_parts', $f$
	CREATE TABLE items (id int PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2) VIRTUAL) PARTITION BY RANGE (id);
	CREATE TABLE items_low PARTITION OF items FOR VALUES FROM (1) TO (4);
	CREATE TABLE items_high (junk text, gross int GENERATED ALWAYS AS (net * 2) VIRTUAL, net int, id int NOT NULL);
	ALTER TABLE items_high DROP COLUMN junk;
	ALTER TABLE items ATTACH PARTITION items_high FOR VALUES FROM (4) TO (10);
	INSERT INTO items (id, net) SELECT g, g * 10 FROM generate_series(1, 7) g;
	GRANT SELECT, DELETE ON items, items_high TO soft_contract_client;
	$f$, '{items}', $f$
	ALTER TABLE items ADD COLUMN alive boolean GENERATED ALWAYS AS (deleted_at IS NULL) VIRTUAL;
	$f$, '{}'),
-- keys of ranges, for 18 and later
('bookings', $f$
	CREATE TABLE bookings (id int UNIQUE, room int4range NOT NULL, during daterange NOT NULL, PRIMARY KEY (room, during WITHOUT OVERLAPS));
	INSERT INTO bookings VALUES (1, '[1,2)', '[2030-01-01,2030-01-04)'), (2, '[1,2)', '[2030-01-04,2030-01-09)'), (3, '[2,3)', '[2030-01-02,2030-01-03)'), (4, '[2,3)', '[2030-01-07,2030-01-08)');
	GRANT SELECT, DELETE ON bookings TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON bookings TO soft_contract_writer;
	$f$, '{bookings}', '', '{}'),
-- who may see, delete and change are three different questions
('docs', $f$
	CREATE TABLE docs (id int PRIMARY KEY, tenant text NOT NULL, locked boolean NOT NULL DEFAULT false, body text);
	INSERT INTO docs VALUES (1, 'x', false, 'one'), (2, 'x', true, 'two'), (3, 'y', false, 'three'), (4, 'y', true, 'four'), (5, 'x', false, 'five');
	ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
	CREATE POLICY seen ON docs FOR SELECT USING (tenant = current_setting('shop.tenant', true));
	CREATE POLICY deleted ON docs FOR DELETE USING (NOT locked);
	CREATE POLICY changed ON docs FOR UPDATE USING (false) WITH CHECK (false);
	CREATE POLICY added ON docs FOR INSERT WITH CHECK (tenant = current_setting('shop.tenant', true));
	GRANT SELECT, DELETE ON docs TO soft_contract_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO soft_contract_writer;
	GRANT DELETE ON docs TO soft_contract_blind;
	$f$, '{docs}', '', '{}'),
('views', $f$
	CREATE VIEW user_list AS SELECT id, name, age FROM users;
	CREATE VIEW adults AS SELECT id, name AS called, age * 12 AS months FROM user_list WHERE age >= 18 WITH CASCADED CHECK OPTION;
	CREATE VIEW walled WITH (security_barrier) AS SELECT id, name, age FROM users WHERE age < 50;
	CREATE VIEW as_caller WITH (security_invoker) AS SELECT id, name FROM users WHERE id > 1;
	CREATE VIEW nested WITH (security_barrier) AS SELECT id, upper(name) AS loud FROM walled WHERE id < 6;
	CREATE VIEW joined AS SELECT u.id, o.amount FROM users u JOIN orders o ON o.user_id = u.id;
	CREATE VIEW triggered AS SELECT id, name FROM users;
	CREATE FUNCTION delete_user() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM shop.users WHERE id = old.id; RETURN CASE WHEN FOUND THEN old END; END';
	CREATE TRIGGER instead INSTEAD OF DELETE ON triggered FOR EACH ROW EXECUTE FUNCTION delete_user();
	CREATE VIEW ruled AS SELECT id, name FROM users WHERE id < 6;
	CREATE RULE instead AS ON DELETE TO ruled DO INSTEAD DELETE FROM users WHERE id = old.id RETURNING id, name;
	GRANT SELECT, DELETE ON user_list, adults, walled, as_caller, nested, joined, triggered, ruled TO soft_contract_client, soft_contract_lodger;
	$f$, '{}', '', '{user_list,nested}'),
('rules', $f$
	CREATE RULE noted AS ON DELETE TO users DO ALSO INSERT INTO gone VALUES (old.id, old.name);
	CREATE RULE spared AS ON DELETE TO users WHERE old.age > 60 DO INSTEAD NOTHING;
	CREATE RULE changed AS ON UPDATE TO users DO INSTEAD INSERT INTO gone VALUES (old.id, 'changed');
	$f$, '{}', '', '{}'),
('code', $f$
	CREATE FUNCTION sql_delete(i int) RETURNS SETOF text LANGUAGE sql AS 'DELETE FROM shop.users WHERE id = i RETURNING name';
	CREATE FUNCTION sql_delete_all(i int) RETURNS SETOF shop.users LANGUAGE sql AS 'DELETE FROM shop.users WHERE id >= i RETURNING *';
	CREATE FUNCTION sql_nothing(i int) RETURNS void LANGUAGE sql AS 'DELETE FROM shop.users WHERE id = i';
	CREATE FUNCTION atomic_delete(i int) RETURNS TABLE (id int, name text) BEGIN ATOMIC DELETE FROM users u WHERE u.id = i RETURNING u.id, u.name; END;
	CREATE FUNCTION counted(i int) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE n bigint; f boolean;
		BEGIN
			DELETE FROM shop.users WHERE id >= i;
			f := FOUND;
			GET DIAGNOSTICS n = ROW_COUNT;
			RETURN concat_ws(' ', f, n);
		END $$;
	CREATE FUNCTION queried(i int) RETURNS SETOF shop.users LANGUAGE plpgsql AS $$
		DECLARE n bigint;
		BEGIN
			RETURN QUERY DELETE FROM shop.users WHERE id >= i RETURNING *;
			GET DIAGNOSTICS n = ROW_COUNT;
			RAISE NOTICE '% %', FOUND, n;
		END $$;
	CREATE FUNCTION as_owner(i int) RETURNS SETOF int LANGUAGE sql SECURITY DEFINER SET search_path = shop, pg_temp AS 'DELETE FROM users WHERE id = i RETURNING id';
	CREATE FUNCTION remaining() RETURNS bigint LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN (SELECT count(*) FROM shop.users); END';
	CREATE PROCEDURE in_batches(size int) LANGUAGE plpgsql AS $$
		DECLARE n bigint;
		BEGIN
			LOOP
				DELETE FROM shop.users WHERE id IN (SELECT id FROM shop.users ORDER BY id LIMIT size);
				GET DIAGNOSTICS n = ROW_COUNT;
				EXIT WHEN n = 0;
				COMMIT;
				RAISE NOTICE 'batch of %', n;
			END LOOP;
		END $$;
	$f$, '{}', '', '{}');
