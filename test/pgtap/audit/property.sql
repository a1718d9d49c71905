-- After any script of changes the log, replayed in the documented order, gives the table, each old image is the
-- image before it, and each image is to_jsonb(row) under pinned settings, byte for byte.
--
-- Random scripts with a fixed seed (printed) run at the top level of psql, so that transactions, savepoints and errors are
-- real ones.  Two independent judges look at each script:
--   * the replay of the log over the state before the script, compared with the table;
--   * a witness: PL/pgSQL triggers of the simplest kind, which write to_jsonb(OLD/NEW) under pinned settings.
-- A failing assertion prints its script, long statements cut; table p_script has them whole.
\set seed 20251120
\set scripts 330
\set VERBOSITY terse
\set ON_ERROR_STOP on
CREATE EXTENSION plinth_audit;

SELECT plan(:scripts + 9);
SELECT diag('seed ' || :seed || ', ' || :scripts || ' scripts');
SET client_min_messages = error;

----------------------------------------------------------------------------------------------------------------------
-- The tables
----------------------------------------------------------------------------------------------------------------------

CREATE TYPE p_mood AS ENUM ('sad', 'ok', 'so "happy"', 'ünï''s');
CREATE TYPE p_comp AS (a int, "B b" text, c timestamptz, d numeric);
CREATE TYPE p_nest AS (x p_comp, y p_comp[], z jsonb, w float8);
CREATE TYPE p_textrange AS RANGE (subtype = text, collation = "C");
CREATE DOMAIN p_posint AS int CHECK (VALUE > 0);
CREATE DOMAIN p_evenint AS p_posint CHECK (VALUE % 2 = 0);
CREATE DOMAIN p_dcomp AS p_comp;
CREATE DOMAIN p_dnum AS numeric(12, 3);
CREATE DOMAIN p_darr AS int[] CHECK (cardinality(VALUE) < 50);
CREATE DOMAIN p_djson AS jsonb;

CREATE TABLE p_types (
	gone1 int,
	id int PRIMARY KEY,
	bo bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8,
	nu numeric, nu2 numeric(10, 2), tx text, tx2 text, vc varchar, vc5 varchar(5), ch4 char(4), bp bpchar, qc "char", na name,
	by bytea, uu uuid, gone2 text,
	da date, ti time, ti0 time(0), tz timetz, ts timestamp, tt timestamptz, tt3 timestamptz(3), iv interval,
	js json, jb jsonb, xm xml,
	ine inet, cid4 cidr, mac macaddr, mac8 macaddr8, mo money, bi bit(5), vb varbit,
	g1 point, g2 line, g3 lseg, g4 box, g5 path, g6 polygon, g7 circle,
	r4 int4range, r8 int8range, rn numrange, rs tsrange, rz tstzrange, rd daterange, rt p_textrange,
	m4 int4multirange, mz tstzmultirange,
	a4 int[], atx text[], anu numeric[], abo bool[], af8 float8[], atz timestamptz[], aby bytea[], auu uuid[], ajb jsonb[], ajs json[],
	amo p_mood[], aco p_comp[], apo p_posint[], ain inet[], ar4 int4range[], aiv interval[], ana name[], arc regclass[], ada date[],
	co p_comp, ne p_nest, dp p_posint, de p_evenint, dco p_dcomp, dn p_dnum, dar p_darr, dj p_djson, em p_mood,
	tv tsvector, tq tsquery, oi oid, rc regclass, ry regtype, rp regprocedure, rg regrole, rns regnamespace, rcf regconfig,
	lsn pg_lsn, x8 xid8, xi xid, ci cid, td tid, snap pg_snapshot, jp jsonpath, i2v int2vector, oiv oidvector, rcu refcursor,
	"Ünï ""quoted"" \back" text,
	gen int GENERATED ALWAYS AS (id * 2) STORED,
	gen2 text GENERATED ALWAYS AS (coalesce(tx, '-') || '!') STORED
);
ALTER TABLE p_types DROP COLUMN gone1, DROP COLUMN gone2;

CREATE TABLE p_full (LIKE p_types INCLUDING ALL, parent int REFERENCES p_full ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE);
CREATE TABLE p_delta (LIKE p_types INCLUDING ALL, dropped int, parent int);
ALTER TABLE p_delta DROP COLUMN dropped;
CREATE TABLE p_new (LIKE p_types INCLUDING ALL, parent int);

-- Composite key, and every kind of referential action upon it.
CREATE TABLE p_child (
	a text, b int,
	p1 int REFERENCES p_full ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
	p2 int DEFAULT NULL REFERENCES p_full ON UPDATE SET NULL ON DELETE CASCADE,
	n int NOT NULL DEFAULT 0,
	PRIMARY KEY (a, b));

-- Duplicate rows allowed.
CREATE TABLE p_nokey (n int, t text, f float8);

-- Errors that come when our trigger has seen the row already.
CREATE FUNCTION p_complain() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.n = 3 AND new.f < 0 THEN RAISE EXCEPTION ''too late''; END IF; RETURN NULL; END';
CREATE TRIGGER zzz_complain AFTER INSERT OR UPDATE ON p_nokey FOR EACH ROW EXECUTE FUNCTION p_complain();

-- Keys may meet for a moment within a statement.
CREATE TABLE p_defer (id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE, t text);

-- Triggers and functions that write the table that is being written.
CREATE TABLE p_order (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, v int NOT NULL DEFAULT 0, t text);

CREATE TABLE p_part (region text, id int, tx text, nu numeric, jb jsonb, ar int[], tt timestamptz, f8 float8,
	gen int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE p_part_a PARTITION OF p_part FOR VALUES IN ('a');
CREATE TABLE p_part_b PARTITION OF p_part FOR VALUES IN ('b', 'bb') PARTITION BY RANGE (id);
CREATE TABLE p_part_b1 PARTITION OF p_part_b FOR VALUES FROM (MINVALUE) TO (20);
CREATE TABLE p_part_b2 (dropped int, f8 float8, tt timestamptz, jb jsonb, id int NOT NULL, region text NOT NULL, tx text, dropped2 text, ar int[],
	nu numeric, gen int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE p_part_b2 DROP COLUMN dropped, DROP COLUMN dropped2;
ALTER TABLE p_part_b ATTACH PARTITION p_part_b2 FOR VALUES FROM (20) TO (MAXVALUE);
CREATE TABLE p_part_c PARTITION OF p_part DEFAULT;

-- A destination that refuses some rows: a row move whose second half does not happen.
CREATE FUNCTION p_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.id % 7 = 0 THEN RETURN NULL; END IF; RETURN new; END';
CREATE TRIGGER p_refuse BEFORE INSERT ON p_part_c FOR EACH ROW EXECUTE FUNCTION p_refuse();

-- Writes to the same root between the two halves of a row move, also further moves.
CREATE FUNCTION p_meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() < 3 THEN
		IF tg_op = 'DELETE' THEN
			UPDATE p_part SET tx = 'meddled' WHERE region IN ('b', 'bb') AND id = old.id + 1;
			UPDATE p_part SET region = 'c' WHERE region = 'a' AND id = old.id + 2 AND NOT EXISTS (SELECT FROM p_part WHERE region = 'c' AND id = old.id + 2);
		ELSE
			UPDATE p_part SET region = 'd' WHERE region = 'c' AND id = new.id + 1 AND NOT EXISTS (SELECT FROM p_part WHERE region = 'd' AND id = new.id + 1);
			UPDATE p_part SET region = 'a' WHERE region = 'd' AND id = new.id - 1 AND NOT EXISTS (SELECT FROM p_part WHERE region = 'a' AND id = new.id - 1);
		END IF;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER aaa_meddle AFTER INSERT ON p_part_b1 FOR EACH ROW EXECUTE FUNCTION p_meddle();
CREATE TRIGGER zzz_meddle AFTER INSERT ON p_part_b2 FOR EACH ROW EXECUTE FUNCTION p_meddle();
CREATE TRIGGER zzz_meddle AFTER DELETE ON p_part_a FOR EACH ROW EXECUTE FUNCTION p_meddle();
CREATE TRIGGER aaa_meddle AFTER DELETE ON p_part_c FOR EACH ROW EXECUTE FUNCTION p_meddle();

-- Names on both sides of "plinth_audit", since triggers fire in the order of their names.
CREATE FUNCTION p_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() < 3 AND (new.n + tg_nargs) % 3 = 0 THEN
		UPDATE p_order SET n = n + 1, t = coalesce(t, '') || tg_name WHERE id = new.id;
		UPDATE p_order SET v = v + 1 WHERE id = new.id + 1;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER aaa_touch AFTER INSERT OR UPDATE ON p_order FOR EACH ROW EXECUTE FUNCTION p_touch();
CREATE TRIGGER zzz_touch AFTER UPDATE ON p_order FOR EACH ROW EXECUTE FUNCTION p_touch('x');
CREATE FUNCTION p_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() < 2 AND new.n % 5 = 0 THEN
		UPDATE p_order SET v = v + 10 WHERE id = new.id - 7;
		INSERT INTO p_order VALUES (new.id + 100, 1, 1, 'from before') ON CONFLICT DO NOTHING;
	END IF;
	RETURN new;
END $$;
CREATE TRIGGER p_before BEFORE UPDATE ON p_order FOR EACH ROW EXECUTE FUNCTION p_before();
CREATE FUNCTION p_bump(which int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	UPDATE p_order SET v = v + 1 WHERE id = which;
	RETURN which;
END $$;

-- Runs at commit, and writes two audited tables.
CREATE FUNCTION p_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE p_full SET tx2 = coalesce(tx2, '') || 'late' WHERE id = new.id;
	UPDATE p_child SET n = n + 1 WHERE b = new.id % 10;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER p_late AFTER INSERT OR UPDATE ON p_full DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (new.i4 IS NOT NULL AND pg_trigger_depth() = 0 AND new.id % 4 = 0) EXECUTE FUNCTION p_late();

----------------------------------------------------------------------------------------------------------------------
-- The witness
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p_conf (tbl name PRIMARY KEY, mode text, keys text[], truncation text, mark bigint DEFAULT 0);
INSERT INTO p_conf VALUES
	('p_full', 'full', '{id}', 'rows'), ('p_delta', 'delta', '{id}', 'rows'), ('p_new', 'new', '{id}', 'event'),
	('p_child', 'full', '{a,b}', 'event'), ('p_nokey', 'full', '{}', 'rows'), ('p_defer', 'full', '{id}', 'rows'),
	('p_order', 'full', '{id}', 'rows'), ('p_part', 'full', '{region,id}', 'rows');

CREATE TABLE p_witness (tbl name, op text, old jsonb, new jsonb);
CREATE FUNCTION p_witness() RETURNS trigger LANGUAGE plpgsql
	SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
	SET quote_all_identifiers = off SET TimeZone = 'UTC' SET search_path = ''
AS $$
DECLARE
	seen_old jsonb;
	seen_new jsonb;
BEGIN
	IF tg_op = 'TRUNCATE' THEN
		EXECUTE pg_catalog.format('INSERT INTO public.p_witness SELECT %L, %L, pg_catalog.to_jsonb(whole_row) FROM ONLY %s whole_row', tg_argv[0], 'T', tg_relid::regclass);
		RETURN NULL;
	END IF;
	IF tg_op <> 'INSERT' THEN
		seen_old := pg_catalog.to_jsonb(old);
	END IF;
	IF tg_op <> 'DELETE' THEN
		seen_new := pg_catalog.to_jsonb(new);
	END IF;
	INSERT INTO public.p_witness VALUES (tg_argv[0], pg_catalog.left(tg_op, 1), seen_old, seen_new);
	RETURN NULL;
END $$;
SELECT format('CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON %1$I FOR EACH ROW
	WHEN (pg_catalog.current_setting(''p.witness'', true) IS NOT DISTINCT FROM ''on'') EXECUTE FUNCTION p_witness(%1$L)', tbl),
	format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER witness', tbl)
FROM p_conf \gexec
-- Statement triggers are not cloned to partitions.
SELECT format('CREATE TRIGGER witness_truncate BEFORE TRUNCATE ON %1$I WHEN (pg_catalog.current_setting(''p.witness'', true) IS NOT DISTINCT FROM ''on'')
	EXECUTE FUNCTION p_witness(%2$L)', leaf, tbl),
	format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER witness_truncate', leaf)
FROM p_conf, LATERAL (SELECT tbl AS leaf WHERE tbl <> 'p_part' UNION SELECT relid::regclass::name FROM pg_partition_tree(tbl::regclass) WHERE isleaf AND tbl = 'p_part') l \gexec

----------------------------------------------------------------------------------------------------------------------
-- The pool: hard values of each type
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p_try (col text, v text);
INSERT INTO p_try SELECT col, unnest(v) FROM (VALUES
	('bo', '{t,f}'::text[]),
	('i2', '{0,-32768,32767,7}'), ('i4', '{0,-2147483648,2147483647,1,-1,42}'), ('i8', '{0,-9223372036854775808,9223372036854775807,10000,99999999}'),
	('f4', '{0,NaN,Infinity,-Infinity,1.1,3.4028235e38,1e-45,-1234.5678,1e7,123456789,0.1,1e-5,16777217}'),
	('f8', '{0,NaN,Infinity,-Infinity,0.1,0.30000000000000004,1.7976931348623157e308,5e-324,1e15,1e16,123456789012345680,0.0001,0.00001,-1e-7,100,1e300}'),
	('nu', '{0,0.0,0.00,1,1.0,1.00,-1,NaN,Infinity,-Infinity,100,10000,100000000,123456789012345678901234567890.123456789,1e-20,0.0001,-0.00001,99999999.9999,1e50,1e200,9999,10001,0.1}'),
	('nu2', '{0,1.5,-99999999.99,12345678.90,NaN}'),
	('tx', ARRAY['', ' ', 'a', '"', '\', '\\', '\n', E'\n', E'\t\r\b\f', E'\x01\x02\x1f', E'\x7f', E'\u0080\u00a0', 'ünïcödé', '日本語', '😀', E'\u2028\u2029', '/', '</script>', '''', '$$', 'null', '{"a": 1}',
		'[]', E'a"b\\c\nd\te', repeat('x', 63), repeat('é', 64), repeat('long "text"', 300), '\u0000', E'\uFFFD', 'NULL', '***']),
	('tx2', ARRAY['x', 'y', 'z', repeat(E'\\"\x01', 40)]),
	('vc', ARRAY['', 'v', 'vv', 'é"\']), ('vc5', ARRAY['', '12345', 'ééééé']), ('ch4', ARRAY['', 'a', 'abcd', 'é', '"\']), ('bp', ARRAY['q', 'q ', 'r  s']),
	('qc', ARRAY['a', '"', '\', ' ', E'\x01', '']), ('na', ARRAY['', 'pg_catalog', repeat('n', 63), 'Ü"x']),
	('by', ARRAY['', '\x00', '\xdeadbeef', '\x5c5c00ff', '\x7f80', '\x' || repeat('ab', 3000)]),
	('uu', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
	('da', ARRAY['2024-02-29', 'infinity', '-infinity', '0044-03-15 BC', '4714-11-24 BC', '5874897-12-31', '1970-01-01', '0001-01-01', '10000-01-01', '0001-12-31 BC']),
	('ti', '{00:00:00,23:59:59.999999,24:00:00,12:34:56.7,04:05:06.000001}'), ('ti0', '{00:00:01,23:59:59}'),
	('tz', '{00:00:00+00,23:59:59.999999-15:59,24:00:00+15:59,12:34:56.7+05:30,01:02:03-08,12:00:00+05:30:15}'),
	('ts', ARRAY['2024-02-29 23:59:59.999999', 'infinity', '-infinity', '0044-03-15 12:00 BC', '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999', '1970-01-01', '2000-01-01 00:00:00.5', '12000-01-02 03:04:05']),
	('tt', ARRAY['2024-02-29 23:59:59.999999+00', 'infinity', '-infinity', '0044-03-15 12:00+00 BC', '4714-11-24 00:00+00 BC', '294276-12-31 23:59:59.999999+00', '1883-11-18 12:00+00',
		'2024-10-27 01:30+01', '2024-10-27 00:30+00:00', '2000-01-01 00:00+05:30', '12000-01-02 03:04:05+00']),
	('tt3', ARRAY['2024-02-29 23:59:59.999+00', '2024-02-29 23:59:59.12+00']),
	('iv', ARRAY['0', '1 year 2 mons -3 days 04:05:06.789', '-1 year', '-00:00:00.000001', '1 mon', '30 days', '720:00:00', '178000000 years', '-178000000 years', '1 day -1 hour', '-1 mon 1 day', '-1 day +02:03:00']),
	('js', ARRAY['{}', '[]', 'null', '1', '1.0', '1.00', '"s"', 'true', '{"b": 1, "a": [1, {"c": null}], "": ""}', '{"a": 1, "a": 2}', '[1e2, -0.0, 1E400]', '"\u00e9\n\"\\\/"', '"\ud83d\ude00"',
		'{"aa":1,"b":2,"a":{"z":[[[]]]}}', '   [ 1 , 2,3 ]  ']),
	('jb', ARRAY['{}', '[]', 'null', '2', '2.0', '2.00', '"s"', 'false', '{"b": 1, "a": [1, {"c": null}], "": ""}', '[1e2, -0.0, 1e400, 0.000001]', '"\u00e9\n\"\\\/\u0001"', '{"k":{"k":{"k":{"k":[1,[2,[3,[4]]]]}}}}',
		'[[], {}, [{}], "", null, true, false]', (SELECT jsonb_object_agg('key' || g, g)::text FROM generate_series(1, 80) g), (SELECT jsonb_agg(g || 'é')::text FROM generate_series(1, 100) g)]),
	('xm', ARRAY['<a/>', '<a b="c">d &amp; é</a>', 'text only', '<?xml version="1.0" encoding="UTF-8"?><r/>']),
	('ine', '{0.0.0.0,192.168.1.1/24,10.0.0.1,::1,2001:db8::ff00:42:8329/64,255.255.255.255}'), ('cid4', '{0.0.0.0/0,10.0.0.0/8,2001:db8::/32,::ffff:1.2.3.0/120}'),
	('mac', '{08:00:2b:01:02:03,ff:ff:ff:ff:ff:ff}'), ('mac8', '{08:00:2b:01:02:03:04:05}'),
	('mo', ARRAY['0', '-1.50', '1234567.89', '92233720368547758.07', '-92233720368547758.08']),
	('bi', '{00000,10101,11111}'), ('vb', ARRAY['', '1', '0', '101010101010101010101']),
	('g1', ARRAY['(1,2)', '(NaN,Infinity)', '(1e-300,0.30000000000000004)', '(-1.5,1e20)']), ('g2', ARRAY['{1,2,3}', '{0.1,-1,0}']), ('g3', ARRAY['[(0,0),(1.1,1)]']),
	('g4', ARRAY['(1,1),(0,0)', '(0.30000000000000004,2),(-1,-2)']), ('g5', ARRAY['[(0,0),(1,1)]', '((0,0),(1,1),(2,0.1))']), ('g6', ARRAY['((0,0),(1,1),(2,0))']), ('g7', ARRAY['<(0,0),1>', '<(0.1,0.2),0.30000000000000004>']),
	('r4', ARRAY['empty', '[1,5)', '(,)', '[1,)', '(,7)']), ('r8', ARRAY['[1,9223372036854775807)', 'empty']), ('rn', ARRAY['[1.0,2.00]', '(NaN,)', '(,)', '[0.10,Infinity)']),
	('rs', ARRAY['[2024-01-31 12:00,2024-02-01 00:00)', '[-infinity,infinity]', 'empty', '["0044-03-15 BC",)']), ('rz', ARRAY['[2024-03-04 12:00+00,2024-05-01 00:00+00)', '(,infinity)', 'empty', '["0044-03-15 00:00+00 BC",)']),
	('rd', ARRAY['[2024-01-31,2024-02-05)', '(,)', '[-infinity,infinity]', '["0044-03-15 BC",)']), ('rt', ARRAY['[a,b)', '["a""b","c\\d")', '["",)', '(" ",)']),
	('m4', ARRAY['{}', '{[1,3),[5,7)}', '{(,)}']), ('mz', ARRAY['{}', '{[2024-03-04 12:00+00,2024-05-01 00:00+00),[2025-01-01 00:00+00,)}']),
	('a4', ARRAY['{}', '{1,2,3}', '{NULL}', '{1,NULL,-2147483648}', '{{1,2},{3,4}}', '{{{1},{2}},{{3},{NULL}}}', '[5:6]={8,9}', (SELECT array_agg(g)::text FROM generate_series(1, 300) g)]),
	('atx', ARRAY['{}', '{a,"b c",NULL,"NULL","",",","\"","\\","{"}', '{{a,b},{c,"é\n"}}', '{"😀"}']), ('anu', '{"{1.0,1.00,NaN,NULL,Infinity}","{}"}'), ('abo', '{"{t,f,NULL}"}'), ('af8', '{"{NaN,Infinity,0.1,1e-7,-Infinity,1e16}"}'),
	('atz', ARRAY['{"2024-02-29 23:59:59.999999+00",infinity,NULL,"0044-03-15 12:00+00 BC"}']), ('aby', ARRAY['{"\\xdeadbeef","\\x",NULL}']), ('auu', '{"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}'),
	('ajb', ARRAY['{"{\"a\": [1.0, 2.00]}","null","[]",NULL}', '{}']), ('ajs', ARRAY['{"{\"a\":   1}","null",NULL}', '{}']),
	('amo', ARRAY['{sad,"so \"happy\"",NULL,"ünï''s"}']), ('aco', ARRAY['{"(1,\"x,y\",\"2024-02-29 12:00+00\",1.00)",NULL,"(,,,)"}', '{}', '{{"(1,a,,)"},{"(2,b,,NaN)"}}']), ('apo', '{"{1,2,3}"}'), ('ain', '{"{10.0.0.1,::1/64}"}'),
	('ar4', ARRAY['{"[1,5)",empty,NULL}']), ('aiv', ARRAY['{"1 year 2 mons","-3 days 04:05:06"}']), ('ana', '{"{x,y}"}'), ('arc', '{"{pg_catalog.pg_class,public.p_full}"}'), ('ada', '{"{2024-01-31,infinity}"}'),
	('co', ARRAY['(1,"x ""y""","2024-02-29 12:00+00",1.00)', '(,,,)', '(-5,,infinity,NaN)']),
	('ne', ARRAY['("(1,x,""2024-02-29 12:00+00"",1.50)","{""(2,y,,)"",NULL}","{""k"": [1.0]}",0.1)', '(,,,)', '(,{},null,NaN)']),
	('dp', '{1,2147483647}'), ('de', '{2,4}'), ('dco', ARRAY['(7,dom,"1999-12-31 23:59:59+00",0.0)', '(,,,)']), ('dn', '{1.5,-999999999.999}'), ('dar', ARRAY['{1,2}', '{}', '{{1},{NULL}}']), ('dj', ARRAY['{"d": [1.10]}', 'null']),
	('em', ARRAY['sad', 'so "happy"', 'ünï''s']),
	('tv', ARRAY['', 'a b c', '''a'':1A ''b'':2,3B', '''it''''s'' ''\\'':9']), ('tq', ARRAY['a & b', 'a <-> !b | ''c''''d'':*A']),
	('oi', '{0,4294967295,16384}'), ('rc', '{pg_class,p_full,public.p_full_pkey,4000000000}'), ('ry', ARRAY['int4', 'p_mood', 'timestamp with time zone', 'p_comp[]', '"char"']), ('rp', ARRAY['pg_catalog.abs(int4)', 'p_bump(int)']),
	('rg', ARRAY['postgres', '-']), ('rns', ARRAY['pg_catalog', 'public']), ('rcf', ARRAY['english', 'pg_catalog.simple']),
	('lsn', '{0/0,FFFFFFFF/FFFFFFFF,16/B374D848}'), ('x8', '{0,18446744073709551615,4294967296}'), ('xi', '{0,4294967295}'), ('ci', '{0,3}'), ('td', ARRAY['(0,1)', '(4294967295,65535)']), ('snap', '{10:20:10\,14\,15,1:1:}'),
	('jp', ARRAY['$.a[*] ? (@ > 1)', '$', 'strict $."b \" c"']), ('i2v', ARRAY['1 2 3', '']), ('oiv', ARRAY['1 2', '4294967295']), ('rcu', ARRAY['cur', 'a "b"']),
	('Ünï "quoted" \back', ARRAY['q', '"', ''])
) AS v (col, v);

-- Literals that this server accepts (no xml, perhaps), each with an image of its own: a change of value is a change of image.
CREATE TABLE p_pool (col text PRIMARY KEY, lits text[]);
CREATE FUNCTION p_fill() RETURNS void LANGUAGE plpgsql
	SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
	SET TimeZone = 'UTC' SET search_path = ''
AS $$
DECLARE
	c record;
	one record;
	img jsonb;
	seen text[];
	lits text[];
	sql_type text;
BEGIN
	FOR c IN SELECT attname, atttypid, atttypmod FROM pg_attribute WHERE attrelid = 'public.p_types'::regclass AND attnum > 0 AND NOT attisdropped
		AND attgenerated = '' AND attname <> 'id' ORDER BY attnum
	LOOP
		seen := '{"null"}';
		lits := '{}';
		sql_type := format_type(c.atttypid, c.atttypmod);
		FOR one IN SELECT v FROM public.p_try WHERE col = c.attname LOOP
			BEGIN
				PERFORM set_config('search_path', 'public', true);
				EXECUTE format('SELECT to_jsonb(%L::%s)', one.v, sql_type) INTO img;
				PERFORM set_config('search_path', '', true);
				CONTINUE WHEN img::text = ANY (seen);
				seen := seen || img::text;
				lits := lits || format('%L::%s', one.v, sql_type);
			EXCEPTION WHEN feature_not_supported THEN
				PERFORM set_config('search_path', '', true);
			END;
		END LOOP;
		INSERT INTO public.p_pool VALUES (c.attname, lits || 'NULL'::text);
	END LOOP;
END $$;
SELECT p_fill();
SELECT is(ARRAY(SELECT col FROM p_pool WHERE cardinality(lits) < 2 AND col <> 'xm'), '{}', 'every type has values in the pool');

----------------------------------------------------------------------------------------------------------------------
-- The generator: statements as text, made before anything is run
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rnd(lo int, hi int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT lo + floor(random() * (hi - lo + 1))::int';
CREATE FUNCTION pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT a[rnd(1, cardinality(a))]';

CREATE FUNCTION any_where(key text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE rnd(1, 7)
		WHEN 1 THEN format('%s %% %s = 0', key, rnd(2, 5)) WHEN 2 THEN format('%s BETWEEN %s AND %s', key, rnd(1, 20), rnd(10, 40))
		WHEN 3 THEN format('%s IN (%s, %s, %s)', key, rnd(1, 40), rnd(1, 40), rnd(1, 40)) WHEN 4 THEN format('%s > %s', key, rnd(10, 45))
		ELSE format('%s = %s', key, rnd(1, 40)) END $$;

-- Columns and as many rows of literals as wanted: (c1, c2), {(v, v), ...}
CREATE FUNCTION any_rows(n int, share float8, OUT cols text, OUT vals text[]) LANGUAGE plpgsql AS $$
DECLARE
	names text[] := ARRAY(SELECT col FROM p_pool WHERE random() < share ORDER BY col);
BEGIN
	SELECT string_agg(quote_ident(c), ', ' ORDER BY c) INTO cols FROM unnest(names) c;
	FOR i IN 1..n LOOP
		vals := vals || (SELECT string_agg(lits[rnd(1, cardinality(lits))], ', ' ORDER BY col) FROM p_pool WHERE col = ANY (names));
	END LOOP;
END $$;

CREATE FUNCTION any_sets(n int, prefix text DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(format('%I = %s', col, coalesce(prefix || '.' || quote_ident(col), lits[rnd(1, cardinality(lits))])), ', ')
	FROM (SELECT * FROM p_pool ORDER BY random() LIMIT n) p $$;

CREATE FUNCTION copy_file() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('data_directory') || '/plinth_audit_property.copy' $$;

CREATE FUNCTION wide_stmt(t text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	r record;
	k int := rnd(1, 40);
	kind int := rnd(1, 27);
	dst text;
BEGIN
	CASE
		WHEN kind <= 5 THEN
			r := any_rows(rnd(1, 3), random() * 0.7);
			IF r.cols IS NULL THEN
				RETURN ARRAY[format('INSERT INTO %I (id) VALUES (%s)', t, k)];
			END IF;
			RETURN ARRAY[format('INSERT INTO %I (id, %s) VALUES %s %s', t, r.cols,
				(SELECT string_agg(format('(%s, %s)', (k + i * 3) % 45, v), ', ') FROM unnest(r.vals) WITH ORDINALITY u (v, i)), CASE WHEN random() < 0.6 THEN 'ON CONFLICT DO NOTHING' ELSE '' END)];
		WHEN kind = 6 THEN
			r := any_rows(1, 0.3);
			RETURN ARRAY[format('INSERT INTO %I (id%s) SELECT s%s FROM generate_series(%s, %s) s ON CONFLICT DO NOTHING', t, coalesce(', ' || r.cols, ''), coalesce(', ' || r.vals[1], ''), k, k + rnd(0, 6))];
		WHEN kind <= 10 THEN
			RETURN ARRAY[format('UPDATE %I SET %s WHERE %s', t, any_sets(rnd(1, 6)), any_where('id'))];
		WHEN kind = 11 THEN
			RETURN ARRAY[format('UPDATE %I SET %s WHERE %s', t, pick('i4 = i4 # 5', 'tx = tx || ''é"''', 'a4 = a4 || 7', 'tx = tx2, tx2 = tx', 'nu = nu * 1.00', 'jb = jsonb_build_array(jb)', 'parent = NULL', 'tt = tt + ''1 day''',
				'atx[2] = ''changed''', 'co.a = 17', 'f8 = f8 / 3', 'i4 = parent', 'by = by || ''\x00''', 'tx = repeat(md5(id::text), 100)', 'tx = upper(tx)', 'rc = ''p_delta'''), any_where('id'))];
		WHEN kind = 12 THEN
			RETURN ARRAY[format('UPDATE %I SET %s WHERE %s', t, pick('i4 = i4', 'id = id', 'tx = tx, jb = jb, nu = nu, js = js', 'co = co, a4 = a4, by = by'), any_where('id'))];
		WHEN kind <= 14 THEN
			RETURN ARRAY[format('UPDATE %I SET id = id + %s WHERE %s', t, pick('45', '1', '-1', '30', '-30'), CASE WHEN random() < 0.7 THEN format('id = %s', k) ELSE any_where('id') END)];
		WHEN kind = 15 THEN
			RETURN ARRAY[format('UPDATE %I SET parent = (SELECT min(id) FROM %I WHERE id > %s) WHERE %s', t, t, k, any_where('id'))];
		WHEN kind <= 17 THEN
			RETURN ARRAY[format('DELETE FROM %I WHERE %s', t, any_where('id'))];
		WHEN kind <= 19 THEN
			r := any_rows(2, 0.3);
			IF r.cols IS NULL THEN
				RETURN ARRAY[format('INSERT INTO %I (id) VALUES (%s) ON CONFLICT (id) DO UPDATE SET i4 = 5', t, k)];
			END IF;
			RETURN ARRAY[format('INSERT INTO %I AS old (id, %s) VALUES (%s, %s), (%s, %s) ON CONFLICT (id) DO UPDATE SET %s%s', t, r.cols, k, r.vals[1], k + 1, r.vals[2],
				(SELECT string_agg(format('%s = excluded.%s', c, c), ', ') FROM regexp_split_to_table(r.cols, ', (?=[^ ]+)') c WHERE c !~ '[\\ ]'),
				pick('', '', ' WHERE old.id % 2 = 0'))];
		WHEN kind <= 21 THEN
			r := any_rows(1, 0.2);
			RETURN ARRAY[format('MERGE INTO %I t USING (SELECT g AS k FROM generate_series(%s, %s) g) s ON t.id = s.k WHEN MATCHED AND s.k %% 3 = 0 THEN DELETE WHEN MATCHED AND s.k %% 3 = 1 THEN UPDATE SET %s '
				'WHEN NOT MATCHED AND s.k %% 2 = 0 THEN INSERT (id%s) VALUES (s.k%s)', t, k, k + rnd(0, 5), any_sets(2), coalesce(', ' || r.cols, ''), coalesce(', ' || r.vals[1], ''))];
		WHEN kind = 22 THEN
			dst := pick('p_full', 'p_delta', 'p_new');
			RETURN ARRAY[format('WITH gone AS (DELETE FROM %I WHERE %s RETURNING id, tx, jb, nu, tt, a4, co) INSERT INTO %I (id, tx, jb, nu, tt, a4, co) SELECT * FROM gone ON CONFLICT DO NOTHING', t, any_where('id'), dst)];
		WHEN kind = 23 THEN
			RETURN ARRAY[format('WITH u AS (UPDATE %I SET %s WHERE %s RETURNING id), d AS (DELETE FROM %I WHERE id IN (SELECT id + 1 FROM u)) INSERT INTO p_nokey SELECT id, ''cte'' FROM u', t, any_sets(2), any_where('id'), t)];
		WHEN kind = 24 THEN
			-- FREEZE and other options have no place here; text and binary do.
			RETURN ARRAY[format('COPY (SELECT id + 45, %2$s FROM %1$I WHERE %3$s AND NOT EXISTS (SELECT FROM %1$I o WHERE o.id = %1$I.id + 45)) TO %4$L (FORMAT %5$s)', t, 'tx, i8, f4, ts, iv, jb, atx, co, r4, by', any_where('id'), copy_file(), pick('text', 'binary', 'csv'))]
				|| format('COPY %I (id, tx, i8, f4, ts, iv, jb, atx, co, r4, by) FROM %L (FORMAT %s)', t, copy_file(), '@');
		WHEN kind = 25 THEN
			RETURN ARRAY[format('UPDATE %I SET i4 = 10 / (id - %s), %s WHERE id > 0', t, k, any_sets(1))];
		WHEN kind = 26 THEN
			IF random() < 0.6 THEN
				RETURN ARRAY[format('DELETE FROM %I WHERE id > 42', t)];
			END IF;
			RETURN ARRAY[CASE WHEN t = 'p_full' THEN 'TRUNCATE p_full, p_child' ELSE format('TRUNCATE %I', t) END];
		ELSE
			RETURN ARRAY[format('DO $d$ DECLARE c CURSOR FOR SELECT * FROM %I WHERE %s FOR UPDATE; BEGIN FOR r IN c LOOP IF r.id %% 2 = 0 THEN UPDATE %I SET %s WHERE CURRENT OF c; ELSE DELETE FROM %I WHERE CURRENT OF c; END IF; END LOOP; END $d$',
				t, any_where('id'), t, any_sets(1), t)];
	END CASE;
END $$;

CREATE FUNCTION small_stmt() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	k int := rnd(1, 40);
	reg text := quote_literal(pick('a', 'b', 'bb', 'c', 'd'));
	tx text := (SELECT lits[rnd(1, cardinality(lits))] FROM p_pool WHERE col = 'tx');
	jb text := (SELECT lits[rnd(1, cardinality(lits))] FROM p_pool WHERE col = 'jb');
	tt text := (SELECT lits[rnd(1, cardinality(lits))] FROM p_pool WHERE col = 'tt');
	f8 text := (SELECT lits[rnd(1, cardinality(lits))] FROM p_pool WHERE col = 'f8');
	nu text := (SELECT lits[rnd(1, cardinality(lits))] FROM p_pool WHERE col = 'nu');
	ab text := quote_literal(pick('x', 'y', 'z "q"'));
BEGIN
	CASE rnd(1, 42)
		-- the child: written by hand and by the foreign keys
		WHEN 1, 2, 3 THEN RETURN format('INSERT INTO p_child SELECT %s, %s + g, (SELECT max(id) FROM p_full WHERE id < %s + g), (SELECT min(id) FROM p_full WHERE id > %s) FROM generate_series(0, 2) g ON CONFLICT DO NOTHING', ab, k % 10, k, k);
		WHEN 4 THEN RETURN format('UPDATE p_child SET n = n + 1, a = %s WHERE b = %s AND a <> %s', ab, k % 10, ab);
		WHEN 5 THEN RETURN format('DELETE FROM p_child WHERE %s', any_where('b'));
		WHEN 6 THEN RETURN format('UPDATE p_full SET id = id + 60 WHERE id IN (SELECT p2 FROM p_child) AND id < 60 AND id > %s AND NOT EXISTS (SELECT FROM p_full o WHERE o.id = p_full.id + 60)', k);
		WHEN 7 THEN RETURN format('DELETE FROM p_full WHERE id IN (SELECT p1 FROM p_child WHERE b %% 2 = %s)', k % 2);
		WHEN 8 THEN RETURN CASE WHEN random() < 0.3 THEN 'TRUNCATE p_child' ELSE 'UPDATE p_child SET n = -n' END;
		-- without a key
		WHEN 9, 10 THEN RETURN format('INSERT INTO p_nokey VALUES (%s, %s, %s), (%s, %s, %s), (1, ''twin'', 1), (1, ''twin'', 1)', k % 5, tx, f8, k % 3, tx, f8);
		WHEN 11 THEN RETURN format('UPDATE p_nokey SET f = %s WHERE n = %s', f8, k % 5);
		WHEN 12 THEN RETURN format('DELETE FROM p_nokey WHERE ctid IN (SELECT ctid FROM p_nokey WHERE n = %s LIMIT 1)', k % 5);
		WHEN 13 THEN RETURN 'DELETE FROM p_nokey WHERE n > 2';
		WHEN 14 THEN RETURN CASE WHEN random() < 0.3 THEN 'TRUNCATE p_nokey' ELSE 'UPDATE p_nokey SET n = n + 1 WHERE n = 1' END;
		-- keys that meet
		WHEN 15, 16 THEN RETURN format('INSERT INTO p_defer SELECT g, %s FROM generate_series(%s, %s) g WHERE NOT EXISTS (SELECT FROM p_defer WHERE id = g)', tx, k % 10, k % 10 + 3);
		WHEN 17 THEN RETURN format('UPDATE p_defer SET id = id + %s', pick('1', '-1', '0'));
		WHEN 18 THEN RETURN format('DELETE FROM p_defer WHERE %s OR id > 20', any_where('id'));
		-- writes within writes
		WHEN 19, 20 THEN RETURN format('INSERT INTO p_order SELECT g, %s, 0 FROM generate_series(%s, %s) g ON CONFLICT (id) DO UPDATE SET n = p_order.n + 1', rnd(0, 9), k, k + 4);
		WHEN 21, 22, 23 THEN RETURN format('UPDATE p_order SET n = n + %s WHERE %s', rnd(1, 4), any_where('id'));
		WHEN 24 THEN RETURN format('UPDATE p_order SET t = p_bump(id - %s) WHERE %s', rnd(1, 3), any_where('id'));
		WHEN 25 THEN RETURN format('INSERT INTO p_order SELECT p_bump(g) + 1000, 1 FROM generate_series(%s, %s) g ON CONFLICT DO NOTHING', k, k + 2);
		WHEN 26 THEN RETURN format('DELETE FROM p_order WHERE %s AND p_bump(id + 1) > 0', any_where('id'));
		WHEN 27 THEN RETURN 'DELETE FROM p_order WHERE id > 60';
		WHEN 28 THEN RETURN CASE WHEN random() < 0.2 THEN 'TRUNCATE p_order' ELSE format('WITH a AS (SELECT p_bump(%s)) UPDATE p_order SET n = n + (SELECT p_bump FROM a) WHERE id = %s', k, k + 1) END;
		-- partitions
		WHEN 29, 30, 31 THEN RETURN format('INSERT INTO p_part SELECT %s, g, %s, %s, %s, ARRAY[g], %s, %s FROM generate_series(%s, %s) g %s', reg, tx, nu, jb, tt, f8, k, k + rnd(0, 5), pick('ON CONFLICT DO NOTHING', 'ON CONFLICT (region, id) DO UPDATE SET f8 = excluded.f8, nu = 1.50'));
		WHEN 32 THEN RETURN format('INSERT INTO p_part_b2 (region, id, tx, f8) SELECT %s, g, %s, %s FROM generate_series(20, 22) g ON CONFLICT DO NOTHING', quote_literal(pick('b', 'bb')), tx, f8);
		WHEN 33, 34, 35 THEN RETURN format('UPDATE p_part SET region = %s, tx = %s WHERE region <> %s AND %s AND NOT EXISTS (SELECT FROM p_part o WHERE o.region = %s AND o.id = p_part.id)', reg, tx, reg, any_where('id'), reg);
		WHEN 36 THEN RETURN format('UPDATE p_part SET id = id + 20, jb = %s WHERE %s', jb, any_where('id'));
		WHEN 37 THEN RETURN format('UPDATE %s SET nu = %s, ar = ar || 1 WHERE %s', pick('p_part_b', 'p_part_b2', 'p_part_a', 'p_part'), nu, any_where('id'));
		WHEN 38 THEN RETURN format('UPDATE p_part_b SET id = 40 - id WHERE id < 40 AND id %% 4 = 1');
		WHEN 39 THEN RETURN format('DELETE FROM %s WHERE %s', pick('p_part', 'p_part_b1', 'p_part_c'), any_where('id'));
		WHEN 40 THEN RETURN format('MERGE INTO p_part t USING generate_series(%s, %s) s ON t.id = s AND t.region = %s WHEN MATCHED AND s %% 2 = 0 THEN UPDATE SET region = ''a'', tx = %s WHEN MATCHED THEN DELETE '
			'WHEN NOT MATCHED THEN INSERT (region, id, tx, f8) VALUES (%s, s, %s, %s)', k, k + 3, reg, tx, reg, tx, f8);
		WHEN 41 THEN RETURN 'DELETE FROM p_part WHERE id > 45';
		ELSE RETURN CASE WHEN random() < 0.6 THEN 'TRUNCATE ' || pick('p_part', 'p_part_a', 'p_part_b', 'p_part_b2', 'ONLY p_part_c') ELSE 'WITH d AS (DELETE FROM p_part_a RETURNING *) INSERT INTO p_part (region, id, tx) SELECT ''b'', id, tx FROM d ON CONFLICT DO NOTHING' END;
	END CASE;
END $$;

CREATE FUNCTION any_stmt() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	s text[];
	fmt text;
BEGIN
	IF random() < 0.4 THEN
		RETURN ARRAY[small_stmt()];
	END IF;
	s := wide_stmt(pick('p_full', 'p_delta', 'p_new'));
	IF cardinality(s) = 2 THEN
		fmt := substring(s[1] FROM '\(FORMAT (\w+)\)$');
		s[2] := replace(s[2], '(FORMAT @)', format('(FORMAT %s)', fmt));
	END IF;
	RETURN s;
END $$;

-- A statement in a shape: bare, or within PL/pgSQL blocks that catch errors and sometimes raise one after the change.
CREATE FUNCTION any_block() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a text := array_to_string(any_stmt(), '; ');
	b text := array_to_string(any_stmt(), '; ');
	c text := array_to_string(any_stmt(), '; ');
BEGIN
	RETURN 'DO $b$ BEGIN BEGIN ' || a || '; BEGIN ' || b || '; ' || pick('', 'RAISE EXCEPTION ''undo'';', 'PERFORM 1 / 0;') || ' EXCEPTION WHEN OTHERS THEN NULL; END; ' || c || '; '
		|| pick('', '', 'RAISE EXCEPTION ''undo all'';') || ' EXCEPTION WHEN OTHERS THEN NULL; END; END $b$';
END $$;

-- Changes of the tables themselves, which come before a script: whatever is cached must follow.
CREATE FUNCTION ddl(n int) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(format(CASE n % 5
		WHEN 0 THEN 'ALTER TABLE %I ADD COLUMN x int DEFAULT 7, ADD COLUMN later timestamptz DEFAULT ''2024-02-29 12:00+00'''
		WHEN 1 THEN 'ALTER TABLE %I RENAME COLUMN x TO "x y"'
		WHEN 2 THEN 'ALTER TABLE %I ALTER COLUMN "x y" TYPE text USING ''was '' || "x y", ALTER COLUMN later TYPE text'
		WHEN 3 THEN 'ALTER TABLE %I DROP COLUMN "x y", DROP COLUMN later'
		ELSE 'ALTER TABLE %I SET (toast_tuple_target = 200)' END, tbl)) FROM unnest('{p_full,p_delta,p_new,p_nokey,p_order,p_child}'::text[]) tbl WHERE n % 5 < 4
	UNION ALL
	SELECT ARRAY['ALTER TABLE p_full CLUSTER ON p_full_pkey', 'CLUSTER p_full', 'VACUUM FULL p_delta', 'ALTER TYPE p_mood RENAME VALUE ''ok'' TO ''fine''', 'ALTER TYPE p_mood RENAME VALUE ''fine'' TO ''ok''',
		'ALTER TABLE p_part_c RENAME TO p_part_x', 'ALTER TABLE p_part_x RENAME TO p_part_c', 'ALTER TABLE p_part DETACH PARTITION p_part_c', 'ALTER TABLE p_part ATTACH PARTITION p_part_c DEFAULT'] WHERE n % 5 = 4
$$;

CREATE FUNCTION one_script(n int) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	s text[] := '{}';
	inside bool := false;
	depth int := 0;
BEGIN
	PERFORM setseed(n / 1000.0);
	s := s || ARRAY[format('SET p.witness = %s', CASE WHEN n % 3 = 0 THEN 'off' ELSE 'on' END)];
	s := s || pick('RESET DateStyle', 'SET DateStyle = ''SQL, DMY''', 'SET DateStyle = ''German''', 'SET DateStyle = ''Postgres, MDY''');
	s := s || pick('RESET IntervalStyle', 'SET IntervalStyle = iso_8601', 'SET IntervalStyle = sql_standard', 'SET IntervalStyle = postgres_verbose');
	s := s || pick('SET extra_float_digits = 1', 'SET extra_float_digits = -9', 'SET extra_float_digits = 3', 'SET extra_float_digits = 0');
	s := s || pick('RESET bytea_output', 'SET bytea_output = escape');
	s := s || pick('SET TimeZone = ''Asia/Tokyo''', 'SET TimeZone = ''America/St_Johns''', 'RESET TimeZone', 'SET TimeZone = ''<odd>+05:30''');
	s := s || pick('SET quote_all_identifiers = on', 'SET quote_all_identifiers = off');
	s := s || pick('SET search_path = public, pgtap', 'SET search_path = pg_catalog, public, pgtap, plinth_audit', 'SET search_path = "$user", plinth_audit, public, pgtap, information_schema');
	FOR i IN 1..rnd(4, 10) LOOP
		IF NOT inside AND random() < 0.4 THEN
			s := s || ARRAY[pick('BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN ISOLATION LEVEL SERIALIZABLE', 'BEGIN')];
			IF random() < 0.1 THEN
				s := s || ARRAY['SET LOCAL session_replication_role = replica'];
			END IF;
			IF random() < 0.2 THEN
				s := s || ARRAY['SET CONSTRAINTS ALL DEFERRED'];
			END IF;
			inside := true;
			depth := 0;
		END IF;
		IF inside AND random() < 0.4 THEN
			depth := depth + 1;
			s := s || format('SAVEPOINT s%s', depth);
		END IF;
		s := s || CASE WHEN random() < 0.35 THEN ARRAY[any_block()] ELSE any_stmt() END;
		IF inside AND depth > 0 AND random() < 0.5 THEN
			IF random() < 0.5 THEN
				s := s || format('ROLLBACK TO s%s', rnd(1, depth));
				-- the inner ones are gone; start over with fresh names
				s := s || ARRAY['SAVEPOINT s1'];
				depth := 1;
			ELSE
				s := s || format('RELEASE s%s', depth);
				depth := depth - 1;
			END IF;
		END IF;
		IF inside AND random() < 0.3 THEN
			s := s || ARRAY[pick('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK')];
			inside := false;
		END IF;
	END LOOP;
	IF inside THEN
		s := s || ARRAY['COMMIT'];
	END IF;
	RETURN s;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The judge
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p_state (tbl name, k text, img jsonb);
CREATE INDEX ON p_state (tbl, k);
CREATE TABLE p_seen (what text PRIMARY KEY, n bigint);
CREATE TABLE p_reported (xid xid8);

CREATE FUNCTION key_of(img jsonb, keys text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
	'SELECT pg_catalog.jsonb_object_agg(k, img -> k) FROM pg_catalog.unnest(keys) k WHERE img ? k';

-- What of an update a log in that mode may hold: the columns whose image changed.
CREATE FUNCTION changed_part(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
	'SELECT pg_catalog.jsonb_object_agg(k, a -> k) FROM pg_catalog.jsonb_object_keys(a) k WHERE (a -> k)::pg_catalog.text IS DISTINCT FROM (b -> k)::pg_catalog.text';

CREATE FUNCTION images_of(tbl name) RETURNS SETOF jsonb LANGUAGE plpgsql
	SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
	SET quote_all_identifiers = off SET TimeZone = 'UTC' SET search_path = ''
AS $$
BEGIN
	RETURN QUERY EXECUTE pg_catalog.format('SELECT pg_catalog.to_jsonb(whole_row) FROM public.%I whole_row', tbl);
END $$;

-- What DDL does to images is no business of the log.
CREATE PROCEDURE resync() LANGUAGE sql AS $$
	DELETE FROM public.p_state;
	INSERT INTO public.p_state SELECT tbl, public.key_of(i, keys)::pg_catalog.text, i FROM public.p_conf, public.images_of(tbl) i;
$$;

CREATE FUNCTION problems(script int) RETURNS text LANGUAGE plpgsql
	SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
	SET quote_all_identifiers = off SET TimeZone = 'UTC' SET search_path = 'public'
AS $$
DECLARE
	found_problems text[] := '{}';
	c record;
	r record;
	cur jsonb;
	new_key jsonb;
	was_there bool;
	n bigint;
	expected_key jsonb;
	diff text;
	witnessed bool := current_setting('p.witness') = 'on';
	moves_mark bigint := (SELECT mark FROM p_conf WHERE tbl = 'p_part');
BEGIN
	FOR c IN SELECT * FROM p_conf ORDER BY tbl LOOP
		FOR r IN EXECUTE format('SELECT *, max(audit_id) OVER (PARTITION BY transaction_id) FROM %I WHERE audit_id > $1
			ORDER BY max(audit_id) OVER (PARTITION BY transaction_id), command_id, audit_id', c.tbl || '_audit') USING c.mark
		LOOP
			cur := NULL;
			was_there := true;
			IF c.keys = '{}' AND r.row_key IS NOT NULL THEN
				found_problems := found_problems || format('%s %s: a key where there is none', c.tbl, r.audit_id);
			END IF;
			IF r.op = 'T' AND c.truncation = 'event' THEN
				IF r.row_key IS NOT NULL OR r.old_data IS NOT NULL OR r.new_data IS NOT NULL THEN
					found_problems := found_problems || format('%s %s: data in a truncate event', c.tbl, r.audit_id);
				END IF;
				DELETE FROM p_state WHERE tbl = c.tbl;
				CONTINUE;
			END IF;
			-- what was there before
			IF r.op IN ('U', 'D', 'T') THEN
				IF c.mode = 'full' OR (c.mode = 'delta' AND r.op <> 'U') THEN
					DELETE FROM p_state WHERE ctid = (SELECT ctid FROM p_state WHERE tbl = c.tbl AND k IS NOT DISTINCT FROM r.row_key::text AND img::text = r.old_data::text LIMIT 1)
						RETURNING img INTO cur;
				ELSE
					DELETE FROM p_state WHERE tbl = c.tbl AND k = r.row_key::text RETURNING img INTO cur;
				END IF;
				IF cur IS NULL THEN
					found_problems := found_problems || format('%s %s: %s of %s with an old image that is not the one before it', c.tbl, r.audit_id, r.op, r.row_key);
					was_there := false;
				END IF;
			ELSIF r.op = 'I' THEN
				IF r.old_data IS NOT NULL THEN
					found_problems := found_problems || format('%s %s: an old image in an I', c.tbl, r.audit_id);
				END IF;
			ELSE
				found_problems := found_problems || format('%s %s: op %s', c.tbl, r.audit_id, r.op);
			END IF;
			IF r.op IN ('D', 'T') AND r.new_data IS NOT NULL OR c.mode = 'new' AND r.old_data IS NOT NULL THEN
				found_problems := found_problems || format('%s %s: an image that does not belong there', c.tbl, r.audit_id);
			END IF;
			CONTINUE WHEN r.op IN ('D', 'T');
			-- what is there now
			IF r.op = 'U' AND c.mode = 'delta' THEN
				IF NOT was_there OR r.old_data IS NULL OR r.new_data IS NULL OR cur @> r.old_data IS NOT TRUE OR r.old_data::text <> changed_part(r.old_data, r.new_data)::text
					OR key_of(cur, ARRAY(SELECT jsonb_object_keys(r.old_data)))::text <> r.old_data::text OR key_of(r.new_data, ARRAY(SELECT jsonb_object_keys(r.old_data)))::text <> r.new_data::text
				THEN
					found_problems := found_problems || format('%s %s: a wrong delta: %s -> %s', c.tbl, r.audit_id, r.old_data, r.new_data);
				END IF;
				cur := cur || r.new_data;
			ELSE
				cur := r.new_data;
			END IF;
			new_key := key_of(cur, c.keys);
			IF r.op = 'I' AND r.row_key IS DISTINCT FROM new_key THEN
				found_problems := found_problems || format('%s %s: the key of an I is %s', c.tbl, r.audit_id, r.row_key);
			END IF;
			IF c.keys <> '{}' AND c.tbl <> 'p_defer' AND EXISTS (SELECT FROM p_state WHERE tbl = c.tbl AND k = new_key::text) THEN
				found_problems := found_problems || format('%s %s: %s makes %s, which is there', c.tbl, r.audit_id, r.op, new_key);
			END IF;
			INSERT INTO p_state VALUES (c.tbl, new_key::text, cur);
		END LOOP;

		-- replayed = real
		EXECUTE format('WITH real AS (SELECT images_of(%L)::text), replayed AS (SELECT img::text FROM p_state WHERE tbl = %L)
			SELECT left(string_agg(x, E''\n''), 3000) FROM ((SELECT ''only in the table:  '' || t FROM (TABLE real EXCEPT ALL TABLE replayed) a (t)) UNION ALL
				(SELECT ''only in the replay: '' || t FROM (TABLE replayed EXCEPT ALL TABLE real) b (t))) d (x)', c.tbl, c.tbl) INTO diff;
		IF diff IS NOT NULL THEN
			found_problems := found_problems || format(E'%s: the replay is not the table\n%s', c.tbl, diff);
			DELETE FROM p_state WHERE tbl = c.tbl;
			INSERT INTO p_state SELECT c.tbl, key_of(i, c.keys)::text, i FROM images_of(c.tbl) i;
		END IF;

		-- logged = witnessed
		IF witnessed THEN
			EXECUTE format($q$
				WITH seen AS (SELECT op, CASE WHEN $2 = 'new' OR op = 'I' THEN NULL WHEN $2 = 'delta' AND op = 'U' THEN changed_part(old, new) ELSE old END::text AS old,
						CASE WHEN $2 = 'new' AND op = 'T' THEN NULL WHEN $2 = 'delta' AND op = 'U' THEN changed_part(new, old) ELSE new END::text AS new, key_of(coalesce(old, new), $3)::text AS key
					FROM p_witness WHERE tbl = %2$L AND ($4 = 'rows' OR op <> 'T') AND ($2 <> 'delta' OR op <> 'U' OR old::text <> new::text)),
				logged AS (SELECT op, old_data::text, new_data::text, row_key::text FROM %1$I WHERE audit_id > $1 AND ($4 = 'rows' OR op <> 'T'))
				SELECT left(string_agg(x, E'\n'), 3000) FROM ((SELECT 'only witnessed: ' || to_json(a) FROM (TABLE seen EXCEPT ALL TABLE logged) a) UNION ALL
					(SELECT 'only logged:    ' || to_json(b) FROM (TABLE logged EXCEPT ALL TABLE seen) b)) d (x)$q$, c.tbl || '_audit', c.tbl) USING c.mark, c.mode, c.keys, c.truncation INTO diff;
			IF diff IS NOT NULL THEN
				found_problems := found_problems || format(E'%s: the log is not what the witness saw\n%s', c.tbl, diff);
			END IF;
		END IF;

		-- coverage, for the assertions at the end
		EXECUTE format('INSERT INTO p_seen SELECT %L || op, count(*) FROM %I WHERE audit_id > $1 GROUP BY op ON CONFLICT (what) DO UPDATE SET n = p_seen.n + excluded.n', c.mode || ' ', c.tbl || '_audit') USING c.mark;
		EXECUTE format('UPDATE p_conf SET mark = (SELECT coalesce(max(audit_id), 0) FROM %I) WHERE tbl = $1', c.tbl || '_audit') USING c.tbl;
	END LOOP;
	TRUNCATE p_witness;

	-- row moves are linked, both ends within the same command, one to one; no statement here that moves a row changes f8
	WITH part AS (SELECT * FROM p_part_audit WHERE audit_id > moves_mark),
		links AS (SELECT i.audit_id, i.op = 'I' AND d.op = 'D' AND d.note -> 'moved' = 'true' AND d.transaction_id = i.transaction_id AND d.command_id = i.command_id AND (d.old_data -> 'f8')::text = (i.new_data -> 'f8')::text
			AND count(*) OVER (PARTITION BY d.audit_id) = 1 AS good FROM part i LEFT JOIN part d ON d.audit_id = (i.note ->> 'moved_from')::bigint WHERE i.note ? 'moved_from')
	SELECT string_agg(audit_id::text, ', ') INTO diff FROM links WHERE good IS NOT TRUE;
	IF diff IS NOT NULL THEN
		found_problems := found_problems || format('row moves with a wrong link: %s', diff);
	END IF;
	-- only a destination that refuses the row (id % 7 = 0) leaves a D without its I
	WITH part AS (SELECT * FROM p_part_audit WHERE audit_id > moves_mark)
	SELECT string_agg(audit_id::text, ', ') INTO diff FROM part d WHERE note -> 'moved' = 'true' AND NOT EXISTS (SELECT FROM part i WHERE (i.note ->> 'moved_from')::bigint = d.audit_id)
		AND (row_key ->> 'id')::int % 7 <> 0 AND ((row_key ->> 'id')::int + 20) % 7 <> 0;
	IF diff IS NOT NULL THEN
		found_problems := found_problems || format('row moves that nobody is linked to: %s', diff);
	END IF;

	-- one row for each writing transaction and none for others
	WITH bad AS (INSERT INTO p_reported
		SELECT transaction_id FROM plinth_audit.transaction x FULL JOIN (
			SELECT transaction_id FROM p_full_audit UNION SELECT transaction_id FROM p_delta_audit UNION SELECT transaction_id FROM p_new_audit UNION SELECT transaction_id FROM p_child_audit
			UNION SELECT transaction_id FROM p_nokey_audit UNION SELECT transaction_id FROM p_defer_audit UNION SELECT transaction_id FROM p_order_audit UNION SELECT transaction_id FROM p_part_audit) l
			USING (transaction_id)
		WHERE (x.started_at IS NULL OR l.transaction_id IS NULL) AND transaction_id NOT IN (TABLE p_reported)
		RETURNING xid)
	SELECT string_agg(xid::text, ', ') INTO diff FROM bad;
	IF diff IS NOT NULL THEN
		found_problems := found_problems || format('transactions with rows in a log and none in plinth_audit.transaction, or the reverse: %s', diff);
	END IF;

	IF found_problems = '{}' THEN
		RETURN '';
	END IF;
	RETURN array_to_string(found_problems, E'\n') || coalesce(E'\nscript:\n' || (SELECT string_agg(left(stmt, 600) || ';', E'\n' ORDER BY i) FROM p_script WHERE p_script.n = script), '');
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Run
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE p_script (n int, i bigint, stmt text);
DO $$ BEGIN PERFORM setseed(0.5); END $$;
INSERT INTO p_script SELECT n, i, stmt FROM generate_series(1, :scripts) n, LATERAL unnest(one_script((n + :seed) % 1000)) WITH ORDINALITY s (stmt, i);
INSERT INTO p_script SELECT n, i - 1000, stmt FROM generate_series(12, :scripts, 12) n, LATERAL unnest(ddl(n / 12 - 1) || 'CALL public.resync()'::text) WITH ORDINALITY s (stmt, i);

-- Rows that were there before anybody looked.
INSERT INTO p_full (id, tx, nu, a4) SELECT g, 'before', 1.50, '{1,2}' FROM generate_series(1, 20) g;
INSERT INTO p_delta (id, tx, tt) SELECT g, 'before', 'infinity' FROM generate_series(1, 20) g;
INSERT INTO p_new (id, tx, by) SELECT g, 'before', '\xdead' FROM generate_series(1, 20) g;
INSERT INTO p_part (region, id, f8) SELECT (ARRAY['a', 'b', 'c', 'd'])[g % 4 + 1], g, 0.1 FROM generate_series(1, 30) g;
INSERT INTO p_order SELECT g, g FROM generate_series(1, 25) g;

SELECT is(count(plinth_audit.enable(tbl::text::regclass, mode => mode, truncate => truncation)), 8::bigint, 'enabled') FROM p_conf;
INSERT INTO p_state SELECT tbl, key_of(i, keys)::text, i FROM p_conf, images_of(tbl) i;
SET p.witness = on;
SELECT is(problems(0), '', 'nothing is logged before the first change');

\set ON_ERROR_STOP off
-- Statements that fail take their transaction with them in the first half, and only themselves in the second.
\set ON_ERROR_ROLLBACK off
SELECT stmt FROM (
	SELECT n, i, stmt FROM p_script UNION ALL
	SELECT n, 100000, format('SELECT is(problems(%s), '''', ''script %s'')', n, n) FROM generate_series(1, :scripts) n
) s WHERE n <= :scripts / 2 ORDER BY n, i \gexec
\set ON_ERROR_ROLLBACK on
SELECT stmt FROM (
	SELECT n, i, stmt FROM p_script UNION ALL
	SELECT n, 100000, format('SELECT is(problems(%s), '''', ''script %s'')', n, n) FROM generate_series(1, :scripts) n
) s WHERE n > :scripts / 2 ORDER BY n, i \gexec
\set ON_ERROR_ROLLBACK off
RESET ALL;
SET client_min_messages = error;
SET p.witness = on;
\set ON_ERROR_STOP on

----------------------------------------------------------------------------------------------------------------------
-- A judge that finds nothing must have had something to look at, and must be able to find
----------------------------------------------------------------------------------------------------------------------

SELECT diag(what || ': ' || n) FROM p_seen ORDER BY what;
SELECT is(ARRAY(SELECT m || ' ' || o FROM unnest('{full,delta,new}'::text[]) m, unnest('{I,U,D,T}'::text[]) o EXCEPT SELECT what FROM p_seen WHERE n > 2), '{}', 'each kind of record was seen in each mode');
SELECT cmp_ok((SELECT sum(n) FROM p_seen), '>', 5000::numeric, 'enough records were looked at');
SELECT cmp_ok((SELECT count(*) FROM p_part_audit WHERE note ? 'moved_from'), '>', 20::bigint, 'rows were moved between partitions');

INSERT INTO p_full (id, nu) VALUES (5001, 1.0);
UPDATE p_full_audit SET new_data = jsonb_set(new_data, '{nu}', '1.00') WHERE audit_id = (SELECT max(audit_id) FROM p_full_audit);
SELECT matches(problems(0), 'the replay is not the table.*the log is not what the witness saw', 'the judge sees a forged image');
UPDATE p_full SET nu = 7 WHERE id = 5001;
UPDATE p_full_audit SET op = 'U', old_data = old_data || '{"i4": 3}' WHERE audit_id = (SELECT max(audit_id) FROM p_full_audit);
SELECT matches(problems(0), 'old image that is not the one before', 'the judge sees a wrong old image');
INSERT INTO p_order VALUES (5001);
DELETE FROM p_order_audit WHERE row_key = '{"id": 5001}';
SELECT matches(problems(0), 'p_order: the replay is not the table', 'the judge sees a missing record');

-- Leave no file behind.
SELECT format('COPY (SELECT 1) TO PROGRAM %L', format('cat > /dev/null; rm -f "%s"', current_setting('data_directory') || '/plinth_audit_property.copy')) \gexec
SELECT * FROM finish();
