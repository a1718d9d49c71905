-- After any statement the closure is the transitive closure of the table, or the statement has failed; and it fails only
-- if the table it would leave has a cycle, a missing parent or too much depth.
--
-- Random statements with a fixed seed (printed).  Every table is there twice: schema t has those with a closure, schema s
-- their shadows, the same tables and triggers without.  A statement runs on the shadow first.  What it leaves there is
-- judged by recursion: that says whether it must succeed on the real table or with which SQLSTATE it must fail.  Then the
-- contents of both and, both ways, the closure and a recursive recompute are compared.
-- A failing assertion prints the statement and the table before it.
-- psql -v seed=... tries another.
\if :{?seed}
\else
\set seed 338
\endif
\set VERBOSITY terse
\set ON_ERROR_STOP on
SET client_min_messages = error;
-- Recursions are estimated to cost much: compiling them costs more than running them.
SET jit = off;
CREATE EXTENSION plinth_closure;

SELECT * FROM no_plan();
SELECT diag('seed ' || :seed);
CREATE SCHEMA s;
CREATE SCHEMA t;
CREATE SCHEMA d;
CREATE COLLATION o_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

----------------------------------------------------------------------------------------------------------------------
-- The tables
----------------------------------------------------------------------------------------------------------------------

-- Statements name keys and parents as in "keys" and "parents"; ekeys and eparents are the closure's, where they differ.
-- mode: what a missing parent is.  lax: triggers of the user write the table again, so a statement within the statement
-- may see, and be refused for, what the statement as a whole does not leave.
CREATE TABLE o_conf (
	tbl text PRIMARY KEY, kind text, body text, runs int,
	keys text[] DEFAULT '{id}', parents text[] DEFAULT '{parent}', ekeys text[], eparents text[],
	mode text DEFAULT 'error', lax bool DEFAULT false, max_depth int DEFAULT 1000, max_rows bigint, leaves text[] DEFAULT '{}',
	auto bool DEFAULT false, fk bool DEFAULT false, diff text, judge text, state text, shown text);
INSERT INTO o_conf (tbl, kind, runs, fk, auto, body) VALUES
	('plain', 'int', 400, false, false, '(id int PRIMARY KEY, note text, parent int)'),
	('noaction', 'bigint', 220, true, true, '(parent bigint REFERENCES @T, id bigint PRIMARY KEY, note text)'),
	('cascades', 'int', 300, true, true, '(id int PRIMARY KEY, parent int REFERENCES @T ON DELETE CASCADE ON UPDATE CASCADE, note text)'),
	('setnull', 'uuid', 300, true, true, '(id uuid PRIMARY KEY, parent uuid REFERENCES @T ON DELETE SET NULL ON UPDATE SET NULL, note text)'),
	('setdefault', 'text', 300, true, true, '(id text COLLATE "C" PRIMARY KEY, parent text COLLATE "C" DEFAULT ''k"1''''\{,} é'' REFERENCES @T ON DELETE SET DEFAULT ON UPDATE CASCADE, note text)'),
	('deferrable', 'int', 220, true, true, '(id int PRIMARY KEY, parent int REFERENCES @T ON DELETE CASCADE DEFERRABLE, note text)'),
	('deferred', 'int', 400, true, true, '(id int PRIMARY KEY, parent int REFERENCES @T DEFERRABLE INITIALLY DEFERRED, note text)'),
	('deferred_casc', 'uuid', 260, true, true, '(id uuid PRIMARY KEY, parent uuid REFERENCES @T ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, note text)'),
	('texts', 'text', 250, false, false, '(gone int, id text COLLATE "C" PRIMARY KEY, parent text COLLATE "C", note text)'),
	('numbers', 'numeric', 250, false, false, '(id numeric PRIMARY KEY, parent numeric, note text)'),
	('nocase', 'ci', 200, false, false, '(id text COLLATE o_ci PRIMARY KEY, parent text COLLATE o_ci, note text)'),
	('pairs', 'pair', 300, false, false, '(b int, a text COLLATE "C", note text, pb int, pa text COLLATE "C", PRIMARY KEY (a, b))'),
	('pairs_fk', 'pair', 300, true, true, '(a text COLLATE "C", b int, pa text COLLATE "C", pb int, note text, PRIMARY KEY (a, b), FOREIGN KEY (pa, pb) REFERENCES @T ON DELETE CASCADE ON UPDATE CASCADE)'),
	('shifting', 'int', 220, false, false, '(id int PRIMARY KEY DEFERRABLE, parent int, note text)'),
	('befores', 'int', 300, false, false, '(id int PRIMARY KEY, parent int, note text)'),
	('afters', 'int', 300, false, false, '(id int PRIMARY KEY, parent int, note text)'),
	('roots', 'int', 250, false, false, '(id int PRIMARY KEY, parent int, note text)'),
	('shallow', 'int', 250, false, false, '(id int PRIMARY KEY, parent int, note text)'),
	('shallow_fk', 'int', 200, true, true, '(id int PRIMARY KEY, parent int REFERENCES @T ON DELETE SET NULL ON UPDATE CASCADE, note text)'),
	('few', 'int', 200, false, false, '(id int PRIMARY KEY, parent int, note text)'),
	('made', 'int', 220, false, false, '(n int UNIQUE, up int, note text, id int GENERATED ALWAYS AS (n * 10) STORED PRIMARY KEY, parent int GENERATED ALWAYS AS (up * 10) STORED)'),
	('Weird "one"', 'bigint', 150, true, true, '("Id" bigint PRIMARY KEY, "parent ""id""" bigint REFERENCES @T ON DELETE CASCADE ON UPDATE CASCADE, note text)'),
	('parts', 'int', 300, false, false, '(id int PRIMARY KEY, parent int, note text) PARTITION BY RANGE (id)'),
	('parts_fk', 'int', 260, true, true, '(id int PRIMARY KEY, parent int REFERENCES @T ON DELETE CASCADE ON UPDATE CASCADE, note text) PARTITION BY RANGE (id)'),
	('regions', 'region', 300, false, false, '(region text COLLATE "C", id int, pregion text COLLATE "C", parent int, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region)');
UPDATE o_conf SET keys = '{a,b}', parents = '{pa,pb}' WHERE kind = 'pair';
UPDATE o_conf SET keys = '{region,id}', parents = '{pregion,parent}', leaves = '{_a,_b,_b1,_b2,_c}' WHERE tbl = 'regions';
UPDATE o_conf SET keys = '{n}', parents = '{up}', ekeys = '{id}', eparents = '{parent}' WHERE tbl = 'made';
UPDATE o_conf SET keys = '{Id}', parents = '{"parent \"id\""}' WHERE tbl LIKE 'Weird%';
UPDATE o_conf SET leaves = '{_1,_2,_3,_3b}' WHERE tbl LIKE 'parts%';
UPDATE o_conf SET mode = 'deferred' WHERE tbl LIKE 'deferred%';
UPDATE o_conf SET mode = 'root' WHERE tbl = 'roots';
UPDATE o_conf SET max_depth = 3 WHERE tbl LIKE 'shallow%';
UPDATE o_conf SET max_rows = 40 WHERE tbl = 'few';
UPDATE o_conf SET lax = true WHERE tbl IN ('befores', 'afters');
UPDATE o_conf SET ekeys = coalesce(ekeys, keys), eparents = coalesce(eparents, parents);

SELECT format('CREATE TABLE %1$s.%2$I %3$s', sch, tbl, replace(body, '@T', format('%s.%I', sch, tbl))) FROM o_conf, unnest('{s,t}'::text[]) sch \gexec
ALTER TABLE s.texts DROP COLUMN gone;
ALTER TABLE t.texts DROP COLUMN gone;
SELECT replace(stmt, '@', sch) FROM unnest('{s,t}'::text[]) sch, unnest('{parts,parts_fk}'::text[]) p, LATERAL (VALUES
	(format('CREATE TABLE @.%1$s_1 PARTITION OF @.%1$s FOR VALUES FROM (MINVALUE) TO (10)', p)),
	(format('CREATE TABLE @.%1$s_2 (gone int, note text, parent int, id int NOT NULL)', p)),
	(format('ALTER TABLE @.%1$s_2 DROP COLUMN gone', p)),
	(format('ALTER TABLE @.%1$s ATTACH PARTITION @.%1$s_2 FOR VALUES FROM (10) TO (20)', p)),
	(format('CREATE TABLE @.%1$s_3 PARTITION OF @.%1$s FOR VALUES FROM (20) TO (MAXVALUE) PARTITION BY LIST (id)', p)),
	(format('CREATE TABLE @.%1$s_3a PARTITION OF @.%1$s_3 FOR VALUES IN (20, 22, 23)', p)),
	(format('CREATE TABLE @.%1$s_3b PARTITION OF @.%1$s_3 DEFAULT', p))) v (stmt) \gexec
SELECT replace(stmt, '@', sch) FROM unnest('{s,t}'::text[]) sch, (VALUES
	('CREATE TABLE @.regions_a PARTITION OF @.regions FOR VALUES IN (''a'')'),
	('CREATE TABLE @.regions_b PARTITION OF @.regions FOR VALUES IN (''b'') PARTITION BY RANGE (id)'),
	('CREATE TABLE @.regions_b1 PARTITION OF @.regions_b FOR VALUES FROM (MINVALUE) TO (15)'),
	('CREATE TABLE @.regions_b2 (note text, parent int, gone int, id int NOT NULL, pregion text COLLATE "C", region text COLLATE "C" NOT NULL)'),
	('ALTER TABLE @.regions_b2 DROP COLUMN gone'),
	('ALTER TABLE @.regions_b ATTACH PARTITION @.regions_b2 FOR VALUES FROM (15) TO (MAXVALUE)'),
	('CREATE TABLE @.regions_c PARTITION OF @.regions DEFAULT')) v (stmt) \gexec

-- BEFORE triggers that rewrite the parent, drop the row, or make roots of the children of a deleted node.
CREATE FUNCTION o_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_op = 'DELETE' THEN
		EXECUTE format('UPDATE %s SET parent = NULL WHERE parent = $1', tg_relid::regclass) USING old.id;
		RETURN old;
	END IF;
	CASE new.note
		WHEN 'up' THEN new.parent := NULL;
		WHEN 'adopt' THEN new.parent := 1;
		WHEN 'half' THEN new.parent := nullif(new.id / 2, 0);
		WHEN 'skip' THEN RETURN NULL;
		ELSE NULL;
	END CASE;
	RETURN new;
END $$;
SELECT format('CREATE TRIGGER mmm_before BEFORE INSERT OR UPDATE OR DELETE ON %s.befores FOR EACH ROW EXECUTE FUNCTION o_before()', sch) FROM unnest('{s,t}'::text[]) sch \gexec
-- AFTER triggers that write the table again, named before and after ours.
CREATE FUNCTION o_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() > 3 THEN
		RETURN NULL;
	ELSIF tg_level = 'STATEMENT' THEN
		EXECUTE format('UPDATE %s SET note = ''y'' WHERE note = ''x''', tg_relid::regclass);
	ELSIF tg_op = 'DELETE' THEN
		EXECUTE format('UPDATE %s SET parent = NULL WHERE parent = $1', tg_relid::regclass) USING old.id;
	ELSIF new.note = 'again' THEN
		EXECUTE format('UPDATE %s SET parent = NULL, note = ''done'' WHERE parent = $1', tg_relid::regclass) USING new.id;
	ELSIF new.note = 'child' THEN
		EXECUTE format('INSERT INTO %s VALUES ($1 + 20, $1, ''x'') ON CONFLICT DO NOTHING', tg_relid::regclass) USING new.id;
	ELSIF new.note = 'gone' THEN
		EXECUTE format('DELETE FROM %s WHERE id = $1 + 20', tg_relid::regclass) USING new.id;
	END IF;
	RETURN NULL;
END $$;
SELECT format('CREATE TRIGGER aaa_after AFTER INSERT ON %s.afters FOR EACH ROW EXECUTE FUNCTION o_after()', sch),
	format('CREATE TRIGGER zzz_after AFTER UPDATE OR DELETE ON %s.afters FOR EACH ROW EXECUTE FUNCTION o_after()', sch),
	format('CREATE TRIGGER zzz_after_statement AFTER INSERT OR UPDATE ON %s.afters EXECUTE FUNCTION o_after()', sch)
FROM unnest('{s,t}'::text[]) sch \gexec

----------------------------------------------------------------------------------------------------------------------
-- Keys by number
----------------------------------------------------------------------------------------------------------------------

-- The columns of node n (or of no node).
CREATE FUNCTION lits(kind text, n int) RETURNS text[] LANGUAGE sql VOLATILE AS $$
	SELECT CASE kind
		WHEN 'int' THEN ARRAY[coalesce(n::text, 'NULL') || '::int']
		WHEN 'bigint' THEN ARRAY[coalesce((n * 4000000000)::text, 'NULL') || '::bigint']
		WHEN 'uuid' THEN ARRAY[coalesce(quote_literal(md5(n::text)), 'NULL') || '::uuid']
		WHEN 'text' THEN ARRAY[coalesce(quote_literal('k"' || n || '''\{,} é'), 'NULL') || '::text COLLATE "C"']
		WHEN 'numeric' THEN ARRAY[coalesce(n || CASE floor(random() * 3) WHEN 0 THEN '' WHEN 1 THEN '.0' ELSE '.000' END, 'NULL') || '::numeric']
		WHEN 'ci' THEN ARRAY[coalesce(quote_literal(CASE floor(random() * 3) WHEN 0 THEN 'key' WHEN 1 THEN 'KEY' ELSE 'Key' END || n), 'NULL') || '::text COLLATE o_ci']
		WHEN 'pair' THEN ARRAY[coalesce(quote_literal('p' || n % 4), 'NULL') || '::text COLLATE "C"', coalesce(n::text, 'NULL') || '::int']
		WHEN 'region' THEN ARRAY[coalesce(quote_literal(substr('abc', n % 3 + 1, 1)), 'NULL') || '::text COLLATE "C"', coalesce(n::text, 'NULL') || '::int'] END $$;
CREATE FUNCTION lit(kind text, n int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT array_to_string(lits(kind, n), ', ') $$;
CREATE FUNCTION names(cols text[], prefix text DEFAULT '') RETURNS text LANGUAGE sql AS $$ SELECT string_agg(prefix || quote_ident(c), ', ' ORDER BY i) FROM unnest(cols) WITH ORDINALITY u (c, i) $$;
CREATE FUNCTION equal(l text[], lp text, r text[], rp text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('%s.%I = %s.%I', lp, x, rp, y), ' AND ') FROM unnest(l, r) u (x, y) $$;
CREATE FUNCTION none_null(cols text[], prefix text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('%s.%I IS NOT NULL', prefix, c), ' AND ') FROM unnest(cols) c $$;
SELECT format('CREATE TABLE d.%I AS SELECT * FROM (VALUES %s) v (nr, %s)', tbl, (SELECT string_agg(format('(%s, %s)', n, lit(kind, n)), ', ') FROM generate_series(1, 60) n), names(keys)) FROM o_conf \gexec

----------------------------------------------------------------------------------------------------------------------
-- The judges
----------------------------------------------------------------------------------------------------------------------

-- What is wrong with a shadow, as SQLSTATEs.
UPDATE o_conf SET judge = format($q$
	WITH RECURSIVE up (%1$s, %2$s) AS (
		SELECT %3$s, %4$s FROM s.%5$I c WHERE %6$s
		UNION SELECT %7$s, %4$s FROM up JOIN s.%5$I c ON %8$s WHERE %6$s),
	nodes AS (SELECT (SELECT count(*) FROM up JOIN s.%5$I p ON %9$s WHERE %10$s) AS depth FROM s.%5$I c)
	SELECT array_remove(ARRAY[
		CASE WHEN EXISTS (SELECT FROM up WHERE (%1$s) = (%2$s)) THEN '23514' END,
		CASE WHEN %11$L AND EXISTS (SELECT FROM s.%5$I c WHERE %6$s AND NOT EXISTS (SELECT FROM s.%5$I p WHERE %12$s)) THEN '23503' END,
		CASE WHEN (SELECT max(depth) > %13$s OR sum(depth + 1) > %14$s FROM nodes) THEN '54001' END], NULL) $q$,
	names(ARRAY(SELECT 'd' || k FROM unnest(ekeys) k)), names(ARRAY(SELECT 'a' || k FROM unnest(ekeys) k)), names(ekeys, 'c.'), names(eparents, 'c.'), tbl, none_null(eparents, 'c'),
	names(ARRAY(SELECT 'd' || k FROM unnest(ekeys) k), 'up.'), equal(ekeys, 'c', ARRAY(SELECT 'a' || k FROM unnest(ekeys) k), 'up'),
	equal(ekeys, 'p', ARRAY(SELECT 'a' || k FROM unnest(ekeys) k), 'up'), equal(ekeys, 'c', ARRAY(SELECT 'd' || k FROM unnest(ekeys) k), 'up'),
	mode = 'error', equal(ekeys, 'p', eparents, 'c'), max_depth, coalesce(max_rows, 1000000000));
CREATE FUNCTION o_judge(which text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	codes text[];
BEGIN
	EXECUTE (SELECT judge FROM public.o_conf WHERE tbl = which) INTO codes;
	RETURN codes;
END $$;
-- It looks at the end of each statement, as the closure does.
CREATE FUNCTION o_judge_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	codes text[] := public.o_judge(tg_argv[0]);
BEGIN
	IF codes <> '{}' THEN
		IF tg_argv[1]::bool THEN
			PERFORM set_config('o.saw', codes::text, true);
		ELSE
			RAISE EXCEPTION '%', 'judge ' || codes::text USING errcode = codes[1];
		END IF;
	END IF;
	RETURN NULL;
END $$;
SELECT format('CREATE TRIGGER zzzz_judge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION o_judge_trigger(%L, %L)', rel::regclass, tbl, lax)
FROM o_conf, LATERAL (SELECT format('s.%I', tbl)::regclass::oid AS rel UNION SELECT relid FROM pg_partition_tree(format('s.%I', tbl)::regclass)) l \gexec

-- What is wrong with a real table: it differs from its shadow, or the closure from a recursive recompute.
UPDATE o_conf SET diff = format($q$
	WITH RECURSIVE x (%1$s, %2$s, depth) AS (
		SELECT %3$s, %3$s, 0 FROM s.%4$I c
		UNION ALL SELECT %5$s, %6$s, depth + 1 FROM x JOIN s.%4$I c ON %7$s JOIN s.%4$I p ON %8$s WHERE depth < 100),
	c AS (SELECT %1$s, %2$s, depth FROM t.%9$I),
	shadow AS (SELECT %10$s, note FROM s.%4$I),
	real AS (SELECT %10$s, note FROM t.%4$I)
	SELECT string_agg(what, E'\n') FROM (
		(SELECT 'not in the closure: ' || r::text AS what FROM (TABLE x EXCEPT ALL TABLE c) r LIMIT 5)
		UNION ALL (SELECT 'only in the closure: ' || r FROM (TABLE c EXCEPT ALL TABLE x) r LIMIT 5)
		UNION ALL (SELECT 'only in the shadow: ' || r FROM (TABLE shadow EXCEPT ALL TABLE real) r LIMIT 5)
		UNION ALL (SELECT 'only in the table: ' || r FROM (TABLE real EXCEPT ALL TABLE shadow) r LIMIT 5)) d $q$,
	names(anc), names(dsc), names(ekeys, 'c.'), tbl, names(ekeys, 'p.'), names(dsc, 'x.'), equal(ekeys, 'c', anc, 'x'), equal(ekeys, 'p', eparents, 'c'), tbl || '_closure', names(keys || parents)),
	shown = format('SELECT string_agg(format(''(%%s)<-(%%s) %%s'', concat_ws('','', %s), concat_ws('','', %s), note), ''  '' ORDER BY %s) FROM s.%I', names(keys), names(parents), names(keys), tbl),
	state = format('SELECT coalesce(array_agg(k.nr ORDER BY k.nr), ''{}''), coalesce(array_agg(p.nr ORDER BY k.nr), ''{}'') FROM s.%1$I t JOIN d.%1$I k ON %2$s LEFT JOIN d.%1$I p ON %3$s', tbl, equal(keys, 't', keys, 'k'), equal(parents, 't', keys, 'p'))
FROM (SELECT tbl AS which, CASE WHEN cardinality(ekeys) = 1 THEN '{ancestor}' ELSE ARRAY(SELECT 'ancestor_' || k FROM unnest(ekeys) WITH ORDINALITY u (k, i) ORDER BY i) END AS anc,
	CASE WHEN cardinality(ekeys) = 1 THEN '{descendant}' ELSE ARRAY(SELECT 'descendant_' || k FROM unnest(ekeys) WITH ORDINALITY u (k, i) ORDER BY i) END AS dsc FROM o_conf) names
WHERE which = tbl;
CREATE FUNCTION o_diff(which text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE (SELECT diff FROM public.o_conf WHERE tbl = which) INTO result;
	RETURN result;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The generator: a statement about @T
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rnd(lo int, hi int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT lo + floor(random() * (hi - lo + 1))::int';
CREATE FUNCTION pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT a[rnd(1, cardinality(a))]';
CREATE FUNCTION one(a int[]) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT coalesce(a[rnd(1, cardinality(a))], rnd(1, 24))';
CREATE FUNCTION several(a int[], n int) RETURNS int[] LANGUAGE sql VOLATILE AS 'SELECT ARRAY(SELECT DISTINCT x FROM (SELECT x FROM unnest(a) x ORDER BY random() LIMIT n) q)';
CREATE FUNCTION free(ex int[], n int) RETURNS int[] LANGUAGE sql VOLATILE AS 'SELECT ARRAY(SELECT x FROM generate_series(1, 24) x WHERE x <> ALL (ex) ORDER BY random() LIMIT n)';
CREATE FUNCTION any_note() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT quote_literal(pick('', '', '', '', 'up', 'adopt', 'half', 'skip', 'again', 'child', 'gone')) $$;
-- A parent, mostly one that is there.
CREATE FUNCTION any_parent(ex int[]) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT CASE WHEN r < 0.12 THEN NULL WHEN r < 0.96 THEN one(ex) ELSE rnd(1, 26) END FROM (SELECT random() AS r) q';
CREATE FUNCTION any_where(c o_conf, ex int[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT format('(%s) IN (%s)', names(c.keys), (SELECT string_agg(format('(%s)', lit(c.kind, n)), ', ') FROM unnest(several(ex, rnd(1, 4)) || one(ex)) n)) $$;
CREATE FUNCTION value_rows(c o_conf, ks int[], ps int[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(format('(%s, %s, %s)', lit(c.kind, k), lit(c.kind, p), any_note()), ', ' ORDER BY random()) FROM unnest(ks, ps) u (k, p) WHERE k IS NOT NULL $$;
CREATE FUNCTION set_cols(cols text[], vals text[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('%I = %s', x, y), ', ') FROM unnest(cols, vals) u (x, y) WHERE x IS NOT NULL $$;
CREATE FUNCTION subtree(c o_conf, n int) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT format('WITH RECURSIVE sub AS (SELECT %1$s FROM @T c WHERE (%2$s) = (%3$s) UNION SELECT %1$s FROM @T c JOIN sub p ON %4$s) ', names(c.keys, 'c.'), names(c.keys, 'c.'), lit(c.kind, n), equal(c.keys, 'p', c.parents, 'c')) $$;
CREATE FUNCTION copy_file() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('data_directory') || '/plinth_closure_oracle.copy' $$;

CREATE FUNCTION any_stmt(c o_conf, ex int[], par int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r int := rnd(1, 100);
	k text := names(c.keys);
	p text := names(c.parents);
	v text := format('v (%s, %s, vnote)', names(ARRAY(SELECT 'k' || i FROM generate_subscripts(c.keys, 1) i)), names(ARRAY(SELECT 'p' || i FROM generate_subscripts(c.keys, 1) i)));
	vk text[] := ARRAY(SELECT 'k' || i FROM generate_subscripts(c.keys, 1) i);
	vp text[] := ARRAY(SELECT 'v.p' || i FROM generate_subscripts(c.keys, 1) i);
	news int[] := free(ex, rnd(1, 5));
	moved int[];
	to_parents int[];
	x int;
	y int;
	cond text;
BEGIN
	IF cardinality(ex) < 6 AND random() < 0.7 OR r > 96 THEN
		news := free(ex, rnd(5, 15));
		RETURN format('INSERT INTO @T (%s, %s, note) VALUES %s', k, p, coalesce(value_rows(c, news, ARRAY(SELECT CASE WHEN random() < 0.15 OR cardinality(ex) + i = 1 THEN NULL ELSE (ex || news)[rnd(1, cardinality(ex) + i::int - 1)] END FROM unnest(news) WITH ORDINALITY u (n, i))),
			value_rows(c, ARRAY[1], ARRAY[NULL::int])));
	END IF;
	IF cardinality(news) = 0 THEN
		news := ARRAY[rnd(25, 40)];
	END IF;
	CASE
		WHEN r <= 14 THEN
			to_parents := ARRAY(SELECT any_parent(CASE WHEN random() < 0.8 THEN ex ELSE ex || news END) FROM unnest(news));
			RETURN format('INSERT INTO @T (%s, %s, note) ' || pick('VALUES %s', 'SELECT * FROM (VALUES %s) v'), k, p, value_rows(c, news, to_parents));
		WHEN r <= 21 THEN
			moved := several(ex, rnd(0, 3)) || news[1:2];
			RETURN format('INSERT INTO @T (%s, %s, note) VALUES %s ON CONFLICT %s', k, p, value_rows(c, moved, ARRAY(SELECT any_parent(ex || news[1:2]) FROM unnest(moved))),
				CASE WHEN random() < 0.2 THEN 'DO NOTHING' ELSE format('(%s) DO UPDATE SET %s', k, set_cols(c.parents || '{note}', ARRAY(SELECT 'excluded.' || quote_ident(q) FROM unnest(c.parents || '{note}') q))) END);
		WHEN r <= 31 THEN
			RETURN format('UPDATE @T SET %s WHERE %s', set_cols(c.parents || CASE WHEN random() < 0.2 THEN '{note}'::text[] ELSE '{}' END, lits(c.kind, any_parent(ex)) || any_note()), format('(%s) = (%s)', k, lit(c.kind, one(ex))));
		WHEN r <= 37 THEN
			moved := several(ex, rnd(2, 6));
			RETURN format('UPDATE @T t SET %s FROM (VALUES %s) %s WHERE %s', set_cols(c.parents, vp), value_rows(c, moved, ARRAY(SELECT any_parent(ex) FROM unnest(moved))), v, equal(c.keys, 't', vk, 'v'));
		WHEN r <= 40 THEN
			x := one(ex);
			RETURN format('UPDATE @T SET %s WHERE (%s) = (%s)%s', set_cols(c.parents, lits(c.kind, any_parent(ex))), p, lit(c.kind, x), pick('', format(' AND (%s) <> (%s)', k, lit(c.kind, one(ex)))));
		WHEN r <= 45 THEN
			-- a child and its parent change places, and a child goes above its grandparent: legal, although no row by row order is
			SELECT q.k, q.p INTO x, y FROM unnest(ex, par) q (k, p) WHERE q.p IS NOT NULL AND q.p = ANY (ex) ORDER BY random() LIMIT 1;
			IF x IS NOT NULL THEN
				RETURN format('UPDATE @T t SET %s FROM (VALUES %s) %s WHERE %s', set_cols(c.parents, vp), value_rows(c, ARRAY[x, y], ARRAY[par[array_position(ex, y)], x]), v, equal(c.keys, 't', vk, 'v'));
			END IF;
		WHEN r <= 51 THEN
			x := one(ex);
			y := CASE WHEN random() < 0.9 THEN news[1] ELSE one(ex) END;
			cond := format('(%s) = (%s)', k, lit(c.kind, x));
			IF c.kind = 'int' AND c.keys = '{id}' AND random() < (CASE c.tbl WHEN 'shifting' THEN 0.7 ELSE 0.15 END) THEN
				RETURN 'UPDATE @T SET ' || pick('id = id + 1, parent = parent + 1', 'id = id - 1, parent = parent - 1', 'id = 25 - id, parent = 25 - parent', 'id = id + 1', 'id = CASE id WHEN 2 THEN 3 WHEN 3 THEN 2 ELSE id END');
			ELSIF c.fk AND random() < 0.8 OR random() < 0.3 THEN
				RETURN format('UPDATE @T SET %s WHERE %s', set_cols(c.keys || CASE WHEN random() < 0.3 THEN c.parents ELSE '{}' END, lits(c.kind, y) || lits(c.kind, any_parent(ex))), cond);
			ELSE
				RETURN format('UPDATE @T SET %s WHERE %s OR (%s) = (%s)',
					set_cols(c.keys || c.parents, ARRAY(SELECT format('CASE WHEN %s THEN %s ELSE %I END', cond, l, col) FROM unnest(lits(c.kind, y), c.keys) u (l, col))
						|| ARRAY(SELECT format('CASE WHEN (%s) = (%s) THEN %s ELSE %I END', p, lit(c.kind, x), l, col) FROM unnest(lits(c.kind, y), c.parents) u (l, col))), cond, p, lit(c.kind, x));
			END IF;
		WHEN r <= 55 THEN
			RETURN format('DELETE FROM @T WHERE (%s) = (%s)', k, lit(c.kind, one(ex)));
		WHEN r <= 58 THEN
			RETURN 'DELETE FROM @T WHERE ' || any_where(c, ex);
		WHEN r <= 61 THEN
			RETURN subtree(c, one(ex)) || format('DELETE FROM @T WHERE (%s) IN (SELECT * FROM sub)', k);
		WHEN r <= 63 THEN
			-- the leaves
			RETURN format('DELETE FROM @T t WHERE NOT EXISTS (SELECT FROM @T c WHERE %s) AND %s', equal(c.parents, 'c', c.keys, 't'), replace(any_where(c, ex), '(' || k || ') IN', '(' || names(c.keys, 't.') || ') IN'));
		WHEN r <= 70 THEN
			moved := several(ex, rnd(1, 4)) || news[1:3];
			RETURN format('MERGE INTO @T t USING (VALUES %s) %s ON %s %sWHEN MATCHED THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s, %s, note) VALUES (%s, %s, vnote)',
				value_rows(c, moved, ARRAY(SELECT any_parent(ex || news[1:3]) FROM unnest(moved))), v, equal(c.keys, 't', vk, 'v'), pick('', 'WHEN MATCHED AND vnote = ''skip'' THEN DELETE ', 'WHEN MATCHED AND vnote <> '''' THEN DO NOTHING '),
				set_cols(c.parents, vp), k, p, names(vk, 'v.'), array_to_string(vp, ', '));
		WHEN r <= 76 THEN
			-- one statement that writes three times, each row once
			moved := several(ex, 4);
			RETURN format('WITH i AS (INSERT INTO @T (%1$s, %2$s, note) VALUES %3$s RETURNING 1), d AS (DELETE FROM @T WHERE (%1$s) = (%4$s) RETURNING 1) UPDATE @T SET %5$s WHERE (%1$s) IN ((%6$s), (%7$s)) AND (SELECT count(*) FROM d) >= 0',
				k, p, value_rows(c, news[1:2], ARRAY[any_parent(ex), any_parent(ex || news[1])]), lit(c.kind, moved[1]), set_cols(c.parents, lits(c.kind, any_parent(ex || news[1]))), lit(c.kind, moved[2]), lit(c.kind, moved[3]));
		WHEN r <= 77 THEN
			RETURN CASE WHEN random() < 0.5 THEN 'TRUNCATE @T' ELSE 'DELETE FROM @T' END;
		WHEN r <= 80 THEN
			RETURN format('COPY (SELECT * FROM (VALUES %s) v) TO %L; COPY @T (%s, %s, note) FROM %2$L', value_rows(c, news, ARRAY(SELECT any_parent(ex || news) FROM unnest(news))), copy_file(), k, p);
		WHEN r <= 85 THEN
			RETURN format('UPDATE @T SET %s%s', pick(format('note = %s', any_note()), set_cols(c.parents, ARRAY(SELECT quote_ident(q) FROM unnest(c.parents) q)), set_cols(c.keys, ARRAY(SELECT quote_ident(q) FROM unnest(c.keys) q)), format('note = %s', any_note())),
				pick('', ' WHERE ' || any_where(c, ex)));
		WHEN r <= 87 THEN
			RETURN format('UPDATE @T SET %s%s', set_cols(c.parents, CASE WHEN random() < 0.5 THEN lits(c.kind, NULL) ELSE lits(c.kind, one(ex)) END), pick('', ' WHERE ' || any_where(c, ex)));
		WHEN r <= 89 AND cardinality(c.keys) = 2 THEN
			-- half a parent is none
			RETURN format('UPDATE @T SET %I = NULL WHERE %s', c.parents[rnd(1, 2)], any_where(c, ex));
		WHEN r <= 90 THEN
			RETURN format('DO $c$ DECLARE c CURSOR FOR SELECT * FROM @T WHERE %s FOR UPDATE; BEGIN FOR r IN c LOOP UPDATE @T SET %s WHERE CURRENT OF c; END LOOP; END $c$', any_where(c, ex), set_cols(c.parents, lits(c.kind, any_parent(ex))));
		WHEN NOT c.lax THEN
			-- statements in a row, some of them undone, some of them refused
			RETURN format('DO $b$ BEGIN BEGIN %s; EXCEPTION WHEN OTHERS THEN NULL; END; BEGIN %s; BEGIN %s; %s EXCEPTION WHEN OTHERS THEN NULL; END; %s EXCEPTION WHEN OTHERS THEN NULL; END; %s; END $b$',
				any_stmt(c, ex, par), any_stmt(c, ex, par), any_stmt(c, ex, par), pick('', 'RAISE EXCEPTION ''undo'';'), pick('', '', 'RAISE EXCEPTION ''undo all'';'), any_stmt(c, ex, par));
		ELSE NULL;
	END CASE;
	RETURN any_stmt(c, ex, par);
END $$;

-- The statement for a table, sometimes about one of its partitions.
CREATE FUNCTION new_stmt(c o_conf, ex int[], par int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	stmt text;
BEGIN
	LOOP
		stmt := any_stmt(c, ex, par);
		-- ON CONFLICT does not do with a deferrable key; dollar quotes do not nest.
		EXIT WHEN NOT (c.tbl = 'shifting' AND stmt ~ 'ON CONFLICT') AND cardinality(string_to_array(stmt, '$b$')) <= 3;
	END LOOP;
	IF c.leaves <> '{}' AND random() < 0.25 THEN
		stmt := replace(stmt, '@T', '@T' || c.leaves[rnd(1, cardinality(c.leaves))]);
	END IF;
	RETURN stmt;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The driver
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE o_problem (n int GENERATED ALWAYS AS IDENTITY, tbl text, what text);
CREATE TABLE o_seen (tbl text, outcome text, n int DEFAULT 1, PRIMARY KEY (tbl, outcome));

CREATE FUNCTION o_exec(stmt text, OUT state text, OUT message text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE stmt;
	state := 'ok';
EXCEPTION WHEN OTHERS THEN
	state := sqlstate;
	message := sqlerrm;
END $$;

CREATE FUNCTION o_name(sch text, which text) RETURNS text LANGUAGE sql AS $$ SELECT sch || '.' || CASE WHEN which ~ '^[a-z_]+$' THEN which ELSE quote_ident(which) END $$;

-- One statement on the shadow, then on the real table: what is wrong, or nothing.
CREATE FUNCTION o_step(c o_conf) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ex int[];
	par int[];
	stmt text;
	want record;
	have record;
	saw text[];
	verdict text;
	before text;
	differs text;
BEGIN
	EXECUTE c.state INTO ex, par;
	stmt := new_stmt(c, ex, par);
	EXECUTE c.shown INTO before;
	before := coalesce(before, 'nothing');
	BEGIN
		PERFORM set_config('o.saw', '{}', true);
		want := o_exec(replace(stmt, '@T', o_name('s', c.tbl)));
		saw := current_setting('o.saw')::text[];
		have := o_exec(replace(stmt, '@T', o_name('t', c.tbl)));
		IF c.lax AND '27000' IN (want.state, have.state) THEN
			-- a trigger was before the statement: that depends on where the rows are
			RAISE EXCEPTION SQLSTATE 'OR001';
		ELSIF c.lax AND want.state = 'ok' THEN
			IF o_judge(c.tbl) <> '{}' THEN
				want.state := (o_judge(c.tbl))[1];
				want.message := 'judge ' || o_judge(c.tbl)::text;
			ELSIF have.state = ANY (saw) OR have.state = '23503' AND stmt ~ 'DELETE' THEN
				-- refused for what it left on its way (triggers look after the children of several deleted nodes in the order of the rows)
				RAISE EXCEPTION SQLSTATE 'OR001';
			END IF;
		END IF;
		IF want.state = 'ok' AND have.state <> 'ok' THEN
			verdict := format('a legal statement was refused: %s %s', have.state, have.message);
		ELSIF want.state <> 'ok' AND have.state = 'ok' THEN
			verdict := format('should have failed: %s %s', want.state, want.message);
		ELSIF want.message LIKE 'judge {%' AND have.state <> ALL (substring(want.message FROM 7)::text[] || CASE c.tbl WHEN 'shifting' THEN '{23505}' ELSE '{}' END::text[]) OR want.message NOT LIKE 'judge {%' AND have.state <> want.state AND have.state NOT IN ('23514', '23503', '54001') THEN
			verdict := format('failed with %s %s instead of %s %s', have.state, have.message, want.state, want.message);
		ELSIF have.state LIKE 'XX%' THEN
			verdict := format('internal error %s', have.message);
		END IF;
		IF want.state <> 'ok' OR have.state <> 'ok' THEN
			RAISE EXCEPTION SQLSTATE 'OR001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OR001' THEN
		NULL;
	END;
	INSERT INTO o_seen VALUES (c.tbl, have.state), (c.tbl, CASE WHEN stmt LIKE 'DO%' THEN 'block' ELSE substring(stmt FROM '^\w+') END) ON CONFLICT (tbl, outcome) DO UPDATE SET n = o_seen.n + 1;
	differs := o_diff(c.tbl);
	IF verdict IS NULL AND differs IS NULL THEN
		RETURN NULL;
	END IF;
	IF differs IS NOT NULL THEN
		PERFORM o_exec(format('DELETE FROM t.%1$I', c.tbl)), o_exec(format('INSERT INTO t.%1$I (%2$s, note) SELECT %2$s, note FROM s.%1$I', c.tbl, names(c.keys || c.parents))), o_exec(format('SELECT plinth_closure.rebuild(%L)', format('t.%I', c.tbl)));
	END IF;
	RETURN concat_ws(E'\n', verdict, differs, 'statement: ' || replace(stmt, '@T', c.tbl), 'table before (key<-parent): ' || before);
END $$;

-- Several statements, then what a commit does with a foreign key that is checked there.
CREATE FUNCTION o_episode(c o_conf) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[] := '{}';
	want record;
	have record;
BEGIN
	BEGIN
		FOR i IN 1..rnd(1, 5) LOOP
			found := array_remove(found || o_step(c), NULL);
		END LOOP;
		want := o_exec(format('SET CONSTRAINTS s.%s_parent_fkey IMMEDIATE', c.tbl));
		have := o_exec(format('SET CONSTRAINTS t.%s_parent_fkey IMMEDIATE', c.tbl));
		IF want.state <> have.state THEN
			found := found || format('at commit: %s instead of %s', have, want);
		END IF;
		IF want.state <> 'ok' OR have.state <> 'ok' THEN
			RAISE EXCEPTION SQLSTATE 'OR001';
		END IF;
		SET CONSTRAINTS ALL DEFERRED;
	EXCEPTION WHEN SQLSTATE 'OR001' THEN
		NULL;
	END;
	INSERT INTO o_seen VALUES (c.tbl, 'commit ' || have.state) ON CONFLICT (tbl, outcome) DO UPDATE SET n = o_seen.n + 1;
	IF o_diff(c.tbl) IS NOT NULL THEN
		found := found || ('after commit or rollback: ' || o_diff(c.tbl));
	END IF;
	RETURN found;
END $$;

CREATE PROCEDURE o_run(which text, times int) LANGUAGE plpgsql AS $$
DECLARE
	c o_conf;
	found text[];
	problem text;
BEGIN
	SELECT * INTO c FROM o_conf WHERE tbl = which;
	FOR i IN 1..times LOOP
		CONTINUE WHEN c.mode = 'deferred' AND i % 3 > 0;
		IF c.mode = 'deferred' THEN
			found := o_episode(c);
		ELSE
			problem := o_step(c);
			found := CASE WHEN problem IS NULL THEN '{}' ELSE ARRAY[problem] END;
		END IF;
		INSERT INTO o_problem (tbl, what) SELECT which, format('%s: %s', i, f) FROM unnest(found) f;
		IF i % 20 = 0 THEN
			INSERT INTO o_problem (tbl, what) SELECT which, format('%s: check() says %s', i, x) FROM plinth_closure.check(format('t.%I', which)::regclass) x;
		END IF;
		-- Some statements in transactions of their own, some many to one.
		IF i % 7 < 3 THEN
			COMMIT;
		END IF;
		-- After five problems a sixth says little.
		EXIT WHEN (SELECT count(*) FROM o_problem WHERE tbl = which) > 5;
	END LOOP;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Run
----------------------------------------------------------------------------------------------------------------------

-- Key and parent given by name, or found.
SELECT is(CASE WHEN auto THEN plinth_closure.enable(format('t.%I', tbl)::regclass, max_depth => max_depth, max_rows => max_rows, orphans => CASE mode WHEN 'root' THEN 'root' ELSE 'error' END)
	WHEN cardinality(ekeys) = 1 THEN plinth_closure.enable(format('t.%I', tbl)::regclass, ekeys[1], eparents[1], max_depth, max_rows, CASE mode WHEN 'root' THEN 'root' ELSE 'error' END)
	ELSE plinth_closure.enable(format('t.%I', tbl)::regclass, ekeys::name[], eparents::name[], max_depth, max_rows, CASE mode WHEN 'root' THEN 'root' ELSE 'error' END) END,
	format('t.%I', tbl || '_closure')::regclass, format('%s: enabled', tbl)) FROM o_conf ORDER BY tbl;

SELECT setseed((:seed % 1000) / 1000.0) IS NULL AS ignored \gset
SELECT format('CALL o_run(%L, %s)', tbl, runs), format('SELECT is((SELECT string_agg(what, E''\n\n'' ORDER BY n) FROM o_problem WHERE tbl = %L), NULL, %L)', tbl, format('%s: %s random statements', tbl, runs)) FROM o_conf ORDER BY tbl \gexec

----------------------------------------------------------------------------------------------------------------------
-- The same at the top level, in transactions with savepoints
----------------------------------------------------------------------------------------------------------------------

-- Made before anything is run, so about a table that may be another by then.
CREATE TABLE o_script (i int GENERATED ALWAYS AS IDENTITY, tbl text, stmt text);
CREATE PROCEDURE o_scripts(which text, times int) LANGUAGE plpgsql AS $$
DECLARE
	c o_conf;
	ex int[];
	par int[];
	stmt text;
	step int := 0;
BEGIN
	SELECT * INTO c FROM o_conf WHERE tbl = which;
	FOR n IN 1..times LOOP
		SELECT array_agg(k ORDER BY k), array_agg(CASE WHEN k > 1 THEN rnd(1, k - 1) END ORDER BY k) INTO ex, par FROM generate_series(1, 16) k;
		INSERT INTO o_script (tbl, stmt) VALUES (which, 'BEGIN' || pick('', '', ' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL SERIALIZABLE'));
		FOR m IN 1..rnd(1, 6) LOOP
			CASE rnd(1, 12)
				WHEN 1, 2 THEN INSERT INTO o_script (tbl, stmt) VALUES (which, 'SAVEPOINT a');
				WHEN 3 THEN INSERT INTO o_script (tbl, stmt) VALUES (which, 'ROLLBACK TO a'), (which, format('SELECT is(o_diff(%L), NULL, %L)', which, format('%s: step %s at the top level, ROLLBACK TO', which, step)));
				WHEN 4 THEN INSERT INTO o_script (tbl, stmt) VALUES (which, 'RELEASE a');
				ELSE
					stmt := new_stmt(c, ex, par);
					step := step + 1;
					INSERT INTO o_script (tbl, stmt) VALUES (which, replace(stmt, '@T', o_name('s', which))), (which, replace(stmt, '@T', o_name('t', which))),
						(which, format('SELECT is(o_diff(%L), NULL, %L)', which, format('%s: step %s at the top level: %s', which, step, stmt)));
			END CASE;
		END LOOP;
		INSERT INTO o_script (tbl, stmt) VALUES (which, pick('COMMIT', 'COMMIT', 'ROLLBACK', 'COMMIT AND CHAIN')), (which, 'ROLLBACK'), (which, format('SELECT is(o_diff(%L), NULL, %L)', which, format('%s: step %s at the top level: end', which, step)));
	END LOOP;
END $$;
CALL o_scripts('plain', 10);
CALL o_scripts('cascades', 10);
CALL o_scripts('setnull', 6);
CALL o_scripts('regions', 6);
CALL o_scripts('pairs_fk', 5);
CALL o_scripts('parts_fk', 5);
CALL o_scripts('roots', 5);
\set ON_ERROR_STOP off
\set ON_ERROR_ROLLBACK on
SELECT stmt FROM o_script ORDER BY i \gexec
\set ON_ERROR_ROLLBACK off
ROLLBACK;
\set ON_ERROR_STOP on

----------------------------------------------------------------------------------------------------------------------
-- A judge that finds nothing must have had something to look at, and must be able to find
----------------------------------------------------------------------------------------------------------------------

SELECT diag(format('%s: %s', outcome, sum(n))) FROM o_seen GROUP BY outcome ORDER BY outcome;
SELECT cmp_ok((SELECT sum(n) FROM o_seen WHERE outcome = 'ok'), '>', 3500::bigint, 'thousands of statements succeeded');
SELECT cmp_ok((SELECT sum(n) FROM o_seen WHERE outcome = '23514'), '>', 150::bigint, 'some made a cycle');
SELECT cmp_ok((SELECT sum(n) FROM o_seen WHERE outcome = '23503'), '>', 150::bigint, 'some left a missing parent');
SELECT cmp_ok((SELECT sum(n) FROM o_seen WHERE outcome = '54001'), '>', 20::bigint, 'some were too deep or too many');
SELECT is(ARRAY(SELECT tbl FROM o_conf EXCEPT SELECT tbl FROM o_seen WHERE outcome = 'ok' AND n > 50), '{}', 'on every table many succeeded');
SELECT is(ARRAY(SELECT w FROM unnest('{INSERT,UPDATE,DELETE,MERGE,COPY,TRUNCATE,WITH,block}'::text[]) w WHERE (SELECT sum(n) FROM o_seen WHERE outcome = w) > 20 IS NOT TRUE), '{}', 'statements of every kind were run');

-- The closure is damaged with its guard off.
CREATE PROCEDURE o_damage(stmt text) LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE t.plain_closure DISABLE TRIGGER USER;
	EXECUTE stmt;
	ALTER TABLE t.plain_closure ENABLE TRIGGER USER;
END $$;
TRUNCATE s.plain, t.plain;
INSERT INTO s.plain VALUES (1, '', NULL), (2, '', 1), (3, '', 2);
INSERT INTO t.plain TABLE s.plain;
SELECT is(o_diff('plain'), NULL, 'before the damage nothing is found');
BEGIN;
CALL o_damage('DELETE FROM t.plain_closure WHERE depth = 2');
SELECT matches(o_diff('plain'), 'not in the closure: \(1,3,2\)', 'the judge sees a missing row');
ROLLBACK;
BEGIN;
CALL o_damage('UPDATE t.plain_closure SET depth = 5 WHERE depth = 2');
SELECT matches(o_diff('plain'), 'not in the closure: \(1,3,2\)\nonly in the closure: \(1,3,5\)', 'the judge sees a wrong depth');
ROLLBACK;
BEGIN;
CALL o_damage('INSERT INTO t.plain_closure VALUES (3, 1, 2)');
SELECT matches(o_diff('plain'), '^only in the closure: \(3,1,2\)$', 'the judge sees a row too many');
ROLLBACK;
SELECT throws_ok('UPDATE s.plain SET parent = 3 WHERE id = 1', '23514', NULL, 'the judge sees a cycle');
SELECT throws_ok('DELETE FROM s.plain WHERE id = 2', '23503', NULL, 'the judge sees a missing parent');

-- Leave no file behind.
SELECT format('COPY (SELECT 1) TO PROGRAM %L', format('cat > /dev/null; rm -f "%s"', copy_file())) \gexec
SELECT * FROM finish();
