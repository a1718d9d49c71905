-- Whatever triggers do to the audited table in between, each statement's log replays in the documented order.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(3);

CREATE TABLE od (id int PRIMARY KEY, v int);
CREATE SEQUENCE ods;
SELECT setseed(0.20261120) IS NULL AS ignored \gset
SELECT diag('seed 0.20261120, 1500 statements');

-- BEFORE and AFTER each row, up to three levels deep: insert, delete, update or rename some row of the same table.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	what int;
	k int;
BEGIN
	IF pg_trigger_depth() < 3 THEN
		FOR i IN 1..floor(random() * 4) LOOP
			what := floor(random() * 4);
			k := 1 + floor(random() * 4);
			IF tg_when = 'AFTER' AND tg_op <> 'INSERT' AND random() < 0.4 THEN k := old.id;
			ELSIF tg_when = 'AFTER' AND tg_op <> 'DELETE' AND random() < 0.4 THEN k := new.id;
			END IF;
			-- what PostgreSQL itself refuses: to change the row that is being changed
			CONTINUE WHEN tg_when = 'BEFORE' AND ((tg_op <> 'INSERT' AND k = old.id) OR (tg_op <> 'DELETE' AND k = new.id AND what <> 1));
			CASE what
				WHEN 0 THEN INSERT INTO od VALUES (k, nextval('ods')) ON CONFLICT DO NOTHING;
				WHEN 1 THEN DELETE FROM od WHERE id = k;
				WHEN 2 THEN UPDATE od SET v = nextval('ods') WHERE id = k;
				ELSE UPDATE od SET id = k + 6 WHERE id = k AND NOT EXISTS (SELECT FROM od WHERE id = k + 6);
			END CASE;
		END LOOP;
	END IF;
	RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
END $$;
CREATE TRIGGER aaa BEFORE INSERT OR UPDATE OR DELETE ON od FOR EACH ROW EXECUTE FUNCTION meddle();
CREATE TRIGGER aab AFTER INSERT OR UPDATE OR DELETE ON od FOR EACH ROW EXECUTE FUNCTION meddle();
CREATE TRIGGER zzz AFTER INSERT OR UPDATE OR DELETE ON od FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT plinth_audit.enable('od') IS NOT NULL AS ignored \gset

CREATE TABLE replayed (id int, v int);
CREATE TABLE problem (what text);

-- Replay what the last statement has logged; what does not fit is the result.
CREATE FUNCTION replay(since bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	e record;
	n int;
BEGIN
	FOR e IN SELECT op, (old_data ->> 'id')::int AS oid, (old_data ->> 'v')::int AS ov, (new_data ->> 'id')::int AS nid, (new_data ->> 'v')::int AS nv
		FROM od_audit WHERE audit_id > since ORDER BY command_id, audit_id
	LOOP
		IF e.oid IS NOT NULL THEN
			DELETE FROM replayed WHERE id = e.oid AND v = e.ov;
			GET DIAGNOSTICS n = ROW_COUNT;
			IF n <> 1 THEN RETURN format('%s of (%s,%s), which is not there', e.op, e.oid, e.ov); END IF;
		END IF;
		IF e.nid IS NOT NULL THEN
			IF EXISTS (SELECT FROM replayed WHERE id = e.nid) THEN RETURN format('%s of %s, which is there already', e.op, e.nid); END IF;
			INSERT INTO replayed VALUES (e.nid, e.nv);
		END IF;
	END LOOP;
	IF EXISTS ((TABLE replayed EXCEPT TABLE od) UNION ALL (TABLE od EXCEPT TABLE replayed)) THEN RETURN 'another end'; END IF;
	RETURN NULL;
END $$;

DO $$
DECLARE
	since bigint;
	found text;
BEGIN
	FOR n IN 1..1500 LOOP
		SELECT coalesce(max(audit_id), 0) INTO since FROM od_audit;
		TRUNCATE replayed;
		INSERT INTO replayed SELECT * FROM od;
		BEGIN
			CASE floor(random() * 4)::int
				WHEN 0 THEN INSERT INTO od SELECT 1 + floor(random() * 6), nextval('ods') ON CONFLICT DO NOTHING;
				WHEN 1 THEN DELETE FROM od WHERE id = 1 + floor(random() * 6)::int;
				WHEN 2 THEN UPDATE od SET v = nextval('ods') WHERE id IN (1, 2, 3);
				ELSE UPDATE od SET id = CASE WHEN id > 6 THEN id - 6 ELSE id + 6 END WHERE id = 1 + floor(random() * 12)::int;
			END CASE;
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
		found := replay(since);
		IF found IS NOT NULL THEN INSERT INTO problem VALUES (format('statement %s: %s', n, found)); END IF;
	END LOOP;
END $$;
SELECT is_empty('TABLE problem', 'every statement replays');
SELECT cmp_ok((SELECT count(*) FROM od_audit), '>', 2000::bigint, 'and there was something to replay');
SELECT cmp_ok((SELECT count(*) FROM (SELECT command_id < max(command_id) OVER (PARTITION BY transaction_id ORDER BY audit_id) AS late FROM od_audit) l WHERE late), '>', 300::bigint, 'much of it recorded late');

SELECT * FROM finish();
