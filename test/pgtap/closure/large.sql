-- Statements about thousands of nodes take other ways than those about a few: other plans, rows written in the order
-- of each index, the index read on from row to row. They are as exact, for keys of every kind.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_closure;
SELECT * FROM no_plan();
SELECT diag('seed 0.20261120');

-- Of a table with one key column; recursion, not check().
CREATE FUNCTION exact(description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
BEGIN
	WITH RECURSIVE x AS (SELECT id AS a, id AS d, 0 AS depth FROM t UNION ALL SELECT c.parent, x.d, depth + 1 FROM x JOIN t c ON c.id = x.a WHERE c.parent IS NOT NULL)
	SELECT (SELECT count(*) FROM (TABLE x EXCEPT ALL SELECT ancestor, descendant, depth FROM t_closure) m) + (SELECT count(*) FROM (SELECT ancestor, descendant, depth FROM t_closure EXCEPT ALL TABLE x) e) INTO wrong;
	RETURN is(wrong, 0::bigint, description);
END $$;

CREATE FUNCTION everything(typ text, make text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(0.20261120);
	EXECUTE format('CREATE TABLE t (n int, id %1$s PRIMARY KEY, parent %1$s)', typ);
	CREATE INDEX ON t (parent);
	CREATE TEMP TABLE src AS SELECT g, CASE WHEN g > 1 THEN 1 + trunc(random() * least(g - 1, 400))::int END AS p FROM generate_series(1, 3000) g;
	PERFORM plinth_closure.enable('t', 'id', 'parent');
	EXECUTE format('INSERT INTO t SELECT g, %s, %s FROM src ORDER BY random()', replace(make, '#', 'g'), replace(make, '#', 'p'));
	RETURN NEXT is((SELECT count(*) FROM t), 3000::bigint, typ || ': 3,000 rows in any order');
	RETURN NEXT exact(typ || ': inserted');
	-- subtrees of hundreds of nodes to the side of their parents, and to the root
	EXECUTE format('UPDATE t SET parent = %s WHERE n BETWEEN 2 AND 12', replace(make, '#', '1'));
	RETURN NEXT exact(typ || ': large subtrees moved up');
	EXECUTE format('UPDATE t SET parent = %s WHERE n IN (3, 4, 5)', replace(make, '#', '2'));
	RETURN NEXT exact(typ || ': and down');
	EXECUTE format('UPDATE t SET parent = %s WHERE n = 3', replace(make, '#', '6'));
	RETURN NEXT exact(typ || ': and aside');
	EXECUTE format('UPDATE t SET parent = CASE WHEN n %% 2 = 0 THEN %s ELSE %s END WHERE n > 1500 AND NOT EXISTS (SELECT FROM t c WHERE c.parent = t.id)', replace(make, '#', '2'), replace(make, '#', '9'));
	RETURN NEXT exact(typ || ': a thousand leaves moved');
	EXECUTE format('UPDATE t SET id = %s WHERE n > 2000 AND NOT EXISTS (SELECT FROM t c WHERE c.parent = t.id)', replace(make, '#', '(n + 100000)'));
	RETURN NEXT exact(typ || ': keys');
	DELETE FROM t WHERE n % 3 = 0 AND n > 400 AND NOT EXISTS (SELECT FROM t c WHERE c.parent = t.id);
	RETURN NEXT exact(typ || ': a third deleted');
	DELETE FROM t WHERE id IN (SELECT descendant FROM t_closure WHERE ancestor = (SELECT id FROM t WHERE n = 2));
	RETURN NEXT exact(typ || ': a large subtree deleted');
	RETURN NEXT is_empty('SELECT * FROM plinth_closure.check(''t'')', typ || ': check() agrees');
	-- damage of all kinds, in thousands
	SET LOCAL session_replication_role = replica;
	DELETE FROM t_closure WHERE depth = 1;
	UPDATE t_closure SET depth = depth + 5 WHERE depth = 2;
	SET LOCAL session_replication_role = origin;
	RETURN NEXT isnt_empty('SELECT * FROM plinth_closure.check(''t'')', typ || ': damage is seen');
	PERFORM plinth_closure.repair('t');
	RETURN NEXT exact(typ || ': and repaired');
	TRUNCATE t;
	RETURN NEXT exact(typ || ': emptied');
	DROP TABLE t, src;
END $$;

SELECT everything('int', '#');
SELECT everything('bigint', '(#)::bigint * 1000000007');
SELECT everything('uuid', 'md5((#)::text)::uuid');
SELECT everything('numeric', '(#)::numeric / 7');
SELECT everything('text', '''node '' || md5((#)::text)');
SELECT everything('text COLLATE "C"', '''n'' || (#)');
SELECT everything('name', '(''n'' || (#))::name');
SELECT everything('varchar(40)', '(''n'' || md5((#)::text))::varchar(40)');
SELECT everything('int[]', 'CASE WHEN (#) IS NOT NULL THEN ARRAY[#, 7] END');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
SELECT everything('positive', '(#)::positive');
-- A type that cannot be hashed.
SELECT everything('money', '(#)::money');
SELECT * FROM finish();
