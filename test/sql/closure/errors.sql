-- What plinth_closure says when it says no, and what to do then.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_closure;

CREATE TABLE org (id int PRIMARY KEY, boss int, note text);
CREATE VIEW v AS SELECT * FROM org;
CREATE TABLE nokey (id int, parent int);

-- enable() and estimate()

SELECT plinth_closure.enable(NULL);
SELECT plinth_closure.enable('v');
SELECT plinth_closure.enable('pg_class');
SELECT plinth_closure.enable('nokey');
SELECT plinth_closure.enable('org');
SELECT plinth_closure.enable('org', 'id', 'bos');
SELECT plinth_closure.enable('org', 'id', 'note');
SELECT plinth_closure.enable('org', 'id', 'id');
SELECT plinth_closure.enable('org', 'boss', 'id');
SELECT plinth_closure.enable('org', '{id,boss}', '{boss}');
SELECT plinth_closure.enable('org', 'id', 'boss', max_depth => 0);
SELECT plinth_closure.enable('org', 'id', 'boss', max_rows => -1);
SELECT plinth_closure.enable('org', 'id', 'boss', orphans => 'adopt');
INSERT INTO org VALUES (1, 3), (2, 1), (3, 2), (4, 77);
SELECT plinth_closure.enable('org', 'id', 'boss');
SELECT plinth_closure.estimate('org', 'id', 'boss');
DELETE FROM org WHERE id = 3;
UPDATE org SET boss = NULL WHERE id = 1;
SELECT plinth_closure.enable('org', 'id', 'boss');
UPDATE org SET boss = 2 WHERE id = 4;
SELECT plinth_closure.enable('org', 'id', 'boss', max_depth => 1);
SELECT plinth_closure.enable('org', 'id', 'boss', max_rows => 5);
SELECT plinth_closure.enable('org', 'id', 'boss', max_depth => 3, max_rows => 12);
SELECT plinth_closure.enable('org', 'id', 'boss', max_depth => 4);

-- Writing
INSERT INTO org VALUES (5, 66);
UPDATE org SET boss = 4 WHERE id = 1;
UPDATE org SET boss = id WHERE id = 1;
DELETE FROM org WHERE id = 2;
INSERT INTO org VALUES (5, 4), (6, 5);
INSERT INTO org SELECT g, 1 FROM generate_series(10, 20) g;
TABLE org ORDER BY id;

-- By hand
INSERT INTO org_closure VALUES (1, 99, 1);
UPDATE org_closure SET depth = 7;
DELETE FROM org_closure;
TRUNCATE org_closure;

-- Reading
SELECT plinth_closure.descendants('nokey', '1');
SELECT plinth_closure.descendants('org_closure', '1');
SELECT plinth_closure.descendants('org', '99');
SELECT plinth_closure.descendants('org', 'x');
SELECT plinth_closure.descendants('org', NULL);
SELECT plinth_closure.lca('org');
SELECT plinth_closure.tree('org', label => 'nothing');
SELECT plinth_closure.lock('org', '99');
SELECT plinth_closure.check('nokey');
SELECT plinth_closure.repair('nokey');
SELECT plinth_closure.rebuild('nokey');
SELECT plinth_closure.disable('nokey');

-- With the closure gone
DROP TABLE org_closure CASCADE;
INSERT INTO org VALUES (30, 1);
SELECT plinth_closure.rebuild('org');
INSERT INTO org VALUES (30, 1);
SELECT * FROM plinth_closure.check('org');
DROP TABLE org CASCADE;
