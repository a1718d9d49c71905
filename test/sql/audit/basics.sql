-- The quick start: one call, and every change of the table is on record.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
CREATE ROLE regress_audit_ann;
CREATE SCHEMA basics AUTHORIZATION regress_audit_ann;
SET search_path = basics;
-- Nobody special: the owner of a table.
SET ROLE regress_audit_ann;

CREATE TABLE users (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	email text,
	balance numeric(10,2) DEFAULT 0);
INSERT INTO users (name) VALUES ('was here before');

SELECT plinth_audit.enable('users');

-- What the table looks like now, and the log.
\d users
\d users_audit
SELECT * FROM plinth_audit.status WHERE target = 'users'::regclass;

-- Each change is a row.
INSERT INTO users (name, email) VALUES ('Ann', 'ann@example.org'), ('Bob', NULL);
UPDATE users SET balance = balance + 10.50 WHERE name <> 'Ann';
UPDATE users SET name = name WHERE id = 2;
DELETE FROM users WHERE id = 3;
SELECT op, row_key, old_data, new_data, note FROM users_audit ORDER BY audit_id;

-- Who and when, in which transaction, in which order.
SELECT audit_id, op, changed_by,
	changed_at <= clock_timestamp() AS in_the_past, command_id >= 0 AS has_command,
	transaction_id < pg_current_xact_id() AS has_transaction
FROM users_audit ORDER BY audit_id;
BEGIN;
UPDATE users SET email = 'a@example.org' WHERE id = 2;
DELETE FROM users WHERE id = 1;
SELECT op, changed_at = now() AS at_now, transaction_id = pg_current_xact_id() AS in_this_transaction
FROM users_audit WHERE audit_id > 6 ORDER BY audit_id;
COMMIT;

-- What is undone was never there; numbers may be left out.
BEGIN;
INSERT INTO users (name) VALUES ('nobody');
SAVEPOINT s;
UPDATE users SET name = 'nobody at all' WHERE name = 'nobody';
SELECT count(*) FROM users_audit;
ROLLBACK;
SELECT count(*) FROM users_audit;

-- The application says for whom and why.
BEGIN;
SELECT plinth_audit.set_actor('support/ann'), plinth_audit.set_context('{"ticket": 4711}');
UPDATE users SET balance = 0 WHERE id = 2;
COMMIT;
SELECT a.op, a.row_key, t.actor, t.context, t.logs, t.session_user_name = session_user AS by_me,
	t.backend_pid = pg_backend_pid() AS from_here, t.started_at = a.changed_at AS same_time
FROM users_audit a JOIN plinth_audit.transaction t USING (transaction_id)
WHERE a.audit_id = (SELECT max(audit_id) FROM users_audit);
-- only for that transaction
UPDATE users SET balance = 1 WHERE id = 2;
SELECT t.actor, t.context
FROM users_audit a JOIN plinth_audit.transaction t USING (transaction_id)
WHERE a.audit_id = (SELECT max(audit_id) FROM users_audit);
-- for a session
SET plinth_audit.actor = 'nightly job';
UPDATE users SET balance = 2 WHERE id = 2;
RESET plinth_audit.actor;
UPDATE users SET balance = 3 WHERE id = 2;
SELECT t.actor
FROM users_audit a JOIN plinth_audit.transaction t USING (transaction_id)
ORDER BY a.audit_id DESC LIMIT 2;

-- One row's history.
SELECT op, old_data -> 'balance' AS was, new_data -> 'balance' AS became
FROM users_audit WHERE row_key = '{"id": 2}' ORDER BY audit_id;

-- Everything at once.
TRUNCATE users;
SELECT op, row_key, old_data, new_data FROM users_audit WHERE op = 'T' ORDER BY audit_id;

-- The ordinary ways to write.
COPY users (name, email) FROM STDIN;
Cid	cid@example.org
Dee	\N
\.
MERGE INTO users u USING (VALUES ('Cid', 5), ('Eve', 6)) v(name, balance) ON u.name = v.name
WHEN MATCHED THEN UPDATE SET balance = v.balance
WHEN NOT MATCHED THEN INSERT (name, balance) VALUES (v.name, v.balance);
WITH gone AS (DELETE FROM users WHERE name = 'Dee' RETURNING name)
INSERT INTO users (name) SELECT name || ' II' FROM gone;
SELECT op, old_data ->> 'name' AS was, new_data ->> 'name' AS became
FROM users_audit WHERE audit_id > (SELECT max(audit_id) FROM users_audit WHERE op = 'T')
ORDER BY changed_at, command_id, audit_id;

-- Again is no mistake.
SELECT plinth_audit.enable('users');
SELECT * FROM plinth_audit.check('users');

-- Off: the table is as it was, the log stays.
SELECT plinth_audit.disable('users');
\d users
INSERT INTO users (name) VALUES ('unseen');
SELECT count(*) FROM users_audit WHERE new_data ->> 'name' = 'unseen';
SELECT * FROM plinth_audit.status WHERE target = 'users'::regclass;

-- On again: the log goes on.
SELECT max(audit_id) AS last_id FROM users_audit \gset
SELECT plinth_audit.enable('users');
INSERT INTO users (name) VALUES ('seen');
SELECT op, new_data ->> 'name' AS name, audit_id > :last_id AS goes_on FROM users_audit ORDER BY audit_id DESC LIMIT 1;

-- Dropped: the log stays, and a new table of that name takes it over.
DROP TABLE users;
CREATE TABLE users (id int PRIMARY KEY);
SELECT plinth_audit.enable('users');
INSERT INTO users VALUES (1);
SELECT op, new_data FROM users_audit ORDER BY audit_id DESC LIMIT 2;

-- Off, with the log: only for a superuser.
SELECT plinth_audit.disable('users', drop_log => true);
RESET ROLE;
SELECT plinth_audit.disable('users', drop_log => true);
SELECT to_regclass('users_audit');

-- A table that nobody audits is left alone.
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO other VALUES (1);
SELECT * FROM plinth_audit.status WHERE target = 'other'::regclass;
\d other

SET client_min_messages = warning;
DROP SCHEMA basics CASCADE;
DROP ROLE regress_audit_ann;
