-- What somebody without rights may try with triggers, views and policies of his own: nobody else is to notice.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_hostile_');
CREATE ROLE soft_hostile_mallory;
CREATE ROLE soft_hostile_victim;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE SCHEMA lair AUTHORIZATION soft_hostile_mallory;
CREATE SCHEMA home AUTHORIZATION soft_hostile_victim;
GRANT USAGE ON SCHEMA lair, home TO PUBLIC;

-- Whether a statement succeeds as a role: its SQLSTATE, or the number of rows.
CREATE FUNCTION run(who name, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	result text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		EXECUTE stmt;
		GET DIAGNOSTICS n = ROW_COUNT;
		result := n;
	EXCEPTION WHEN OTHERS THEN
		result := sqlstate || ': ' || sqlerrm;
	END;
	RESET ROLE;
	RETURN result;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Triggers that enable() has not made
----------------------------------------------------------------------------------------------------------------------

-- Without event triggers, as in a restore, they can be made; the server outlives them.
CREATE FUNCTION event_triggers(state text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	e name;
BEGIN
	FOR e IN SELECT evtname FROM pg_event_trigger LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I %s', e, state);
	END LOOP;
END $$;
CREATE FUNCTION forge(shape text, function text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	stmt text;
	result text := '';
BEGIN
	TRUNCATE lair.forged;
	INSERT INTO lair.forged VALUES (1);
	EXECUTE format('CREATE TRIGGER forged %s EXECUTE FUNCTION plinth_soft_delete.%I(''deleted_at=deleted_at'', ''deletion_id=deletion_id'')', shape, function);
	FOREACH stmt IN ARRAY '{"INSERT INTO %s VALUES (2)","UPDATE %s SET id = 3 WHERE id = 2","UPDATE %s SET deleted_at = now() WHERE id = 1","UPDATE %s SET deletion_id = 7","DELETE FROM %s"}'::text[] LOOP
		BEGIN
			EXECUTE format(stmt, substring(shape FROM ' ON (\S+)'));
			result := result || ' ok';
		EXCEPTION WHEN OTHERS THEN
			result := result || ' ' || sqlstate;
		END;
	END LOOP;
	EXECUTE format('DROP TRIGGER forged ON %s', substring(shape FROM ' ON (\S+)'));
	RETURN btrim(result);
END $$;
CREATE TABLE lair.forged (id int, deleted_at timestamptz, deletion_id bigint);
CREATE VIEW lair.forged_view AS SELECT * FROM lair.forged;
SELECT event_triggers('DISABLE');
SELECT is(forge(s, f), expected, format('%s, %s: an error', f, s))
FROM (VALUES
	('mark', 'BEFORE INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH STATEMENT', '39P01 39P01 39P01 39P01 39P01'),
	('stamp', 'BEFORE INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH STATEMENT', '39P01 39P01 39P01 39P01 39P01'),
	('stamp', 'AFTER INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH STATEMENT', '39P01 39P01 39P01 39P01 39P01'),
	('mark', 'AFTER INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH ROW', '39P01 ok 39P01 39P01 39P01'),
	('mark', 'BEFORE INSERT OR UPDATE ON lair.forged FOR EACH ROW', '39P01 ok 39P01 39P01 ok'),
	('stamp', 'BEFORE INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH ROW', '39P01 ok 39P01 39P01 39P01'),
	('statement', 'BEFORE INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH ROW', '39P01 ok 39P01 39P01 39P01'),
	('empty', 'BEFORE INSERT OR UPDATE OR DELETE ON lair.forged FOR EACH STATEMENT', '39P01 39P01 39P01 39P01 39P01'),
	('mark', 'INSTEAD OF INSERT OR UPDATE OR DELETE ON lair.forged_view FOR EACH ROW', '39P01 ok 39P01 39P01 39P01'),
	('stamp', 'INSTEAD OF INSERT OR UPDATE OR DELETE ON lair.forged_view FOR EACH ROW', '39P01 ok 39P01 39P01 39P01')) v (f, s, expected);
SELECT event_triggers('ENABLE ALWAYS');

-- With event triggers they cannot even be made, but as enable() makes them, by the table's owner.
CREATE TABLE lair.hand (id int, deleted_at timestamptz, deletion_id bigint, junk text);
ALTER TABLE lair.hand OWNER TO soft_hostile_mallory;
GRANT TRIGGER ON lair.hand TO soft_hostile_victim;
SELECT matches(run('soft_hostile_mallory', 'CREATE TRIGGER t ' || s), expected, 'CREATE TRIGGER t ' || s)
FROM (VALUES
	($$ BEFORE DELETE ON lair.hand EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id') $$, '^55000: trigger "t" of relation "hand" is none that'),
	($$ AFTER DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id') $$, '^55000: trigger "t" of relation "hand" is none that'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark() $$, '^55000: soft delete trigger lacks arguments'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('garbage') $$, '^55000: unrecognized soft delete trigger argument "garbage"'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at="', 'deletion_id=deletion_id') $$, '^55000: unrecognized soft delete trigger argument'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=x') $$, '^55000: unrecognized soft delete trigger argument "visibility=x"'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id', 'active=a.b.c') $$, '^55000: unrecognized soft delete trigger argument "active=a.b.c"'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=junk', 'deletion_id=deletion_id') $$, '^42804: column "junk"'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=none', 'deletion_id=deletion_id') $$, '^42703: column "none"'),
	($$ BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id') $$, '^0$')) v (s, expected);
DROP TRIGGER t ON lair.hand;
SELECT matches(run('soft_hostile_victim', $$ CREATE TRIGGER t BEFORE DELETE ON lair.hand FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id') $$),
	'^42501: must be owner of table hand', 'the right to make triggers is not enough');

-- What cannot be read is nobody's trouble but its owner's.
SET ROLE soft_hostile_victim;
CREATE TABLE home.users (id int PRIMARY KEY, secret text, parent int);
INSERT INTO home.users VALUES (1, 'gone'), (2, 'here');
SELECT plinth_soft_delete.enable('home.users', viewers => 'soft_hostile_victim');
DELETE FROM home.users WHERE id = 1;
RESET ROLE;
CREATE TABLE lair.garbage (id int, deleted_at timestamptz, deletion_id bigint, junk text);
CREATE TABLE lair.text (LIKE lair.garbage);
CREATE TABLE lair.lost (LIKE lair.garbage);
INSERT INTO lair.garbage VALUES (1);
INSERT INTO lair.text VALUES (1);
ALTER TABLE lair.garbage OWNER TO soft_hostile_mallory;
ALTER TABLE lair.text OWNER TO soft_hostile_mallory;
ALTER TABLE lair.lost OWNER TO soft_hostile_mallory;
-- A record that names one, and triggers as a restore makes them.
SELECT plinth_soft_delete.enable('lair.lost');
INSERT INTO lair.lost VALUES (1);
DELETE FROM lair.lost;
SELECT event_triggers('DISABLE');
CREATE TRIGGER plinth_soft_delete BEFORE DELETE ON lair.garbage FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('garbage');
CREATE TRIGGER plinth_soft_delete BEFORE DELETE ON lair.text FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=junk', 'deletion_id=junk');
ALTER TABLE lair.lost DROP COLUMN deletion_id CASCADE;
SELECT event_triggers('ENABLE ALWAYS');
SELECT is(run('soft_hostile_victim', 'SELECT * FROM plinth_soft_delete.status WHERE target = ''home.users''::regclass'), '1', 'status');
SELECT is(run('soft_hostile_victim', 'SELECT * FROM plinth_soft_delete.deletion'), '1', 'the record');
SELECT is(run('soft_hostile_victim', 'SET plinth_soft_delete.show_deleted = on'), '0', 'the toggle');
RESET plinth_soft_delete.show_deleted;
SELECT lives_ok('ALTER SCHEMA home RENAME TO haven', 'a schema is renamed');
SELECT lives_ok('ALTER SCHEMA haven RENAME TO home', 'and renamed again');
SELECT is(run('soft_hostile_mallory', 'SELECT * FROM lair.garbage'), '55000: unrecognized soft delete trigger argument "garbage"', 'its owner hears of it');
SELECT is(run('soft_hostile_mallory', 'DELETE FROM lair.garbage'), '55000: unrecognized soft delete trigger argument "garbage"', 'and does not lose rows');
SELECT matches(run('soft_hostile_mallory', 'DELETE FROM lair.text'), '^(42804|22023): column "junk"', 'columns that cannot be ours');
SET row_security = off;
SELECT lives_ok('COPY lair.garbage TO ''/dev/null''', 'pg_dump: COPY');
SELECT lives_ok('SELECT * FROM lair.garbage', 'pg_dump: SELECT');
SELECT lives_ok('SELECT * FROM lair.lost', 'pg_dump: without its columns');
SELECT throws_ok('DELETE FROM lair.garbage', '55000', NULL, 'but nothing is removed');
RESET row_security;
DROP TABLE lair.garbage, lair.text, lair.lost;

-- One that comes before ours in the alphabet says nothing.
CREATE TRIGGER a BEFORE DELETE ON home.users FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=none');
SELECT is(run('soft_hostile_victim', 'SELECT * FROM home.users'), '1', 'the trigger that has our name counts');
DROP TRIGGER a ON home.users;

----------------------------------------------------------------------------------------------------------------------
-- Code that others wrote, run on the way
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE lair.ran (what text, who text);
ALTER TABLE lair.ran OWNER TO soft_hostile_mallory;
GRANT INSERT ON lair.ran TO PUBLIC;
SET ROLE soft_hostile_mallory;
CREATE FUNCTION lair.evil(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO lair.ran VALUES ('input function', current_user); RETURN true; END $$;
CREATE DOMAIN lair.dom AS int CHECK (lair.evil(VALUE));
CREATE FUNCTION lair.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE lair.t (id int PRIMARY KEY, a lair.dom[], b text);
SELECT plinth_soft_delete.enable('lair.t', views => true);
ALTER VIEW lair.active_t ALTER COLUMN a SET DEFAULT '{1}'::lair.dom[];
CREATE TRIGGER w AFTER UPDATE ON lair.active_t FOR EACH STATEMENT WHEN ('{2}'::lair.dom[] IS NOT NULL) EXECUTE FUNCTION lair.nothing();
CREATE RULE r AS ON UPDATE TO lair.deleted_t WHERE '{3}'::lair.dom[] IS NULL DO INSTEAD NOTHING;
DELETE FROM lair.ran;
RESET ROLE;
ALTER TABLE lair.t ALTER COLUMN b TYPE varchar(10);
SELECT is((SELECT array_agg(DISTINCT who) FROM lair.ran), '{soft_hostile_mallory}', 'what a view is made of is read as its owner');
SELECT isnt(pg_get_expr(adbin, adrelid), NULL, 'and is there again') FROM pg_attrdef WHERE adrelid = 'lair.active_t'::regclass;

-- What is read as the owner leaves nothing for the end of the transaction.
SET ROLE soft_hostile_mallory;
CREATE TABLE lair.later (x int);
CREATE FUNCTION lair.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO lair.ran VALUES ('deferred', current_user); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON lair.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lair.at_commit();
CREATE TABLE lair.switch (armed boolean);
CREATE FUNCTION lair.sly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM lair.switch) THEN INSERT INTO lair.later VALUES ($1); END IF; RETURN $1; END $$;
CREATE TABLE lair.trap (id int PRIMARY KEY, k int);
INSERT INTO lair.trap VALUES (1, 1);
SELECT plinth_soft_delete.enable('lair.trap');
CREATE UNIQUE INDEX trap_k ON lair.trap (lair.sly(k)) WHERE deleted_at IS NULL;
DELETE FROM lair.trap;
INSERT INTO lair.trap VALUES (2, 1);
SELECT plinth_soft_delete.last_deletion() AS trap \gset
ALTER FUNCTION lair.sly VOLATILE;
INSERT INTO lair.switch VALUES (true);
DELETE FROM lair.ran;
RESET ROLE;
SELECT throws_ok('SELECT * FROM plinth_soft_delete.preview_restore(' || :trap || ')', '42501', 'cannot fire deferred trigger within security-restricted operation', 'preview_restore()');
SELECT is((SELECT array_agg(who) FROM lair.ran), NULL, 'nothing runs as who asked');
DROP TABLE lair.trap;

----------------------------------------------------------------------------------------------------------------------
-- What is told once is told of one table
----------------------------------------------------------------------------------------------------------------------

-- A policy of one's own sees no more of other tables' dead while restore() asks it.
GRANT SELECT ON home.users TO soft_hostile_mallory;
SET ROLE soft_hostile_mallory;
CREATE FUNCTION lair.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE EXCEPTION 'seen: %', $1; END $$;
CREATE TABLE lair.mine (id int PRIMARY KEY);
INSERT INTO lair.mine VALUES (1);
SELECT plinth_soft_delete.enable('lair.mine', force => true);
CREATE POLICY p ON lair.mine USING (true);
CREATE POLICY q ON lair.mine AS RESTRICTIVE FOR SELECT USING (NOT EXISTS (SELECT FROM home.users u WHERE u.secret <> 'here' AND lair.tell(u.secret)));
DELETE FROM lair.mine;
SELECT plinth_soft_delete.last_deletion() AS mine \gset
RESET ROLE;
SELECT is(run('soft_hostile_mallory', 'SELECT plinth_soft_delete.restore(' || :mine || ')'), '1', 'a policy does not see the dead of others');

-- What a purge may remove for good are the rows of its table.
CREATE TABLE home.parent (id int PRIMARY KEY);
INSERT INTO home.parent VALUES (7);
UPDATE home.users SET parent = 7 WHERE id = 2;
ALTER TABLE home.users ADD FOREIGN KEY (parent) REFERENCES home.parent ON DELETE CASCADE;
ALTER TABLE home.parent OWNER TO soft_hostile_victim;
GRANT DELETE, SELECT ON home.parent TO soft_hostile_mallory;
SET ROLE soft_hostile_mallory;
CREATE TABLE lair.purged (id int PRIMARY KEY);
INSERT INTO lair.purged VALUES (1);
CREATE FUNCTION lair.first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM lair.switch) THEN DELETE FROM home.parent; END IF; RETURN NULL; END $$;
CREATE TRIGGER a BEFORE DELETE ON lair.purged FOR EACH STATEMENT EXECUTE FUNCTION lair.first();
SELECT plinth_soft_delete.enable('lair.purged', delete_triggers => 'ignore');
DELETE FROM lair.purged;
RESET ROLE;
SELECT matches(run('soft_hostile_mallory', $$ SELECT plinth_soft_delete.disable('lair.purged', dead => 'purge') $$), '^23503: a foreign key would remove rows', 'another table''s rows stay');
SELECT is((SELECT count(*) FROM home.users WHERE id = 2), 1::bigint, 'they are there');

----------------------------------------------------------------------------------------------------------------------
-- What an error says
----------------------------------------------------------------------------------------------------------------------

-- Who may delete and not read learns nothing by restoring.
SET ROLE soft_hostile_victim;
CREATE TABLE home.sealed (secret text, label text);
INSERT INTO home.sealed VALUES ('the secret', 'x');
SELECT plinth_soft_delete.enable('home.sealed');
CREATE UNIQUE INDEX ON home.sealed (label) WHERE deleted_at IS NULL;
GRANT DELETE, INSERT ON home.sealed TO soft_hostile_mallory;
RESET ROLE;
SET ROLE soft_hostile_mallory;
DELETE FROM home.sealed;
INSERT INTO home.sealed VALUES ('another', 'x');
SELECT plinth_soft_delete.last_deletion() AS sealed \gset
RESET ROLE;
CREATE FUNCTION detail_of(who name, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		EXECUTE stmt;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
		result := sqlstate || ': ' || result;
	END;
	RESET ROLE;
	RETURN result;
END $$;
SELECT is(detail_of('soft_hostile_mallory', 'SELECT plinth_soft_delete.restore(' || :sealed || ')'), '23505: ', 'the rows in the way are not shown');
SELECT matches(detail_of('soft_hostile_victim', 'SELECT plinth_soft_delete.restore(' || :sealed || ')'), '^23505: .*the secret', 'but to who may read them');
SELECT matches(run('soft_hostile_mallory', $$ SELECT plinth_soft_delete.restore_row('home.sealed', '{"secret": "the secret"}') $$), '^42501: permission denied for', 'nor can they be guessed');

CREATE TABLE home.docs (id int PRIMARY KEY, doc json);
SELECT plinth_soft_delete.enable('home.docs');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('home.docs', '{"doc": {}}') $$, '42883', 'could not identify an equality operator for type json', 'a column that cannot be compared');

SELECT * FROM finish();
DROP SCHEMA lair, home CASCADE;
SELECT drop_roles('soft_hostile_');
