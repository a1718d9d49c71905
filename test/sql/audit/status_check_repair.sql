-- status says what is audited, check() what is wrong with it, repair() puts it right.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
CREATE SCHEMA repair;
SET search_path = repair;
CREATE ROLE regress_audit_owner;
CREATE ROLE regress_audit_other;
GRANT USAGE, CREATE ON SCHEMA repair TO regress_audit_owner, regress_audit_other;
\set status 'SELECT target, log, mode, include, exclude, mask, truncate, capturing, protected FROM plinth_audit.status WHERE target::text !~ \'[.]\' ORDER BY target::text;'
\set check 'SELECT * FROM plinth_audit.check(\'users\') ORDER BY object, problem;'
\set repair 'SELECT object, replace(done, session_user, \'superuser\') AS done FROM plinth_audit.repair(\'users\') ORDER BY object, done;'

SET ROLE regress_audit_owner;
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE beings (id int PRIMARY KEY);
CREATE TABLE people (name text) INHERITS (beings);
CREATE TABLE nobody_looks (id int);
SELECT plinth_audit.enable('users', mask => '{name}'), plinth_audit.enable('orders', mode => 'delta'), plinth_audit.enable('beings', mode => 'new', truncate => 'event');

-- One row an audited table, not one for each partition or child.
:status
:check
:repair
-- a partition and a child answer for themselves
SELECT * FROM plinth_audit.check('orders');
SELECT * FROM plinth_audit.check('orders_1');
SELECT * FROM plinth_audit.repair('orders_1');
SELECT * FROM plinth_audit.check('beings');
SELECT * FROM plinth_audit.check('people');
SELECT * FROM plinth_audit.repair('people');
SELECT * FROM plinth_audit.check('nobody_looks');
SELECT * FROM plinth_audit.repair('nobody_looks');

-- The owner stops a trigger, silently; check does not keep silent.
ALTER TABLE users DISABLE TRIGGER plinth_audit;
INSERT INTO users VALUES (1, 'unseen');
:status
:check
:repair
:check
:repair
INSERT INTO users VALUES (2, 'seen');
SELECT op, row_key FROM users_audit ORDER BY audit_id;

-- fires, but not for replicas
ALTER TABLE users ENABLE TRIGGER plinth_audit;
:check
:repair
:check
ALTER TABLE users ENABLE REPLICA TRIGGER plinth_audit_truncate;
:check
:repair
:check

-- one of the two is gone
DROP TRIGGER plinth_audit_truncate ON users;
:status
:check
:repair
:check
TRUNCATE users;
SELECT op, row_key FROM users_audit ORDER BY audit_id;

-- both are gone: not audited, and says so
DROP TRIGGER plinth_audit ON users;
DROP TRIGGER plinth_audit_truncate ON users;
:status
:check
:repair
SELECT plinth_audit.enable('users', mask => '{name}');
:check

-- a partition's trigger is stopped
ALTER TABLE orders_1 DISABLE TRIGGER plinth_audit;
SELECT * FROM plinth_audit.check('orders') ORDER BY object, problem;
SELECT * FROM plinth_audit.repair('orders') ORDER BY object, done;
SELECT * FROM plinth_audit.check('orders') ORDER BY object, problem;
-- a child's
ALTER TABLE people DISABLE TRIGGER ALL;
SELECT * FROM plinth_audit.check('beings') ORDER BY object, problem;
SELECT * FROM plinth_audit.repair('beings') ORDER BY object, done;
SELECT * FROM plinth_audit.check('beings') ORDER BY object, problem;
INSERT INTO people VALUES (1, 'Ann');
SELECT op, row_key, new_data, note FROM beings_audit ORDER BY audit_id;
RESET ROLE;

-- What only a superuser can do to the log.
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON users_audit TO regress_audit_other, PUBLIC;
:status
:check
:repair
:check
SELECT has_table_privilege('regress_audit_other', 'users_audit', 'INSERT, UPDATE, DELETE, TRUNCATE');
REVOKE ALL ON users_audit FROM regress_audit_owner CASCADE;
:check
:repair
:check
SELECT has_table_privilege('regress_audit_owner', 'users_audit', 'SELECT WITH GRANT OPTION');
ALTER TABLE users_audit DISABLE TRIGGER plinth_audit_guard;
:status
:check
:repair
:check
DROP TRIGGER plinth_audit_guard ON users_audit;
:status
:check
:repair
:check
ALTER TABLE users_audit OWNER TO regress_audit_other;
:status
:check
:repair
:check
ALTER TABLE users_audit DROP CONSTRAINT users_audit_pkey;
:check
:repair
:check
ALTER TABLE users_audit DROP COLUMN note;
:status
:check
:repair
:check
SELECT count(*) AS logs FROM pg_class WHERE relnamespace = 'repair'::regnamespace AND relkind = 'r' AND relname ~ '^users_audit';
SELECT plinth_audit.disable('users', drop_log => true);
SELECT plinth_audit.enable('users', mask => '{name}');
DROP TABLE users_audit;
:status
:check
:repair
:check
INSERT INTO users VALUES (4, 'Dee');
SELECT op, new_data FROM users_audit ORDER BY audit_id;

-- Nothing is wrong with what is followed.
ALTER TABLE users RENAME TO customers;
ALTER TABLE customers RENAME TO users;
ALTER TABLE users OWNER TO regress_audit_other;
SELECT * FROM plinth_audit.check('users');
SELECT has_table_privilege('regress_audit_other', 'users_audit', 'SELECT WITH GRANT OPTION') AS new_owner,
	has_table_privilege('regress_audit_owner', 'users_audit', 'SELECT') AS old_owner;
-- of this one no event trigger hears: followed by the next write
REASSIGN OWNED BY regress_audit_other TO regress_audit_owner;
SELECT * FROM plinth_audit.check('users');
DELETE FROM users WHERE id = 4;
SELECT * FROM plinth_audit.check('users');
SELECT has_table_privilege('regress_audit_owner', 'users_audit', 'SELECT WITH GRANT OPTION') AS new_owner,
	has_table_privilege('regress_audit_other', 'users_audit', 'SELECT') AS old_owner;

-- Partitions and children that come later are audited by themselves.
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE orders_3 (id int, day date);
ALTER TABLE orders ATTACH PARTITION orders_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE animals (legs int) INHERITS (beings);
SELECT * FROM plinth_audit.check('orders') UNION ALL SELECT * FROM plinth_audit.check('beings');
INSERT INTO orders_2 VALUES (2, '2026-02-02');
INSERT INTO orders_3 VALUES (3, '2026-03-03');
TRUNCATE orders_3;
INSERT INTO animals VALUES (4, 4);
SELECT op, old_data, new_data FROM orders_audit ORDER BY audit_id;
SELECT op, row_key, new_data, note FROM beings_audit ORDER BY audit_id;
:status

SET client_min_messages = warning;
DROP SCHEMA repair CASCADE;
DROP ROLE regress_audit_owner, regress_audit_other;
