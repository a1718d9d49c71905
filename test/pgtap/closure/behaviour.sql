-- What a person who owns a hierarchy meets: what enable() makes and refuses, errors with their paths, limits, the guard,
-- rights, changes of the table's definition, partitions, damage and repair.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_closure;
SELECT * FROM no_plan();

\ir ../../lib/roles.sql
SELECT drop_roles('closure_behaviour_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

-- What becomes of a statement: its SQLSTATE and all that it says.
CREATE FUNCTION run(stmt text, OUT state text, OUT says text, OUT hint text) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE stmt;
	state := 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, says = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	says := concat_ws(' | ', says, nullif(detail, ''));
END $$;
CREATE FUNCTION refused(stmt text, wanted text, pattern text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record := run(stmt);
BEGIN
	RETURN CASE WHEN r.state = wanted AND r.says ~ pattern THEN pass(description)
		ELSE fail(description) || E'\n' || diag(format('have %s (%s; hint %s), want %s and %s: %s', r.state, r.says, r.hint, wanted, pattern, stmt)) END;
END $$;
CREATE FUNCTION pairs(closure text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	result text[];
BEGIN
	EXECUTE format('SELECT array_agg(concat_ws('' '', ancestor, descendant, depth) ORDER BY depth, ancestor, descendant) FROM %s', closure) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION exact(target regclass, description text) RETURNS text LANGUAGE sql AS $$ SELECT is((SELECT string_agg(c::text, E'\n') FROM plinth_closure.check(target) c), NULL, description) $$;
-- Independent of check(): id and parent.
CREATE FUNCTION recomputed(target text, closure text, description text, id text DEFAULT 'id', parent text DEFAULT 'parent') RETURNS text LANGUAGE sql AS $$
	SELECT set_eq(format('SELECT ancestor::text, descendant::text, depth FROM %s', closure),
		format('WITH RECURSIVE x AS (SELECT %2$s AS a, %2$s AS d, 0 AS depth FROM %1$s UNION ALL SELECT p.%2$s, x.d, depth + 1 FROM x JOIN %1$s c ON c.%2$s = x.a JOIN %1$s p ON p.%2$s = c.%3$s WHERE depth < 5000) SELECT a::text, d::text, depth FROM x', target, id, parent), description) $$;

----------------------------------------------------------------------------------------------------------------------
-- enable()
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE cat (id int PRIMARY KEY, parent int REFERENCES cat ON DELETE CASCADE, name text);
INSERT INTO cat VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 2, 'b'), (4, NULL, 'other');
GRANT SELECT ON cat TO PUBLIC;
SELECT is(plinth_closure.enable('cat')::text, 'cat_closure', 'enable() finds key and parent and returns the closure');
SELECT is(pairs('cat_closure'), '{"1 1 0","2 2 0","3 3 0","4 4 0","1 2 1","2 3 1","1 3 2"}', 'rows that were there are in it, self rows too');
SELECT is(plinth_closure.enable('cat')::text, 'cat_closure', 'a second time is no error');
SELECT refused('SELECT plinth_closure.enable(''cat'', max_depth => 7)', '42710', '1000.*7|7.*1000', 'other options are one that names both');
SELECT is((SELECT array_agg(regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') ORDER BY indisprimary DESC) FROM pg_index WHERE indrelid = 'cat_closure'::regclass),
	'{"btree (ancestor, descendant) INCLUDE (depth)","btree (descendant)"}', 'primary key with the depth, and an index for the other direction');
SELECT is((SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'cat'::regclass AND NOT tgisinternal), '{plinth_closure,plinth_closure_flush,plinth_closure_move,plinth_closure_truncate}', 'the triggers have their names');
SELECT isnt_empty($$ SELECT FROM pg_trigger WHERE tgrelid = 'cat_closure'::regclass AND tgname = 'plinth_closure_guard' $$, 'and so has the guard');
SELECT ok(has_table_privilege('public', 'cat_closure', 'SELECT') AND NOT has_table_privilege('public', 'cat_closure', 'INSERT'), 'SELECT as on the table, and nothing else');
SELECT is((SELECT array_agg((target::text, closure::text, max_depth)::text) FROM plinth_closure.status), '{"(cat,cat_closure,1000)"}', 'status shows it');

CREATE SCHEMA "Sch ""1""";
CREATE UNLOGGED TABLE "Sch ""1"""."T t" ("I d" varchar(12) COLLATE "C" PRIMARY KEY, "p,p" varchar(12) COLLATE "C" REFERENCES "Sch ""1"""."T t");
INSERT INTO "Sch ""1"""."T t" VALUES ('a', NULL), ('b,"''', 'a');
SELECT is(plinth_closure.enable('"Sch ""1"""."T t"')::text, '"Sch ""1"""."T t_closure"', 'names with everything in them; the closure stands beside its table');
SELECT is((SELECT array_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), (SELECT collname FROM pg_collation c WHERE c.oid = attcollation)) ORDER BY attnum) FROM pg_attribute WHERE attrelid = '"Sch ""1"""."T t_closure"'::regclass AND attnum > 0),
	'{"ancestor character varying(12) C","descendant character varying(12) C","depth integer"}', 'type, length and collation are those of the key');
SELECT is((SELECT relpersistence FROM pg_class WHERE oid = '"Sch ""1"""."T t_closure"'::regclass), 'u', 'an unlogged table has an unlogged closure');
INSERT INTO "Sch ""1"""."T t" VALUES ('d\', 'c{}'), ('c{}', 'b,"''');
SELECT exact('"Sch ""1"""."T t"', 'and it follows');

CREATE TABLE comp (a int, "b B" text, pa int, pb text, PRIMARY KEY (a, "b B"), FOREIGN KEY (pa, pb) REFERENCES comp);
INSERT INTO comp VALUES (1, 'x', NULL, NULL), (1, 'y', 1, 'x'), (2, 'x', 1, NULL);
SELECT is(plinth_closure.enable('comp')::text, 'comp_closure', 'a composite key');
SELECT results_eq('SELECT "ancestor_a", "ancestor_b B", "descendant_a", "descendant_b B", depth FROM comp_closure ORDER BY 5, 1, 2, 3, 4', $$ VALUES (1, 'x', 1, 'x', 0), (1, 'y', 1, 'y', 0), (2, 'x', 2, 'x', 0), (1, 'x', 1, 'y', 1) $$, 'columns for each part; half a parent is none');

-- Any type with a btree operator class.
CREATE EXTENSION citext;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'mad');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE COLLATION b_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE types (i int GENERATED ALWAYS AS IDENTITY, typ text, vals text[]);
INSERT INTO types (typ, vals) VALUES ('smallint', '{-32768,0,5,32767}'), ('bigint', '{-9223372036854775808,0,1,9223372036854775807}'), ('numeric', '{1.0,1.00001,-1e50,0}'), ('numeric(10,2)', '{1.005,2,3,4}'), ('float8', '{0,NaN,Infinity,-0.1}'),
	('text', '{"",a,"a b","\"\\"}'), ('text COLLATE b_ci', '{a,B,é,"A b"}'), ('varchar(5)', '{a,b,c,d}'), ('char(5)', '{a,b,c,d}'), ('citext', '{a,B,c,D}'), ('uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12}'),
	('bytea', '{"\\x","\\x00","\\xff","\\x0001"}'), ('date', '{-infinity,2024-02-29,infinity,0044-03-15 BC}'), ('timestamptz', '{-infinity,2024-02-29 12:00+05,infinity,2024-02-29 12:00+00}'), ('interval', '{0,"1 mon","31 days","-1 sec"}'), ('inet', '{10.0.0.1,10.0.0.0/8,::1,0.0.0.0}'),
	('mood', '{sad,ok,happy,mad}'), ('posint', '{1,2,3,4}'), ('name', '{a,b,c,d}'), ('"char"', '{a,b,c,d}'), ('oid', '{1,2,3,4294967295}'), ('int[]', '{"{}","{1}","{1,2}","{NULL}"}'), ('int4range', '{empty,"[1,2)","[1,)","(,)"}'), ('bool', '{f,t}'), ('pair', '{"(1,x)","(1,y)","(2,)","(,z)"}'), ('pg_lsn', '{0/0,0/1,1/0,FFFFFFFF/0}'), ('text COLLATE "en-x-icu"', '{a,B,c,A}');
CREATE FUNCTION type_test(typ text, vals text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	wrong text;
BEGIN
	EXECUTE format('CREATE TABLE typed (id %1$s PRIMARY KEY, parent %1$s)', typ);
	EXECUTE format('INSERT INTO typed VALUES (%L)', vals[1]);
	PERFORM plinth_closure.enable('typed', 'id', 'parent');
	EXECUTE format('INSERT INTO typed SELECT x, y FROM (VALUES (%2$L::%1$s, %3$L::%1$s), (%4$L, %2$L), (%5$L, %4$L)) v (x, y) WHERE x IS NOT NULL', typ, vals[2], vals[1], vals[3], vals[4]);
	EXECUTE format('UPDATE typed SET parent = %2$L::%1$s WHERE id = %3$L::%1$s', typ, vals[1], vals[4]);
	BEGIN
		EXECUTE format('UPDATE typed SET parent = %2$L::%1$s WHERE id = %3$L::%1$s', typ, vals[2], vals[1]);
		RAISE EXCEPTION 'no cycle';
	EXCEPTION WHEN check_violation THEN NULL;
	END;
	EXECUTE 'WITH RECURSIVE x AS (SELECT id AS a, id AS d, 0 AS depth FROM typed UNION ALL SELECT p.id, x.d, depth + 1 FROM x JOIN typed c ON c.id = x.a JOIN typed p ON p.id = c.parent)
		SELECT string_agg(r::text, '' '') FROM ((TABLE x EXCEPT ALL TABLE typed_closure) UNION ALL (TABLE typed_closure EXCEPT ALL TABLE x)) r' INTO wrong;
	wrong := concat_ws(' ', wrong, (SELECT string_agg(c::text, ' ') FROM plinth_closure.check('typed') c));
	PERFORM plinth_closure.disable('typed', true);
	DROP TABLE typed;
	RETURN is(wrong, '', 'a key of type ' || typ);
EXCEPTION WHEN OTHERS THEN
	RETURN fail('a key of type ' || typ) || E'\n' || diag(sqlstate || ' ' || sqlerrm);
END $$;
SELECT type_test(typ, vals) FROM types ORDER BY i;

-- What cannot be one.
CREATE VIEW v_cat AS TABLE cat;
CREATE MATERIALIZED VIEW m_cat AS TABLE cat;
CREATE TEMP TABLE temp_cat (id int PRIMARY KEY, parent int REFERENCES temp_cat);
CREATE TABLE inh (id int PRIMARY KEY, parent int REFERENCES inh);
CREATE TABLE inh_child () INHERITS (inh);
CREATE TABLE nokey (id int, parent int);
CREATE TABLE nofk (id int PRIMARY KEY, parent int, other bigint);
CREATE TABLE twofk (id int PRIMARY KEY, parent int REFERENCES twofk, p2 int REFERENCES twofk);
CREATE TABLE taken (id int PRIMARY KEY, parent int REFERENCES taken);
CREATE TABLE taken_closure (x int);
CREATE TABLE own (id int PRIMARY KEY, parent int);
CREATE TABLE negative (id int PRIMARY KEY, parent int);
CREATE TABLE part (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
SELECT refused(format('SELECT plinth_closure.enable(%L, %L, %L)', t, 'id', 'parent'), code, pattern, 'enable() refuses ' || what) FROM (VALUES
	('v_cat', '42809', 'v_cat', 'a view'), ('m_cat', '42809', 'm_cat', 'a materialized view'), ('temp_cat', '42809', 'temp_cat', 'a temporary table'), ('inh_child', '42809', 'inh_child', 'a child of inheritance'), ('inh', '42809', 'inh', 'a parent of inheritance'),
	('pg_class', '42809', 'pg_class', 'a catalog'), ('part_1', '42809', 'part_1', 'a partition by itself'), ('nokey', '22023', 'nokey', 'a key that is not unique')) v (t, code, pattern, what);
SELECT current_setting('server_version_num')::int >= 180000 AS eighteen \gset
\if :eighteen
CREATE TABLE virt (id int PRIMARY KEY, above text, parent int GENERATED ALWAYS AS (above::int) VIRTUAL);
SELECT refused('SELECT plinth_closure.enable(''virt'', ''id'', ''parent'')', '0A000', 'parent.*virtual', 'enable() refuses a parent that is not stored');
CREATE EXTENSION btree_gist;
CREATE TABLE periods (id int, during daterange, parent int, PRIMARY KEY (id, during WITHOUT OVERLAPS), FOREIGN KEY (parent, PERIOD during) REFERENCES periods (id, PERIOD during));
SELECT refused('SELECT plinth_closure.enable(''periods'')', '0A000', 'periods.*WITHOUT OVERLAPS', 'enable() refuses a key of periods');
SELECT refused('SELECT plinth_closure.enable(''periods'', ''id'', ''parent'')', '22023', 'not unique', 'and a part of it');
\endif
SELECT refused('SELECT plinth_closure.enable(''nofk'')', '22023', 'no foreign key', 'enable() without a parent needs a foreign key');
SELECT refused('SELECT plinth_closure.enable(''twofk'')', '22023', 'several foreign keys', 'enable() does not guess between two');
SELECT is(plinth_closure.enable('twofk', parent => '{p2}'::name[])::text, 'twofk_closure', 'but takes the one that is named');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''nothing'')', '42703', 'nothing', 'enable() refuses a column that is not there');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''other'')', '42804', 'id.*other', 'enable() refuses a parent of another type');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''{id}''::name[], ''{parent,id}''::name[])', '22023', 'same number', 'enable() refuses two parents for one key');
SELECT refused('SELECT plinth_closure.enable(''own'', ''id'', ''id'')', '22023', '', 'enable() refuses a key that is its own parent');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'', orphans => ''adopt'')', '22023', 'adopt', 'enable() refuses words it does not know');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'', max_depth => 0)', '22023', 'max_depth', 'enable() refuses a depth of nothing');
SELECT refused('SELECT plinth_closure.enable(''negative'', ''id'', ''parent'', max_rows => -1)', '22023', 'max_rows', 'and fewer rows than none');
SELECT refused('SELECT plinth_closure.enable(NULL)', '22004', '', 'enable() refuses NULL');
SELECT refused('SELECT plinth_closure.enable(''taken'')', '42P07', 'taken_closure', 'enable() does not touch a table that has the name of the closure');
SELECT is(to_regclass('nofk_closure'), NULL, 'and nothing stays of what was refused');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid IN ('nofk'::regclass, 'taken'::regclass, 'part_1'::regclass) AND tgname LIKE 'plinth%' $$, 'no trigger either');
SELECT refused(format('SELECT plinth_closure.%s(''nofk'')', f), '55000', 'nofk', f || '() of a table that is none') FROM unnest('{rebuild,repair,disable}'::text[]) f;
SELECT refused('SELECT * FROM plinth_closure.check(''nofk'')', '55000', 'nofk', 'check() of a table that is none');

-- What is wrong before.
CREATE FUNCTION cycle_of(VARIADIC nodes text[]) RETURNS text LANGUAGE sql AS $$
	-- any rotation, either direction
	SELECT string_agg(array_to_string(r || r[1], ' -> '), '|') FROM (
		SELECT nodes[i:] || nodes[:i - 1] AS r FROM generate_subscripts(nodes, 1) i
		UNION ALL SELECT b[i:] || b[:i - 1] FROM (SELECT array_agg(nodes[j] ORDER BY j DESC) AS b FROM generate_subscripts(nodes, 1) j) q, generate_subscripts(nodes, 1) i) rotations $$;
INSERT INTO nofk VALUES (1, 3), (2, 1), (3, 2), (4, 3);
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'')', '23514', cycle_of('1', '2', '3'), 'an existing cycle is refused with its path');
UPDATE nofk SET parent = NULL WHERE id = 1;
UPDATE nofk SET parent = 77 WHERE id = 4;
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'')', '23503', '4.*77', 'an existing orphan is refused and named');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'', max_depth => 1, orphans => ''root'')', '54001', '', 'so is too much depth');
SELECT refused('SELECT plinth_closure.enable(''nofk'', ''id'', ''parent'', max_rows => 6, orphans => ''root'')', '54001', '6', 'and too many rows');
SELECT is(plinth_closure.enable('nofk', 'id', 'parent', max_depth => 2, max_rows => 7, orphans => 'root')::text, 'nofk_closure', 'exactly as many are none too many');
SELECT is(pairs('nofk_closure'), '{"1 1 0","2 2 0","3 3 0","4 4 0","1 2 1","2 3 1","1 3 2"}', 'with orphans => root the orphan is a root');
UPDATE nofk SET id = 77 WHERE id = 1;
SELECT is((SELECT array_agg(descendant ORDER BY descendant) FROM nofk_closure WHERE ancestor = 77), '{4,77}', 'until its parent comes; the children that were left are roots now');
DELETE FROM nofk WHERE id = 77;
SELECT is(pairs('nofk_closure'), '{"2 2 0","3 3 0","4 4 0","2 3 1"}', 'and again when it goes');

----------------------------------------------------------------------------------------------------------------------
-- What statements are refused for
----------------------------------------------------------------------------------------------------------------------

SELECT refused('UPDATE cat SET parent = 1 WHERE id = 1', '23514', '1 -> 1', 'a node below itself: its path');
SELECT refused('UPDATE cat SET parent = 3 WHERE id = 1', '23514', cycle_of('1', '2', '3'), 'a cycle by UPDATE: its path');
SELECT refused('INSERT INTO cat VALUES (10, 12), (11, 10), (12, 11)', '23514', cycle_of('10', '11', '12'), 'a cycle by INSERT: its path');
SELECT refused('UPDATE "Sch ""1"""."T t" SET "p,p" = ''d\'' WHERE "I d" = ''a''', '23514', 'T t.* -> .*d\\', 'a cycle of texts');
SELECT refused('UPDATE comp SET pa = 1, pb = ''y'' WHERE a = 1 AND "b B" = ''x''', '23514', 'x.* -> .*y.* -> ', 'a cycle of composite keys');
INSERT INTO cat SELECT g, g - 1 FROM generate_series(101, 200) g WHERE g > 101 UNION ALL SELECT 101, NULL;
SELECT refused('UPDATE cat SET parent = 200 WHERE id = 101', '23514', '101.* -> ', 'a long cycle: its path, or the begin of it');
SELECT is((run('UPDATE cat SET parent = 3 WHERE id = 1')).state, '23514', 'after all that the closure is what it was');
SELECT exact('cat', 'exactly');
DELETE FROM cat WHERE id > 100;
CREATE FUNCTION diagnosed(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s text; t text;
BEGIN
	EXECUTE stmt;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME;
	RETURN s || '.' || t;
END $$;
SELECT is(diagnosed('UPDATE cat SET parent = 3 WHERE id = 1'), 'public.cat', 'clients need not parse the text to know the table');
CREATE TABLE plain (id int PRIMARY KEY, parent int, v int);
SELECT plinth_closure.enable('plain', 'id', 'parent', max_depth => 3) IS NULL AS ignored \gset
SELECT refused('INSERT INTO plain VALUES (1, 5)', '23503', '1.*5', 'a missing parent is named');
INSERT INTO plain VALUES (4, 3), (3, 2), (2, 1), (1, NULL);
SELECT pass('child before parent in one statement');
SELECT refused('DELETE FROM plain WHERE id = 2', '23503', '3.*2', 'nor does it go away');
SELECT refused('UPDATE plain SET id = 9 WHERE id = 2', '23503', '3.*2', 'or change its key');
SELECT refused('INSERT INTO plain VALUES (5, 4)', '54001', '5.*3', 'deeper than max_depth, with both numbers');
INSERT INTO plain VALUES (10, NULL);
SELECT refused('UPDATE plain SET parent = 10 WHERE id = 1', '54001', '3', 'also by a move above');
SELECT refused('INSERT INTO nofk SELECT g FROM generate_series(100, 110) g', '54001', '7', 'more than max_rows');
SELECT refused('UPDATE cat SET id = NULL WHERE id = 4', '23502', '', 'a NULL key');
UPDATE plain SET parent = CASE id WHEN 2 THEN 3 WHEN 3 THEN 1 WHEN 4 THEN 2 ELSE parent END;
SELECT recomputed('plain', 'plain_closure', 'a swap: only the final state of the statement counts');

----------------------------------------------------------------------------------------------------------------------
-- Statements of kinds that the oracle does not make
----------------------------------------------------------------------------------------------------------------------

COPY cat FROM stdin;
33	32	copied
32	31	copied
31	1	copied
\.
SELECT recomputed('cat', 'cat_closure', 'COPY, children first');
CREATE TABLE long (id int PRIMARY KEY, parent int REFERENCES long ON DELETE CASCADE);
SELECT plinth_closure.enable('long') IS NULL AS ignored \gset
INSERT INTO long SELECT g, nullif(g - 1, 0) FROM generate_series(1, 1001) g ORDER BY random();
SELECT is((SELECT count(*) FROM long_closure), 1001 * 1002 / 2::bigint, 'a chain of 1,001, in random order, is as deep as the default allows');
SELECT refused('INSERT INTO long VALUES (1002, 1001)', '54001', '1000', 'and not one more');
DELETE FROM long WHERE id = 1;
SELECT is((SELECT count(*) FROM long_closure), 0::bigint, 'a cascade over all of it leaves nothing');
CREATE TABLE above (id int PRIMARY KEY);
CREATE TABLE below (id int PRIMARY KEY REFERENCES above ON DELETE CASCADE ON UPDATE CASCADE, parent int REFERENCES below ON DELETE SET NULL ON UPDATE CASCADE);
INSERT INTO above SELECT generate_series(1, 5);
SELECT plinth_closure.enable('below') IS NULL AS ignored \gset
INSERT INTO below VALUES (1, NULL), (2, 1), (3, 2), (4, 3);
DELETE FROM above WHERE id = 2;
UPDATE above SET id = 30 WHERE id = 3;
SELECT recomputed('below', 'below_closure', 'deletes and key changes that come from another table');
TRUNCATE above CASCADE;
SELECT is(pairs('below_closure'), NULL, 'TRUNCATE CASCADE from another table');
-- Two firings of one function, writes within a function of a SELECT, prepared statements over many executions.
CREATE FUNCTION add_node(k int, p int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO cat VALUES (k, p) RETURNING id';
SELECT is((SELECT sum(add_node(g, CASE WHEN g > 300 THEN g - 1 END)) FROM generate_series(300, 310) g), 3355::bigint, 'functions in a SELECT that write');
PREPARE ins (int, int) AS INSERT INTO cat VALUES ($1, $2);
EXECUTE ins (401, 1);
EXECUTE ins (402, 401);
EXECUTE ins (403, 402);
EXECUTE ins (404, 403);
EXECUTE ins (405, 404);
EXECUTE ins (406, 405);
EXECUTE ins (407, 406);
SELECT recomputed('cat', 'cat_closure', 'prepared statements');
CREATE VIEW updatable AS SELECT id, parent FROM cat WHERE id > 400;
UPDATE updatable SET parent = 2 WHERE id = 405;
CREATE RULE also AS ON DELETE TO plain DO ALSO DELETE FROM cat WHERE id = old.id + 400;
DELETE FROM plain WHERE id = 10;
DELETE FROM updatable WHERE id = 407;
SELECT recomputed('cat', 'cat_closure', 'through a view and a rule');
DROP RULE also ON plain;
-- A trigger of the user that runs any statement on the table between the first and the last row of a swap.
CREATE TABLE nested (id int PRIMARY KEY, parent int, v int);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE nested SET v = 1 WHERE false; RETURN NULL; END $$;
CREATE FUNCTION something() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO nested VALUES (new.id + 100, new.id) ON CONFLICT DO NOTHING; RETURN NULL; END $$;
SELECT plinth_closure.enable('nested', 'id', 'parent', max_depth => 4) IS NULL AS ignored \gset
INSERT INTO nested VALUES (3, NULL), (22, 3), (42, 22);
CREATE TRIGGER zzz AFTER UPDATE OF parent ON nested FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT lives_ok('UPDATE nested t SET parent = v.p FROM (VALUES (22, 42), (42, 3)) v (k, p) WHERE id = v.k', 'a trigger that writes no row of the table while a swap is half told');
SELECT recomputed('nested', 'nested_closure', 'and the closure is exact');
DROP TRIGGER zzz ON nested;
CREATE TRIGGER aaa AFTER UPDATE OF parent ON nested FOR EACH ROW EXECUTE FUNCTION something();
SELECT lives_ok('UPDATE nested t SET parent = v.p FROM (VALUES (22, 3), (42, 22)) v (k, p) WHERE id = v.k', 'one that writes rows, named before ours');
SELECT recomputed('nested', 'nested_closure', 'and the closure is exact');
DROP TRIGGER aaa ON nested;
CREATE TRIGGER zzz AFTER UPDATE OF parent ON nested FOR EACH ROW EXECUTE FUNCTION something();
SELECT lives_ok('UPDATE nested t SET parent = v.p FROM (VALUES (22, 42), (42, 3)) v (k, p) WHERE id = v.k', 'and after ours');
SELECT recomputed('nested', 'nested_closure', 'and the closure is exact');
TRUNCATE nested;
INSERT INTO nested VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL), (6, 5);
CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE nested SET v = 1 WHERE false; RETURN NULL; END $$;
DROP TRIGGER zzz ON nested;
CREATE TRIGGER zzz AFTER UPDATE OF parent ON nested FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT lives_ok('UPDATE nested t SET parent = v.p FROM (VALUES (5, 4), (3, 1), (2, NULL)) v (k, p) WHERE id = v.k', 'nor is a depth refused that only half of a statement has');
SELECT recomputed('nested', 'nested_closure', 'and the closure is exact');
-- A node that is deleted and inserted again in one statement, below what was its child: the key's action has made that a root.
CREATE TABLE again (id int PRIMARY KEY, parent int REFERENCES again ON DELETE SET NULL);
SELECT plinth_closure.enable('again') IS NULL AS ignored \gset
INSERT INTO again VALUES (1, NULL), (2, 1), (9, NULL);
SELECT lives_ok('WITH i AS (INSERT INTO again VALUES (1, 2) RETURNING 1), d AS (DELETE FROM again WHERE id = 1 RETURNING 1) UPDATE again SET parent = NULL WHERE id = 9 AND (SELECT count(*) FROM d) > 0', 'a node deleted and inserted again below its child that SET NULL has freed');
SELECT recomputed('again', 'again_closure', 'and the closure is exact');
-- A user's trigger that reads the closure sees its own statement's tree when it fires after ours.
CREATE TABLE seen (id int, depth int);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen SELECT descendant, max(depth) FROM plain_closure GROUP BY 1; RETURN NULL; END $$;
CREATE TRIGGER zzz_look AFTER INSERT ON plain EXECUTE FUNCTION look();
INSERT INTO plain VALUES (21, 20), (20, 1);
SELECT is((SELECT depth FROM seen WHERE id = 21), 2, 'statement triggers that come after ours see the closure as it is');
DROP TRIGGER zzz_look ON plain;

-- An UPDATE of other columns touches no row of the closure, and a move only what differs.
CREATE TEMP TABLE before AS SELECT ctid AS c, xmin AS x, * FROM plain_closure;
UPDATE plain SET v = 5;
UPDATE plain SET parent = parent, id = id;
UPDATE plain SET v = 6, parent = parent WHERE id = 1;
SELECT set_eq('SELECT ctid AS c, xmin AS x, * FROM plain_closure', 'TABLE before', 'unrelated columns, and parents set to what they are, write nothing');
CREATE TABLE wide (id int PRIMARY KEY, parent int REFERENCES wide);
INSERT INTO wide VALUES (1, NULL), (2, 1), (3, 1), (4, 2);
INSERT INTO wide SELECT g, 4 FROM generate_series(11, 110) g;
SELECT plinth_closure.enable('wide') IS NULL AS ignored \gset
CREATE TEMP TABLE wide_before AS SELECT ctid AS c, xmin AS x, * FROM wide_closure;
UPDATE wide SET parent = 3 WHERE id = 4;
SELECT cmp_ok((SELECT count(*) FROM wide_closure n WHERE NOT EXISTS (SELECT FROM wide_before b WHERE b.c = n.ctid AND b.x = n.xmin) AND (ancestor, descendant) <> (1, 1)), '<=', 101::bigint, 'a move to the sibling of its parent writes one new row for each node that moves');
SELECT exact('wide', 'and is exact');
UPDATE wide SET parent = 1 WHERE id = 4;
SELECT exact('wide', 'nearer by one');
SELECT is((SELECT count(*) FROM wide_closure WHERE ancestor = 1 AND depth = 2), 100::bigint, 'with the depths that follow');

----------------------------------------------------------------------------------------------------------------------
-- The guard
----------------------------------------------------------------------------------------------------------------------

SELECT refused(stmt, 'PX002', 'cat_closure', 'not by hand, not even by a superuser: ' || stmt) FROM unnest(ARRAY['INSERT INTO cat_closure VALUES (1, 4, 1)', 'UPDATE cat_closure SET depth = 9 WHERE depth = 1', 'DELETE FROM cat_closure', 'TRUNCATE cat_closure',
	'MERGE INTO cat_closure USING (SELECT 1) s ON ancestor = 4 WHEN MATCHED THEN DELETE', 'WITH d AS (DELETE FROM cat_closure RETURNING 1) SELECT * FROM d']) stmt;
SELECT isnt((run('DELETE FROM cat_closure')).hint, '', 'with a hint');
SELECT exact('cat', 'nothing was changed');
-- The rows of a data-only restore, which are already there.
BEGIN;
CREATE TEMP TABLE dumped AS TABLE cat_closure;
SELECT lives_ok('INSERT INTO cat_closure TABLE dumped', 'rows that are already there are skipped');
COMMIT;
SELECT exact('cat', 'and nothing is doubled');
-- What happens with the closure's triggers off is found and mended.
CREATE PROCEDURE damage(stmt text) LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE plain_closure DISABLE TRIGGER USER;
	EXECUTE stmt;
	ALTER TABLE plain_closure ENABLE TRIGGER USER;
END $$;
TRUNCATE plain;
INSERT INTO plain VALUES (1, NULL), (2, 1), (3, 2), (4, 2);
CALL damage('DELETE FROM plain_closure WHERE ancestor = 1 AND descendant = 3');
CALL damage('UPDATE plain_closure SET depth = 7 WHERE ancestor = 2 AND descendant = 4');
CALL damage('INSERT INTO plain_closure VALUES (3, 4, 1), (99, 99, 0)');
SELECT results_eq($$ SELECT ancestor, descendant, expected, found FROM plinth_closure.check('plain') ORDER BY ancestor COLLATE "C", descendant COLLATE "C" $$,
	$$ VALUES ('1', '3', 2, NULL::int), ('2', '4', 1, 7), ('3', '4', NULL, 1), ('99', '99', NULL, 0) $$, 'check() finds what is missing, what is wrong and what is too many');
SELECT is((SELECT count(DISTINCT problem) FROM plinth_closure.check('plain')), 3::bigint, 'and calls each by its name');
CREATE TEMP TABLE kept AS SELECT ctid AS c, xmin AS x, * FROM plain_closure WHERE (ancestor, descendant) NOT IN ((2, 4), (3, 4), (99, 99));
SELECT lives_ok($$ SELECT plinth_closure.repair('plain') $$, 'repair()');
SELECT exact('plain', 'mends it');
SELECT recomputed('plain', 'plain_closure', 'indeed');
SELECT is_empty('SELECT * FROM kept EXCEPT SELECT ctid, xmin, * FROM plain_closure', 'and writes only the difference');
CALL damage('TRUNCATE plain_closure');
SELECT lives_ok($$ SELECT plinth_closure.rebuild('plain') $$, 'rebuild()');
SELECT recomputed('plain', 'plain_closure', 'makes it anew');
SELECT is((SELECT tgenabled FROM pg_trigger WHERE tgname = 'plinth_closure_guard' AND tgrelid = 'plain_closure'::regclass), 'O', 'with its guard');
ALTER TABLE plain DISABLE TRIGGER USER;
INSERT INTO plain VALUES (8, 1), (9, 8);
DELETE FROM plain WHERE id = 4;
ALTER TABLE plain ENABLE TRIGGER USER;
SELECT is((SELECT count(*) FROM plinth_closure.check('plain')), (2 + 1 + 2 + 3)::bigint, 'check() finds what was written with the table''s triggers off');
SELECT plinth_closure.repair('plain') IS NULL AS ignored \gset
SELECT recomputed('plain', 'plain_closure', 'repair() mends that too');
SET session_replication_role = replica;
INSERT INTO plain VALUES (50, 9);
UPDATE plain SET parent = 50 WHERE id = 8;
SET session_replication_role = origin;
SELECT isnt_empty($$ SELECT * FROM plinth_closure.check('plain') WHERE problem ~ 'cycle' $$, 'check() finds a cycle');
SELECT is((run($$ SELECT plinth_closure.repair('plain') $$)).state, '23514', 'which repair() leaves to people');
SELECT is((run($$ SELECT plinth_closure.rebuild('plain') $$)).state, '23514', 'so does rebuild()');
SELECT refused($$ SELECT plinth_closure.repair('plain') $$, '23514', cycle_of('8', '9', '50'), 'with its path');
UPDATE plain SET parent = 1 WHERE id = 8;
SELECT plinth_closure.repair('plain') IS NULL AS ignored \gset
SELECT recomputed('plain', 'plain_closure', 'a write that ends the cycle is allowed, and then it is mended');

----------------------------------------------------------------------------------------------------------------------
-- Rights
----------------------------------------------------------------------------------------------------------------------

CREATE ROLE closure_behaviour_owner;
CREATE ROLE closure_behaviour_writer;
CREATE ROLE closure_behaviour_other;
CREATE SCHEMA app AUTHORIZATION closure_behaviour_owner;
SET ROLE closure_behaviour_owner;
CREATE TABLE app.org (id int PRIMARY KEY, parent int REFERENCES app.org ON DELETE SET NULL, secret bool DEFAULT false);
SELECT is(plinth_closure.enable('app.org')::text, 'app.org_closure', 'the owner of the table enables it, and owns nothing else');
GRANT USAGE ON SCHEMA app TO closure_behaviour_writer, closure_behaviour_other;
GRANT INSERT ON app.org TO closure_behaviour_writer;
RESET ROLE;
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.org_closure'::regclass), 'closure_behaviour_owner', 'the closure is theirs');
REVOKE USAGE ON SCHEMA plinth_closure FROM PUBLIC;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA plinth_closure FROM PUBLIC;
SET ROLE closure_behaviour_writer;
INSERT INTO app.org VALUES (3, 2), (2, 1), (1, NULL), (4, NULL);
SELECT refused('SELECT * FROM app.org_closure', '42501', '', 'who may not read the table may not read the closure');
RESET ROLE;
SELECT is(pairs('app.org_closure'), '{"1 1 0","2 2 0","3 3 0","4 4 0","1 2 1","2 3 1","1 3 2"}', 'a writer with INSERT only, and no right on closure, schema or functions');
GRANT UPDATE (parent), DELETE, SELECT (id) ON app.org TO closure_behaviour_writer;
SET ROLE closure_behaviour_writer;
UPDATE app.org SET parent = 4 WHERE id = 2;
DELETE FROM app.org WHERE id = 1;
RESET ROLE;
GRANT USAGE ON SCHEMA plinth_closure TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA plinth_closure TO PUBLIC;
SELECT exact('app.org', 'moves and deletes with rights on columns only');
SET ROLE closure_behaviour_owner;
SELECT refused(stmt, 'PX002', '', 'the owner neither: ' || stmt) FROM unnest(ARRAY['INSERT INTO app.org_closure VALUES (1, 4, 1)', 'DELETE FROM app.org_closure']) stmt;
ALTER TABLE app.org ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON app.org USING (NOT secret) WITH CHECK (true);
INSERT INTO app.org VALUES (10, 4, true), (11, 10, false), (12, 11, true);
SELECT is((SELECT count(*) FROM app.org WHERE id >= 10), 1::bigint, 'with row-level security that hides nodes even from the owner');
RESET ROLE;
SELECT recomputed('app.org', 'app.org_closure', 'the closure has them all');
SET ROLE closure_behaviour_owner;
SELECT matches((run('SELECT plinth_closure.rebuild(''app.org'')')).state, '^(ok|42501)$', 'rebuild() sees all rows, or refuses');
RESET ROLE;
SELECT recomputed('app.org', 'app.org_closure', 'and the closure has them still');
SET ROLE closure_behaviour_other;
SELECT refused(format('SELECT plinth_closure.%s(''app.org'')', f), '42501', 'org', f || '() is for the owner') FROM unnest('{enable,disable,rebuild,repair}'::text[]) f;
RESET ROLE;
ALTER TABLE app.org OWNER TO closure_behaviour_other;
INSERT INTO app.org VALUES (20, 4, false);
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.org_closure'::regclass), 'closure_behaviour_other', 'with the table the closure changes its owner');
SELECT recomputed('app.org', 'app.org_closure', 'and goes on');
-- Nothing that a writer has put on the search path is called.
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.eq(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
CREATE OPERATOR hostile.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.<> (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE FUNCTION hostile.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
CREATE FUNCTION hostile.count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
CREATE TABLE hostile.org_closure (x int);
CREATE FUNCTION run_hostile(stmt text) RETURNS text LANGUAGE plpgsql SET search_path = hostile, pg_catalog AS $$ BEGIN EXECUTE stmt; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN sqlerrm; END $$;
SELECT is(run_hostile(stmt), 'ok', 'with a hostile search path: ' || stmt) FROM unnest(ARRAY['INSERT INTO app.org VALUES (31, 30, false), (30, 20, false)', 'UPDATE app.org SET parent = NULL WHERE id OPERATOR(pg_catalog.=) 30', 'DELETE FROM app.org WHERE id OPERATOR(pg_catalog.=) 31',
	'SELECT plinth_closure.check(''app.org'')', 'SELECT plinth_closure.repair(''app.org'')', 'SELECT plinth_closure.rebuild(''app.org'')', 'SELECT * FROM plinth_closure.status', 'SELECT plinth_closure.disable(''app.org'', true)', 'SELECT plinth_closure.enable(''app.org'')']) stmt;
SELECT recomputed('app.org', 'app.org_closure', 'operators and functions of the writer''s search path are not used');

----------------------------------------------------------------------------------------------------------------------
-- The definition changes
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE tree (gone int, id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
SELECT plinth_closure.enable('tree') IS NULL AS ignored \gset
INSERT INTO tree (id, parent) VALUES (1, NULL), (2, 1);
ALTER TABLE tree DROP COLUMN gone;
INSERT INTO tree VALUES (3, 2);
ALTER TABLE tree ADD COLUMN extra text DEFAULT 'x';
INSERT INTO tree VALUES (4, 3);
UPDATE tree SET parent = 1 WHERE id = 3;
SELECT recomputed('tree', 'tree_closure', 'columns dropped and added between statements of one session');
CREATE TABLE kept_closure_of (id int PRIMARY KEY, parent int REFERENCES kept_closure_of);
SELECT plinth_closure.enable('kept_closure_of') IS NULL AS ignored \gset
INSERT INTO kept_closure_of VALUES (1, NULL), (2, 1);
SELECT plinth_closure.disable('kept_closure_of') IS NULL AS ignored \gset
DROP TABLE kept_closure_of;
SELECT is((SELECT count(*) FROM kept_closure_of_closure), 3::bigint, 'a closure that disable() has left stays when its table goes');
DROP TABLE kept_closure_of_closure;
CREATE UNLOGGED TABLE logged (id int PRIMARY KEY, parent int REFERENCES logged);
SELECT plinth_closure.enable('logged') IS NULL AS ignored \gset
ALTER TABLE logged SET LOGGED;
SELECT is((SELECT relpersistence FROM pg_class WHERE oid = 'logged_closure'::regclass), 'p', 'a table that is logged now has a closure that is');
ALTER TABLE logged SET UNLOGGED;
SELECT is((SELECT relpersistence FROM pg_class WHERE oid = 'logged_closure'::regclass), 'u', 'and the other way round');
SELECT refused('CREATE TABLE heir () INHERITS (logged)', '0A000', 'heir.*logged', 'nothing can inherit from a hierarchy');
CREATE TABLE heir (id int NOT NULL, parent int);
SELECT refused('ALTER TABLE heir INHERIT logged', '0A000', 'heir.*logged', 'not even later');
DROP TABLE logged, heir;
CREATE TABLE renamed (a int, b text, pa int, pb text, PRIMARY KEY (a, b), FOREIGN KEY (pa, pb) REFERENCES renamed);
INSERT INTO renamed VALUES (1, 'x', NULL, NULL);
SELECT is(plinth_closure.enable('renamed', '{a,b}', '{pa,pb}')::text, 'renamed_closure', 'several columns as the text of an array');
ALTER TABLE renamed RENAME COLUMN a TO c;
INSERT INTO renamed VALUES (1, 'y', 1, 'x'), (2, 'y', 1, 'y');
UPDATE renamed SET b = 'z' WHERE c = 2;
SELECT exact('renamed', 'a column of a key of several, renamed');
ALTER TABLE renamed_closure RENAME COLUMN ancestor_b TO "above b";
DELETE FROM renamed WHERE c = 2;
INSERT INTO renamed VALUES (3, 'y', 1, 'y');
SELECT exact('renamed', 'and one of the closure');
SELECT is((SELECT array_agg(c || b || depth ORDER BY depth) FROM renamed_ancestors(3, 'y') n (c, b, depth)), '{1y1,1x2}', 'whose functions go on');
DROP TABLE renamed;
ALTER TABLE tree RENAME COLUMN id TO "new id";
ALTER TABLE tree RENAME COLUMN parent TO up;
INSERT INTO tree VALUES (5, 4);
UPDATE tree SET up = 2 WHERE "new id" = 3;
SELECT recomputed('tree', 'tree_closure', 'key and parent renamed', '"new id"', 'up');
SELECT exact('tree', 'check() knows the new names');
ALTER TABLE tree RENAME TO "Tree 2";
INSERT INTO "Tree 2" VALUES (6, 5);
SELECT isnt_empty($$ SELECT closure FROM plinth_closure.status WHERE target = '"Tree 2"'::regclass $$, 'status knows a table that was renamed');
SELECT exact('"Tree 2"', 'and its closure is kept');
ALTER TABLE "Tree 2" SET SCHEMA app;
INSERT INTO app."Tree 2" VALUES (7, 6);
SELECT exact('app."Tree 2"', 'also in another schema');
ALTER SCHEMA app RENAME TO app2;
INSERT INTO app2."Tree 2" VALUES (8, 7);
SELECT exact('app2."Tree 2"', 'and a schema that is renamed is followed');
ALTER SCHEMA app2 RENAME TO app;
BEGIN;
ALTER TABLE app."Tree 2" RENAME COLUMN up TO upper;
INSERT INTO app."Tree 2" VALUES (9, 8);
ROLLBACK;
INSERT INTO app."Tree 2" VALUES (9, 8);
SELECT exact('app."Tree 2"', 'a rename that is rolled back');
SELECT matches((run('ALTER TABLE app."Tree 2" ALTER COLUMN "new id" TYPE bigint')).state, '^(ok|0A000|55000|2BP01)$', 'a key of another type is followed or refused');
SELECT matches((run('INSERT INTO app."Tree 2" VALUES (10, 9)')).state, '^(ok|55000)$', 'and the next write is exact or fails closed');
SELECT exact('app."Tree 2"', 'exact if it was written') WHERE EXISTS (SELECT FROM app."Tree 2" WHERE "new id" = 10);
CREATE TABLE lost (id int PRIMARY KEY, parent int, v int);
SELECT plinth_closure.enable('lost', 'id', 'parent') IS NULL AS ignored \gset
INSERT INTO lost VALUES (1, NULL), (2, 1);
SELECT matches((run('ALTER TABLE lost DROP COLUMN parent')).state, '^(ok|2BP01|55000)$', 'dropping the parent column');
SELECT matches((run('INSERT INTO lost (id) VALUES (3)')).state, '^(55000|ok)$', 'then a write fails closed, or there is nothing to keep') WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'lost'::regclass AND attname = 'parent');
CREATE TABLE broken (id int PRIMARY KEY, parent int REFERENCES broken);
SELECT plinth_closure.enable('broken') IS NULL AS ignored \gset
INSERT INTO broken VALUES (1);
SELECT matches((run('DROP TABLE broken_closure CASCADE')).state, '^(ok|2BP01|55000|PX002)$', 'dropping the closure');
SELECT is((run('INSERT INTO broken VALUES (2, 1)')).state, CASE WHEN to_regclass('broken_closure') IS NULL THEN '55000' ELSE 'ok' END, 'a write without its closure fails closed');
SELECT lives_ok('SELECT plinth_closure.disable(''broken'')', 'and can be freed of it');
SELECT lives_ok('INSERT INTO broken VALUES (2, 1)', 'to be a table like any other');
-- BEFORE triggers that come later.
CREATE FUNCTION to_root() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.v = 1 THEN new.parent := 1; END IF; RETURN new; END $$;
TRUNCATE plain;
INSERT INTO plain VALUES (1, NULL), (2, 1), (3, 2);
CREATE TRIGGER late BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION to_root();
UPDATE plain SET v = 1 WHERE id = 3;
SELECT recomputed('plain', 'plain_closure', 'a BEFORE trigger made after enable() rewrites the parent in an UPDATE of another column');
DROP TRIGGER late ON plain;
CREATE TABLE later_made (n int UNIQUE, up int, id int GENERATED ALWAYS AS (n * 2) STORED PRIMARY KEY, parent int GENERATED ALWAYS AS (up * 2) STORED);
SELECT plinth_closure.enable('later_made', 'id', 'parent') IS NULL AS ignored \gset
INSERT INTO later_made VALUES (1, NULL), (2, 1), (3, 2);
UPDATE later_made SET up = 1 WHERE n = 3;
SELECT recomputed('later_made', 'later_made_closure', 'generated key and parent');

----------------------------------------------------------------------------------------------------------------------
-- Partitions
----------------------------------------------------------------------------------------------------------------------

SELECT is(plinth_closure.enable('part', 'id', 'parent')::text, 'part_closure', 'a partitioned table');
INSERT INTO part VALUES (11, 1), (1, NULL), (2, 11);
INSERT INTO part_2 VALUES (12, 2);
UPDATE part SET id = 5 WHERE id = 12;
DELETE FROM part_1 WHERE id = 5;
SELECT recomputed('part', 'part_closure', 'through root and leaf, with a row that moves');
CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (30);
INSERT INTO part_3 VALUES (20, 2);
INSERT INTO part VALUES (21, 20);
SELECT recomputed('part', 'part_closure', 'CREATE PARTITION OF');
TRUNCATE part_3;
SELECT recomputed('part', 'part_closure', 'TRUNCATE of a leaf');
CREATE TABLE part_4 (parent int, id int NOT NULL);
INSERT INTO part_4 VALUES (31, 32), (1, 31);
ALTER TABLE part ATTACH PARTITION part_4 FOR VALUES FROM (30) TO (40);
SELECT recomputed('part', 'part_closure', 'ATTACH PARTITION with rows in it');
INSERT INTO part_4 VALUES (31, 33);
SELECT recomputed('part', 'part_closure', 'and writes to it');
CREATE TABLE part_5 (id int NOT NULL, parent int);
INSERT INTO part_5 VALUES (41, 42), (42, 41);
SELECT is((run('ALTER TABLE part ATTACH PARTITION part_5 FOR VALUES FROM (40) TO (50)')).state, '23514', 'ATTACH of a cycle is refused');
UPDATE part_5 SET parent = 77;
SELECT is((run('ALTER TABLE part ATTACH PARTITION part_5 FOR VALUES FROM (40) TO (50)')).state, '23503', 'of an orphan too');
SELECT is((run('ALTER TABLE part DETACH PARTITION part_1')).state, '23503', 'DETACH of parents that are still needed is refused');
ALTER TABLE part DETACH PARTITION part_4;
SELECT recomputed('part', 'part_closure', 'DETACH of leaves');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'part_4'::regclass AND tgname LIKE 'plinth%' $$, 'which is a table like any other again');
INSERT INTO part_4 VALUES (99, 35);
SELECT recomputed('part', 'part_closure', 'and no part of the hierarchy');
DROP TABLE part_3;
SELECT recomputed('part', 'part_closure', 'DROP of an empty partition');
CREATE TABLE part_6 (id int NOT NULL, parent int) PARTITION BY RANGE (id);
CREATE TABLE part_6a PARTITION OF part_6 FOR VALUES FROM (50) TO (55);
INSERT INTO part_6 VALUES (50, 1);
ALTER TABLE part ATTACH PARTITION part_6 FOR VALUES FROM (50) TO (60);
CREATE TABLE part_6b PARTITION OF part_6 FOR VALUES FROM (55) TO (60);
INSERT INTO part_6b VALUES (56, 50);
UPDATE part_6 SET id = 52 WHERE id = 56;
SELECT recomputed('part', 'part_closure', 'ATTACH of a partitioned table, and a partition of that');
SELECT exact('part', 'check() agrees');
TRUNCATE part;
SELECT is(pairs('part_closure'), NULL, 'TRUNCATE of the root');
SELECT plinth_closure.disable('part') IS NULL AS ignored \gset
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('part')) AND tgname LIKE 'plinth%' $$, 'disable() frees the leaves too');

----------------------------------------------------------------------------------------------------------------------
-- Foreign keys that are checked later
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE later (id int PRIMARY KEY, parent int REFERENCES later DEFERRABLE INITIALLY DEFERRED);
SELECT plinth_closure.enable('later') IS NULL AS ignored \gset
BEGIN;
INSERT INTO later VALUES (3, 2);
INSERT INTO later VALUES (2, 1);
SELECT is(pairs('later_closure'), '{"2 2 0","3 3 0","2 3 1"}', 'with an INITIALLY DEFERRED key a missing parent is a root');
INSERT INTO later VALUES (1);
SELECT is(pairs('later_closure'), '{"1 1 0","2 2 0","3 3 0","1 2 1","2 3 1","1 3 2"}', 'until it comes');
COMMIT;
SELECT exact('later', 'and stays so after COMMIT');
\set ON_ERROR_STOP off
BEGIN;
DELETE FROM later WHERE id = 2;
COMMIT;
\set ON_ERROR_STOP on
SELECT is(pairs('later_closure'), '{"1 1 0","2 2 0","3 3 0","1 2 1","2 3 1","1 3 2"}', 'a COMMIT that the key refuses changes nothing');
BEGIN;
DELETE FROM later WHERE id = 2;
SELECT is(pairs('later_closure'), '{"1 1 0","3 3 0"}', 'a parent that goes');
INSERT INTO later VALUES (2, NULL);
COMMIT;
SELECT is(pairs('later_closure'), '{"1 1 0","2 2 0","3 3 0","2 3 1"}', 'and comes again');
CREATE TABLE maybe (id int PRIMARY KEY, parent int REFERENCES maybe DEFERRABLE);
SELECT plinth_closure.enable('maybe') IS NULL AS ignored \gset
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
SELECT matches((run('INSERT INTO maybe VALUES (2, 1)')).state, '^(23503|ok)$', 'a key that is deferred only for once: refused at once, or a root until then');
SELECT lives_ok('INSERT INTO maybe VALUES (1, NULL)', 'and the parent after it');
COMMIT;
SELECT exact('maybe', 'and exact after all');

----------------------------------------------------------------------------------------------------------------------
-- Transactions
----------------------------------------------------------------------------------------------------------------------

TRUNCATE plain;
BEGIN;
INSERT INTO plain VALUES (1, NULL);
SAVEPOINT a;
INSERT INTO plain VALUES (2, 1);
SAVEPOINT b;
UPDATE plain SET id = 5 WHERE id = 2;
ROLLBACK TO b;
INSERT INTO plain VALUES (3, 2);
RELEASE a;
COMMIT;
SELECT is(pairs('plain_closure'), '{"1 1 0","2 2 0","3 3 0","1 2 1","2 3 1","1 3 2"}', 'savepoints');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO plain VALUES (4, 3);
UPDATE plain SET parent = 1 WHERE id = 3;
DELETE FROM plain WHERE id = 4;
INSERT INTO plain VALUES (4, 2);
SELECT recomputed('plain', 'plain_closure', 'what a transaction at REPEATABLE READ has written itself is no conflict');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE plain SET parent = 4 WHERE id = 3;
INSERT INTO plain VALUES (6, 5), (5, 1);
DELETE FROM plain WHERE id = 3;
COMMIT;
SELECT recomputed('plain', 'plain_closure', 'nor at SERIALIZABLE');
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM plain WHERE id > 1 ORDER BY id FOR UPDATE;
MOVE 1 FROM c;
UPDATE plain SET parent = NULL WHERE CURRENT OF c;
COMMIT;
SELECT recomputed('plain', 'plain_closure', 'WHERE CURRENT OF');

----------------------------------------------------------------------------------------------------------------------
-- disable(), and the end
----------------------------------------------------------------------------------------------------------------------

SELECT plinth_closure.disable('cat') IS NULL AS ignored \gset
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'cat'::regclass AND NOT tgisinternal $$, 'disable() takes the triggers away');
SELECT isnt(to_regclass('cat_closure'), NULL, 'and leaves the closure');
SELECT lives_ok('DELETE FROM cat_closure', 'which is a table like any other then');
SELECT is_empty($$ SELECT * FROM plinth_closure.status WHERE target = 'cat'::regclass $$, 'status forgets it');
SELECT lives_ok('UPDATE cat SET parent = id', 'and the table may have any cycles');
SELECT plinth_closure.disable('wide', drop_closure => true) IS NULL AS ignored \gset
SELECT is(to_regclass('wide_closure'), NULL, 'drop_closure => true takes it away');
SELECT is(plinth_closure.enable('wide')::text, 'wide_closure', 'and it can come again');
SELECT lives_ok('DROP TABLE wide CASCADE', 'a table that is dropped');
SELECT is_empty($$ SELECT * FROM plinth_closure.status WHERE closure::text LIKE 'wide%' $$, 'is forgotten');
SELECT lives_ok('DROP EXTENSION plinth_closure CASCADE', 'the extension goes');
SELECT isnt(to_regclass('plain_closure'), NULL, 'closures stay');
SELECT lives_ok('UPDATE plain SET parent = id', 'and tables are tables like any other');
SELECT drop_roles('closure_behaviour_');
SELECT * FROM finish();
