-- The options of a log mean what they say: full, delta and new; include, exclude and mask; rows and event.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(83);

-- What a log says since the last time it was asked: op, key, old, new, note.
CREATE FUNCTION said(log regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', op, coalesce(row_key::text, ''-''), coalesce(old_data::text, ''-''), coalesce(new_data::text, ''-''), coalesce(note::text, ''-'')) FROM %s
		ORDER BY max(audit_id) OVER (PARTITION BY transaction_id), command_id, audit_id', log);
	EXECUTE format('DELETE FROM %s', log);
END $$;
CREATE FUNCTION says(log regclass, wanted text[], description text) RETURNS text LANGUAGE sql AS $$ SELECT is(ARRAY(SELECT said(log)), wanted, description) $$;

----------------------------------------------------------------------------------------------------------------------
-- full, delta, new
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE f (id int PRIMARY KEY, a text, n numeric);
CREATE TABLE d (LIKE f INCLUDING ALL);
CREATE TABLE w (LIKE f INCLUDING ALL);
SELECT is(plinth_audit.enable('f')::text, 'f_audit', 'full is the default');
SELECT is(plinth_audit.enable('d', mode => 'delta')::text, 'd_audit', 'delta');
SELECT is(plinth_audit.enable('w', mode => 'new', truncate => 'event')::text, 'w_audit', 'new');
SELECT results_eq($$ SELECT target::text, log::text, mode, coalesce(include, '{}'), coalesce(exclude, '{}'), coalesce(mask, '{}'), truncate, capturing, protected FROM plinth_audit.status ORDER BY 1 $$,
	$$ VALUES ('d', 'd_audit', 'delta', '{}'::name[], '{}'::name[], '{}'::name[], 'rows', true, true), ('f', 'f_audit', 'full', '{}', '{}', '{}', 'rows', true, true), ('w', 'w_audit', 'new', '{}', '{}', '{}', 'event', true, true) $$, 'status shows them');

INSERT INTO f VALUES (1, 'x', 1.0), (2, NULL, NULL);
UPDATE f SET a = 'y' WHERE id = 1;
UPDATE f SET a = a WHERE id = 1;
UPDATE f SET n = 1.00 WHERE id = 1;
UPDATE f SET id = 3 WHERE id = 1;
DELETE FROM f WHERE id = 2;
TRUNCATE f;
SELECT says('f_audit', ARRAY[
	'I {"id": 1} - {"a": "x", "n": 1.0, "id": 1} -', 'I {"id": 2} - {"a": null, "n": null, "id": 2} -', 'U {"id": 1} {"a": "x", "n": 1.0, "id": 1} {"a": "y", "n": 1.0, "id": 1} -', 'U {"id": 1} {"a": "y", "n": 1.0, "id": 1} {"a": "y", "n": 1.0, "id": 1} -',
	'U {"id": 1} {"a": "y", "n": 1.0, "id": 1} {"a": "y", "n": 1.00, "id": 1} -', 'U {"id": 1} {"a": "y", "n": 1.00, "id": 1} {"a": "y", "n": 1.00, "id": 3} -', 'D {"id": 2} {"a": null, "n": null, "id": 2} - -', 'T {"id": 3} {"a": "y", "n": 1.00, "id": 3} - -'],
	'full: old and new, no-op updates too, each row that a TRUNCATE takes');
INSERT INTO d VALUES (1, 'x', 1.0), (2, NULL, NULL);
UPDATE d SET a = 'y' WHERE id = 1;
UPDATE d SET a = a, id = id;
UPDATE d SET n = 1.00 WHERE id = 1;
UPDATE d SET id = 3, a = NULL WHERE id = 1;
UPDATE d SET a = a, n = 5 WHERE id = 2;
DELETE FROM d WHERE id = 2;
TRUNCATE d;
SELECT says('d_audit', ARRAY[
	'I {"id": 1} - {"a": "x", "n": 1.0, "id": 1} -', 'I {"id": 2} - {"a": null, "n": null, "id": 2} -', 'U {"id": 1} {"a": "x"} {"a": "y"} -', 'U {"id": 1} {"n": 1.0} {"n": 1.00} -', 'U {"id": 1} {"a": "y", "id": 1} {"a": null, "id": 3} -',
	'U {"id": 2} {"n": null} {"n": 5} -', 'D {"id": 2} {"a": null, "n": 5, "id": 2} - -', 'T {"id": 3} {"a": null, "n": 1.00, "id": 3} - -'],
	'delta: of an update only what changed, a no-op update not at all');
INSERT INTO w VALUES (1, 'x', 1.0), (2, NULL, NULL);
UPDATE w SET a = 'y' WHERE id = 1;
UPDATE w SET a = a WHERE id = 1;
UPDATE w SET id = 3 WHERE id = 1;
DELETE FROM w WHERE id = 2;
TRUNCATE w;
SELECT says('w_audit', ARRAY[
	'I {"id": 1} - {"a": "x", "n": 1.0, "id": 1} -', 'I {"id": 2} - {"a": null, "n": null, "id": 2} -', 'U {"id": 1} - {"a": "y", "n": 1.0, "id": 1} -', 'U {"id": 1} - {"a": "y", "n": 1.0, "id": 1} -', 'U {"id": 1} - {"a": "y", "n": 1.0, "id": 3} -', 'D {"id": 2} - - -', 'T - - - -'],
	'new: new images only; event: one T without data');
TRUNCATE w;
SELECT says('w_audit', '{"T - - - -"}', 'event: also for a table without rows');
TRUNCATE f;
SELECT says('f_audit', '{}', 'rows: nothing for a table without rows');
SELECT plinth_audit.alter('w', truncate => 'rows') IS NULL AS ignored \gset
INSERT INTO w VALUES (7), (8);
SELECT count(*) AS ignored FROM said('w_audit') \gset
TRUNCATE w;
SELECT bag_eq($$ SELECT said('w_audit') $$, ARRAY['T {"id": 7} - - -', 'T {"id": 8} - - -'], 'new: a T for each row has its key');

-- What counts as a change is what one can see in the image.
CREATE TYPE dc AS (x numeric, t text);
CREATE TABLE dt (id int PRIMARY KEY, j jsonb, a numeric[], c dc, ch char(3), iv interval, f float8, tz timestamptz, b bytea, t text COLLATE "C");
INSERT INTO dt VALUES (1, '{"a": [1.0]}', '{1.0}', '(1.0,x)', 'a', '1 mon', 1, '2024-01-01 00:00+00', '\x00', 'a');
SELECT plinth_audit.enable('dt', mode => 'delta') IS NULL AS ignored \gset
UPDATE dt SET j = '{"a": [1.00]}';
UPDATE dt SET a = '{1.00}';
UPDATE dt SET c.x = 1.00;
UPDATE dt SET iv = '30 days';
UPDATE dt SET ch = 'a  ', f = 1.0, tz = '2024-01-01 09:00+09', b = '\x00', t = 'a', j = '{ "a":[1.00] }';
UPDATE dt SET t = 'A';
SELECT says('dt_audit', ARRAY['U {"id": 1} {"j": {"a": [1.0]}} {"j": {"a": [1.00]}} -', 'U {"id": 1} {"a": [1.0]} {"a": [1.00]} -', 'U {"id": 1} {"c": {"t": "x", "x": 1.0}} {"c": {"t": "x", "x": 1.00}} -', 'U {"id": 1} {"iv": "1 mon"} {"iv": "30 days"} -', 'U {"id": 1} {"t": "a"} {"t": "A"} -'],
	'1.0 to 1.00 is a change, wherever it is, and values that are equal to = may differ');

----------------------------------------------------------------------------------------------------------------------
-- include, exclude
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE i (id int, k text, a text, b text, c int DEFAULT 0, PRIMARY KEY (id, k));
CREATE TABLE e (LIKE i INCLUDING ALL);
SELECT plinth_audit.enable('i', include => '{a}') IS NULL AS ignored \gset
SELECT plinth_audit.enable('e', exclude => '{b,id}') IS NULL AS ignored \gset
INSERT INTO i VALUES (1, 'k', 'a', 'b');
UPDATE i SET a = 'aa';
UPDATE i SET b = 'bb', c = 1;
UPDATE i SET a = 'aaa', b = 'bbb';
DELETE FROM i WHERE id = 5;
UPDATE i SET id = 2;
UPDATE i SET id = 3, k = 'kk', a = 'z';
DELETE FROM i;
SELECT says('i_audit', ARRAY['I {"k": "k", "id": 1} - {"a": "a"} -', 'U {"k": "k", "id": 1} {"a": "a"} {"a": "aa"} -', 'U {"k": "k", "id": 1} {"a": "aa"} {"a": "aaa"} -', 'U {"k": "k", "id": 1} {"a": "aaa"} {"a": "aaa"} {"new_key": {"k": "k", "id": 2}}',
	'U {"k": "k", "id": 2} {"a": "aaa"} {"a": "z"} {"new_key": {"k": "kk", "id": 3}}', 'D {"k": "kk", "id": 3} {"a": "z"} - -'],
	'include: those columns and no others, key columns always in row_key, a new key in note');
INSERT INTO e VALUES (1, 'k', 'a', 'b');
UPDATE e SET b = 'bb';
UPDATE e SET a = 'aa';
UPDATE e SET k = 'kk';
UPDATE e SET id = 2;
TRUNCATE e;
SELECT says('e_audit', ARRAY['I {"k": "k", "id": 1} - {"a": "a", "c": 0, "k": "k"} -', 'U {"k": "k", "id": 1} {"a": "a", "c": 0, "k": "k"} {"a": "aa", "c": 0, "k": "k"} -', 'U {"k": "k", "id": 1} {"a": "aa", "c": 0, "k": "k"} {"a": "aa", "c": 0, "k": "kk"} {"new_key": {"k": "kk", "id": 1}}',
	'U {"k": "kk", "id": 1} {"a": "aa", "c": 0, "k": "kk"} {"a": "aa", "c": 0, "k": "kk"} {"new_key": {"k": "kk", "id": 2}}', 'T {"k": "kk", "id": 2} {"a": "aa", "c": 0, "k": "kk"} - -'],
	'exclude: all columns but those; an update that touches only columns left out is not logged');
SELECT plinth_audit.alter('e', mode => 'delta') IS NULL AS ignored \gset
INSERT INTO e VALUES (1, 'k', 'a', 'b');
UPDATE e SET b = 'bb', a = a;
UPDATE e SET b = 'cc', c = 9;
UPDATE e SET id = 2;
SELECT says('e_audit', ARRAY['I {"k": "k", "id": 1} - {"a": "a", "c": 0, "k": "k"} -', 'U {"k": "k", "id": 1} {"c": 0} {"c": 9} -', 'U {"k": "k", "id": 1} {} {} {"new_key": {"k": "k", "id": 2}}'],
	'in delta too; a change of a key that is left out is still a change');
SELECT plinth_audit.alter('e', mode => 'new') IS NULL AS ignored \gset
UPDATE e SET b = 'dd';
UPDATE e SET a = 'new';
SELECT says('e_audit', ARRAY['U {"k": "k", "id": 2} - {"a": "new", "c": 9, "k": "k"} -'], 'and in new');

-- Columns that come later.
ALTER TABLE i ADD COLUMN later text;
ALTER TABLE e ADD COLUMN later text;
SELECT plinth_audit.alter('e', mode => 'full') IS NULL AS ignored \gset
SELECT plinth_audit.alter('i', mode => 'full') IS NULL AS ignored \gset
INSERT INTO i VALUES (9, 'k', 'a', 'b', 0, 'l');
INSERT INTO e VALUES (9, 'k', 'a', 'b', 0, 'l');
UPDATE i SET later = 'll';
UPDATE e SET later = 'll' WHERE id = 9;
SELECT says('i_audit', ARRAY['I {"k": "k", "id": 9} - {"a": "a"} -'], 'a column added later is not one of those included');
SELECT says('e_audit', ARRAY['I {"k": "k", "id": 9} - {"a": "a", "c": 0, "k": "k", "later": "l"} -', 'U {"k": "k", "id": 9} {"a": "a", "c": 0, "k": "k", "later": "l"} {"a": "a", "c": 0, "k": "k", "later": "ll"} -'], 'nor one of those excluded');

-- Columns that are renamed or dropped.
ALTER TABLE i RENAME COLUMN a TO "A a";
ALTER TABLE e RENAME COLUMN b TO hidden;
ALTER TABLE e ADD COLUMN b text DEFAULT 'new b';
INSERT INTO i VALUES (10, 'k', 'a', 'b');
INSERT INTO e (id, k, hidden) VALUES (10, 'k', 'secret');
SELECT says('i_audit', ARRAY['I {"k": "k", "id": 10} - {"A a": "a"} -'], 'an included column that is renamed stays included');
SELECT says('e_audit', ARRAY['I {"k": "k", "id": 10} - {"a": null, "b": "new b", "c": 0, "k": "k", "later": null} -'], 'an excluded column that is renamed stays excluded, a new one of its old name is not');
SELECT is((SELECT array_agg(x ORDER BY x) FROM plinth_audit.status, unnest(exclude) x WHERE target = 'e'::regclass), '{hidden,id}'::name[], 'status shows the new name');
ALTER TABLE e DROP COLUMN hidden;
SELECT lives_ok($$ INSERT INTO e (id, k) VALUES (11, 'k') $$, 'a table whose excluded column was dropped can be written');
SELECT is((SELECT array_agg(x ORDER BY x) FROM plinth_audit.status, unnest(exclude) x WHERE target = 'e'::regclass), '{id}'::name[], 'a dropped column leaves the options');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('e') $$, 'and all is well');
ALTER TABLE i DROP COLUMN "A a";
INSERT INTO i VALUES (11, 'k', 'never in the log');
UPDATE i SET b = 'never in the log, never';
SELECT is_empty($$ SELECT 1 FROM i_audit l WHERE l::text LIKE '%never in the log%' $$, 'the last included column is dropped: the others are not logged because of that');

----------------------------------------------------------------------------------------------------------------------
-- mask
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE m (id int PRIMARY KEY, secret text, pin int, j json, open text);
SELECT plinth_audit.enable('m', mask => '{secret,pin,j}') IS NULL AS ignored \gset
INSERT INTO m VALUES (1, 's3cr3t one', 1471147114, '{"x": "s3cr3t"}', 'o'), (2, NULL, NULL, NULL, 'o');
SELECT says('m_audit', ARRAY['I {"id": 1} - {"j": "***", "id": 1, "pin": "***", "open": "o", "secret": "***"} {"masked": ["j", "pin", "secret"]}', 'I {"id": 2} - {"j": "***", "id": 2, "pin": "***", "open": "o", "secret": "***"} {"masked": ["j", "pin", "secret"]}'],
	'a masked column keeps its name, shows ***, also for NULL, and is named in note');
UPDATE m SET secret = 's3cr3t two' WHERE id = 1;
SELECT says('m_audit', ARRAY['U {"id": 1} {"j": "***", "id": 1, "pin": "***", "open": "o", "secret": "***"} {"j": "***", "id": 1, "pin": "***", "open": "o", "secret": "***"} {"masked": ["j", "pin", "secret"]}'], 'a change of a masked column is logged');
SELECT plinth_audit.alter('m', mode => 'delta') IS NULL AS ignored \gset
UPDATE m SET secret = 's3cr3t three', open = 'p' WHERE id = 1;
UPDATE m SET open = 'q' WHERE id = 1;
UPDATE m SET pin = NULL WHERE id = 1;
UPDATE m SET pin = pin, secret = secret WHERE id = 1;
SELECT says('m_audit', ARRAY['U {"id": 1} {"open": "o", "secret": "***"} {"open": "p", "secret": "***"} {"masked": ["secret"]}', 'U {"id": 1} {"open": "p"} {"open": "q"} -', 'U {"id": 1} {"pin": "***"} {"pin": "***"} {"masked": ["pin"]}'],
	'delta: that it changed is logged, not to what');
SELECT plinth_audit.alter('m', mode => 'new') IS NULL AS ignored \gset
UPDATE m SET secret = 's3cr3t four', id = 5 WHERE id = 1;
SELECT says('m_audit', ARRAY['U {"id": 1} - {"j": "***", "id": 5, "pin": "***", "open": "q", "secret": "***"} {"masked": ["j", "pin", "secret"]}'], 'new: masked as well');

-- Nothing of it anywhere in the log, whatever happens.
SELECT plinth_audit.alter('m', mode => 'full') IS NULL AS ignored \gset
CREATE FUNCTION m_all(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO m (id, secret, pin, j) VALUES (n, 's3cr3t', 1471147114, '{"s3cr3t": "s3cr3t\u0000"}'), (n + 1, repeat('s3cr3t', 100000), 1471147114, '[1e1000000, "s3cr3t"]');
	UPDATE m SET secret = secret || ' s3cr3t' WHERE id = n;
	UPDATE m SET id = -id WHERE id = n;
	INSERT INTO m (id, secret) VALUES (n + 1, 's3cr3t') ON CONFLICT (id) DO UPDATE SET secret = excluded.secret;
	BEGIN
		INSERT INTO m (id, secret) VALUES (n + 1, 's3cr3t');
	EXCEPTION WHEN unique_violation THEN NULL;
	END;
	DELETE FROM m WHERE id = -n;
	TRUNCATE m;
END $$;
SELECT lives_ok($$ SELECT m_all(100) $$, 'a masked value that jsonb cannot hold makes no statement fail');
SELECT plinth_audit.alter('m', mode => 'delta') IS NULL AS ignored \gset
SELECT lives_ok($$ SELECT m_all(200) $$, 'in delta');
SELECT plinth_audit.alter('m', mode => 'new') IS NULL AS ignored \gset
SELECT lives_ok($$ SELECT m_all(300) $$, 'in new');
SELECT plinth_audit.alter('m', mode => 'full') IS NULL AS ignored \gset
ALTER TABLE m RENAME COLUMN secret TO "Se""cret";
SELECT is((SELECT array_agg(x ORDER BY x) FROM plinth_audit.status, unnest(mask) x WHERE target = 'm'::regclass), ARRAY['Se"cret', 'j', 'pin']::name[], 'status shows the new name of a masked column');
INSERT INTO m (id, "Se""cret") VALUES (7, 's3cr3t seven');
SELECT is((SELECT new_data ->> 'Se"cret' FROM m_audit WHERE row_key = '{"id": 7}'), '***', 'a masked column that is renamed stays masked');
SELECT is((SELECT note -> 'masked' FROM m_audit WHERE row_key = '{"id": 7}'), '["j", "pin", "Se\"cret"]', 'under its new name');
-- Renamed, and another column gets its name: in one transaction, and within a function.
BEGIN;
ALTER TABLE m RENAME COLUMN "Se""cret" TO tmp;
ALTER TABLE m RENAME COLUMN open TO "Se""cret";
ALTER TABLE m RENAME COLUMN tmp TO open;
COMMIT;
INSERT INTO m (id, open, "Se""cret") VALUES (8, 's3cr3t eight', 'public');
SELECT is((SELECT new_data FROM m_audit WHERE row_key = '{"id": 8}'), '{"id": 8, "j": "***", "pin": "***", "open": "***", "Se\"cret": "public"}', 'two columns swap their names: the mask follows the column');
DO $$ BEGIN EXECUTE 'ALTER TABLE m RENAME COLUMN open TO "secret, pin"'; INSERT INTO m (id, "secret, pin") VALUES (9, 's3cr3t nine'); END $$;
SELECT is((SELECT new_data ->> 'secret, pin' FROM m_audit WHERE row_key = '{"id": 9}'), '***', 'within one function, and with a name that looks like a list');
BEGIN;
ALTER TABLE m RENAME COLUMN "secret, pin" TO rolled_back;
ROLLBACK;
INSERT INTO m (id, "secret, pin") VALUES (10, 's3cr3t ten');
SELECT is((SELECT new_data ->> 'secret, pin' FROM m_audit WHERE row_key = '{"id": 10}'), '***', 'a renaming that is rolled back');
ALTER TABLE m ALTER COLUMN pin TYPE text USING 's3cr3t' || pin;
INSERT INTO m (id, pin) VALUES (11, 's3cr3t eleven');
SELECT is((SELECT new_data ->> 'pin' FROM m_audit WHERE row_key = '{"id": 11}'), '***', 'a masked column that changes its type stays masked');
SELECT is_empty($$ SELECT l::text FROM m_audit l WHERE l::text ~ 's3cr3t|1471147114' $$, 'a masked value is nowhere in the log');
SELECT is_empty($$ SELECT l::text FROM plinth_audit.transaction l WHERE l::text ~ 's3cr3t|1471147114' $$, 'nor in the table of transactions');
ALTER TABLE m DROP COLUMN pin;
SELECT is((SELECT array_agg(x ORDER BY x) FROM plinth_audit.status, unnest(mask) x WHERE target = 'm'::regclass), ARRAY['j', 'secret, pin']::name[], 'a masked column that is dropped leaves the options');
ALTER TABLE m ADD COLUMN pin int;
INSERT INTO m (id, pin) VALUES (12, 1);
SELECT is((SELECT new_data -> 'pin' FROM m_audit WHERE row_key = '{"id": 12}'), '1', 'a new column of the same name is another column');
ALTER TABLE m DROP COLUMN j, DROP COLUMN "secret, pin";
SELECT lives_ok('INSERT INTO m (id) VALUES (13)', 'all masked columns dropped');
SELECT is((SELECT note FROM m_audit WHERE row_key = '{"id": 13}'), NULL, 'and nothing to note');

-- Columns that go with their type.
CREATE TYPE goes AS ENUM ('s3cr3t');
CREATE TABLE gt (id int PRIMARY KEY, g goes, h goes, k text);
SELECT plinth_audit.enable('gt', mask => '{g}', exclude => '{h}') IS NULL AS ignored \gset
DROP TYPE goes CASCADE;
SELECT lives_ok($$ INSERT INTO gt VALUES (1, 'k') $$, 'columns that DROP TYPE CASCADE drops leave the options as well');

-- With include, a mask hides some of what is included.
CREATE TABLE im (id int PRIMARY KEY, a text, b text, c text);
SELECT plinth_audit.enable('im', include => '{b,a}', mask => '{b}') IS NULL AS ignored \gset
INSERT INTO im VALUES (1, 'a', 'b', 'c');
UPDATE im SET c = 'cc';
SELECT says('im_audit', ARRAY['I {"id": 1} - {"a": "a", "b": "***"} {"masked": ["b"]}'], 'include with mask');

----------------------------------------------------------------------------------------------------------------------
-- Refusals
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE r (id int, k int, a text, PRIMARY KEY (id, k));
SELECT throws_ok(format('SELECT plinth_audit.enable(''r'', %s)', args), code, NULL, format('refused with %s: %s', code, args)) FROM (VALUES
	('22023', 'mode => ''fast'''), ('22023', 'mode => ''FULL'''), ('22023', 'mode => '''''), ('22023', 'truncate => ''never'''), ('22023', 'include => ''{a}'', exclude => ''{a}'''), ('22023', 'include => ''{a}'', exclude => ''{id}'''), ('22023', 'mask => ''{id}'''), ('22023', 'mask => ''{a,k}'''),
	('42703', 'include => ''{nope}'''), ('42703', 'exclude => ''{a,nope}'''), ('42703', 'mask => ''{A}'''), ('42703', 'mask => ''{"a,k"}'''), ('0A000', 'exclude => ''{ctid}''')) t (code, args);
SELECT is(to_regclass('r_audit'), NULL, 'and nothing was made');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'r'::regclass), 0::bigint, 'no trigger either');
SELECT plinth_audit.enable('r', mask => '{a}') IS NULL AS ignored \gset
SELECT throws_ok(format('SELECT plinth_audit.alter(''r'', %s)', args), code, NULL, format('alter: refused with %s: %s', code, args)) FROM (VALUES
	('22023', 'mode => ''fast'''), ('22023', 'truncate => ''never'''), ('22023', 'mask => ''{id}'''), ('42703', 'mask => ''{nope}'''), ('22023', 'include => ''{a}'', exclude => ''{id}''')) t (code, args);
SELECT is((SELECT mask FROM plinth_audit.status WHERE target = 'r'::regclass), '{a}'::name[], 'a refused alter() changes nothing');
-- A column that becomes a key cannot stay masked in secret: either refused, or it shows.
SELECT plinth_audit.alter('r', exclude => '{a}', mask => '{}') IS NULL AS ignored \gset
SELECT lives_ok($$ SELECT plinth_audit.alter('r', include => '{a}') $$, 'include alone takes the place of exclude');
SELECT results_eq($$ SELECT include, coalesce(exclude, '{}') FROM plinth_audit.status WHERE target = 'r'::regclass $$, $$ VALUES ('{a}'::name[], '{}'::name[]) $$, 'as status shows');
SELECT lives_ok($$ SELECT plinth_audit.alter('r', exclude => '{a}') $$, 'and exclude alone that of include');
SELECT results_eq($$ SELECT coalesce(include, '{}'), exclude FROM plinth_audit.status WHERE target = 'r'::regclass $$, $$ VALUES ('{}'::name[], '{a}'::name[]) $$, 'as status shows');
SELECT lives_ok($$ SELECT plinth_audit.alter('r', include => '{a}', exclude => '{}') $$, 'both are taken when one is empty');
SELECT results_eq($$ SELECT include, coalesce(exclude, '{}'), coalesce(mask, '{}') FROM plinth_audit.status WHERE target = 'r'::regclass $$, $$ VALUES ('{a}'::name[], '{}'::name[], '{}'::name[]) $$, 'as status shows');
SELECT lives_ok($$ SELECT plinth_audit.alter('r', mode => 'delta') $$, 'NULL leaves the lists as they are');
SELECT results_eq($$ SELECT mode, include FROM plinth_audit.status WHERE target = 'r'::regclass $$, $$ VALUES ('delta', '{a}'::name[]) $$, 'as status shows');
SELECT lives_ok($$ SELECT plinth_audit.alter('r', include => '{}', truncate => 'event') $$, 'an empty list clears');
SELECT results_eq($$ SELECT mode, coalesce(include, '{}'), truncate FROM plinth_audit.status WHERE target = 'r'::regclass $$, $$ VALUES ('delta', '{}'::name[], 'event') $$, 'as status shows');
INSERT INTO r VALUES (1, 2, 'a');
SELECT says('r_audit', ARRAY['I {"k": 2, "id": 1} - {"a": "a", "k": 2, "id": 1} -'], 'and as the log shows');
SELECT throws_ok($$ SELECT plinth_audit.alter('seq_none') $$, NULL, NULL, 'alter of what does not exist');
CREATE TABLE never (id int);
SELECT throws_ok($$ SELECT plinth_audit.alter('never', mode => 'new') $$, NULL, NULL, 'alter of a table that is not audited');

-- A key made after the fact, over a masked column.
CREATE TABLE latekey (a text NOT NULL, b text);
SELECT plinth_audit.enable('latekey', mask => '{a}') IS NULL AS ignored \gset
INSERT INTO latekey VALUES ('s3cr3t', 'b');
SELECT says('latekey_audit', ARRAY['I - - {"a": "***", "b": "b"} {"masked": ["a"]}'], 'without a primary key row_key is NULL');
CREATE FUNCTION try(stmt text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE stmt; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN sqlstate; END $$;
SELECT try('ALTER TABLE latekey ADD PRIMARY KEY (a)') AS made, try($$ INSERT INTO latekey VALUES ('s3cr3t2', 'b') $$) AS written \gset
SELECT ok(:'made' <> 'ok' OR :'written' = '55000', 'a masked column that becomes a key: refused, or the write fails closed');
SELECT is_empty($$ SELECT l::text FROM latekey_audit l WHERE l::text LIKE '%s3cr3t2%' $$, 'a masked column that becomes a key is not shown by that');

SELECT * FROM finish();
