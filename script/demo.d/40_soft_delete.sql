\echo
\echo '=============================================================================='
\echo ' plinth_soft_delete: a DELETE that marks, and looks like a DELETE'
\echo '=============================================================================='
\echo
\echo '-- 1. A table that you have already: here, the accounts on this machine.'
\echo
CREATE TABLE account (
	login text PRIMARY KEY,
	uid bigint NOT NULL,
	home text,
	shell text
);
\echo '-- filled by: cut -d : -f 1,3,6,7 /etc/passwd'
\set ECHO none
\copy account FROM PROGRAM 'cut -d : -f 1,3,6,7 /etc/passwd' (DELIMITER ':', NULL '')
\set ECHO queries
\echo
SELECT count(*) AS accounts FROM account;
CREATE ROLE helpdesk;
CREATE ROLE auditor;
GRANT SELECT, UPDATE, DELETE ON account TO helpdesk;
GRANT SELECT ON account TO auditor;
\echo
\echo '-- 2. One call. It has new sessions load the library, and says so.'
\echo
CREATE EXTENSION plinth_soft_delete;
SELECT plinth_soft_delete.enable('account', viewers => 'auditor');
\echo '-- 3. So here is a new session. It deletes as always: RETURNING, the command'
\echo '--    tag, and then one account less.'
\echo
\connect
SET ROLE helpdesk;
\set QUIET off
DELETE FROM account WHERE login = 'games' RETURNING *;
\set QUIET on
\echo
SELECT count(*) AS accounts FROM account;
\echo '-- 4. Some more, and why.'
\echo
SET plinth_soft_delete.actor = 'bob';
SET plinth_soft_delete.reason = 'ticket 1742';
\set QUIET off
DELETE FROM account WHERE shell LIKE '%/nologin';
\set QUIET on
\echo
SELECT count(*) AS accounts FROM account;
\echo '-- 5. Who may see what was deleted reads the record of it ...'
\echo
SET ROLE auditor;
SELECT deletion_id, role_name, actor, reason, row_count
FROM plinth_soft_delete.deletion
WHERE target = 'public.account' ORDER BY deletion_id;
\echo '--    ... and sees the rows if he asks to; nobody else may ask.'
\echo
SELECT login, deletion_id FROM account WHERE uid BETWEEN 4 AND 6;
SET plinth_soft_delete.show_deleted = on;
SELECT login, deletion_id FROM account WHERE uid BETWEEN 4 AND 6;
RESET plinth_soft_delete.show_deleted;
SET ROLE helpdesk;
\set ON_ERROR_STOP 0
SET plinth_soft_delete.show_deleted = on;
\set ON_ERROR_STOP 1
\echo
\echo '-- 6. That was a mistake: back with exactly what this deletion took. What died'
\echo '--    by another one stays dead, and comes back when it is asked for.'
\echo
SELECT plinth_soft_delete.restore(plinth_soft_delete.last_deletion());
SELECT count(*) AS accounts FROM account;
SELECT plinth_soft_delete.restore_row('account', '{"login": "games"}');
SELECT count(*) AS accounts FROM account;
\echo '-- 7. A program that marks rows by itself has done the same.'
\echo
\set QUIET off
UPDATE account SET deleted_at = now() WHERE login = 'games';
\set QUIET on
\echo
SELECT count(*) AS accounts FROM account;
\echo '-- 8. Is all as it should be? No rows: it is. Off again, and the dead go for good.'
\echo
RESET ROLE;
SELECT * FROM plinth_soft_delete.check('account');
SELECT plinth_soft_delete.disable('account', dead => 'purge');
SELECT count(*) AS accounts FROM account;
