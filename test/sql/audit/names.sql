-- Any name that PostgreSQL takes, for tables, columns, schemas, logs and roles.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
SET client_encoding = 'UTF8';

CREATE SCHEMA "Odd, schema.""quoted""";
SET search_path = "Odd, schema.""quoted""";
CREATE ROLE "regress audit, ""Odd"" 'role'";
GRANT ALL ON SCHEMA "Odd, schema.""quoted""" TO "regress audit, ""Odd"" 'role'";
SET ROLE "regress audit, ""Odd"" 'role'";

-- Quotes, commas, equals signs, dots, backslashes, a newline, JSON's own.
CREATE TABLE "it's ""a"" table, a=b; --" (
	"the ""key"", really" int PRIMARY KEY,
	"a=b" text,
	"{x,y}" text,
	"back\slash" text,
	"new
line" text,
	"mask=a" text,
	"NULL" text,
	"select" text,
	" " text);
SELECT plinth_audit.enable('"it''s ""a"" table, a=b; --"',
	exclude => ARRAY['a=b', '{x,y}', 'NULL'],
	mask => ARRAY['mask=a', 'back\slash', E'new\nline']);
INSERT INTO "it's ""a"" table, a=b; --" VALUES (1, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
UPDATE "it's ""a"" table, a=b; --" SET "select" = 'G', "NULL" = 'F';
UPDATE "it's ""a"" table, a=b; --" SET "a=b" = 'A', "NULL" = NULL;
TRUNCATE "it's ""a"" table, a=b; --";
SELECT op, changed_by, row_key, old_data, new_data, note FROM "it's ""a"" table, a=b; --_audit" ORDER BY audit_id;
SELECT target, log, exclude, mask FROM plinth_audit.status WHERE log = '"it''s ""a"" table, a=b; --_audit"'::regclass;
SELECT * FROM plinth_audit.check('"it''s ""a"" table, a=b; --"');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = '"it''s ""a"" table, a=b; --"'::regclass AND tgname = 'plinth_audit';
SELECT DISTINCT logs FROM plinth_audit.transaction WHERE logs && (SELECT array_agg(logs[1]) FROM plinth_audit.transaction WHERE logs[1] LIKE '%a=b%');
SELECT plinth_audit.alter('"it''s ""a"" table, a=b; --"', log => '"Odd, schema.""quoted"""."another ""log"".name"');
SELECT plinth_audit.enable('"it''s ""a"" table, a=b; --"',
	exclude => ARRAY['a=b', '{x,y}', 'NULL'],
	mask => ARRAY['mask=a', 'back\slash', E'new\nline'], log => '"another ""log"".name"');

-- Other alphabets.  (Not aligned: how wide they are depends on the version.)
\pset format unaligned
CREATE TABLE "Кошка" ("имя" text, "猫" int, "🐈" text, "é" text, PRIMARY KEY ("猫", "имя"));
SELECT plinth_audit.enable('"Кошка"', mode => 'delta', mask => '{"🐈"}');
INSERT INTO "Кошка" VALUES ('Мурка', 1, 'мяу', 'é');
UPDATE "Кошка" SET "é" = 'è', "🐈" = 'мур';
SELECT op, row_key, old_data, new_data, note FROM "Кошка_audit" ORDER BY audit_id;

-- 63 bytes: the log's name is cut, at a character, and still one of its own.
CREATE TABLE a23456789_123456789_123456789_123456789_123456789_123456789_123 (
	c23456789_123456789_123456789_123456789_123456789_123456789_123 int PRIMARY KEY,
	d23456789_123456789_123456789_123456789_123456789_123456789_123 text);
CREATE TABLE a23456789_123456789_123456789_123456789_123456789_123456789_xyz (id int);
SELECT plinth_audit.enable('a23456789_123456789_123456789_123456789_123456789_123456789_123', mode => 'delta',
	mask => '{d23456789_123456789_123456789_123456789_123456789_123456789_123}') AS log \gset
SELECT :'log' AS log, octet_length(:'log') <= 63 AS fits;
INSERT INTO a23456789_123456789_123456789_123456789_123456789_123456789_123 VALUES (1, 'a');
UPDATE a23456789_123456789_123456789_123456789_123456789_123456789_123 SET d23456789_123456789_123456789_123456789_123456789_123456789_123 = 'b';
SELECT op, row_key, old_data, new_data, note FROM :log ORDER BY audit_id;
SELECT * FROM plinth_audit.check('a23456789_123456789_123456789_123456789_123456789_123456789_123');
-- the same log name cut from another table's is taken
SELECT plinth_audit.enable('a23456789_123456789_123456789_123456789_123456789_123456789_xyz');
SELECT plinth_audit.enable('a23456789_123456789_123456789_123456789_123456789_123456789_xyz', log => 'l23456789_123456789_123456789_123456789_123456789_123456789_123');
INSERT INTO a23456789_123456789_123456789_123456789_123456789_123456789_xyz VALUES (1);
SELECT op, row_key, new_data FROM l23456789_123456789_123456789_123456789_123456789_123456789_123;
-- a name that would be cut in mid-character
CREATE TABLE "ééééééééééééééééééééééééééééééé" (id int);
SELECT octet_length('ééééééééééééééééééééééééééééééé');
SELECT plinth_audit.enable('"ééééééééééééééééééééééééééééééé"');
INSERT INTO "ééééééééééééééééééééééééééééééé" VALUES (1);
SELECT * FROM plinth_audit.check('"ééééééééééééééééééééééééééééééé"');
-- Renamed under way: the log keeps its name, the record goes on.
ALTER TABLE "Кошка" RENAME TO "Собака";
ALTER TABLE "Собака" RENAME COLUMN "猫" TO "犬";
UPDATE "Собака" SET "é" = 'ê';
SELECT op, row_key, old_data, new_data, note FROM "Кошка_audit" ORDER BY audit_id DESC LIMIT 1;
SELECT target, log, mask FROM plinth_audit.status WHERE target = '"Собака"'::regclass;
-- a column of the old name is another column
ALTER TABLE "Собака" RENAME COLUMN "🐈" TO "🐕";
ALTER TABLE "Собака" ADD COLUMN "🐈" text;
UPDATE "Собака" SET "🐈" = 'visible', "🐕" = 'hidden';
SELECT new_data, note FROM "Кошка_audit" ORDER BY audit_id DESC LIMIT 1;
SELECT * FROM plinth_audit.check('"Собака"');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA "Odd, schema.""quoted""" CASCADE;
DROP ROLE "regress audit, ""Odd"" 'role'";
