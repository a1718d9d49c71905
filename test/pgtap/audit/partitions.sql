-- A partitioned table and an inheritance parent are audited whole: through the root and straight into a leaf, with the
-- partitions and children that come later, and no longer with those that leave.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(86);

\ir ../../lib/roles.sql
SELECT drop_roles('audit_partitions_');

-- What a log says since the last time it was asked, in the documented order; audit_ids in notes become "the D before".
CREATE FUNCTION said(log regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', op, (SELECT string_agg(value, '','' ORDER BY key) FROM jsonb_each_text(row_key)), old_data ->> ''v'', ''>'' || (new_data ->> ''v''),
		note - ''moved_from'', (SELECT ''from D '' || (d.row_key ->> ''id'') FROM %1$s d WHERE d.audit_id = (l.note ->> ''moved_from'')::bigint AND d.op = ''D'' AND d.transaction_id = l.transaction_id)) FROM %1$s l
		ORDER BY max(audit_id) OVER (PARTITION BY transaction_id), command_id, audit_id', log);
	EXECUTE format('DELETE FROM %s', log);
END $$;
CREATE FUNCTION says(log regclass, wanted text[], description text) RETURNS text LANGUAGE sql AS $$ SELECT is(ARRAY(SELECT said(log)), wanted, description) $$;
CREATE FUNCTION says_set(log regclass, wanted text[], description text) RETURNS text LANGUAGE sql AS
	$$ SELECT is(ARRAY(SELECT s FROM said(log) s ORDER BY s COLLATE "C"), ARRAY(SELECT w FROM unnest(wanted) w ORDER BY w COLLATE "C"), description) $$;

----------------------------------------------------------------------------------------------------------------------
-- Through the root and into a leaf
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p (id int PRIMARY KEY, v text, n numeric DEFAULT 1.0) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10);
CREATE TABLE p2 (dropped text, n numeric DEFAULT 2.0, dropped2 int, v text, id int NOT NULL);
ALTER TABLE p2 DROP COLUMN dropped, DROP COLUMN dropped2;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY LIST (id);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES IN (20, 21, 22);
SELECT is(plinth_audit.enable('p')::text, 'p_audit', 'a partitioned table is enabled');
SELECT results_eq('SELECT target::text, log::text FROM plinth_audit.status', $$ VALUES ('p', 'p_audit') $$, 'status shows the root once');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('p') $$, 'and it is healthy');

INSERT INTO p VALUES (1, 'a'), (11, 'b'), (20, 'c');
SELECT says('p_audit', '{"I 1 >a","I 11 >b","I 20 >c"}', 'INSERT through the root');
INSERT INTO p1 VALUES (2, 'a2');
INSERT INTO p2 (id, v) VALUES (12, 'b2');
INSERT INTO p3 VALUES (21, 'c2');
INSERT INTO p3a VALUES (22, 'c3');
SELECT is(ARRAY(SELECT new_data FROM p_audit ORDER BY audit_id), ARRAY['{"id": 2, "v": "a2", "n": 1.0}', '{"id": 12, "v": "b2", "n": 2.0}', '{"id": 21, "v": "c2", "n": 1.0}', '{"id": 22, "v": "c3", "n": 1.0}']::jsonb[], 'INSERT straight into leaves and a middle, whatever the order of their columns');
DELETE FROM p_audit;
UPDATE p SET v = upper(v);
SELECT says_set('p_audit', '{"U 1 a >A","U 2 a2 >A2","U 11 b >B","U 12 b2 >B2","U 20 c >C","U 21 c2 >C2","U 22 c3 >C3"}', 'UPDATE through the root');
UPDATE p2 SET v = 'leaf' WHERE id = 11;
UPDATE p3 SET v = 'middle' WHERE id = 21;
SELECT says('p_audit', '{"U 11 B >leaf","U 21 C2 >middle"}', 'UPDATE of a leaf and of a middle');
DELETE FROM p WHERE id = 1;
DELETE FROM p2 WHERE id = 12;
SELECT says('p_audit', '{"D 1 A","D 12 B2"}', 'DELETE');
COPY p (id, v) FROM stdin;
3	copied
13	copied
\.
COPY p1 (id, v) FROM stdin;
4	copied
\.
SELECT says('p_audit', '{"I 3 >copied","I 13 >copied","I 4 >copied"}', 'COPY');
MERGE INTO p USING (VALUES (3), (13), (14)) s (i) ON id = i WHEN MATCHED AND i = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (i, 'merged');
SELECT says_set('p_audit', '{"D 3 copied","U 13 copied >merged","I 14 >merged"}', 'MERGE');
INSERT INTO p VALUES (13, 'x'), (15, 'x') ON CONFLICT (id) DO UPDATE SET v = 'conflict';
SELECT says('p_audit', '{"U 13 merged >conflict","I 15 >x"}', 'ON CONFLICT');

----------------------------------------------------------------------------------------------------------------------
-- Rows that move
----------------------------------------------------------------------------------------------------------------------

DELETE FROM p WHERE id NOT IN (2, 20);
DELETE FROM p_audit;
UPDATE p SET id = 12, v = 'moved' WHERE id = 2;
SELECT says('p_audit', '{"D 2 A2 {\"moved\": true}","I 12 >moved {} from D 2"}', 'a row that moves: a D and an I, linked');
UPDATE p SET id = id + 1 WHERE id IN (12, 20);
SELECT says_set('p_audit', '{"U 12 moved >moved","U 20 C >C"}', 'a row that stays in its partition is an U');
UPDATE p SET id = CASE id WHEN 13 THEN 5 ELSE 14 END;
SELECT says_set('p_audit', '{"D 13 moved {\"moved\": true}","I 5 >moved {} from D 13","D 21 C {\"moved\": true}","I 14 >C {} from D 21"}', 'several at once, each with its own partner');
UPDATE p SET v = 'same', id = id;
SELECT says_set('p_audit', '{"U 5 moved >same","U 14 C >same"}', 'no move without one');
-- A destination that refuses the row: the D alone.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN new.id = 22 THEN NULL ELSE new END; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON p3a FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO p VALUES (6, 'six'), (7, 'seven');
DELETE FROM p_audit;
UPDATE p SET id = id + 15 WHERE id IN (6, 7);
SELECT is(ARRAY(SELECT id FROM p WHERE v IN ('six', 'seven')), '{21}', 'one of two rows was lost on its way') ;
SELECT is((SELECT array_agg(op || coalesce(new_data ->> 'id', '') || coalesce((SELECT d.old_data ->> 'v' FROM p_audit d WHERE d.audit_id = (l.note ->> 'moved_from')::bigint), '') ORDER BY op) FROM p_audit l), '{D,D,I21six}', 'the log says so, and links the other two rightly');
DELETE FROM p_audit;
DROP TRIGGER refuse ON p3a;
-- A move in delta and new.
SELECT plinth_audit.alter('p', mode => 'delta') IS NULL AS ignored \gset
UPDATE p SET id = 8 WHERE id = 14;
SELECT says('p_audit', '{"D 14 same {\"moved\": true}","I 8 >same {} from D 14"}', 'in delta a move has whole rows');
UPDATE p SET v = 'd' WHERE id = 8;
SELECT is((SELECT new_data FROM p_audit), '{"v": "d"}', 'alter() of the root reached its partitions');
SELECT plinth_audit.alter('p', mode => 'full') IS NULL AS ignored \gset
DELETE FROM p_audit;
-- Triggers of the user that write the same root between the two halves of a move.
CREATE TABLE mv (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE mv1 PARTITION OF mv FOR VALUES FROM (1) TO (10);
CREATE TABLE mv2 PARTITION OF mv FOR VALUES FROM (10) TO (20);
CREATE TABLE mv3 PARTITION OF mv FOR VALUES FROM (100) TO (1000);
CREATE SEQUENCE mvseq START 100;
CREATE FUNCTION mv_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mv VALUES (nextval('mvseq'), tg_op || ' ' || tg_argv[0]);
	RETURN NULL;
END $$;
SELECT plinth_audit.enable('mv') IS NULL AS ignored \gset
CREATE TRIGGER aaa AFTER DELETE ON mv1 FOR EACH ROW EXECUTE FUNCTION mv_history('before ours');
CREATE TRIGGER zzz AFTER DELETE ON mv1 FOR EACH ROW EXECUTE FUNCTION mv_history('after ours');
INSERT INTO mv VALUES (1, 'a'), (2, 'b');
UPDATE mv SET id = id + 10 WHERE id < 10;
SELECT is((SELECT array_agg(format('%s from %s', i.row_key ->> 'id', d.row_key ->> 'id') ORDER BY i.audit_id) FROM mv_audit i LEFT JOIN mv_audit d ON d.audit_id = (i.note ->> 'moved_from')::bigint WHERE i.op = 'I' AND i.row_key ->> 'id' IN ('11', '12')), '{"11 from 1","12 from 2"}',
	'a user''s trigger that writes the same root after the D does not break the link');
DROP TRIGGER aaa ON mv1;
DROP TRIGGER zzz ON mv1;
CREATE TRIGGER aaa AFTER INSERT ON mv2 FOR EACH ROW EXECUTE FUNCTION mv_history('before ours');
INSERT INTO mv VALUES (3, 'c'), (4, 'd');
UPDATE mv SET id = id + 10 WHERE id < 10;
SELECT is((SELECT array_agg(format('%s from %s', i.row_key ->> 'id', d.row_key ->> 'id') ORDER BY i.audit_id) FROM mv_audit i LEFT JOIN mv_audit d ON d.audit_id = (i.note ->> 'moved_from')::bigint WHERE i.op = 'I' AND i.row_key ->> 'id' IN ('13', '14')), '{"13 from 3","14 from 4"}',
	'nor does one that writes it before the I');
SELECT is_empty($$ SELECT row_key FROM mv_audit WHERE note ? 'moved_from' AND (row_key ->> 'id')::int >= 100 $$, 'and its own rows are not taken for rows that moved');
DROP TABLE mv;
-- Foreign keys that point at a row that moves.
CREATE TABLE refs (id int PRIMARY KEY, v int REFERENCES p ON UPDATE CASCADE ON DELETE CASCADE);
SELECT plinth_audit.enable('refs') IS NULL AS ignored \gset
INSERT INTO refs VALUES (1, 8);
DELETE FROM refs_audit;
UPDATE p SET id = 18 WHERE id = 8;
SELECT says('refs_audit', '{"U 1 8 >18"}', 'a cascade from a row that moves is an update');
DROP TABLE refs;
DELETE FROM p_audit;

----------------------------------------------------------------------------------------------------------------------
-- TRUNCATE
----------------------------------------------------------------------------------------------------------------------

TRUNCATE p;
DELETE FROM p_audit;
INSERT INTO p VALUES (1, 'a'), (11, 'b'), (20, 'c');
DELETE FROM p_audit;
TRUNCATE p2;
SELECT says('p_audit', '{"T 11 b"}', 'TRUNCATE of a leaf');
TRUNCATE p3;
SELECT says('p_audit', '{"T 20 c"}', 'of a middle');
INSERT INTO p VALUES (11, 'b'), (20, 'c');
DELETE FROM p_audit;
TRUNCATE p;
SELECT says_set('p_audit', '{"T 1 a","T 11 b","T 20 c"}', 'of the root: each row once');
INSERT INTO p VALUES (1, 'a'), (11, 'b');
DELETE FROM p_audit;
TRUNCATE p1, p, p2;
SELECT says_set('p_audit', '{"T 1 a","T 11 b"}', 'of the root and its leaves in one statement: each row once');
SELECT plinth_audit.alter('p', truncate => 'event') IS NULL AS ignored \gset
TRUNCATE p;
SELECT is((SELECT count(*) FROM p_audit WHERE op = 'T' AND row_key IS NULL AND old_data IS NULL), 1::bigint, 'event: one T for the root with all its partitions');
DELETE FROM p_audit;
TRUNCATE p2;
SELECT is((SELECT count(*) FROM p_audit WHERE op = 'T' AND row_key IS NULL AND old_data IS NULL), 1::bigint, 'event: one T for a leaf');
DELETE FROM p_audit;
TRUNCATE p3;
SELECT is((SELECT count(*) FROM p_audit WHERE op = 'T' AND row_key IS NULL AND old_data IS NULL), 1::bigint, 'event: one T for a middle');
DELETE FROM p_audit;
BEGIN;
TRUNCATE p;
TRUNCATE p2;
TRUNCATE p1, p3;
TRUNCATE p;
COMMIT;
SELECT is((SELECT count(*) FROM p_audit), 5::bigint, 'event: in one transaction each TRUNCATE has its T');
DELETE FROM p_audit;
BEGIN;
TRUNCATE p2, p;
SELECT count(*) AS first FROM p_audit \gset
TRUNCATE p2;
SELECT is((SELECT count(*) FROM p_audit), :first + 1::bigint, 'event: a leaf named before its root, then again, has its T');
TRUNCATE p;
COMMIT;
SELECT is((SELECT count(*) FROM p_audit), :first + 2::bigint, 'event: and so has the root');
DELETE FROM p_audit;
CREATE TABLE ev (id int PRIMARY KEY);
CREATE TABLE ev1 () INHERITS (ev);
SELECT plinth_audit.enable('ev', truncate => 'event') IS NULL AS ignored \gset
BEGIN;
TRUNCATE ONLY ev;
TRUNCATE ev1;
TRUNCATE ev;
COMMIT;
SELECT is((SELECT count(*) FROM ev_audit), 3::bigint, 'event: a parent ONLY, a child and both, each has its T');
DROP TABLE ev CASCADE;
SELECT plinth_audit.alter('p', truncate => 'rows') IS NULL AS ignored \gset

----------------------------------------------------------------------------------------------------------------------
-- Partitions that come and go
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (40) TO (50);
INSERT INTO p VALUES (40, 'root');
INSERT INTO p4 VALUES (41, 'leaf');
TRUNCATE p4;
SELECT says_set('p_audit', '{"I 40 >root","I 41 >leaf","T 40 root","T 41 leaf"}', 'a partition created later');
CREATE TABLE p5 (v text, id int PRIMARY KEY, n numeric);
INSERT INTO p5 VALUES ('there', 50);
ALTER TABLE p ATTACH PARTITION p5 FOR VALUES FROM (50) TO (60);
SELECT says('p_audit', '{}', 'attaching logs nothing');
INSERT INTO p VALUES (51, 'root');
INSERT INTO p5 VALUES ('leaf', 52);
UPDATE p5 SET v = v || '!' WHERE id = 50;
TRUNCATE p5;
SELECT says_set('p_audit', '{"I 51 >root","I 52 >leaf","U 50 there >there!","T 50 there!","T 51 root","T 52 leaf"}', 'a partition attached later');
CREATE TABLE p6 (id int NOT NULL, v text, n numeric) PARTITION BY RANGE (id);
CREATE TABLE p6a PARTITION OF p6 FOR VALUES FROM (60) TO (65);
ALTER TABLE p ATTACH PARTITION p6 FOR VALUES FROM (60) TO (70);
CREATE TABLE p6b PARTITION OF p6 FOR VALUES FROM (65) TO (70);
INSERT INTO p VALUES (60, 'a'), (65, 'b');
INSERT INTO p6b VALUES (66, 'bb');
TRUNCATE p6b;
SELECT says_set('p_audit', '{"I 60 >a","I 65 >b","I 66 >bb","T 65 b","T 66 bb"}', 'a partition that is itself partitioned, and a partition of that');
-- One that has a log of its own.
CREATE TABLE p7 (id int PRIMARY KEY, v text, n numeric);
SELECT is(plinth_audit.enable('p7', mode => 'delta', truncate => 'event')::text, 'p7_audit', 'a table with a log of its own');
INSERT INTO p7 VALUES (70, 'own');
SELECT lives_ok('ALTER TABLE p ATTACH PARTITION p7 FOR VALUES FROM (70) TO (80)', 'is attached');
INSERT INTO p7 VALUES (71, 'leaf');
INSERT INTO p VALUES (72, 'root');
UPDATE p SET v = v WHERE id = 72;
TRUNCATE p7;
SELECT says_set('p_audit', '{"I 71 >leaf","I 72 >root","U 72 root >root","T 70 own","T 71 leaf","T 72 root"}', 'from then on it is logged with the root, as the root says');
SELECT is((SELECT count(*) FROM p7_audit), 1::bigint, 'and once only: its own log stays as it was');
SELECT is((SELECT array_agg(target::text) FROM plinth_audit.status), '{p}', 'status shows the root only');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('p') $$, 'and all is well');
-- One that leaves.
INSERT INTO p VALUES (40, 'stays');
DELETE FROM p_audit;
ALTER TABLE p DETACH PARTITION p4;
INSERT INTO p4 VALUES (45, 'alone');
UPDATE p4 SET v = 'x';
TRUNCATE p4;
SELECT says('p_audit', '{}', 'a detached partition is not audited any more');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p4'::regclass AND tgname LIKE 'plinth%'), 0::bigint, 'it has no trigger of ours left');
ALTER TABLE p DETACH PARTITION p6;
INSERT INTO p6a VALUES (61, 'alone');
TRUNCATE p6;
SELECT says('p_audit', '{}', 'nor is one with its own partitions');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('p6'::regclass, 'p6a'::regclass, 'p6b'::regclass) AND tgname LIKE 'plinth%'), 0::bigint, 'nothing left there either');
ALTER TABLE p DETACH PARTITION p5 CONCURRENTLY;
INSERT INTO p5 VALUES ('alone', 55);
SELECT says('p_audit', '{}', 'DETACH CONCURRENTLY');
ALTER TABLE p ATTACH PARTITION p4 FOR VALUES FROM (40) TO (50);
INSERT INTO p4 VALUES (46, 'back');
SELECT says('p_audit', '{"I 46 >back"}', 'one that comes back is audited again');
DROP TABLE p4;
SELECT says('p_audit', '{}', 'DROP TABLE of a partition logs nothing');
SELECT is((SELECT count(*) FROM plinth_audit.status), 1::bigint, 'and the root is as it was');
-- Refusals and the end.
SELECT throws_ok($$ SELECT plinth_audit.enable('p1') $$, '42809', NULL, 'a partition of an audited table is not enabled by itself');
SELECT throws_ok($$ SELECT plinth_audit.disable('p1') $$, NULL, NULL, 'nor disabled');
SELECT lives_ok($$ SELECT plinth_audit.disable('p') $$, 'the root is');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'plinth_audit%' AND tgrelid IN (SELECT relid FROM pg_partition_tree('p'))), 0::bigint, 'with all its partitions');
INSERT INTO p1 VALUES (9, 'after');
SELECT says('p_audit', '{}', 'and nothing is logged any more');
-- A leaf with a log of its own, whose root is not audited, is its own master.
SELECT is(plinth_audit.enable('p1')::text, 'p1_audit', 'a leaf can be audited by itself');
INSERT INTO p VALUES (8, 'through the root');
INSERT INTO p VALUES (18, 'elsewhere');
UPDATE p SET id = 19 WHERE id = 8;
SELECT is((SELECT array_agg(op ORDER BY audit_id) FROM p1_audit), '{I,D}', 'through the root as well');
SELECT lives_ok($$ SELECT plinth_audit.enable('p') $$, 'and its root later');
DELETE FROM p1_audit; DELETE FROM p_audit;
INSERT INTO p VALUES (7, 'x');
SELECT is((SELECT count(*) FROM p_audit), 1::bigint, 'which then logs it') ;
SELECT is((SELECT count(*) FROM p1_audit), 0::bigint, 'once');

-- Renamed columns of a root, masks and excludes in all leaves.
CREATE TABLE mp (id int PRIMARY KEY, v text, s text) PARTITION BY RANGE (id);
CREATE TABLE mp2 (s text, v text, id int NOT NULL);
CREATE TABLE mp1 PARTITION OF mp FOR VALUES FROM (1) TO (10);
ALTER TABLE mp ATTACH PARTITION mp2 FOR VALUES FROM (10) TO (20);
SELECT plinth_audit.enable('mp', mask => '{s}') IS NULL AS ignored \gset
ALTER TABLE mp RENAME COLUMN s TO secret;
INSERT INTO mp VALUES (1, 'v', 's3cr3t'), (11, 'v', 's3cr3t');
INSERT INTO mp2 VALUES ('s3cr3t', 'v', 12);
UPDATE mp SET id = 13 WHERE id = 1;
TRUNCATE mp2;
SELECT is((SELECT count(*) FROM mp_audit l WHERE l::text LIKE '%s3cr3t%'), 0::bigint, 'a masked column that is renamed stays masked in every partition');
SELECT is((SELECT count(*) FROM mp_audit WHERE coalesce(old_data, new_data) ->> 'secret' = '***'), 8::bigint, 'under its new name');

-- By somebody who is no superuser.
CREATE ROLE audit_partitions_owner;
CREATE SCHEMA own AUTHORIZATION audit_partitions_owner;
SET SESSION AUTHORIZATION audit_partitions_owner;
CREATE TABLE own.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
SELECT plinth_audit.enable('own.p') IS NULL AS ignored \gset
CREATE TABLE own.p1 PARTITION OF own.p FOR VALUES FROM (1) TO (10);
CREATE TABLE own.p2 (id int PRIMARY KEY, v text);
ALTER TABLE own.p ATTACH PARTITION own.p2 FOR VALUES FROM (10) TO (20);
INSERT INTO own.p VALUES (1, 'a');
INSERT INTO own.p2 VALUES (11, 'b');
TRUNCATE own.p;
ALTER TABLE own.p DETACH PARTITION own.p2;
INSERT INTO own.p2 VALUES (12, 'c');
RESET SESSION AUTHORIZATION;
SELECT says_set('own.p_audit', '{"I 1 >a","I 11 >b","T 1 a","T 11 b"}', 'an ordinary owner''s partitions are followed');

----------------------------------------------------------------------------------------------------------------------
-- Inheritance
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE h (id int PRIMARY KEY, v text);
CREATE TABLE h1 (extra text DEFAULT 'e') INHERITS (h);
SELECT is(plinth_audit.enable('h')::text, 'h_audit', 'a parent is enabled');
INSERT INTO h VALUES (1, 'parent');
INSERT INTO h1 (id, v) VALUES (2, 'child');
SELECT results_eq('SELECT new_data, note FROM h_audit ORDER BY audit_id', $$ VALUES ('{"id": 1, "v": "parent"}'::jsonb, NULL::jsonb), ('{"id": 2, "v": "child", "extra": "e"}', '{"table": "public.h1"}') $$, 'a row of a child is logged with all its columns, and with the name of the child');
DELETE FROM h_audit;
UPDATE h SET v = upper(v);
SELECT says_set('h_audit', '{"U 1 parent >PARENT","U 2 child >CHILD {\"table\": \"public.h1\"}"}', 'an update through the parent');
UPDATE h1 SET extra = 'x';
DELETE FROM h;
SELECT says_set('h_audit', '{"U 2 CHILD >CHILD {\"table\": \"public.h1\"}","D 1 PARENT","D 2 CHILD {\"table\": \"public.h1\"}"}', 'an update of the child, a delete through the parent') ;
CREATE TABLE h2 () INHERITS (h);
INSERT INTO h2 VALUES (3, 'later');
SELECT says_set('h_audit', '{"I 3 >later {\"table\": \"public.h2\"}"}', 'a child created later');
CREATE TABLE h3 (LIKE h, more int);
ALTER TABLE h3 INHERIT h;
INSERT INTO h3 VALUES (4, 'inherits');
SELECT says_set('h_audit', '{"I 4 >inherits {\"table\": \"public.h3\"}"}', 'a table that becomes a child');
CREATE TABLE h3a () INHERITS (h3);
INSERT INTO h3a VALUES (5, 'grandchild');
SELECT says_set('h_audit', '{"I 5 >grandchild {\"table\": \"public.h3a\"}"}', 'a child of a child');
INSERT INTO h VALUES (1, 'p');
DELETE FROM h_audit;
TRUNCATE ONLY h;
SELECT says_set('h_audit', '{"T 1 p"}', 'TRUNCATE ONLY');
TRUNCATE h;
SELECT says_set('h_audit', '{"T 3 later {\"table\": \"public.h2\"}","T 4 inherits {\"table\": \"public.h3\"}","T 5 grandchild {\"table\": \"public.h3a\"}"}', 'TRUNCATE with the children');
ALTER TABLE h3 NO INHERIT h;
INSERT INTO h3 VALUES (6, 'gone');
INSERT INTO h3a VALUES (7, 'gone');
SELECT says('h_audit', '{}', 'a table that is a child no longer is not audited any more, nor are its children');
SELECT is((SELECT array_agg(target::text) FROM plinth_audit.status WHERE target::text LIKE 'h%'), '{h}', 'status shows the parent once');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('h') $$, 'and all is well');
-- A column that only the child keeps, and its mask.
SELECT plinth_audit.alter('h', mask => '{v}') IS NULL AS ignored \gset
ALTER TABLE ONLY h DROP COLUMN v;
INSERT INTO h1 (id, v) VALUES (20, 's3cr3t');
SELECT is((SELECT new_data ->> 'v' FROM h_audit WHERE row_key = '{"id": 20}'), '***', 'a masked column that only the child keeps stays masked');
SELECT count(*) AS n FROM plinth_audit.repair('h') \gset
INSERT INTO h1 (id, v) VALUES (21, 's3cr3t');
SELECT is((SELECT new_data ->> 'v' FROM h_audit WHERE row_key = '{"id": 21}'), '***', 'also after repair()');
SELECT lives_ok($$ SELECT plinth_audit.disable('h') $$, 'disabled');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'plinth_audit%' AND tgrelid IN ('h'::regclass, 'h1'::regclass, 'h2'::regclass)), 0::bigint, 'with its children');

-- Two parents.
CREATE TABLE k1 (id int PRIMARY KEY, v text);
CREATE TABLE k2 (id int PRIMARY KEY, v text);
CREATE TABLE k3 (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('k1'), plinth_audit.enable('k2') \gset
CREATE TABLE kk () INHERITS (k1, k2, k3);
INSERT INTO kk VALUES (1, 'both');
SELECT is((SELECT count(*) FROM k1_audit) + (SELECT count(*) FROM k2_audit), 1::bigint, 'a child of two audited parents is logged once');
ALTER TABLE kk NO INHERIT k1;
DELETE FROM k1_audit; DELETE FROM k2_audit;
INSERT INTO kk VALUES (2, 'one');
SELECT says('k2_audit', '{"I 2 >one {\"table\": \"public.kk\"}"}', 'a child of two audited parents that leaves one is logged with the other');
ALTER TABLE kk INHERIT k1;
SELECT plinth_audit.disable('k2') IS NULL AS ignored \gset
INSERT INTO kk VALUES (3, 'again');
SELECT says('k1_audit', '{"I 3 >again {\"table\": \"public.kk\"}"}', 'and so is one whose other parent is disabled');

-- The whole tree moves: names of log, schemas and root, with leaves elsewhere.
CREATE SCHEMA ps;
CREATE TABLE tree (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE ps.t1 PARTITION OF tree FOR VALUES FROM (1) TO (10) PARTITION BY RANGE (id);
CREATE TABLE ps.t1a PARTITION OF ps.t1 FOR VALUES FROM (1) TO (5);
SELECT plinth_audit.enable('tree') IS NULL AS ignored \gset
ALTER TABLE tree_audit RENAME TO "History";
ALTER TABLE "History" SET SCHEMA ps;
ALTER SCHEMA ps RENAME TO "P s";
ALTER TABLE tree SET SCHEMA "P s";
ALTER TABLE "P s".tree RENAME TO root;
CREATE TABLE "P s".t1b PARTITION OF "P s".t1 FOR VALUES FROM (5) TO (10);
INSERT INTO "P s".root VALUES (1, 'root'), (6, 'root');
INSERT INTO "P s".t1a VALUES (2, 'leaf');
TRUNCATE "P s".t1;
SELECT says_set('"P s"."History"', '{"I 1 >root","I 6 >root","I 2 >leaf","T 1 root","T 2 leaf","T 6 root"}', 'log, schema and root renamed and moved: all leaves follow');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('"P s".root') $$, 'and all is well');

SELECT drop_roles('audit_partitions_');
SELECT * FROM finish();
