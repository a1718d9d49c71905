\echo
\echo '=============================================================================='
\echo ' plinth_audit: who changed what, when, from where'
\echo '=============================================================================='
\echo
\echo '-- 1. A table that you have already: here, the packages on this machine.'
\echo
CREATE TABLE package (
	name text,
	architecture text,
	version text NOT NULL,
	section text,
	size_kb bigint,
	PRIMARY KEY (name, architecture)
);
\echo '-- filled by: dpkg-query -W -f "${Package}\\t${Architecture}\\t${Version}..."'
\set ECHO none
\copy package (name, architecture, version, section, size_kb) FROM PROGRAM 'dpkg-query -W -f ''${Package}\t${Architecture}\t${Version}\t${Section}\t${Installed-Size}\n''' (NULL '')
\set ECHO queries
\echo
SELECT count(*) AS packages, pg_size_pretty(sum(size_kb) * 1024) AS installed
FROM package;
\echo '-- 2. One call.'
\echo
CREATE EXTENSION plinth_audit;
SELECT plinth_audit.enable('package');
\echo '-- 3. An upgrade, as the package manager would do it: some packages get a new'
\echo '--    version, one goes, one comes. Something else fails and is rolled back.'
\echo
BEGIN;
SET LOCAL plinth_audit.actor = 'nightly upgrade';
SET LOCAL plinth_audit.context = '{"ticket": "OPS-1742"}';
UPDATE package
SET version = version || '+u1', size_kb = size_kb + 12
WHERE name IN ('bash', 'coreutils', 'tar');
SAVEPOINT risky;
DELETE FROM package WHERE section = 'libs';
ROLLBACK TO SAVEPOINT risky;
DELETE FROM package WHERE name = 'hostname';
INSERT INTO package VALUES ('plinth', 'all', '1.0', 'database', 420);
COMMIT;
\echo
\echo '-- 4. What happened? The log is a table beside yours.'
\echo
SELECT op, row_key->>'name' AS package,
	old_data->>'version' AS before, new_data->>'version' AS after
FROM package_audit
ORDER BY audit_id;
\echo '-- 5. Both images of a row are there, whole.'
\echo
SELECT jsonb_pretty(old_data) AS old_data, jsonb_pretty(new_data) AS new_data
FROM package_audit
WHERE row_key->>'name' = 'bash';
\echo '-- 6. Who did it, and why? One row for each transaction that wrote.'
\echo
SELECT t.actor, t.context->>'ticket' AS ticket,
	t.session_user_name AS "session", t.application_name AS application,
	count(*) AS changes
FROM plinth_audit.transaction AS t
JOIN package_audit AS a USING (transaction_id)
GROUP BY t.transaction_id, t.started_at
ORDER BY t.started_at;
\echo '-- 7. A role that may write the table needs no right on the log, and cannot'
\echo '--    touch it.'
\echo
CREATE ROLE clerk;
GRANT SELECT, UPDATE ON package TO clerk;
SET ROLE clerk;
UPDATE package SET section = 'essential' WHERE name = 'bash';
\set ON_ERROR_STOP off
DELETE FROM package_audit;
\set ON_ERROR_STOP on
RESET ROLE;
\echo
SELECT audit_id, op, changed_by, row_key
FROM package_audit
WHERE changed_by = 'clerk';
\echo '-- 8. Off again: the table is as it was, and the record stays.'
\echo
SELECT plinth_audit.disable('package');
SELECT op, count(*) FROM package_audit GROUP BY op ORDER BY op;
