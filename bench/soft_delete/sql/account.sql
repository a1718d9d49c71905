-- What rows are deleted from: 200,000 accounts, of which 100,000 are to go.
CREATE EXTENSION pg_prewarm;
CREATE TABLE account (
	id int PRIMARY KEY,
	email text NOT NULL,
	name text NOT NULL,
	balance numeric NOT NULL,
	visits int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL,
	deleted_at timestamptz,
	deletion_id bigint);
INSERT INTO account
	SELECT i, 'user' || i || '@example.com', 'Name ' || md5(i::text), i / 7.0, 0, '2026-01-01'::timestamptz + i * interval '1 s'
	FROM generate_series(1, 200000) i;
CREATE INDEX account_deletion_id_idx ON account (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE UNIQUE INDEX ON account (email) WHERE deleted_at IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON account TO app;
