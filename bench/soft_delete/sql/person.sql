-- What is searched: :people rows, one of five alive, and partial indexes on what is searched by.
CREATE EXTENSION pg_prewarm;
CREATE TABLE person (
	id int PRIMARY KEY,
	email text NOT NULL,
	name text NOT NULL,
	amount numeric NOT NULL,
	tags text[] NOT NULL,
	deleted_at timestamptz,
	deletion_id bigint);
INSERT INTO person
	SELECT i, 'User' || i || '@Example.com', md5(i::text), (i / 5 % 50000) / 100.0, ARRAY['a' || i / 5 % 5000, 'b' || i % 7, 'c' || i % 11],
		CASE WHEN i % 5 > 0 THEN '2026-01-01'::timestamptz END, CASE WHEN i % 5 > 0 THEN 1 END
	FROM generate_series(1, :people) i;
CREATE INDEX person_deletion_id_idx ON person (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX person_email ON person (lower(email)) WHERE deleted_at IS NULL;
CREATE INDEX person_amount ON person (amount) WHERE deleted_at IS NULL;
CREATE INDEX person_name ON person (name text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX person_tags ON person USING gin (tags) WHERE deleted_at IS NULL;
GRANT SELECT ON person TO app;
