-- A table from enable() to disable(), as a person sees it in psql.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_soft_delete;
RESET client_min_messages;
SET timezone = 'UTC';
\set QUIET off

CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL CONSTRAINT users_email UNIQUE, name text);
INSERT INTO users VALUES (1, 'ann@x.org', 'Ann'), (2, 'bob@x.org', 'Bob'), (3, 'cyd@x.org', 'Cyd'), (4, 'dan@x.org', 'Dan');
SELECT plinth_soft_delete.enable('users', views => true);
\d users
\d active_users
\d deleted_users
SELECT * FROM plinth_soft_delete.status;

-- Again: the same options are no news, others are.
SELECT plinth_soft_delete.enable('users', views => true);
SELECT plinth_soft_delete.enable('users', visibility => 'filter');

-- The owner is not a superuser in what follows.
CREATE ROLE regress_soft_owner;
GRANT CREATE ON SCHEMA public TO regress_soft_owner;
ALTER TABLE users OWNER TO regress_soft_owner;
SET ROLE regress_soft_owner;

-- What a client sees of a DELETE.
SET plinth_soft_delete.actor = 'support@x.org';
SET plinth_soft_delete.reason = 'asked to';
DELETE FROM users WHERE id = 2;
DELETE FROM users WHERE id = 2;
DELETE FROM users WHERE id >= 3 RETURNING *;
TABLE users;
EXPLAIN (COSTS OFF) SELECT * FROM users WHERE id = 1;
WITH gone AS (DELETE FROM users WHERE id = 99 RETURNING id) SELECT count(*) FROM gone;

-- The record, the dead, and back.
SELECT deletion_id, session_user_name = session_user AS session, role_name, actor, reason, target, row_count, held, restored_at, restored_by
  FROM plinth_soft_delete.deletion ORDER BY deletion_id;
SELECT id, email, deleted_at IS NOT NULL AS dead, deletion_id FROM deleted_users ORDER BY id;
SELECT * FROM plinth_soft_delete.preview_restore(plinth_soft_delete.last_deletion());
SELECT plinth_soft_delete.restore(plinth_soft_delete.last_deletion());
\set VERBOSITY terse
SELECT plinth_soft_delete.restore(plinth_soft_delete.last_deletion());
\set VERBOSITY default
SELECT plinth_soft_delete.restore_row('users', '{"email": "bob@x.org"}');
SELECT deletion_id, restored_at IS NOT NULL AS restored, restored_by FROM plinth_soft_delete.deletion ORDER BY 1;

-- A key of a dead row is taken, unless it is unique among the living.
DELETE FROM users WHERE id = 4;
INSERT INTO users VALUES (5, 'dan@x.org', 'Another Dan');
SELECT plinth_soft_delete.make_unique_live('users', 'users_email');
INSERT INTO users VALUES (5, 'dan@x.org', 'Another Dan') ON CONFLICT (email) DO NOTHING;
INSERT INTO users VALUES (6, 'dan@x.org', 'A third Dan') ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING id, name;
SELECT plinth_soft_delete.restore(plinth_soft_delete.last_deletion());

-- What is marked by hand.
UPDATE users SET deleted_at = '2026-01-01' WHERE id = 1;
SELECT * FROM active_users ORDER BY id;
UPDATE deleted_users SET deleted_at = NULL WHERE id = 1;
SELECT id, deleted_at, deletion_id FROM users ORDER BY id;

-- The state of things, and away with it.
RESET ROLE;
SELECT * FROM plinth_soft_delete.check('users');
SELECT plinth_soft_delete.repair('users');
DELETE FROM users WHERE id = 3;
SELECT plinth_soft_delete.disable('users');
SELECT plinth_soft_delete.disable('users', dead => 'purge');
\d users
SELECT count(*) FROM users;
DROP TABLE users;
DROP OWNED BY regress_soft_owner;
DROP ROLE regress_soft_owner;
