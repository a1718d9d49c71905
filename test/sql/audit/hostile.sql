-- A hostile search path, hostile types and hostile functions change nothing in
-- the record and run with nobody's rights but the writer's.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
CREATE ROLE regress_audit_evil;
CREATE ROLE regress_audit_victim;
CREATE SCHEMA hostile;
CREATE SCHEMA evil AUTHORIZATION regress_audit_evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT USAGE, CREATE ON SCHEMA hostile TO regress_audit_evil, regress_audit_victim;
CREATE TABLE hostile.seen (what text, who text);
GRANT INSERT ON hostile.seen TO PUBLIC;

-- Names that an extension might use without thinking.
SET ROLE regress_audit_evil;
SET search_path = evil;
CREATE FUNCTION evil.note_who(what text) RETURNS void LANGUAGE sql
	AS $$INSERT INTO hostile.seen VALUES (what, current_user)$$;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('now'); RETURN '1999-01-01'; END$$;
CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('to_jsonb'); RETURN '"forged"'; END$$;
CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('quote_ident'); RETURN 'evil.users_audit'; END$$;
CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('format'); RETURN 'SELECT 1'; END$$;
CREATE FUNCTION evil.pg_current_xact_id() RETURNS xid8 LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('pg_current_xact_id'); RETURN '1'; END$$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('lower'); RETURN 'x'; END$$;
CREATE FUNCTION evil.yes(anyelement, anyelement) RETURNS bool LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('operator'); RETURN true; END$$;
CREATE FUNCTION evil.yes(oid, oid) RETURNS bool LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('oid operator'); RETURN true; END$$;
CREATE FUNCTION evil.yes(name, name) RETURNS bool LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('name operator'); RETURN true; END$$;
CREATE FUNCTION evil.yes(text, text) RETURNS bool LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('text operator'); RETURN true; END$$;
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.yes);
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.yes);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.yes);
CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.yes);
CREATE VIEW evil.pg_class AS SELECT 1 AS oid;
CREATE VIEW evil.pg_trigger AS SELECT 1 AS oid;
CREATE TABLE evil.transaction (transaction_id xid8);
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (false);
CREATE DOMAIN evil.regclass AS pg_catalog.regclass CHECK (false);

-- The victim does everything under that path, and with a temporary schema
-- that shadows it all.
SET ROLE regress_audit_victim;
SET search_path = evil, hostile, pg_catalog;
CREATE TABLE hostile.users (id int PRIMARY KEY, name pg_catalog.text);
CREATE TEMPORARY TABLE users_audit (op pg_catalog.text);
CREATE TEMPORARY TABLE pg_class (oid int);
SELECT plinth_audit.enable('hostile.users');
INSERT INTO hostile.users VALUES (1, 'Ann');
UPDATE hostile.users SET name = 'Anna' WHERE id OPERATOR(pg_catalog.=) 1;
SELECT plinth_audit.alter('hostile.users', mode => 'delta', mask => '{name}');
UPDATE hostile.users SET name = 'Ann' WHERE id OPERATOR(pg_catalog.=) 1;
DELETE FROM hostile.users;
INSERT INTO hostile.users VALUES (2, 'Bob');
TRUNCATE hostile.users;
SELECT target, log, capturing, protected FROM plinth_audit.status WHERE target OPERATOR(pg_catalog.=) 'hostile.users'::pg_catalog.regclass;
SELECT * FROM plinth_audit.check('hostile.users');
SELECT * FROM plinth_audit.repair('hostile.users');
SELECT plinth_audit.set_actor('me'), plinth_audit.set_context('{}');
ALTER TABLE hostile.users ADD COLUMN more int;
INSERT INTO hostile.users VALUES (3, 'Cid', 4);
SELECT plinth_audit.disable('hostile.users');
SELECT plinth_audit.enable('hostile.users');
DROP TABLE pg_temp.users_audit, pg_temp.pg_class;
RESET ROLE;
SET search_path = pg_catalog;
SELECT op, changed_by, changed_at > '2026-01-01' AS true_time, transaction_id > '1' AS true_transaction,
	row_key, old_data, new_data, note
FROM hostile.users_audit ORDER BY audit_id;
SELECT * FROM hostile.seen ORDER BY 1, 2;

-- A type with code of its own: a cast to json that forges, and operators and
-- an output that tell who runs them.
SET ROLE regress_audit_evil;
SET search_path = evil, pg_catalog;
CREATE TYPE evil.pair AS (a int, b int);
CREATE FUNCTION evil.forge(evil.pair) RETURNS pg_catalog.json LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('cast to json'); RETURN '"forged"'::pg_catalog.json; END$$;
CREATE CAST (evil.pair AS pg_catalog.json) WITH FUNCTION evil.forge(evil.pair);
CREATE TYPE evil.mood AS ENUM ('bad', 'worse');
CREATE FUNCTION evil.forge(evil.mood) RETURNS pg_catalog.json LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('cast to json'); RETURN '"forged"'::pg_catalog.json; END$$;
CREATE CAST (evil.mood AS pg_catalog.json) WITH FUNCTION evil.forge(evil.mood);
CREATE FUNCTION evil.tell(evil.pair, evil.pair) RETURNS bool LANGUAGE plpgsql IMMUTABLE
	AS $$BEGIN PERFORM evil.note_who('operator'); RETURN true; END$$;
CREATE OPERATOR evil.= (LEFTARG = evil.pair, RIGHTARG = evil.pair, FUNCTION = evil.tell);
CREATE FUNCTION evil.allow(int) RETURNS bool LANGUAGE plpgsql
	AS $$BEGIN PERFORM evil.note_who('domain check'); RETURN true; END$$;
CREATE DOMAIN evil.watched AS int CHECK (evil.allow(VALUE));
CREATE FUNCTION evil.computed(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$BEGIN PERFORM evil.note_who('generated column'); RETURN $1; END$$;
CREATE TABLE hostile.trap (id evil.watched PRIMARY KEY, p evil.pair, m evil.mood, l evil.mood[],
	g int GENERATED ALWAYS AS (evil.computed(id)) STORED);
GRANT SELECT, INSERT, UPDATE, DELETE ON hostile.trap TO regress_audit_victim;
SELECT plinth_audit.enable('hostile.trap', mode => 'delta');
SET ROLE regress_audit_victim;
INSERT INTO hostile.trap VALUES (1, ROW(1, 2), 'bad', '{bad,worse}');
UPDATE hostile.trap SET p = ROW(1, 3) WHERE id OPERATOR(pg_catalog.=) 1;
DELETE FROM hostile.trap;
RESET ROLE;
SET search_path = pg_catalog;
SELECT op, changed_by, row_key, old_data, new_data, note FROM hostile.trap_audit ORDER BY audit_id;
-- the writer's own statement ran what it always runs, as the writer; the log nothing
SELECT what, who FROM hostile.seen GROUP BY 1, 2 ORDER BY 1, 2;

-- SECURITY DEFINER does not hide who asked, and the function's owner's rights
-- are not lent to the log.
SET ROLE regress_audit_evil;
CREATE FUNCTION evil.launder() RETURNS void LANGUAGE sql SECURITY DEFINER
	AS $$INSERT INTO hostile.trap (id) VALUES (7)$$;
SET ROLE regress_audit_victim;
SELECT evil.launder();
RESET ROLE;
SELECT op, changed_by, row_key FROM hostile.trap_audit ORDER BY audit_id DESC LIMIT 1;

-- A trigger of one's own, pointed at somebody else's log, gives no way to
-- write to it, to read it, or to take it from its reader.
SELECT count(*) AS so_far FROM hostile.users_audit \gset
CREATE ROLE regress_audit_friend;
GRANT CREATE ON SCHEMA evil TO regress_audit_friend;
GRANT regress_audit_friend TO regress_audit_evil;
SET ROLE regress_audit_evil;
CREATE TABLE evil.pointed (id int PRIMARY KEY);
CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON evil.pointed FOR EACH ROW
	EXECUTE FUNCTION plinth_audit.capture('log=hostile.users_audit', 'mode=full', 'truncate=rows');
CREATE TRIGGER plinth_audit_truncate BEFORE TRUNCATE ON evil.pointed FOR EACH STATEMENT
	EXECUTE FUNCTION plinth_audit.capture('log=hostile.users_audit', 'mode=full', 'truncate=event');
ALTER TABLE evil.pointed ENABLE ALWAYS TRIGGER plinth_audit;
ALTER TABLE evil.pointed ENABLE ALWAYS TRIGGER plinth_audit_truncate;
SELECT * FROM plinth_audit.repair('evil.pointed');
INSERT INTO evil.pointed VALUES (1);
TRUNCATE evil.pointed;
ALTER TABLE evil.pointed OWNER TO regress_audit_friend;
REASSIGN OWNED BY regress_audit_friend TO regress_audit_evil;
INSERT INTO evil.pointed VALUES (2);
ALTER TABLE evil.pointed RENAME TO users;
SELECT * FROM plinth_audit.repair('evil.users');
SELECT plinth_audit.alter('evil.users', mode => 'new');
SELECT plinth_audit.disable('evil.users', drop_log => true);
DROP TABLE IF EXISTS evil.users;
CREATE TABLE evil.users (id int PRIMARY KEY);
SELECT plinth_audit.enable('evil.users', log => 'hostile.users_audit');
SELECT plinth_audit.enable('evil.users');
SELECT plinth_audit.alter('evil.users', log => 'hostile.users_audit');
CREATE TABLE evil.guarded (id int);
CREATE TRIGGER plinth_audit_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON evil.guarded FOR EACH STATEMENT
	EXECUTE FUNCTION plinth_audit.guard('log=hostile.users_audit', 'reader=regress_audit_evil');
ALTER TABLE evil.guarded RENAME TO unguarded;
SELECT count(*) FROM hostile.users_audit;
RESET ROLE;
SELECT count(*) - :so_far AS forged FROM hostile.users_audit;
SELECT r AS role, p AS privilege
FROM unnest('{regress_audit_evil,regress_audit_friend,regress_audit_victim}'::text[]) r,
	unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
WHERE has_table_privilege(r, 'hostile.users_audit', p) ORDER BY 1, 2;
SELECT * FROM plinth_audit.check('hostile.users');

-- Default privileges that would open every new table.
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA hostile GRANT ALL ON TABLES TO regress_audit_evil;
ALTER DEFAULT PRIVILEGES IN SCHEMA hostile GRANT ALL ON SEQUENCES TO regress_audit_evil;
SET ROLE regress_audit_victim;
CREATE TABLE hostile.opened (id int);
SELECT plinth_audit.enable('hostile.opened');
INSERT INTO hostile.opened VALUES (1);
RESET ROLE;
SELECT r AS role, p AS privilege
FROM unnest('{regress_audit_evil,regress_audit_victim}'::text[]) r,
	unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
WHERE has_table_privilege(r, 'hostile.opened_audit', p) ORDER BY 1, 2;
SELECT r AS role, p AS privilege
FROM unnest('{regress_audit_evil,regress_audit_victim}'::text[]) r, unnest('{SELECT,USAGE,UPDATE}'::text[]) p
WHERE has_sequence_privilege(r, pg_get_serial_sequence('hostile.opened_audit', 'audit_id'), p) ORDER BY 1, 2;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA hostile REVOKE ALL ON TABLES FROM regress_audit_evil;
ALTER DEFAULT PRIVILEGES IN SCHEMA hostile REVOKE ALL ON SEQUENCES FROM regress_audit_evil;

-- The log does not go with its schema, nor with its reader.
CREATE SCHEMA theirs AUTHORIZATION regress_audit_victim;
SELECT current_database() AS database \gset
GRANT CREATE ON DATABASE :"database" TO regress_audit_victim;
SET ROLE regress_audit_victim;
CREATE TABLE theirs.users (id int PRIMARY KEY);
SELECT plinth_audit.enable('theirs.users');
INSERT INTO theirs.users VALUES (1);
\set VERBOSITY terse
DROP SCHEMA theirs CASCADE;
\set VERBOSITY default
-- (and many warnings about privileges that it cannot revoke)
SET client_min_messages = error;
DROP OWNED BY regress_audit_victim CASCADE;
RESET client_min_messages;
DROP TABLE theirs.users_audit;
ALTER TABLE theirs.users_audit RENAME TO gone;
ALTER SCHEMA theirs RENAME TO gone;
DELETE FROM gone.users_audit;
INSERT INTO gone.users VALUES (2);
ALTER SCHEMA gone RENAME TO theirs;
INSERT INTO theirs.users VALUES (3);
RESET ROLE;
SELECT op, new_data FROM theirs.users_audit ORDER BY audit_id;

SET client_min_messages = warning;
DROP SCHEMA theirs, hostile, evil CASCADE;
DROP OWNED BY regress_audit_evil, regress_audit_friend, regress_audit_victim CASCADE;
DROP ROLE regress_audit_evil, regress_audit_friend, regress_audit_victim;
