-- Whatever one session does, in either mode and while modes change, what is available is what a model in plain tables says,
-- every answer is the model's, and stock, ledger, reservations and counters agree.
--
-- Random calls and raw statements with a fixed seed (printed), in transactions that are committed or rolled back, with blocks
-- that are undone in the middle.  The model says beforehand how a call must end; where a strategy may choose, the choice is
-- judged and then taken over.  After every step available() and <table>_available are compared for every cell.  Time plays no
-- part: a hold lives for ever, for an hour, or for a microsecond.
-- psql -v seed=... -v steps=... tries others, -v trace=on shows every step.
\if :{?seed}
\else
\set seed 417
\endif
\if :{?steps}
\else
\set steps 500
\endif
\if :{?trace}
\else
\set trace off
\endif
\set ON_ERROR_STOP on
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_inventory;

SELECT * FROM no_plan();
SELECT diag('seed ' || :seed || ', steps ' || :steps);
SET o.trace = :trace;

----------------------------------------------------------------------------------------------------------------------
-- The tables
----------------------------------------------------------------------------------------------------------------------

-- The shop's usual one; one without warehouses; one with product ids, codes of warehouses, wide numbers and without checks.
CREATE TABLE inventory (
	sku varchar(50), warehouse_id int,
	quantity int NOT NULL CHECK (quantity >= 0),
	reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0,
	PRIMARY KEY (sku, warehouse_id));
CREATE TABLE goods (
	gone text, held bigint NOT NULL DEFAULT 0 CHECK (held >= 0), note text, rev bigint NOT NULL DEFAULT 0, item uuid PRIMARY KEY,
	on_hand bigint NOT NULL CHECK (on_hand >= 0));
ALTER TABLE goods DROP COLUMN gone;
CREATE SCHEMA "Far ""1""";
CREATE TABLE "Far ""1"""."Sto ck" (
	"wh,code" text, "Product" bigint, "Q" bigint NOT NULL DEFAULT 0, "R" smallint NOT NULL DEFAULT 0, "V" smallint NOT NULL DEFAULT 0, extra text,
	PRIMARY KEY ("wh,code", "Product"));

CREATE TABLE m_inv (
	nr int GENERATED ALWAYS AS IDENTITY, inv text PRIMARY KEY, sku_col text, wh_col text, q_col text, r_col text, v_col text, mode text, skus text[], whs text[], view text);
INSERT INTO m_inv (inv, sku_col, wh_col, q_col, r_col, v_col, mode, skus, whs) VALUES
	('inventory', 'sku', 'warehouse_id', 'quantity', 'reserved', 'version', 'row', '{a,"b ''\"\\,{}",é}', '{1,2,-3}'),
	('goods', 'item', NULL, 'on_hand', 'held', 'rev', 'escrow',
		'{00000000-0000-0000-0000-000000000000,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,ffffffff-ffff-ffff-ffff-ffffffffffff}', '{NULL}'),
	('"Far ""1"""."Sto ck"', 'Product', 'wh,code', 'Q', 'R', 'V', 'row', '{-5,9000000000000000000}', '{"",B 1,"x''y\""}');
UPDATE m_inv SET view = CASE WHEN inv LIKE '%"' THEN left(inv, -1) || '_available"' ELSE inv || '_available' END;

-- The model: cells, holds, and what was asked with which key.  "raw" is what other SQL has added to the reserved units.
CREATE TABLE m_cell (
	inv text, sku text, wh text, quantity bigint NOT NULL, raw bigint NOT NULL DEFAULT 0, mode text NOT NULL, safety bigint NOT NULL DEFAULT 0,
	oversell bigint NOT NULL DEFAULT 0, priority int NOT NULL DEFAULT 0, used bool NOT NULL DEFAULT false, UNIQUE NULLS NOT DISTINCT (inv, sku, wh));
CREATE TABLE m_hold (
	inv text, key uuid, line int, sku text, wh text, quantity bigint, confirmed bigint NOT NULL DEFAULT 0, released bigint NOT NULL DEFAULT 0,
	owner text, overdue bool NOT NULL DEFAULT false, PRIMARY KEY (inv, key, line));
CREATE INDEX ON m_hold (inv, sku, wh);
CREATE TABLE m_request (inv text, key uuid, call text, other text, rows plinth_inventory.result[], PRIMARY KEY (inv, key));

CREATE FUNCTION m_live(i text, s text, w text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce(sum(quantity - confirmed - released), 0)::bigint FROM m_hold WHERE inv = i AND sku = s AND wh IS NOT DISTINCT FROM w AND NOT overdue $$;
CREATE FUNCTION m_free(i text, s text, w text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT quantity - raw + oversell - safety - m_live(i, s, w) FROM m_cell WHERE inv = i AND sku = s AND wh IS NOT DISTINCT FROM w $$;
-- Units of overdue holds: free, but perhaps not yet swept.
CREATE FUNCTION m_overdue(i text, s text, w text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce(sum(quantity - confirmed - released), 0)::bigint FROM m_hold WHERE inv = i AND sku = s AND wh IS NOT DISTINCT FROM w AND overdue $$;

----------------------------------------------------------------------------------------------------------------------
-- The oracle
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION eq_key(m m_inv, s text, w text, prefix text DEFAULT '') RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('%s%I::text = %L', prefix, m.sku_col, s) || CASE WHEN m.wh_col IS NULL THEN '' ELSE format(' AND %s%I::text = %L', prefix, m.wh_col, w) END $$;

-- What available() and the view say of every cell; NULL if it is what the model says.
CREATE FUNCTION o_compare(m m_inv) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	SELECT string_agg(format('available(%s, %s) is %s, not %s', sku, wh, have, want), '; ') INTO found
	FROM (SELECT c.sku, c.wh, plinth_inventory.available(c.sku, c.wh, m.inv) AS have, greatest(m_free(m.inv, c.sku, c.wh), 0) AS want FROM m_cell c WHERE c.inv = m.inv) x
	WHERE have IS DISTINCT FROM want;
	IF found IS NULL THEN
		SELECT string_agg(format('available(%s) is %s, not %s', sku, have, want), '; ') INTO found
		FROM (SELECT c.sku, plinth_inventory.available(c.sku, inventory => m.inv) AS have, sum(greatest(m_free(m.inv, c.sku, c.wh), 0)) AS want FROM m_cell c WHERE c.inv = m.inv GROUP BY 1) x
		WHERE have IS DISTINCT FROM want;
	END IF;
	IF found IS NULL THEN
		EXECUTE format('SELECT %I()', 'o_view_' || m.nr) INTO found;
	END IF;
	RETURN found;
END $$;

-- Ledger, reservations and check(), which each see nothing else than the model; with "folded" the stock rows as well.
CREATE FUNCTION o_deep(m m_inv, folded bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
	wh_sql text := CASE WHEN m.wh_col IS NULL THEN 'NULL::text' ELSE 'warehouse::text' END;
	companion text := CASE WHEN m.inv LIKE '%"' THEN left(m.inv, -1) || '_%s"' ELSE m.inv || '_%s' END;
BEGIN
	-- that more was promised than there is, is to be said, and nothing else
	SELECT 'check(): ' || string_agg(format('%s should be %s', p, c), '; ') INTO found FROM plinth_inventory.check(m.inv) p
		FULL JOIN (SELECT sku, coalesce(x.wh, '') AS w, quantity - raw - m_live(inv, sku, x.wh) + oversell AS most, quantity - raw - m_live(inv, sku, x.wh) - m_overdue(inv, sku, x.wh) + oversell AS least FROM m_cell x WHERE inv = m.inv) c
			ON c.sku = p.sku AND c.w = coalesce(p.warehouse, '') AND p.problem = 'oversold'
		WHERE c IS NULL OR p IS NULL AND c.most < 0 OR p IS NOT NULL AND c.least >= 0;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	EXECUTE format('SELECT ''ledger: '' || string_agg(format(''%%s should be %%s'', l, c), ''; '') FROM (
			SELECT sku, wh, sum(q) AS quantity, sum(r) AS reserved FROM (
				SELECT sku::text, %1$s AS wh, quantity AS q, reserved AS r FROM %2$s UNION ALL SELECT sku::text, %1$s, 0, quantity FROM %3$s) e GROUP BY 1, 2) l
		JOIN (SELECT sku, wh, quantity, raw + m_live(inv, sku, wh) AS live, m_overdue(inv, sku, wh) AS overdue FROM m_cell WHERE inv = %4$L) c ON c.sku = l.sku AND c.wh IS NOT DISTINCT FROM l.wh
		WHERE l.quantity <> c.quantity OR l.reserved < c.live OR l.reserved > c.live + c.overdue',
		wh_sql, format(companion, 'movement'), format(companion, 'reservation'), m.inv) INTO found;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	EXECUTE format('SELECT ''reservations: '' || string_agg(format(''%%s should be %%s'', r, h), ''; '') FROM (SELECT key, line, sku::text, %1$s AS wh, quantity, confirmed, released, owner FROM %2$s) r
		FULL JOIN (SELECT * FROM m_hold WHERE inv = %3$L) h USING (key, line)
		WHERE (r.sku, r.wh, r.quantity, r.confirmed, r.owner) IS DISTINCT FROM (h.sku, h.wh, h.quantity, h.confirmed, h.owner)
			OR r.released <> h.released AND NOT (h.overdue AND r.released = h.quantity - h.confirmed)', wh_sql, format(companion, 'reservation'), m.inv) INTO found;
	IF found IS NULL AND folded THEN
		EXECUTE format('SELECT ''stock rows after fold(): '' || string_agg(format(''%%s should be %%s'', s, c), ''; '') FROM %s s FULL JOIN (SELECT * FROM m_cell WHERE inv = %L) c ON %s
			WHERE s.%5$I IS DISTINCT FROM c.quantity OR NOT s.%6$I BETWEEN c.raw + m_live(c.inv, c.sku, c.wh) AND c.raw + m_live(c.inv, c.sku, c.wh) + m_overdue(c.inv, c.sku, c.wh)',
			m.inv, m.inv, format('c.sku = s.%I::text', m.sku_col) || CASE WHEN m.wh_col IS NULL THEN '' ELSE format(' AND c.wh = s.%I::text', m.wh_col) END, NULL, m.q_col, m.r_col) INTO found;
	END IF;
	RETURN found;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Asking
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rnd(lo bigint, hi bigint) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT lo + floor(random() * (hi - lo + 1))::bigint';
CREATE FUNCTION pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT a[rnd(1, cardinality(a))]';
CREATE FUNCTION new_key() RETURNS uuid LANGUAGE sql VOLATILE AS 'SELECT md5(random()::text)::uuid';
CREATE FUNCTION any_cell(i text) RETURNS m_cell LANGUAGE sql VOLATILE AS 'SELECT c FROM m_cell c WHERE inv = i ORDER BY random() LIMIT 1';
-- Mostly little, sometimes all, sometimes one more than all.
CREATE FUNCTION any_quantity(free bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN r < 0.6 THEN rnd(1, 4) WHEN r < 0.75 THEN greatest(free, 1) WHEN r < 0.9 THEN greatest(free + 1, 1) ELSE rnd(1, 30) END FROM (SELECT random() AS r) x $$;
CREATE FUNCTION any_ttl() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pick(NULL, NULL, '1 hour', '1 hour', '1 microsecond') $$;
CREATE FUNCTION any_owner() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pick(NULL, 'ann', 'bob', 'c''d') $$;

-- What became of a call.  Where no error is expected it mostly runs without a subtransaction around it.
CREATE TYPE o_answer AS (state text, message text, rows plinth_inventory.result[], n bigint);
CREATE FUNCTION o_trace(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('o.trace')::bool THEN
		RAISE INFO '%', what;
	END IF;
END $$;
CREATE FUNCTION o_exec(stmt text, bare bool, returns_rows bool) RETURNS o_answer LANGUAGE plpgsql AS $$
DECLARE
	a o_answer;
BEGIN
	a.state := 'ok';
	PERFORM set_config('o.stmt', stmt, false);
	IF stmt NOT LIKE '%o\_seen%' THEN
		PERFORM o_trace(CASE WHEN returns_rows THEN 'SELECT * FROM ' ELSE '' END || stmt || ';');
	END IF;
	IF bare THEN
		IF returns_rows THEN
			EXECUTE 'SELECT array_agg(r) FROM ' || stmt || ' r' INTO a.rows;
		ELSE
			EXECUTE stmt INTO a.n;
		END IF;
		RETURN a;
	END IF;
	BEGIN
		IF returns_rows THEN
			EXECUTE 'SELECT array_agg(r) FROM ' || stmt || ' r' INTO a.rows;
		ELSE
			EXECUTE stmt INTO a.n;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		a.state := sqlstate;
		a.message := sqlerrm;
	END;
	RETURN a;
END $$;
CREATE FUNCTION o_rows(stmt text, bare bool DEFAULT false) RETURNS o_answer LANGUAGE sql AS $$ SELECT o_exec('plinth_inventory.' || stmt, bare AND random() < 0.7, true) $$;
CREATE FUNCTION o_number(stmt text, bare bool DEFAULT false) RETURNS o_answer LANGUAGE sql AS $$ SELECT o_exec(stmt, bare AND random() < 0.7, false) $$;

CREATE FUNCTION version_of(m m_inv, s text, w text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	v bigint;
BEGIN
	EXECUTE format('SELECT %I::bigint FROM %s WHERE %s', m.v_col, m.inv, eq_key(m, s, w)) INTO v;
	RETURN v;
END $$;
CREATE FUNCTION cells_used(i text, ss text[]) RETURNS void LANGUAGE sql AS $$ UPDATE m_cell SET used = true WHERE inv = i AND sku = ANY (ss) AND NOT used $$;

----------------------------------------------------------------------------------------------------------------------
-- Kinds of steps: each returns what is wrong, or NULL
----------------------------------------------------------------------------------------------------------------------

-- The warehouses chosen for a SKU of an order are those of its strategy.  "before" is what was free then.
CREATE FUNCTION o_choice(i text, strategy text, split bool, wanted bigint, whs text[], before bigint[], priorities int[], taken bigint[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n int := cardinality(whs);
	used int := (SELECT count(*) FROM unnest(taken) t WHERE t > 0);
	need bigint := wanted;
	least int := 0;
	b bigint;
BEGIN
	IF NOT split OR EXISTS (SELECT FROM unnest(before) x WHERE x >= wanted) AND strategy = 'fewest_splits' THEN
		IF used > 1 THEN
			RETURN format('%s warehouses instead of one', used);
		END IF;
	END IF;
	IF strategy = 'fewest_splits' AND split THEN
		FOR b IN SELECT x FROM unnest(before) x WHERE x > 0 ORDER BY x DESC LOOP
			EXIT WHEN need <= 0;
			need := need - b;
			least := least + 1;
		END LOOP;
		IF used <> least THEN
			RETURN format('%s warehouses instead of %s', used, least);
		END IF;
	END IF;
	FOR a IN 1..n LOOP
		FOR z IN 1..n LOOP
			-- a comes before z, z was used, and a was not used up
			IF taken[z] > 0 AND taken[a] < greatest(before[a], 0) AND (strategy = 'priority' AND priorities[a] < priorities[z] OR strategy = 'most_stock' AND before[a] > before[z])
				AND (split AND used > 0 OR before[a] >= wanted) AND NOT (NOT split AND before[a] < wanted) THEN
				RETURN format('%s units of warehouse %s, although %s has %s and comes first (%s)', taken[z], whs[z], whs[a], before[a], strategy);
			END IF;
		END LOOP;
	END LOOP;
	RETURN NULL;
END $$;

-- Lines of an answer: they sum up to what was asked, are within what was free, and become holds of the model.
CREATE TYPE o_line AS (sku text, wh text, quantity bigint, expected bigint);
CREATE FUNCTION o_take(m m_inv, lines o_line[], k uuid, answer plinth_inventory.result[], strategy text, split bool, ttl text, who text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
	r record;
BEGIN
	SELECT string_agg(format('line %s', a), '; ') INTO found FROM unnest(answer) a
	WHERE a.outcome <> 'reserved' OR a.replayed OR a.key IS DISTINCT FROM k OR a.quantity <= 0 OR (ttl IS NULL) <> (a.expires_at IS NULL OR a.expires_at = 'infinity') OR a.line IS NULL
		OR m_free(m.inv, a.sku, a.warehouse) IS NULL;
	IF found IS NOT NULL THEN
		RETURN 'answer: ' || found;
	END IF;
	-- each SKU in full, each line with a warehouse there
	SELECT string_agg(format('%s: %s of %s', sku, a.q, l.q), '; ') INTO found
	FROM (SELECT sku, sum(quantity) AS q FROM unnest(lines) GROUP BY 1) l FULL JOIN (SELECT sku, sum(quantity) AS q FROM unnest(answer) GROUP BY 1) a USING (sku) WHERE l.q IS DISTINCT FROM a.q;
	IF found IS NULL THEN
		SELECT string_agg(format('%s in %s: %s of %s', l.sku, l.wh, a.q, l.q), '; ') INTO found
		FROM (SELECT sku, wh, sum(quantity) AS q FROM unnest(lines) WHERE wh IS NOT NULL GROUP BY 1, 2) l LEFT JOIN (SELECT sku, warehouse AS wh, sum(quantity) AS q FROM unnest(answer) GROUP BY 1, 2) a USING (sku, wh)
		WHERE a.q < l.q OR a.q IS NULL;
	END IF;
	IF found IS NULL THEN
		SELECT string_agg(format('%s in %s: %s of %s that are free', sku, wh, q, m_free(m.inv, sku, wh)), '; ') INTO found
		FROM (SELECT sku, warehouse AS wh, sum(quantity) AS q FROM unnest(answer) GROUP BY 1, 2) a WHERE q > m_free(m.inv, sku, wh);
		IF found IS NOT NULL THEN
			RETURN 'OVERSOLD ' || found;
		END IF;
	END IF;
	IF found IS NULL THEN
		SELECT string_agg(format('%s: %s', sku, wrong), '; ') INTO found FROM (
			SELECT l.sku, o_choice(m.inv, strategy, split, l.q::bigint, array_agg(c.wh ORDER BY c.wh), array_agg(m_free(m.inv, c.sku, c.wh) ORDER BY c.wh), array_agg(c.priority ORDER BY c.wh),
				array_agg(coalesce((SELECT sum(quantity) FROM unnest(answer) a WHERE a.sku = c.sku AND a.warehouse IS NOT DISTINCT FROM c.wh), 0)::bigint ORDER BY c.wh)) AS wrong
			FROM (SELECT sku, sum(quantity) AS q FROM unnest(lines) GROUP BY 1 HAVING bool_and(wh IS NULL)) l JOIN m_cell c ON c.inv = m.inv AND c.sku = l.sku
			WHERE NOT EXISTS (SELECT FROM m_hold h WHERE h.inv = m.inv AND h.sku = l.sku AND h.overdue AND h.quantity > h.confirmed + h.released) AND m.wh_col IS NOT NULL
			GROUP BY l.sku, l.q) x WHERE wrong IS NOT NULL;
	END IF;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	INSERT INTO m_hold (inv, key, line, sku, wh, quantity, owner, overdue) SELECT m.inv, a.key, a.line, a.sku, a.warehouse, a.quantity, who, ttl IS NOT DISTINCT FROM '1 microsecond' FROM unnest(answer) a;
	-- With nothing overdue in it, the answer says what is left.
	FOR r IN SELECT a.sku, a.warehouse AS wh, min(a.available) AS left_over FROM unnest(answer) a GROUP BY 1, 2 LOOP
		IF m_overdue(m.inv, r.sku, r.wh) = 0 AND r.left_over IS DISTINCT FROM m_free(m.inv, r.sku, r.wh) THEN
			RETURN format('the answer says %s of %s in %s are left, not %s', r.left_over, r.sku, r.wh, m_free(m.inv, r.sku, r.wh));
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

CREATE FUNCTION s_reserve(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c m_cell := any_cell(m.inv);
	w text := CASE WHEN random() < 0.15 THEN NULL ELSE c.wh END;
	k uuid := new_key();
	ttl text := any_ttl();
	who text := any_owner();
	-- what is free in the warehouse, or in that with the most
	free bigint := (SELECT max(m_free(inv, sku, wh)) FROM m_cell WHERE inv = m.inv AND sku = c.sku AND (m.wh_col IS NULL OR w IS NULL OR wh = w));
	q bigint := any_quantity(free);
	now_version bigint := version_of(m, c.sku, c.wh);
	ver bigint := CASE WHEN w IS NULL AND m.wh_col IS NOT NULL OR random() < 0.7 THEN NULL WHEN random() < 0.6 THEN now_version ELSE greatest(now_version + (ARRAY[-1, 1, 7])[rnd(1, 3)], 0) END;
	shortage text := pick('fail', 'fail', 'wait', 'error');
	want text;
	call text;
	a o_answer;
	r plinth_inventory.result;
	number text;
BEGIN
	want := CASE WHEN ver <> now_version THEN 'version_conflict' WHEN free < q THEN 'sold_out' ELSE 'reserved' END;
	number := CASE WHEN w ~ '^-?\d+$' AND random() < 0.5 THEN w || '::bigint' ELSE quote_nullable(w) || '::text' END;
	call := format('reserve(%L, %s, %s, %L, %L, %L, %s, %L, %L)', c.sku, number, q, k, ttl, who, coalesce(ver::text, 'NULL'), shortage, m.inv);
	a := o_rows(call, bare AND (want = 'reserved' OR shortage <> 'error'));
	r := a.rows[1];
	PERFORM cells_used(m.inv, ARRAY[c.sku]);
	IF want = 'sold_out' AND shortage = 'error' OR a.state = '23514' AND shortage = 'error' AND free < q THEN
		RETURN CASE WHEN a.state <> '23514' THEN format('%s instead of 23514: %s', coalesce(a.message, a.rows::text), call) END;
	ELSIF a.state <> 'ok' THEN
		RETURN format('%s %s instead of %s: %s', a.state, a.message, want, call);
	ELSIF cardinality(a.rows) <> 1 THEN
		RETURN format('%s rows: %s', cardinality(a.rows), call);
	ELSIF r.outcome <> want AND NOT (want = 'version_conflict' AND free < q AND r.outcome = 'sold_out') THEN
		RETURN format('%s instead of %s (%s free): %s', r, want, free, call);
	ELSIF r.outcome <> 'reserved' THEN
		IF r.key IS DISTINCT FROM k OR r.replayed OR r.sku <> c.sku OR r.quantity IS DISTINCT FROM q OR r.outcome = 'version_conflict' AND r.version IS DISTINCT FROM now_version THEN
			RETURN format('answer %s, version %s: %s', r, now_version, call);
		END IF;
		RETURN NULL;
	END IF;
	IF c.mode = 'row' AND w IS NOT NULL AND version_of(m, c.sku, c.wh) <= now_version OR c.mode = 'escrow' AND w IS NOT NULL AND version_of(m, c.sku, c.wh) <> now_version THEN
		RETURN format('version %s after %s in mode %s: %s', version_of(m, c.sku, c.wh), now_version, c.mode, call);
	ELSIF w IS NOT NULL AND r.version IS DISTINCT FROM version_of(m, c.sku, c.wh) THEN
		RETURN format('the answer''s version is %s, the row''s %s: %s', r.version, version_of(m, c.sku, c.wh), call);
	END IF;
	INSERT INTO m_request VALUES (m.inv, k, call, replace(call, format(', %s, %L', q, k), format(', %s, %L', q + 1, k)), a.rows);
	RETURN o_take(m, ARRAY[(c.sku, CASE WHEN m.wh_col IS NOT NULL THEN w END, q, NULL)::o_line], k, a.rows, 'priority', false, ttl, who) || ': ' || call;
END $$;

-- Lines of an order, and whether all of them can be had.
CREATE FUNCTION any_lines(m m_inv, wants int) RETURNS o_line[] LANGUAGE plpgsql AS $$
DECLARE
	lines o_line[] := '{}';
	c m_cell;
	w text;
BEGIN
	FOR n IN 1..wants LOOP
		c := any_cell(m.inv);
		w := CASE WHEN m.wh_col IS NULL OR random() < 0.5 THEN NULL ELSE c.wh END;
		lines := lines || (c.sku, w, CASE WHEN random() < 0.6 THEN rnd(1, 3) ELSE any_quantity(m_free(m.inv, c.sku, c.wh)) END, NULL)::o_line;
		IF random() < 0.1 THEN
			lines := lines || lines[rnd(1, cardinality(lines))];
		END IF;
	END LOOP;
	RETURN lines;
END $$;
CREATE FUNCTION lines_sql(lines o_line[]) RETURNS text LANGUAGE sql AS $$
	SELECT 'ARRAY[' || string_agg(format('(%L, %L, %s, %s)', sku, wh, quantity, coalesce(expected::text, 'NULL')), ', ') || ']::plinth_inventory.line[]' FROM unnest(lines) $$;
CREATE FUNCTION lines_fit(m m_inv, lines o_line[], split bool) RETURNS bool LANGUAGE sql AS $$
	SELECT coalesce(bool_and(CASE WHEN m.wh_col IS NULL THEN left_over >= open ELSE fits AND (open = 0 OR CASE WHEN split THEN left_over >= open ELSE most >= open END) END), true)
	FROM (
		SELECT sku, bool_and(fixed = 0 OR free >= fixed) AS fits, sum(greatest(free - fixed, 0)) AS left_over, max(free - fixed) AS most,
			(SELECT coalesce(sum(quantity), 0) FROM unnest(lines) l WHERE l.sku = x.sku AND l.wh IS NULL) AS open
		FROM (SELECT c.sku, c.wh, m_free(m.inv, c.sku, c.wh) AS free, (SELECT coalesce(sum(quantity), 0) FROM unnest(lines) l WHERE l.sku = c.sku AND l.wh = c.wh) AS fixed
			FROM m_cell c WHERE c.inv = m.inv AND c.sku IN (SELECT sku FROM unnest(lines))) x WHERE fixed > 0 OR (SELECT bool_or(l.wh IS NULL) FROM unnest(lines) l WHERE l.sku = x.sku) GROUP BY sku) y $$;

CREATE FUNCTION s_order(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	lines o_line[] := any_lines(m, rnd(1, 4)::int);
	k uuid := new_key();
	ttl text := any_ttl();
	who text := any_owner();
	strategy text := pick('priority', 'most_stock', 'fewest_splits');
	split bool := random() < 0.7;
	shortage text := pick('fail', 'fail', 'wait', 'error');
	fits bool;
	conflict bool := false;
	n int;
	a o_answer;
	call text;
BEGIN
	-- a version for one line, which has a cell of its own
	n := (SELECT min(i) FROM unnest(lines) WITH ORDINALITY u (s, w, q, e, i) WHERE (w IS NOT NULL OR m.wh_col IS NULL) AND (SELECT count(*) FROM unnest(lines) l WHERE l.sku = s AND l.wh IS NOT DISTINCT FROM w) = 1);
	IF n IS NOT NULL AND random() < 0.3 THEN
		conflict := random() < 0.4;
		lines[n].expected := version_of(m, lines[n].sku, lines[n].wh) + conflict::int;
	END IF;
	fits := lines_fit(m, lines, split);
	call := format('reserve_order(%s, %L, %L, %L, %L, %L, %L, %L)', lines_sql(lines), k, ttl, who, strategy, split, shortage, m.inv);
	a := o_rows(call, bare AND (fits OR shortage <> 'error'));
	PERFORM cells_used(m.inv, ARRAY(SELECT sku FROM unnest(lines)));
	IF NOT fits AND shortage = 'error' AND (a.state = '23514' OR NOT conflict) THEN
		RETURN CASE WHEN a.state <> '23514' THEN format('%s instead of 23514: %s', coalesce(a.message, a.rows::text), call) END;
	ELSIF a.state <> 'ok' THEN
		RETURN format('%s %s: %s', a.state, a.message, call);
	ELSIF NOT fits OR conflict THEN
		RETURN CASE WHEN coalesce(cardinality(a.rows), 0) = 0 OR EXISTS (SELECT FROM unnest(a.rows) r WHERE r.outcome = 'reserved')
			OR NOT EXISTS (SELECT FROM unnest(a.rows) r WHERE r.outcome = 'sold_out' AND NOT fits OR r.outcome = 'version_conflict' AND conflict)
			THEN format('%s although %s: %s', a.rows, CASE WHEN conflict THEN 'a version is another' ELSE 'not all are free' END, call) END;
	END IF;
	INSERT INTO m_request VALUES (m.inv, k, call, replace(call, lines_sql(lines), lines_sql(lines[2:] || (lines[1].sku, lines[1].wh, lines[1].quantity + 1, NULL)::o_line)), a.rows);
	RETURN o_take(m, lines, k, a.rows, strategy, split, ttl, who) || ': ' || call;
END $$;

CREATE FUNCTION s_replace(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	lines o_line[];
	k uuid := new_key();
	ttl text := any_ttl();
	who text := pick('ann', 'bob');
	strategy text := pick('priority', 'most_stock', 'fewest_splits');
	split bool := random() < 0.7;
	fits bool;
	a o_answer;
	call text;
	skus text[] := ARRAY(SELECT sku FROM m_hold WHERE inv = m.inv AND owner = who AND quantity > confirmed + released);
BEGIN
	-- as it would be without what the owner holds
	CREATE TEMP TABLE IF NOT EXISTS given_back (key uuid, line int, units bigint);
	DELETE FROM given_back;
	INSERT INTO given_back SELECT key, line, quantity - confirmed - released FROM m_hold WHERE inv = m.inv AND owner = who AND NOT overdue AND quantity > confirmed + released;
	UPDATE m_hold h SET released = released + units FROM given_back g WHERE h.inv = m.inv AND h.key = g.key AND h.line = g.line;
	lines := any_lines(m, rnd(1, 3)::int);
	fits := lines_fit(m, lines, split);
	call := format('replace_hold(%L, %s, %L, %L, %L, %L, %L, %L)', who, lines_sql(lines), k, ttl, strategy, split, 'fail', m.inv);
	a := o_rows(call, bare);
	PERFORM cells_used(m.inv, ARRAY(SELECT sku FROM unnest(lines)) || skus);
	IF a.state <> 'ok' THEN
		RETURN format('%s %s: %s', a.state, a.message, call);
	ELSIF NOT fits THEN
		UPDATE m_hold h SET released = released - units FROM given_back g WHERE h.inv = m.inv AND h.key = g.key AND h.line = g.line;
		RETURN CASE WHEN coalesce(cardinality(a.rows), 0) = 0 OR EXISTS (SELECT FROM unnest(a.rows) r WHERE r.outcome = 'reserved') THEN format('%s although not all are free: %s', a.rows, call) END;
	END IF;
	RETURN o_take(m, lines, k, a.rows, strategy, split, ttl, who) || ': ' || call;
END $$;

-- confirm, release, extend: of a key with holds, of one that has ended, of one that nobody knows.
CREATE FUNCTION s_settle(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kind text := pick('confirm', 'confirm', 'release', 'release', 'extend');
	k uuid := (SELECT key FROM m_hold WHERE inv = m.inv AND (random() < 0.2 OR quantity > confirmed + released) ORDER BY random() LIMIT 1);
	holds m_hold[];
	h m_hold;
	part bigint;
	ttl text := coalesce(any_ttl(), '2 hours');
	short bool := false;
	want text[] := '{}';
	a o_answer;
	call text;
BEGIN
	IF k IS NULL OR random() < 0.03 THEN
		k := new_key();
	END IF;
	holds := ARRAY(SELECT x FROM m_hold x WHERE inv = m.inv AND key = k ORDER BY line);
	h := holds[1];
	IF kind = 'extend' THEN
		call := format('extend(%L, %L, %L)', k, ttl, m.inv);
	ELSE
		IF cardinality(holds) = 1 AND random() < 0.5 AND h.quantity > h.confirmed + h.released THEN
			part := rnd(1, h.quantity - h.confirmed - h.released);
		END IF;
		call := format('%s(%L, %s, %L)', kind, k, coalesce(part::text, 'NULL'), m.inv);
	END IF;
	-- What is not there cannot leave the stock.
	IF kind = 'confirm' THEN
		short := EXISTS (SELECT FROM (SELECT sku, wh, sum(coalesce(part, quantity - confirmed - released)) AS q FROM unnest(holds) x WHERE NOT overdue GROUP BY 1, 2) x
			JOIN m_cell c ON c.inv = m.inv AND c.sku = x.sku AND c.wh IS NOT DISTINCT FROM x.wh WHERE c.quantity < q AND q > 0);
	END IF;
	a := o_rows(call, bare AND NOT short);
	PERFORM cells_used(m.inv, ARRAY(SELECT sku FROM unnest(holds)));
	IF short THEN
		RETURN CASE WHEN a.state <> '23514' THEN format('%s although the stock has not as many: %s', a, call) END;
	ELSIF a.state <> 'ok' THEN
		RETURN format('%s %s: %s', a.state, a.message, call);
	ELSIF cardinality(holds) = 0 THEN
		RETURN CASE WHEN cardinality(a.rows) IS DISTINCT FROM 1 OR a.rows[1].outcome <> 'not_found' OR a.rows[1].key <> k THEN format('%s instead of not_found: %s', a.rows, call) END;
	ELSIF cardinality(a.rows) IS DISTINCT FROM cardinality(holds) THEN
		RETURN format('%s rows for %s lines: %s', cardinality(a.rows), cardinality(holds), call);
	END IF;
	FOR n IN 1..cardinality(holds) LOOP
		h := holds[n];
		want := CASE WHEN h.overdue AND h.quantity > h.confirmed + h.released THEN '{expired}'
			WHEN h.quantity > h.confirmed + h.released THEN ARRAY[CASE kind WHEN 'confirm' THEN 'confirmed' WHEN 'release' THEN 'released' ELSE 'extended' END]
			WHEN h.released = 0 THEN '{already_confirmed}' WHEN h.confirmed = 0 THEN '{already_released}' ELSE '{already_confirmed,already_released}' END;
		IF NOT EXISTS (SELECT FROM unnest(a.rows) r WHERE r.line = h.line AND r.outcome = ANY (want)) THEN
			RETURN format('%s instead of %s: %s', a.rows, want, call);
		END IF;
		IF want IN ('{confirmed}', '{released}') THEN
			part := coalesce(part, h.quantity - h.confirmed - h.released);
			IF kind = 'confirm' THEN
				UPDATE m_hold SET confirmed = confirmed + part WHERE inv = m.inv AND key = k AND line = h.line;
				UPDATE m_cell SET quantity = quantity - part WHERE inv = m.inv AND sku = h.sku AND wh IS NOT DISTINCT FROM h.wh;
			ELSE
				UPDATE m_hold SET released = released + part WHERE inv = m.inv AND key = k AND line = h.line;
			END IF;
			IF NOT EXISTS (SELECT FROM unnest(a.rows) r WHERE r.line = h.line AND r.quantity = part AND r.sku = h.sku AND r.warehouse IS NOT DISTINCT FROM h.wh) THEN
				RETURN format('%s instead of %s of %s: %s', a.rows, part, h, call);
			END IF;
			part := NULL;
		ELSIF want = '{extended}' AND ttl = '1 microsecond' THEN
			UPDATE m_hold SET overdue = true WHERE inv = m.inv AND key = k AND line = h.line;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

-- The first answer again, or another content refused.
CREATE FUNCTION s_replay(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	q m_request := (SELECT r FROM m_request r WHERE inv = m.inv ORDER BY random() LIMIT 1);
	a o_answer;
BEGIN
	IF q IS NULL THEN
		RETURN NULL;
	ELSIF random() < 0.3 THEN
		a := o_rows(q.other);
		RETURN CASE WHEN a.state <> '23505' THEN format('%s %s %s instead of 23505: %s after %s', a.state, a.message, a.rows, q.other, q.call) END;
	END IF;
	a := o_rows(q.call, bare);
	IF a.state <> 'ok' THEN
		RETURN format('%s %s: %s again', a.state, a.message, q.call);
	ELSIF EXISTS (SELECT FROM unnest(a.rows) r FULL JOIN unnest(q.rows) o ON (r.key, r.line) = (o.key, o.line) WHERE (r.sku, r.warehouse, r.quantity, r.outcome, r.replayed) IS DISTINCT FROM (o.sku, o.warehouse, o.quantity, o.outcome, true)) THEN
		RETURN format('%s instead of %s: %s again', a.rows, q.rows, q.call);
	END IF;
	RETURN NULL;
END $$;

CREATE FUNCTION s_expire(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	batch int := rnd(1, 6);
	due bigint;
	a o_answer;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s WHERE expires_at < clock_timestamp() AND finished_at IS NULL', CASE WHEN m.inv LIKE '%"' THEN left(m.inv, -1) || '_reservation"' ELSE m.inv || '_reservation' END) INTO due;
	a := o_number(format('SELECT plinth_inventory.expire(%s, %L)', batch, m.inv), bare);
	PERFORM cells_used(m.inv, m.skus);
	RETURN CASE WHEN a.state <> 'ok' OR a.n IS DISTINCT FROM least(batch, due) THEN format('expire(%s) of %s: %s', batch, due, a) END;
END $$;

CREATE FUNCTION s_stock(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c m_cell := any_cell(m.inv);
	other text;
	kind text := pick('receive', 'receive', 'adjust', 'adjust', 'transfer', 'limits', 'limits', 'mode', 'mode', 'fold', 'fold');
	q bigint := rnd(1, 12);
	ver bigint := version_of(m, c.sku, c.wh);
	expected bigint := CASE WHEN random() < 0.6 THEN NULL WHEN random() < 0.6 THEN ver ELSE ver + 1 END;
	a o_answer;
	call text;
	safe bigint;
	over bigint;
	prio int;
BEGIN
	CASE kind
		WHEN 'receive' THEN
			IF c.quantity > 60 THEN
				RETURN NULL;
			END IF;
			a := o_number(format('SELECT plinth_inventory.receive(%L, %L::text, %s, %L, %L)', c.sku, c.wh, q, 'delivery', m.inv), bare);
			IF a.state <> 'ok' OR a.n IS DISTINCT FROM c.quantity + q THEN
				RETURN format('receive(%s) to %s: %s', q, c, a);
			ELSIF c.mode = 'escrow' AND version_of(m, c.sku, c.wh) <> ver THEN
				RETURN format('receive() changes the version of %s', c);
			END IF;
			UPDATE m_cell SET quantity = quantity + q, used = true WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'adjust' THEN
			q := greatest(0, CASE WHEN random() < 0.7 THEN c.quantity + rnd(-3, 6) ELSE rnd(0, 30) END);
			call := format('adjust(%L, %L::text, %s, %s, %L, %L)', c.sku, c.wh, q, coalesce(expected::text, 'NULL'), 'counted', m.inv);
			a := o_rows(call, bare);
			IF a.state <> 'ok' OR a.rows[1].outcome IS DISTINCT FROM (CASE WHEN expected <> ver THEN 'version_conflict' ELSE 'adjusted' END) THEN
				RETURN format('%s: %s, version %s', call, a, ver);
			ELSIF a.rows[1].outcome = 'version_conflict' THEN
				PERFORM o_exec(format('INSERT INTO o_seen VALUES (%L, %L) ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1 RETURNING 1', m.inv, 'adjust version_conflict'), true, false);
				RETURN CASE WHEN a.rows[1].version IS DISTINCT FROM ver THEN format('%s: %s, version %s', call, a, ver) END;
			ELSIF version_of(m, c.sku, c.wh) <= ver OR a.rows[1].version IS DISTINCT FROM version_of(m, c.sku, c.wh) THEN
				RETURN format('%s: %s, version %s, then %s', call, a, ver, version_of(m, c.sku, c.wh));
			END IF;
			UPDATE m_cell SET quantity = q, used = true WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'transfer' THEN
			other := (SELECT wh FROM m_cell WHERE inv = m.inv AND sku = c.sku AND wh <> c.wh ORDER BY random() LIMIT 1);
			IF other IS NULL THEN
				RETURN NULL;
			END IF;
			-- Units that are only promised (oversell limit) cannot be moved: none of the answers about them is tried.
			q := any_quantity(m_free(m.inv, c.sku, c.wh));
			IF q <= m_free(m.inv, c.sku, c.wh) AND q > c.quantity - c.raw - m_live(m.inv, c.sku, c.wh) THEN
				RETURN NULL;
			END IF;
			call := format('transfer(%L, %L::text, %L::text, %s, NULL, %L)', c.sku, c.wh, other, q, m.inv);
			a := o_rows(call, bare);
			PERFORM cells_used(m.inv, ARRAY[c.sku]);
			IF a.state <> 'ok' OR a.rows[1].outcome IS DISTINCT FROM (CASE WHEN q <= m_free(m.inv, c.sku, c.wh) THEN 'transferred' ELSE 'sold_out' END) THEN
				RETURN format('%s with %s free: %s', call, m_free(m.inv, c.sku, c.wh), a);
			ELSIF a.rows[1].outcome = 'transferred' THEN
				UPDATE m_cell SET quantity = quantity + CASE wh WHEN other THEN q ELSE -q END WHERE inv = m.inv AND sku = c.sku AND wh IN (c.wh, other);
			END IF;
		WHEN 'limits' THEN
			over := CASE WHEN random() < 0.5 THEN NULL WHEN random() < 0.5 THEN 0 ELSE rnd(0, 5) END;
			safe := CASE WHEN random() < 0.5 THEN NULL WHEN random() < 0.5 THEN 0 ELSE rnd(0, 5) END;
			prio := CASE WHEN random() < 0.5 THEN NULL ELSE rnd(-2, 2) END;
			a := o_number(format('SELECT 1 FROM plinth_inventory.limits(%L, %L::text, %L, %L, %L, %L)', c.sku, c.wh, over, safe, prio, m.inv), bare);
			IF a.state <> 'ok' THEN
				RETURN format('limits(%s, %s, %s) of %s: %s', over, safe, prio, c, a);
			END IF;
			UPDATE m_cell SET oversell = coalesce(over, oversell), safety = coalesce(safe, safety), priority = coalesce(prio, priority), used = true WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'mode' THEN
			other := CASE c.mode WHEN 'row' THEN 'escrow' ELSE 'row' END;
			a := o_number(format('SELECT 1 FROM plinth_inventory.set_mode(%L, %L::text, %L, %L)', c.sku, c.wh, other, m.inv), bare AND NOT c.used);
			-- A transaction that has used a cell may be told to end first.
			IF a.state = '55000' AND c.used THEN
				RETURN NULL;
			ELSIF a.state <> 'ok' THEN
				RETURN format('set_mode(%s) of %s: %s', other, c, a);
			END IF;
			UPDATE m_cell SET mode = other, used = true WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
			PERFORM o_exec(format('INSERT INTO o_seen VALUES (%L, %L) ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1 RETURNING 1', m.inv, 'to ' || other), true, false);
		WHEN 'fold' THEN
			a := o_number(format('SELECT plinth_inventory.fold(%L)', m.inv), bare);
			IF a.state <> 'ok' OR version_of(m, c.sku, c.wh) <> ver THEN
				RETURN format('fold(): %s, version %s, then %s', a, ver, version_of(m, c.sku, c.wh));
			END IF;
			PERFORM cells_used(m.inv, m.skus);
	END CASE;
	PERFORM o_exec(format('INSERT INTO o_seen VALUES (%L, %L) ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1 RETURNING 1', m.inv, kind || coalesce(' ' || a.rows[1].outcome, '')), true, false);
	RETURN NULL;
END $$;

-- SQL that knows nothing of us.  Units come and go in relative steps, as old code does it.
CREATE FUNCTION s_raw(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c m_cell := any_cell(m.inv);
	kind text := pick('restock', 'restock', 'take', 'take', 'take', 'back', 'shrink', 'both', 'many', 'insert', 'delete', 'nothing');
	free bigint := m_free(m.inv, c.sku, c.wh);
	overdue bigint := m_overdue(m.inv, c.sku, c.wh);
	q bigint := any_quantity(free);
	w text;
	s text;
	stmt text;
	a o_answer;
	n bigint;
BEGIN
	w := eq_key(m, c.sku, c.wh);
	CASE kind
		WHEN 'restock' THEN
			q := rnd(1, 6);
			IF c.quantity > 60 THEN
				RETURN NULL;
			END IF;
			stmt := format('UPDATE %s SET %2$I = %2$I + %s WHERE %s', m.inv, m.q_col, q, w);
		WHEN 'take' THEN
			stmt := format('UPDATE %s SET %2$I = %2$I + %s, %4$I = %4$I + 1 WHERE %s', m.inv, m.r_col, q, m.v_col, w);
		WHEN 'back' THEN
			IF c.raw = 0 THEN
				RETURN NULL;
			END IF;
			q := rnd(1, c.raw);
			stmt := format('UPDATE %s SET %2$I = %2$I - %s WHERE %s', m.inv, m.r_col, q, w);
		WHEN 'shrink' THEN
			q := least(q, c.quantity);
			stmt := format('UPDATE %s SET %2$I = %2$I - %s WHERE %s', m.inv, m.q_col, q, w);
		WHEN 'both' THEN
			-- sold over the counter: a unit that was taken goes
			IF c.raw = 0 OR c.quantity = 0 THEN
				RETURN NULL;
			END IF;
			q := rnd(1, least(c.raw, c.quantity));
			stmt := format('UPDATE %s SET %2$I = %2$I - %4$s, %3$I = %3$I - %4$s WHERE %5$s', m.inv, m.q_col, m.r_col, q, w);
		WHEN 'many' THEN
			stmt := format('UPDATE %s SET %2$I = %2$I + 1', m.inv, m.q_col);
		WHEN 'insert' THEN
			s := m.skus[rnd(1, cardinality(m.skus))];
			w := m.whs[rnd(1, cardinality(m.whs))];
			q := rnd(0, 9);
			stmt := format('INSERT INTO %1$s AS t (%2$s%3$I, %4$I) VALUES (%5$s%6$L, %7$s) ON CONFLICT (%2$s%3$I) DO UPDATE SET %4$I = t.%4$I + excluded.%4$I', m.inv, quote_ident(m.wh_col) || ', ', m.sku_col, m.q_col, quote_literal(w) || ', ', s, q);
			IF m.wh_col IS NULL THEN
				stmt := format('INSERT INTO %1$s AS t (%2$I, %3$I) VALUES (%4$L, %5$s) ON CONFLICT (%2$I) DO UPDATE SET %3$I = t.%3$I + excluded.%3$I', m.inv, m.sku_col, m.q_col, s, q);
			END IF;
		WHEN 'delete' THEN
			IF random() < 0.5 OR c.raw <> 0 OR m_live(m.inv, c.sku, c.wh) + overdue > 0 OR (SELECT count(*) FROM m_cell WHERE inv = m.inv) < 3 THEN
				RETURN NULL;
			END IF;
			stmt := format('DELETE FROM %s WHERE %s', m.inv, w);
		WHEN 'nothing' THEN
			stmt := format('UPDATE %s SET %2$I = %2$I, %3$I = %3$I', m.inv, m.q_col, m.r_col);
	END CASE;
	a := o_number(stmt || ' RETURNING 1', bare AND kind IN ('restock', 'many', 'insert', 'nothing'));
	PERFORM cells_used(m.inv, m.skus);
	n := (a.state <> 'ok')::int;
	PERFORM o_exec(format('INSERT INTO o_seen VALUES (%L, %L) ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1 RETURNING 1', m.inv, 'raw ' || kind || ' ' || a.state), true, false);
	IF a.state <> 'ok' THEN
		RETURN CASE
			-- what has a counter is put into mode row first
			WHEN kind = 'delete' AND c.mode = 'escrow' AND a.state = '55006' THEN NULL
			WHEN kind IN ('restock', 'many', 'insert', 'nothing', 'delete') THEN format('%s %s: %s', a.state, a.message, stmt)
			WHEN kind = 'take' AND q <= free - overdue THEN format('%s free, but %s %s: %s', free, a.state, a.message, stmt)
			WHEN kind = 'shrink' AND q <= free - overdue - c.oversell THEN format('%s free, but %s %s: %s', free, a.state, a.message, stmt)
			-- the row may be behind in mode escrow, and its own checks see that
			WHEN kind IN ('back', 'both') AND c.mode = 'row' THEN format('%s %s: %s', a.state, a.message, stmt)
			WHEN a.state NOT LIKE '23%' THEN format('%s %s: %s', a.state, a.message, stmt) END;
	END IF;
	CASE kind
		WHEN 'restock' THEN UPDATE m_cell SET quantity = quantity + q WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'take' THEN
			UPDATE m_cell SET raw = raw + q WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
			IF q > free THEN
				RETURN format('OVERSOLD %s of %s that are free: %s', q, free, stmt);
			END IF;
		WHEN 'back' THEN UPDATE m_cell SET raw = raw - q WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'shrink' THEN
			UPDATE m_cell SET quantity = quantity - q WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
			IF q > greatest(free, 0) THEN
				RETURN format('%s of %s that are free are gone: %s', q, free, stmt);
			END IF;
		WHEN 'both' THEN UPDATE m_cell SET quantity = quantity - q, raw = raw - q WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		WHEN 'many' THEN UPDATE m_cell SET quantity = quantity + 1 WHERE inv = m.inv;
		WHEN 'insert' THEN
			UPDATE m_cell SET quantity = quantity + q WHERE inv = m.inv AND sku = s AND wh IS NOT DISTINCT FROM w;
			IF NOT FOUND THEN
				INSERT INTO m_cell (inv, sku, wh, quantity, mode, used) VALUES (m.inv, s, w, q, m.mode, true);
			END IF;
		WHEN 'delete' THEN DELETE FROM m_cell WHERE inv = m.inv AND sku = c.sku AND wh IS NOT DISTINCT FROM c.wh;
		ELSE NULL;
	END CASE;
	RETURN NULL;
END $$;

-- Nothing that is wrong changes anything.
CREATE FUNCTION s_bad(m m_inv, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c m_cell := any_cell(m.inv);
	stmt text;
	want text;
	a o_answer;
	s text := quote_literal(c.sku);
	w text := quote_nullable(c.wh) || '::text';
BEGIN
	SELECT x.stmt, x.want INTO stmt, want FROM (VALUES
		('reserve(@S, @W, 0, inventory => @I)', '22023'), ('reserve(@S, @W, -1, inventory => @I)', '22023'), ('reserve(@S, @W, 1, NULL, inventory => @I)', '22004 22023'),
		('reserve(@S, @W, 1, on_shortage => ''cry'', inventory => @I)', '22023'), ('reserve_order(ARRAY[(@S, @W, 0, NULL)]::plinth_inventory.line[], inventory => @I)', '22023'),
		('reserve_order(ARRAY[(@S, @W, 1, NULL)]::plinth_inventory.line[], strategy => ''best'', inventory => @I)', '22023'),
		('reserve_order(ARRAY[(@S, @W, 2147483647, NULL), (@S, @W, 2147483647, NULL)]::plinth_inventory.line[], inventory => @I)', '22003'),
		('receive(@S, @W, 0, inventory => @I)', '22023'), ('receive(@S, @W, -3, inventory => @I)', '22023'), ('adjust(@S, @W, -1, inventory => @I)', '22023'),
		('limits(@S, @W, -1, inventory => @I)', '22023'), ('limits(@S, @W, NULL, -1, inventory => @I)', '22023'), ('set_mode(@S, @W, ''lazy'', @I)', '22023'),
		('confirm(NULL, inventory => @I)', '22004 22023'), ('release(gen_random_uuid(), 0, @I)', '22023')) x (stmt, want) ORDER BY random() LIMIT 1;
	stmt := replace(replace(replace(stmt, '@S', s), '@W', w), '@I', quote_literal(m.inv));
	a := o_number('SELECT count(*) FROM plinth_inventory.' || stmt);
	PERFORM cells_used(m.inv, m.skus);
	RETURN CASE WHEN a.state <> ALL (string_to_array(want, ' ')) THEN format('%s %s instead of %s: %s', a.state, a.message, want, stmt) END;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The driver
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE o_problem (n int GENERATED ALWAYS AS IDENTITY, inv text, what text);
CREATE TABLE o_seen (inv text, what text, n int DEFAULT 1, PRIMARY KEY (inv, what));

-- One step or, one time in ten, a block of them that is often undone.
CREATE FUNCTION o_step(m m_inv, depth int, bare bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kind text := pick('reserve', 'reserve', 'reserve', 'reserve', 'order', 'order', 'replace', 'settle', 'settle', 'settle', 'settle', 'replay', 'expire', 'stock', 'stock', 'stock', 'raw', 'raw', 'bad', 'block', 'block');
	found text;
BEGIN
	IF kind = 'block' THEN
		IF depth > 2 THEN
			RETURN NULL;
		END IF;
		BEGIN
			PERFORM o_trace(format('SAVEPOINT s%s;', depth));
			FOR i IN 1..rnd(1, 6) LOOP
				found := o_step(m, depth + 1, true);
				IF found IS NOT NULL THEN
					RETURN found;
				END IF;
			END LOOP;
			IF random() < 0.6 THEN
				PERFORM o_trace(format('ROLLBACK TO s%s;', depth));
				RAISE EXCEPTION SQLSTATE 'UNDO0';
			END IF;
			PERFORM o_trace(format('RELEASE s%s;', depth));
		EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
			NULL;
		END;
	ELSE
		EXECUTE format('SELECT s_%s($1, $2)', kind) INTO found USING m, bare;
		INSERT INTO o_seen VALUES (m.inv, kind) ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1;
	END IF;
	IF found IS NULL THEN
		found := o_compare(m);
		IF found IS NOT NULL THEN
			found := found || '; last: ' || current_setting('o.stmt');
		END IF;
	END IF;
	RETURN found;
END $$;

CREATE PROCEDURE o_history(i text, steps int) LANGUAGE plpgsql AS $$
DECLARE
	m m_inv;
	found text;
BEGIN
	SELECT * INTO m FROM m_inv WHERE inv = i;
	FOR n IN 1..steps LOOP
		-- A problem that is there already says nothing new.
		EXIT WHEN EXISTS (SELECT FROM o_problem p WHERE p.inv = i);
		found := o_step(m, 0, true);
		IF found IS NULL AND n % 40 = 0 THEN
			found := 'within a transaction: ' || o_deep(m, false);
		END IF;
		IF found IS NULL AND random() < 0.4 THEN
			IF random() < 0.75 THEN
				PERFORM o_trace('COMMIT; BEGIN;');
				COMMIT;
			ELSE
				PERFORM o_trace('ROLLBACK; BEGIN;');
				ROLLBACK;
			END IF;
			UPDATE m_cell SET used = false WHERE inv = i AND used;
			found := 'after the end of a transaction: ' || o_compare(m);
			IF found IS NULL AND random() < 0.1 THEN
				COMMIT;
				IF random() < 0.5 THEN
					PERFORM o_trace(format('SELECT plinth_inventory.fold(%L); COMMIT; BEGIN;', i));
					PERFORM plinth_inventory.fold(i);
					COMMIT;
					found := o_deep(m, true);
				ELSE
					found := o_deep(m, false);
				END IF;
			END IF;
		END IF;
		IF found IS NOT NULL THEN
			INSERT INTO o_problem (inv, what) VALUES (i, format('step %s: %s', n, found));
			COMMIT;
			EXIT;
		END IF;
	END LOOP;
	INSERT INTO o_seen VALUES (i, 'history') ON CONFLICT (inv, what) DO UPDATE SET n = o_seen.n + 1;
	COMMIT;
END $$;

-- Some rows are there before enable(), with units reserved; the others come later.
INSERT INTO inventory VALUES ('a', 1, 20, 3, 5), ('a', 2, 5, 0, 0);
INSERT INTO goods (item, on_hand, held) VALUES ('00000000-0000-0000-0000-000000000000', 12, 2);
INSERT INTO "Far ""1"""."Sto ck" VALUES ('', -5, 10);
SELECT ok(plinth_inventory.enable(inv::regclass, sku_col, wh_col, q_col, r_col, v_col, mode) IS NOT NULL, inv || ': enabled') FROM m_inv ORDER BY inv;
-- What the view has and the model has not, or the reverse.
SELECT format('CREATE FUNCTION o_view_%s() RETURNS text LANGUAGE plpgsql AS %L', nr, format('BEGIN RETURN (SELECT string_agg(format(''view: %%s should be %%s'', v, c), ''; '')
	FROM (SELECT sku::text, coalesce(%s, '''') AS wh, quantity::bigint, available::bigint, mode FROM %s) v
	FULL JOIN (SELECT sku, coalesce(wh, '''') AS wh, quantity, m_free(inv, sku, wh) AS available, mode FROM m_cell WHERE inv = %L) c USING (sku, wh) WHERE v IS DISTINCT FROM c); END',
	CASE WHEN wh_col IS NULL THEN 'NULL::text' ELSE 'warehouse::text' END, view, inv)) FROM m_inv \gexec
INSERT INTO m_cell (inv, sku, wh, quantity, raw, mode) VALUES ('inventory', 'a', '1', 20, 3, 'row'), ('inventory', 'a', '2', 5, 0, 'row'),
	('goods', '00000000-0000-0000-0000-000000000000', NULL, 12, 2, 'escrow'), ('"Far ""1"""."Sto ck"', '-5', '', 10, 0, 'row');
SELECT is(o_compare(m), NULL, m.inv || ': right at first') FROM m_inv m ORDER BY inv;
SELECT is(o_deep(m, true), NULL, m.inv || ': in depth too') FROM m_inv m ORDER BY inv;

SELECT setseed((:seed % 1000) / 1000.0) IS NULL AS ignored \gset
\set ON_ERROR_STOP off
SELECT format('CALL o_history(%L, %s)', inv, :steps), 'ROLLBACK' FROM m_inv, generate_series(1, 3) g ORDER BY g, inv \gexec
\set ON_ERROR_STOP on
SELECT is((SELECT n FROM o_seen s WHERE s.inv = m.inv AND what = 'history'), 3, m.inv || ': no error has ended a history') FROM m_inv m ORDER BY inv;
SELECT is((SELECT string_agg(what, E'\n' ORDER BY n) FROM o_problem p WHERE p.inv = m.inv), NULL, m.inv || ': the model and the inventory agree') FROM m_inv m ORDER BY inv;
SELECT is(o_compare(m), NULL, m.inv || ': at the end too') FROM m_inv m ORDER BY inv;
SELECT plinth_inventory.fold(inv::regclass) IS NULL AS ignored FROM m_inv \g /dev/null
SELECT is(o_deep(m, true), NULL, m.inv || ': ledger, reservations, stock and counters agree') FROM m_inv m ORDER BY inv;

-- Something has happened, of every kind.
SELECT diag(string_agg(format('%s: %s', inv, seen), E'\n' ORDER BY inv)) FROM (SELECT inv, string_agg(what || ' ' || n, ', ' ORDER BY what) AS seen FROM o_seen GROUP BY 1) x;
SELECT cmp_ok((SELECT sum(n) FROM o_seen WHERE inv = m.inv AND what = k), '>=', CASE WHEN k LIKE '% %' THEN 1 ELSE :steps / 100 END::bigint, m.inv || ': ' || k || ' was tried')
FROM m_inv m, unnest('{reserve,order,replace,settle,replay,expire,stock,raw,bad,to row,to escrow,fold,adjust adjusted,adjust version_conflict,receive,raw take ok,raw take 23514}'::text[]) k WHERE NOT (k IN ('raw take 23514', 'adjust version_conflict') AND :steps < 500) ORDER BY 1;
SELECT cmp_ok((SELECT count(*) FROM m_hold h WHERE h.inv = m.inv AND CASE k WHEN 'confirmed' THEN confirmed > 0 WHEN 'released' THEN released > 0 WHEN 'partly confirmed' THEN confirmed BETWEEN 1 AND quantity - 1 WHEN 'overdue' THEN overdue ELSE line > 1 END),
	'>=', :steps::bigint / 200, m.inv || ': ' || k) FROM m_inv m, unnest('{confirmed,released,partly confirmed,overdue,more lines than one}'::text[]) k ORDER BY 1;
-- The oracle can find.
UPDATE m_cell SET quantity = quantity + 1 WHERE ctid = (SELECT min(ctid) FROM m_cell WHERE inv = 'inventory');
SELECT isnt(o_compare(m), NULL, 'a model that is one unit off is seen') FROM m_inv m WHERE inv = 'inventory';
SELECT * FROM finish();
