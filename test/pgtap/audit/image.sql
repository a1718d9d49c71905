-- The image of a row is byte for byte to_jsonb(row) under pinned settings, for every type and every column, whatever the
-- session has set, and no value makes the audited statement fail.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(103);
SELECT current_setting('server_version_num')::int >= 180000 AS is18 \gset

-- What the image of each row of a table must be, as text.
CREATE FUNCTION images_of(tbl regclass) RETURNS SETOF text LANGUAGE plpgsql
	SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
	SET quote_all_identifiers = off SET TimeZone = 'UTC' SET search_path = ''
AS $$
BEGIN
	RETURN QUERY EXECUTE pg_catalog.format('SELECT pg_catalog.to_jsonb(whole_row)::text FROM ONLY %s whole_row', tbl);
END $$;
CREATE FUNCTION same_images(tbl text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	diff text;
BEGIN
	EXECUTE format('WITH logged AS (SELECT new_data::text FROM %s WHERE op = ''I''), real AS (SELECT images_of(%L)) SELECT left(string_agg(to_json(d)::text, E''\n''), 2000)
		FROM ((SELECT ''only logged'', l FROM (TABLE logged EXCEPT ALL TABLE real) l) UNION ALL (SELECT ''only in the table'', r FROM (TABLE real EXCEPT ALL TABLE logged) r)) d', tbl || '_audit', tbl) INTO diff;
	RETURN is(diff, NULL, description);
END $$;

-- The session is as odd as it can be.  lc_monetary only where the system has another locale.
CREATE FUNCTION be_odd() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('DateStyle', 'SQL, DMY', false), set_config('IntervalStyle', 'iso_8601', false), set_config('extra_float_digits', '-9', false), set_config('bytea_output', 'escape', false),
		set_config('TimeZone', 'Asia/Tokyo', false), set_config('quote_all_identifiers', 'on', false), set_config('search_path', 'public, pgtap, pg_catalog, plinth_audit, information_schema', false),
		set_config('xmlbinary', 'hex', false);
	BEGIN
		PERFORM set_config('lc_monetary', 'en_US.UTF-8', false);
	EXCEPTION WHEN OTHERS THEN NULL;
	END;
END $$;
CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
	WHERE name IN ('DateStyle', 'IntervalStyle', 'extra_float_digits', 'bytea_output', 'TimeZone', 'quote_all_identifiers', 'search_path', 'lc_monetary', 'row_security', 'session_replication_role') $$;

----------------------------------------------------------------------------------------------------------------------
-- Each type by itself
----------------------------------------------------------------------------------------------------------------------

CREATE TYPE mood AS ENUM ('sad', 'so "happy"', 'ünï''s \');
CREATE TYPE comp AS (a int, "B b" text, c timestamptz, d numeric);
CREATE TYPE nest AS (x comp, y comp[], z jsonb, w float8, v bytea);
CREATE TYPE textrange AS RANGE (subtype = text);
-- What a range prints is made by output functions: they depend on settings that its own type does not show.
CREATE TYPE inner_comp AS (b bytea, t timestamptz, f float8, i interval, r regclass, m money, d date);
CREATE TYPE byterange AS RANGE (subtype = bytea);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE TYPE ivrange AS RANGE (subtype = interval);
CREATE TYPE moneyrange AS RANGE (subtype = money);
CREATE TYPE tzarrayrange AS RANGE (subtype = timestamptz[]);
CREATE TYPE comprange AS RANGE (subtype = inner_comp);
CREATE DOMAIN dcomprange AS comprange;
CREATE TYPE nestrange AS (r comprange, a dcomprange[]);
CREATE TYPE rangerange AS RANGE (subtype = nestrange);
CREATE TYPE holes AS (a int, b text, c date);
ALTER TYPE holes DROP ATTRIBUTE b;
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN evenint AS posint CHECK (VALUE % 2 = 0);
CREATE DOMAIN dcomp AS comp CHECK ((VALUE).a IS DISTINCT FROM -1);
CREATE DOMAIN darr AS int[];
CREATE DOMAIN dcarr AS comp[];
CREATE DOMAIN djson AS json;
CREATE DOMAIN djsonb AS jsonb;
CREATE DOMAIN dtz AS timestamptz;
CREATE TABLE rowtype (a int, gone int, "Ü" text[], j json);
ALTER TABLE rowtype DROP COLUMN gone;

CREATE FUNCTION try_type(sql_type text, vals text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v text;
	expected text[];
	problem text;
BEGIN
	EXECUTE format('CREATE TABLE typed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v %s, w text DEFAULT ''tail'')', sql_type);
	PERFORM plinth_audit.enable('typed');
	FOREACH v IN ARRAY vals || NULL::text LOOP
		-- the input text itself, so that no cast changes what is stored
		EXECUTE format('INSERT INTO typed (v) VALUES (%L::%s)', v, sql_type);
	END LOOP;
	EXECUTE format('INSERT INTO typed (v) SELECT v FROM typed WHERE id <= %s', cardinality(vals));
	expected := ARRAY(SELECT i FROM images_of('typed') i ORDER BY i COLLATE "C");
	IF ARRAY(SELECT new_data::text COLLATE "C" FROM typed_audit ORDER BY 1) IS DISTINCT FROM expected THEN
		problem := format('I: %s, not %s', (SELECT array_agg(new_data::text ORDER BY audit_id) FROM typed_audit), expected);
	END IF;
	UPDATE typed SET w = 'x';
	IF ARRAY(SELECT old_data::text COLLATE "C" FROM typed_audit WHERE op = 'U' ORDER BY 1) IS DISTINCT FROM expected
		OR ARRAY(SELECT new_data::text COLLATE "C" FROM typed_audit WHERE op = 'U' ORDER BY 1) IS DISTINCT FROM ARRAY(SELECT i FROM images_of('typed') i ORDER BY i COLLATE "C") THEN
		problem := concat(problem, ' U differs');
	END IF;
	expected := ARRAY(SELECT i FROM images_of('typed') i ORDER BY i COLLATE "C");
	DELETE FROM typed WHERE id % 2 = 0;
	TRUNCATE typed;
	IF ARRAY(SELECT old_data::text COLLATE "C" FROM typed_audit WHERE op IN ('D', 'T') ORDER BY 1) IS DISTINCT FROM expected THEN
		problem := concat(problem, ' D or T differs');
	END IF;
	IF EXISTS (SELECT FROM typed_audit WHERE note IS NOT NULL) THEN
		problem := concat(problem, ' a note: ', (SELECT note FROM typed_audit WHERE note IS NOT NULL LIMIT 1));
	END IF;
	DROP TABLE typed, typed_audit;
	RETURN problem;
END $$;

CREATE TABLE tries (n int GENERATED ALWAYS AS IDENTITY, sql_type text, vals text[]);
INSERT INTO tries (sql_type, vals) VALUES
	('bool', '{t,f}'), ('int2', '{0,1,-1,32767,-32768,9999,10000,-10000}'), ('int4', '{0,1,-1,2147483647,-2147483648,9999,10000,99999999,100000000}'),
	('int8', '{0,1,-1,9223372036854775807,-9223372036854775808,10000,100000000,1000000000000,9999999999999999}'),
	('float4', '{0,-0,1,0.1,1.1,NaN,Infinity,-Infinity,3.4028235e38,1.17549435e-38,1e-45,16777217,1e15,1e16,1e5,1e6,1e7,0.0001,0.00001,123456.79}'),
	('float8', '{0,-0,1,0.1,0.30000000000000004,NaN,Infinity,-Infinity,1.7976931348623157e308,2.2250738585072014e-308,5e-324,9007199254740993,1e14,1e15,1e16,1e17,1e22,1e23,0.0001,0.00001,1e-10,123456789.123456789}'),
	('numeric', '{0,0.0,0.000,-0.0,1,1.0,1.00,-1.50,100,10000,1000000000,0.1,0.0001,0.00001,NaN,Infinity,-Infinity,123456789012345678901234567890.123456789012345678901234567890,1e100,1e-100,1e-16383,9999,10001,99990000,1e131071}'),
	('numeric(10,2)', '{0,1.5,-99999999.99,NaN}'), ('numeric(3,-2)', '{12345,99900}'), ('numeric(2,5)', '{0.00012}'),
	('text', ARRAY['', ' ', 'a', '"', '\', '\\', '\"', E'\n\r\t\b\f', E'\x01\x02\x03\x04\x05\x06\x07\x0b\x0e\x1f', E'\x7f', E'\u0080\u009f\u00a0\u00ad', 'ünï', '日本語', '😀👩‍👩‍👧', E'\u2028\u2029\uFEFF\uFFFE\uFFFF', '/', '</script>', '''', '$$ $a$',
		'null', 'true', '1', '{"a": 1}', '[]', '\u0000', '\u0041', '***', repeat('x', 126), repeat('x', 127), repeat('x', 128), repeat('é', 64), repeat('"\', 1000), repeat('q', 100000), E'\U0010FFFF']),
	('varchar', ARRAY['', 'v', 'é']), ('varchar(5)', ARRAY['', '12345', 'ééééé']), ('char(4)', ARRAY['', 'a', 'abcd', 'é', '"\']), ('char', ARRAY['x', '']), ('bpchar', ARRAY['q', 'q ', '']), ('"char"', ARRAY['a', '"', '\', ' ', E'\x01', E'\x7f', '']),
	('name', ARRAY['', 'x', repeat('n', 63), 'Ü"x', repeat('é', 31)]),
	('bytea', ARRAY['', '\x00', '\xdeadbeef', '\x5c', '\x7f80ff', '\x' || repeat('00ff', 5000)]), ('uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
	('date', ARRAY['2024-02-29', 'infinity', '-infinity', '0044-03-15 BC', '4714-11-24 BC', '5874897-12-31', '1970-01-01', '0001-01-01', '0001-12-31 BC', '9999-12-31', '10000-01-01']),
	('time', '{00:00:00,23:59:59.999999,24:00:00,12:34:56.7,04:05:06.000001}'), ('time(0)', '{00:00:01}'), ('time(3)', '{00:00:01.125}'),
	('timetz', '{00:00:00+00,23:59:59.999999-15:59,24:00:00+15:59,12:34:56.7+05:30,01:02:03-08,12:00:00+05:30:15}'), ('timetz(0)', '{00:00:00-03}'),
	('timestamp', ARRAY['2024-02-29 23:59:59.999999', 'infinity', '-infinity', '0044-03-15 12:00 BC', '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999', '1970-01-01', '2000-01-01 00:00:00.5', '12000-01-02 03:04:05', '1999-12-31 23:59:59.1']), ('timestamp(0)', ARRAY['2024-02-29 12:00']),
	('timestamptz', ARRAY['2024-02-29 23:59:59.999999+00', 'infinity', '-infinity', '0044-03-15 12:00+00 BC', '4714-11-24 00:00+00 BC', '294276-12-31 23:59:59.999999+00', '1883-11-18 12:00+00', '2024-10-27 01:30+01', '2024-10-27 00:30+00', '12000-01-02 03:04:05+00', '2000-01-01 00:00:00.000001+00']), ('timestamptz(3)', ARRAY['2024-02-29 23:59:59.120+00']),
	('interval', ARRAY['0', '1 year 2 mons -3 days 04:05:06.789', '-1 year', '-00:00:00.000001', '1 mon', '30 days', '720:00:00', '178000000 years', '-178000000 years', '1 day -1 hour', '-1 mon 1 day', '2562047788:00:54.775807']), ('interval year to month', ARRAY['1 year 2 mons']), ('interval second(2)', ARRAY['1.25']),
	('json', ARRAY['{}', '[]', 'null', '1', '1.0', '-0.0', '1e2', '1E+400', '"s"', 'true', '{"b": 1, "a": [1, {"c": null}], "": ""}', '{"a": 1, "a": 2, "a": {"b": 1, "b": 2}}', '"\u00e9\n\"\\\/\u0001"', '"\ud83d\ude00"', E'\n[ 1 ,\t2 ]\n', '{"aa":1,"b":2,"ccc":{"z":[[[]]]}}', '"\\u0000"']),
	('jsonb', ARRAY['{}', '[]', 'null', '1', '1.0', '1.00', '1e2', '1e400', '"s"', 'true', '{"b": 1, "a": [1, {"c": null}], "": ""}', '"\u00e9\n\"\\\/\u0001"', '[[], {}, [{}], "", null, true, false]', '{"k":{"k":{"k":{"k":[1,[2,[3,[4]]]]}}}}', (SELECT jsonb_object_agg('key' || g, g)::text FROM generate_series(1, 500) g), (SELECT jsonb_agg(g::numeric)::text FROM generate_series(1, 500) g), '[1,"a",1.5,"bb",1.50,"ccc",10000,"\u00e9",1e10]']),
	('inet', '{0.0.0.0,192.168.1.1/24,10.0.0.1,::1,2001:db8::ff00:42:8329/64,255.255.255.255,::ffff:1.2.3.4}'), ('cidr', '{0.0.0.0/0,10.0.0.0/8,2001:db8::/32}'), ('macaddr', '{08:00:2b:01:02:03}'), ('macaddr8', '{08:00:2b:01:02:03:04:05}'),
	('money', ARRAY['0', '-1.50', '1234567.89', '92233720368547758.07', '-92233720368547758.08']), ('bit(5)', '{00000,10101}'), ('bit', '{1}'), ('varbit', ARRAY['', '1', '101010101010101010101']), ('varbit(3)', ARRAY['', '101']),
	('point', ARRAY['(1,2)', '(NaN,Infinity)', '(1e-300,0.30000000000000004)', '(-0,1e20)']), ('line', ARRAY['{1,2,3}', '{0.1,-1,0}']), ('lseg', ARRAY['[(0,0),(1.1,1)]']), ('box', ARRAY['(1,1),(0,0)', '(0.30000000000000004,2),(-1,-2)']), ('path', ARRAY['[(0,0),(1,1)]', '((0,0),(1,1),(2,0.1))']),
	('polygon', ARRAY['((0,0),(1,1),(2,0))']), ('circle', ARRAY['<(0,0),1>', '<(0.1,0.2),0.30000000000000004>']),
	('int4range', ARRAY['empty', '[1,5)', '(,)', '[1,)', '(,7)']), ('int8range', ARRAY['[1,9223372036854775807)']), ('numrange', ARRAY['[1.0,2.00]', '(NaN,)', '[0.10,Infinity)']), ('tsrange', ARRAY['[2024-01-31 12:00,2024-02-01 00:00)', '[-infinity,infinity]', '["0044-03-15 BC",)']),
	('tstzrange', ARRAY['[2024-03-04 12:00+00,2024-05-01 00:00+00)', '(,infinity)', 'empty', '["0044-03-15 00:00+00 BC",)']), ('daterange', ARRAY['[2024-01-31,2024-02-05)', '(,)', '["0044-03-15 BC",)']), ('textrange', ARRAY['[a,b)', '["a""b","c\\d")', '["",)', '(" ",)']),
	('int4multirange', ARRAY['{}', '{[1,3),[5,7)}', '{(,)}']), ('tstzmultirange', ARRAY['{}', '{[2024-03-04 12:00+00,2024-05-01 00:00+00),[2025-01-01 00:00+00,)}']), ('datemultirange', ARRAY['{[2024-01-31,2024-02-05)}']), ('nummultirange', ARRAY['{[1.0,2.00]}']),
	('bool[]', ARRAY['{t,f,NULL}', '{}']), ('int2[]', ARRAY['{1,NULL,-3}']), ('int4[]', ARRAY['{}', '{1,2,3}', '{NULL}', '{{1,2},{3,4}}', '{{{1},{2}},{{3},{NULL}}}', '[5:6]={8,9}', '[0:1][-2:-1]={{1,2},{3,NULL}}', (SELECT array_agg(g)::text FROM generate_series(1, 3000) g)]), ('int8[]', ARRAY['{9223372036854775807}']),
	('float4[]', ARRAY['{0.1,NaN,-0}']), ('float8[]', ARRAY['{NaN,Infinity,0.1,1e-7,-Infinity,1e16,-0}']), ('numeric[]', ARRAY['{1.0,1.00,NaN,NULL,Infinity}']), ('text[]', ARRAY['{}', '{a,"b c",NULL,"NULL","",",","\"","\\","{"}', '{{a,b},{c,"é\n"}}', '{"😀"}']), ('varchar(3)[]', ARRAY['{abc,NULL}']), ('char(3)[]', ARRAY['{a,NULL}']), ('name[]', '{"{x,y}"}'), ('"char"[]', '{"{x,y}"}'),
	('bytea[]', ARRAY['{"\\xdeadbeef","\\x",NULL}']), ('uuid[]', '{"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"}'), ('date[]', '{"{2024-01-31,infinity,NULL}"}'), ('time[]', '{"{12:00}"}'), ('timetz[]', '{"{12:00+01}"}'), ('timestamp[]', ARRAY['{"2024-02-29 12:00",infinity,"0044-03-15 BC"}']), ('timestamptz[]', ARRAY['{"2024-02-29 23:59:59.999999+00",infinity,NULL,"0044-03-15 12:00+00 BC"}']), ('interval[]', ARRAY['{"1 year 2 mons","-3 days 04:05:06"}']),
	('json[]', ARRAY['{"{\"a\":   1, \"a\": 2}","null",NULL}', '{}']), ('jsonb[]', ARRAY['{"{\"a\": [1.0, 2.00]}","null","[]",NULL}', '{}']), ('inet[]', '{"{10.0.0.1,::1/64}"}'), ('money[]', ARRAY['{1.50,NULL}']), ('bit(3)[]', '{"{101,NULL}"}'), ('point[]', ARRAY['{"(1,2)","(0.1,NaN)"}']), ('box[]', ARRAY['{(1,1),(0,0);(2,2),(1,1)}']), ('int4range[]', ARRAY['{"[1,5)",empty,NULL}']), ('int4multirange[]', ARRAY['{"{[1,3),[5,7)}",NULL}']),
	('mood', ARRAY['sad', 'so "happy"', 'ünï''s \']), ('mood[]', ARRAY['{sad,"so \"happy\"",NULL}']), ('comp', ARRAY['(1,"x ""y""","2024-02-29 12:00+00",1.00)', '(,,,)', '(-5,"",infinity,NaN)']), ('comp[]', ARRAY['{"(1,\"x,y\",\"2024-02-29 12:00+00\",1.00)",NULL,"(,,,)"}', '{}', '{{"(1,a,,)"},{"(2,b,,NaN)"}}']),
	('nest', ARRAY['("(1,x,""2024-02-29 12:00+00"",1.50)","{""(2,y,,)"",NULL}","{""k"": [1.0]}",0.1,"\\xdead")', '(,,,,)', '(,{},null,NaN,)']), ('holes', ARRAY['(1,2024-02-29)', '(,)']), ('rowtype', ARRAY['(1,"{a,NULL}","{""x"":   1}")', '(,,)']), ('rowtype[]', ARRAY['{"(1,,)",NULL}']),
	('posint', '{1}'), ('evenint', '{2}'), ('posint[]', '{"{1,NULL}"}'), ('dcomp', ARRAY['(7,dom,"1999-12-31 23:59:59+00",0.0)', '(,,,)']), ('dcomp[]', ARRAY['{"(7,dom,,0.0)",NULL}']), ('darr', ARRAY['{1,2}', '{}', '{{1},{NULL}}']), ('dcarr', ARRAY['{"(1,,,)"}']), ('djson', ARRAY['{"a":1,"a":2}', 'null']), ('djsonb', ARRAY['{"d": [1.10]}', 'null']), ('dtz', ARRAY['2024-02-29 23:59:59+00', 'infinity']),
	('inner_comp', ARRAY['("\\xdead","2024-02-29 12:00+00",0.1,"1 year -2 days",pg_class,1.50,0044-03-15 BC)']), ('byterange', ARRAY['["\\x00","\\xff")']), ('floatrange', ARRAY['[0.1,0.30000000000000004)']), ('ivrange', ARRAY['["1 day 01:00","1 mon")']), ('moneyrange', ARRAY['[1.50,2)']), ('tzarrayrange', ARRAY['["{""2024-02-29 12:00+00"",infinity}",)']),
	('comprange', ARRAY['["(""\\\\xdead"",""2024-02-29 12:00+00"",0.1,""1 year -2 days"",typed,1.50,2024-02-29)",)']), ('dcomprange', ARRAY['["(""\\\\xdead"",,0.1,""1 year"",,,infinity)",)']), ('byterange[]', ARRAY['{"[\"\\\\x00\",)"}']), ('bytemultirange', ARRAY['{["\\x00","\\xff")}']), ('compmultirange', ARRAY['{["(""\\\\xdead"",""2024-02-29 12:00+00"",0.1,,,,)",)}']),
	('rangerange', ARRAY['["(""[\"\"(\"\"\"\"\\\\\\\\xdead\"\"\"\",\"\"\"\"2024-02-29 12:00+00\"\"\"\",0.1,,,,)\"\",)"",)",)']),
	('tsvector', ARRAY['', 'a b c', '''a'':1A ''b'':2,3B', '''it''''s'' ''\\'':9']), ('tsquery', ARRAY['a & b', 'a <-> !b | ''c''''d'':*A', '']),
	('oid', '{0,4294967295}'), ('regclass', '{pg_class,typed,public.rowtype,4000000000,-}'), ('regtype', ARRAY['int4', 'mood', 'timestamp with time zone', 'comp[]', '"char"', '-']), ('regproc', '{pg_catalog.now,public.try_type,-}'), ('regprocedure', ARRAY['pg_catalog.abs(int4)', 'public.try_type(text,text[])']),
	('regoper', ARRAY['||/', 'pg_catalog.|/']), ('regoperator', ARRAY['pg_catalog.+(int4,int4)', '-(NONE,int4)']), ('regrole', '{postgres,-}'), ('regnamespace', '{public,pg_catalog}'), ('regconfig', '{english}'), ('regdictionary', '{simple}'), ('regcollation', ARRAY['"C"', 'pg_catalog."default"']), ('regclass[]', ARRAY['{pg_class,public.rowtype}']),
	('pg_lsn', '{0/0,FFFFFFFF/FFFFFFFF}'), ('xid8', '{0,18446744073709551615}'), ('xid', '{0,4294967295}'), ('cid', '{0,3}'), ('tid', ARRAY['(0,1)', '(4294967295,65535)']), ('pg_snapshot', ARRAY['10:20:10,14,15', '1:1:']), ('txid_snapshot', ARRAY['10:20:10,14']), ('jsonpath', ARRAY['$.a[*] ? (@ > 1)', 'strict $."b \" c"']),
	('int2vector', ARRAY['1 2 3', '']), ('oidvector', ARRAY['1 2', '']), ('refcursor', ARRAY['cur', 'a "b"']), ('aclitem', ARRAY['postgres=r/postgres']), ('aclitem[]', ARRAY['{postgres=r/postgres,=r*/postgres}']), ('information_schema.yes_or_no', '{YES}'), ('information_schema.cardinal_number', '{7}');
SELECT be_odd();
SELECT is(string_agg(sql_type || ': ' || problem, E'\n'), NULL, 'image of ' || string_agg(sql_type, ', ' ORDER BY n)) FROM (SELECT n, sql_type, try_type(sql_type, vals) AS problem FROM tries) t GROUP BY (n - 1) / 8 ORDER BY (n - 1) / 8;
CREATE FUNCTION try_xml() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM xml '<a/>';
	RETURN is(try_type('xml', ARRAY['<a/>', '<a b="c">d &amp; é</a>', 'text only', '<?xml version="1.0" encoding="UTF-8"?><r/>', '']), NULL, 'image of xml');
EXCEPTION WHEN feature_not_supported THEN
	RETURN skip('this server is built without xml', 1);
END $$;
SELECT try_xml();

-- The settings of the session are what they were, also after an error in the statement or in a function that it calls.
SELECT settings() AS before \gset
CREATE TABLE unmoved (id int PRIMARY KEY, f float8, t timestamptz, b bytea, r regclass);
SELECT plinth_audit.enable('unmoved') IS NULL AS ignored \gset
INSERT INTO unmoved VALUES (1, 0.1, now(), '\\x00', 'unmoved'), (2, 0.2, now(), '\\xff', 'pg_class');
SELECT throws_ok('INSERT INTO unmoved VALUES (3, 0.1, now()), (1, 0.1, now())', '23505', NULL, 'a statement that fails half way');
SELECT is(settings(), :'before', 'the session''s settings are what they were');
CREATE FUNCTION sees() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (settings()); RETURN NULL; END $$;
CREATE TABLE seen (s text);
CREATE TRIGGER zz AFTER INSERT ON unmoved FOR EACH ROW EXECUTE FUNCTION sees();
INSERT INTO unmoved VALUES (4, 0.1, now());
SELECT is((SELECT s FROM seen), :'before', 'also within the triggers that fire after ours');

----------------------------------------------------------------------------------------------------------------------
-- Values that jsonb cannot hold
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE refused (id int PRIMARY KEY, j json, js json[], c rowtype, d djson, jb jsonb, t text);
SELECT plinth_audit.enable('refused') IS NULL AS ignored \gset
CREATE FUNCTION refused_ok(v text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	TRUNCATE refused;
	DELETE FROM refused_audit;
	BEGIN
		INSERT INTO refused (id, j, t) VALUES (1, v::json, 'tail');
		UPDATE refused SET t = 'other';
		DELETE FROM refused;
	EXCEPTION WHEN OTHERS THEN
		RETURN NEXT fail(format('%s: the statement fails: %s', what, sqlerrm));
		RETURN;
	END;
	SELECT * INTO r FROM refused_audit WHERE op = 'I';
	RETURN NEXT is(r.new_data, jsonb_build_object('id', 1, 'j', v, 'js', NULL, 'c', NULL, 'd', NULL, 'jb', NULL, 't', 'tail'), what || ' is kept as the string of its text');
	RETURN NEXT ok(r.note #>> '{replaced,new,j}' <> '' AND NOT r.note -> 'replaced' ? 'old', what || ' is named in note, with a reason');
	SELECT * INTO r FROM refused_audit WHERE op = 'U';
	RETURN NEXT is(jsonb_build_array(r.old_data -> 'j', r.new_data -> 'j', r.note #>> '{replaced,new,j}' <> '', r.note #>> '{replaced,old,j}' <> ''), jsonb_build_array(v, v, true, true), what || ' in both images of an update');
	SELECT * INTO r FROM refused_audit WHERE op = 'D';
	RETURN NEXT is(jsonb_build_array(r.old_data -> 'j', r.note #>> '{replaced,old,j}' <> ''), jsonb_build_array(v, true), what || ' in a delete');
END $$;
SELECT refused_ok('{"a": "x\u0000y"}', 'json with \u0000');
SELECT refused_ok('{"a\u0000": 1}', 'json with \u0000 in a name');
SELECT refused_ok('[1e1000000]', 'json with a number that numeric refuses');
SELECT refused_ok('[1, -1E-999999999]', 'json with a number too small');
SELECT refused_ok('"\ud800"', 'json with half a surrogate pair');
SELECT refused_ok('["\udc00\ud800"]', 'json with surrogates in the wrong order');

TRUNCATE refused;
DELETE FROM refused_audit;
SELECT lives_ok($$ INSERT INTO refused VALUES (1, '{"fine": 1}', ARRAY['{"a": "\u0000"}', '1']::json[], NULL, '"\u0000"', '{"b": 1}', 'x') $$, 'json that jsonb refuses, in an array and a domain');
SELECT lives_ok($$ INSERT INTO refused VALUES (2, NULL, NULL, ROW (1, '{a}', '"\u0000"')) $$, 'and in a composite');
SELECT ok(n.note #> '{replaced,new}' ?& '{js,d}' AND NOT n.note #> '{replaced,new}' ?| '{j,jb,t,c}', 'the columns are named in note, and no other') FROM refused_audit n WHERE row_key = '{"id": 1}';
SELECT is(new_data - '{js,d}'::text[], '{"id": 1, "j": {"fine": 1}, "c": null, "jb": {"b": 1}, "t": "x"}', 'and the rest is as it is') FROM refused_audit WHERE row_key = '{"id": 1}';
SELECT ok(note #> '{replaced,new}' ? 'c' AND new_data::text LIKE '%u0000%', 'nothing of the composite is lost') FROM refused_audit WHERE row_key = '{"id": 2}';

-- Deep nesting.
CREATE TABLE deep (id int PRIMARY KEY, j json, jb jsonb);
SELECT plinth_audit.enable('deep') IS NULL AS ignored \gset
INSERT INTO deep VALUES (1, (repeat('[', 1000) || repeat(']', 1000))::json, (repeat('{"a":', 1000) || '1' || repeat('}', 1000))::jsonb);
SELECT same_images('deep', 'json and jsonb, 1000 levels deep');
SELECT lives_ok($$ INSERT INTO deep (id, j) VALUES (2, (repeat('[', 5000) || repeat(']', 5000))::json) $$, 'json 5000 levels deep');
SELECT lives_ok($$ UPDATE deep SET id = id + 10 $$, 'and an update of it');

-- Too large for jsonb (a string has less than 2^28 bytes).  One column that is too long, another that is as long as allowed makes the object too large.
CREATE TABLE big (id int PRIMARY KEY, v text, w text DEFAULT 'tail');
SELECT plinth_audit.enable('big') IS NULL AS ignored \gset
SELECT lives_ok($$ INSERT INTO big VALUES (1, repeat('x', 268435456 + 10)) $$, 'a text of more than 256 MB can be written');
SELECT is(jsonb_build_array(length(new_data ->> 'v'), left(new_data ->> 'v', 10), new_data -> 'w', new_data -> 'id'), '[1048576, "xxxxxxxxxx", "tail", 1]', 'its image is the first megabyte, the rest is whole') FROM big_audit WHERE op = 'I';
SELECT is((SELECT note FROM big_audit WHERE op = 'I'), jsonb_build_object('cut', jsonb_build_object('new', jsonb_build_object('v', jsonb_build_object('bytes', 268435466, 'sha256', encode(sha256(v::bytea), 'hex'))))), 'the note has its length and digest') FROM big;
SELECT lives_ok($$ DELETE FROM big $$, 'and it can be deleted');
SELECT ok((SELECT note #>> '{cut,old,v,bytes}' = '268435466' FROM big_audit WHERE op = 'D'), 'with a note');
SELECT lives_ok($$ INSERT INTO big VALUES (2, repeat('é', 70000000), repeat('y', 140000000)) $$, 'two texts that are too large together can be written');
SELECT ok((SELECT note -> 'cut' -> 'new' ?| '{v,w}' AND new_data ? 'v' AND new_data ? 'w' AND new_data -> 'id' = '2' FROM big_audit WHERE row_key = '{"id": 2}'), 'with a note on what was cut');
DROP TABLE big, big_audit;
CREATE TABLE big (id int PRIMARY KEY, v bytea);
ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
SELECT plinth_audit.enable('big') IS NULL AS ignored \gset
SELECT lives_ok($$ INSERT INTO big VALUES (1, decode(repeat('00', 134217728 + 10), 'hex')) $$, 'a bytea of more than 128 MB, whose text is too long, can be written');
SELECT ok((SELECT note -> 'cut' -> 'new' ? 'v' AND length(new_data ->> 'v') <= 1048576 + length('\x') FROM big_audit), 'and is cut, with a note');
DROP TABLE big, big_audit;

-- Keys of jsonb objects and values: 2^28 is far, but a key column may be long.
CREATE TABLE longkey (k text PRIMARY KEY, v int);
SELECT plinth_audit.enable('longkey') IS NULL AS ignored \gset
INSERT INTO longkey SELECT string_agg(md5(g::text), ''), 1 FROM generate_series(1, 50) g;
INSERT INTO longkey SELECT string_agg(md5((g + 99)::text), ''), 2 FROM generate_series(1, 82) g;
UPDATE longkey SET v = 3;
SELECT is((SELECT array_agg(length(row_key ->> 'k') ORDER BY audit_id) FROM longkey_audit), '{1600,2624,1600,2624}', 'keys of 1600 and 2624 bytes');
SELECT is((SELECT count(*) FROM longkey JOIN longkey_audit ON row_key = jsonb_build_object('k', k)), 4::bigint, 'byte for byte');

-- The key is as independent of the session as the image.
CREATE TABLE oddkey (t timestamptz, b bytea, n numeric, i interval, r regclass, f float8, v int, PRIMARY KEY (t, b, n, i, r, f));
SELECT plinth_audit.enable('oddkey') IS NULL AS ignored \gset
INSERT INTO oddkey VALUES ('2024-02-29 12:00:00.5+00', '\x00ff', 1.50, '1 year 2 mons', 'oddkey', 0.1, 1);
RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits; RESET bytea_output; RESET TimeZone; RESET quote_all_identifiers;
UPDATE oddkey SET v = 2;
SELECT is((SELECT array_agg(DISTINCT row_key::text) FROM oddkey_audit), ARRAY['{"b": "\\x00ff", "f": 0.1, "i": "1 year 2 mons", "n": 1.50, "r": "public.oddkey", "t": "2024-02-29T12:00:00.5+00:00"}'], 'row_key is the same under all settings');
SELECT be_odd();

----------------------------------------------------------------------------------------------------------------------
-- TOAST
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE toasted (id int PRIMARY KEY, c text, e text, m text, j jsonb, js json, a text[], k comp, n int, b bytea);
ALTER TABLE toasted ALTER e SET STORAGE EXTERNAL, ALTER m SET STORAGE MAIN;
SELECT plinth_audit.enable('toasted') IS NULL AS ignored \gset
INSERT INTO toasted SELECT g, repeat('compressed ', 3000), (SELECT string_agg(md5((i * g)::text), '') FROM generate_series(1, 300) i), repeat('main"', 900), (SELECT jsonb_object_agg(md5(i::text), i * 1.50) FROM generate_series(1, 1000) i),
	(SELECT json_agg(md5(i::text)) FROM generate_series(1, 1000) i), ARRAY(SELECT md5(i::text) FROM generate_series(1, 1000) i), ROW (1, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i), now(), 1.0)::comp, 0, decode(repeat('c0ffee', 5000), 'hex') FROM generate_series(1, 5) g;
SELECT cmp_ok((SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'toasted'::regclass), '>', 50000::bigint, 'values are stored out of line');
SELECT same_images('toasted', 'values that are compressed or stored out of line, in an insert');
UPDATE toasted SET n = n + 1;
SELECT is((SELECT count(*) FROM toasted_audit u JOIN toasted_audit i ON i.op = 'I' AND u.op = 'U' AND u.row_key = i.row_key AND u.old_data::text = i.new_data::text AND u.new_data::text = (i.new_data || '{"n": 1}')::text), 5::bigint, 'in an update that leaves them alone');
UPDATE toasted SET c = c || '!', e = e || 'é', j = j || '{"more": 1.000}', a = a || 'x'::text;
SELECT bag_eq($$ SELECT new_data::text FROM (SELECT * FROM toasted_audit ORDER BY audit_id DESC LIMIT 5) l $$, $$ SELECT images_of('toasted') $$, 'in an update that changes them');
CREATE TEMP TABLE before AS SELECT images_of('toasted') AS i;
DELETE FROM toasted WHERE id < 3;
TRUNCATE toasted;
SELECT bag_eq($$ SELECT old_data::text FROM toasted_audit WHERE op IN ('D', 'T') $$, 'TABLE before', 'in a delete and a truncate');
SELECT is_empty($$ SELECT 1 FROM toasted_audit WHERE note IS NOT NULL $$, 'without a note');
VACUUM toasted;
SELECT is((SELECT count(DISTINCT length(new_data ->> 'e')) FROM toasted_audit WHERE op = 'I'), 1::bigint, 'the log does not depend on the table''s TOAST');
SELECT plinth_audit.alter('toasted', mode => 'delta') IS NULL AS ignored \gset
DELETE FROM toasted_audit;
INSERT INTO toasted SELECT 1, repeat('compressed ', 3000), string_agg(md5(i::text), '') FROM generate_series(1, 300) i;
UPDATE toasted SET n = 5;
UPDATE toasted SET e = e || '', c = repeat('compressed ', 3000);
UPDATE toasted SET e = e || 'x';
SELECT is((SELECT jsonb_agg(ARRAY(SELECT jsonb_object_keys(new_data)) ORDER BY audit_id) FROM toasted_audit WHERE op = 'U'), '[["n"], ["e"]]', 'delta sees through compression and out of line storage');

-- Values that PL/pgSQL holds in expanded form.
CREATE TABLE expanded (id int PRIMARY KEY, a int[], r comp);
SELECT plinth_audit.enable('expanded') IS NULL AS ignored \gset
DO $$
DECLARE
	a int[] := '{}';
	r comp;
BEGIN
	FOR i IN 1..100 LOOP
		a[i] := i;
	END LOOP;
	r.a := 5;
	r."B b" := 'x';
	INSERT INTO expanded VALUES (1, a, r);
	a[1] := 99;
	UPDATE expanded SET a = expanded.a || 1;
END $$;
SELECT is((SELECT new_data::text FROM expanded_audit WHERE op = 'U'), (SELECT images_of('expanded')), 'arrays and records in expanded form');

----------------------------------------------------------------------------------------------------------------------
-- Names of columns and tables
----------------------------------------------------------------------------------------------------------------------

SELECT repeat('c', 62) || '1' AS c1, repeat('c', 62) || '2' AS c2, repeat('é', 31) AS c3, repeat('t', 63) AS t1, repeat('t', 62) || '2' AS t2, repeat('s', 63) AS s1 \gset
SELECT format('CREATE TABLE names ("Id" int, %I int, %I int, %I int, %s, PRIMARY KEY ("Id", %I))', :'c1', :'c2', :'c3', string_agg(format('%I int', c), ', '), E'"q\\')
	FROM unnest(ARRAY[' ', 'a b', 'a.b', '"', '""', E'"q\\', E'\\n', E'new\nline', E'\x01', '日本語', '😀', '''', 'select', 'op', 'audit_id', 'row_key', 'old_data', '*', '***', 'aa', 'b', 'B', '{}', 'a=b', ',']) c \gexec
SELECT plinth_audit.enable('names') IS NULL AS ignored \gset
SELECT format('INSERT INTO names VALUES (%s)', string_agg(g::text, ', ')) FROM generate_series(1, 29) g \gexec
SELECT same_images('names', 'column names of 63 bytes, with quotes, control characters and everything that JSON escapes');
UPDATE names SET "select" = 0;
SELECT is((SELECT row_key::text FROM names_audit WHERE op = 'U'), jsonb_build_object('Id', 1, E'"q\\', 10)::text, 'and in the row''s key');
CREATE SCHEMA :"s1";
SELECT format('CREATE TABLE %I.%I (id int PRIMARY KEY)', :'s1', t) FROM unnest(ARRAY[:'t1', :'t2']) t \gexec
SELECT is(plinth_audit.enable(format('%I.%I', :'s1', :'t1')::regclass), format('%I.%I', :'s1', repeat('t', 57) || '_audit')::regclass, 'a table whose name has 63 bytes: the log''s is cut');
SELECT throws_ok(format('SELECT plinth_audit.enable(%L)', format('%I.%I', :'s1', :'t2')), '55006', NULL, 'a second one that differs only in its last needs a name for its log');
SELECT lives_ok(format('SELECT plinth_audit.enable(%L, log => %L)', format('%I.%I', :'s1', :'t2'), 'log2'), 'and gets it');
INSERT INTO :"s1".:"t1" VALUES (1);
INSERT INTO :"s1".:"t2" VALUES (2), (3);
CREATE FUNCTION rows_in(r regclass) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %s', r) INTO n; RETURN n; END $$;
SELECT is((SELECT array_agg(rows_in(log) ORDER BY rows_in(log)) FROM plinth_audit.status WHERE target IN (format('%I.%I', :'s1', :'t1')::regclass, format('%I.%I', :'s1', :'t2')::regclass)), '{1,2}', 'each with its own rows');

-- Shapes.
CREATE TABLE wide_table ();
SELECT 'ALTER TABLE wide_table ' || string_agg(format('ADD %I %s', 'c' || g, (ARRAY['int', 'text', 'numeric', 'bool', 'jsonb'])[g % 5 + 1]), ', ') FROM generate_series(1, 1500) g \gexec
SELECT plinth_audit.enable('wide_table') IS NULL AS ignored \gset
INSERT INTO wide_table DEFAULT VALUES;
INSERT INTO wide_table (c5, c10, c1, c2, c3, c4, c1499) VALUES (1, 2, 'text', 1.50, true, '[1, {"a": 2.0}]', '{"x": null}');
-- a row fits into one page only because short values take few bytes
SELECT 'INSERT INTO wide_table VALUES (' || string_agg((ARRAY['7', quote_literal(left('éx', g % 3)), '1.10', 'true', CASE WHEN g % 50 = 4 THEN quote_literal('{"k": [' || g || '.0]}') ELSE 'NULL' END])[g % 5 + 1], ', ' ORDER BY g) || ')' FROM generate_series(1, 1500) g \gexec
SELECT same_images('wide_table', '1500 columns');
CREATE TABLE no_columns ();
SELECT plinth_audit.enable('no_columns') IS NULL AS ignored \gset
INSERT INTO no_columns DEFAULT VALUES;
SELECT results_eq('SELECT op, row_key, new_data FROM no_columns_audit', $$ VALUES ('I', NULL::jsonb, '{}'::jsonb) $$, 'a table without columns');
DELETE FROM no_columns;
CREATE TABLE all_null (a int, b text, c jsonb, d comp, e int[], f json);
SELECT plinth_audit.enable('all_null') IS NULL AS ignored \gset
INSERT INTO all_null DEFAULT VALUES;
INSERT INTO all_null VALUES (NULL, '', 'null', ROW (NULL, NULL, NULL, NULL), '{}', 'null');
SELECT same_images('all_null', 'nothing but NULLs, and what is nearly NULL');

-- Columns that rows do not have in them, or have no more.
CREATE TABLE shifting (id int PRIMARY KEY, a int, b text, c numeric);
INSERT INTO shifting SELECT g, g, 'old', 1.0 FROM generate_series(1, 3) g;
SELECT plinth_audit.enable('shifting') IS NULL AS ignored \gset
ALTER TABLE shifting DROP COLUMN b, ADD COLUMN d text DEFAULT 'fast default', ADD COLUMN e timestamptz DEFAULT '2024-02-29 12:00+00', ADD COLUMN n int;
UPDATE shifting SET c = 2.00 WHERE id = 1;
SELECT is((SELECT (old_data || '{"c": 2.00}')::text FROM shifting_audit WHERE op = 'U'), (SELECT i FROM images_of('shifting') i WHERE i::jsonb -> 'id' = '1'), 'columns added with a default are in the old image of rows that were there before');
SELECT is((SELECT new_data::text FROM shifting_audit WHERE op = 'U'), (SELECT i FROM images_of('shifting') i WHERE i::jsonb -> 'id' = '1'), 'and in the new one');
DELETE FROM shifting WHERE id = 2;
SELECT is((SELECT old_data::text FROM shifting_audit WHERE op = 'D'), '{"a": 2, "c": 1.0, "d": "fast default", "e": "2024-02-29T12:00:00+00:00", "n": null, "id": 2}', 'in a delete');
TRUNCATE shifting;
SELECT is((SELECT old_data::text FROM shifting_audit WHERE op = 'T' AND row_key = '{"id": 3}'), '{"a": 3, "c": 1.0, "d": "fast default", "e": "2024-02-29T12:00:00+00:00", "n": null, "id": 3}', 'and in a truncate');
DELETE FROM shifting_audit;
ALTER TABLE shifting DROP COLUMN d, ADD COLUMN d int, ALTER a TYPE text USING 'n' || a, ALTER c TYPE float8;
INSERT INTO shifting (id, a, c, e, n, d) VALUES (9, 'nine', 0.1, now(), 4, 5);
SELECT same_images('shifting', 'columns dropped, added again under the same name and with another type');
CREATE TABLE generated (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a * 2) STORED, t text GENERATED ALWAYS AS ('id ' || id) STORED, i int GENERATED BY DEFAULT AS IDENTITY, z serial);
SELECT plinth_audit.enable('generated') IS NULL AS ignored \gset
INSERT INTO generated (id, a) VALUES (1, 2), (2, NULL);
SELECT same_images('generated', 'stored generated columns, identities and serials');
UPDATE generated SET a = 3;
SELECT is((SELECT array_agg(new_data ->> 's') FROM generated_audit WHERE op = 'U'), '{6,6}', 'also after an update');

-- lastval() is the application's.
SELECT lastval() AS before \gset
UPDATE generated SET a = 4;
SELECT is(lastval(), :before::bigint, 'lastval() is not disturbed');

-- A BEFORE trigger of the user changes what is written.
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.b := upper(new.b); RETURN new; END $$;
CREATE TABLE shouted (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS (b || '!') STORED);
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON shouted FOR EACH ROW EXECUTE FUNCTION shout();
SELECT plinth_audit.enable('shouted') IS NULL AS ignored \gset
INSERT INTO shouted VALUES (1, 'a');
SELECT is((SELECT new_data FROM shouted_audit), '{"id": 1, "b": "A", "g": "A!"}', 'the image is what was stored, after all BEFORE triggers and generated columns');

\if :is18
	CREATE TABLE virtually (id int PRIMARY KEY, a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, w text GENERATED ALWAYS AS ('é' || a) VIRTUAL, q int GENERATED ALWAYS AS (100 / a) VIRTUAL);
	SELECT plinth_audit.enable('virtually') IS NULL AS ignored \gset
	INSERT INTO virtually VALUES (1, 2), (2, NULL);
	SELECT same_images('virtually', 'virtual generated columns are computed');
	UPDATE virtually SET a = 5;
	SELECT is((SELECT array_agg((new_data ->> 'v') || '/' || (new_data ->> 'q')) FROM virtually_audit WHERE op = 'U'), '{10/20,10/20}', 'also in an update');
	SELECT is((SELECT array_agg(old_data ->> 'v' ORDER BY audit_id) FROM virtually_audit WHERE op = 'U'), '{4,NULL}', 'and its old image');
	SELECT lives_ok('INSERT INTO virtually VALUES (3, 0)', 'an expression that fails does not make the statement fail');
	SELECT is((SELECT new_data FROM virtually_audit WHERE row_key = '{"id": 3}'), '{"id": 3, "a": 0, "v": 0, "w": "é0", "q": null}', 'its value is null');
	SELECT ok((SELECT note #>> '{replaced,new,q}' <> '' FROM virtually_audit WHERE row_key = '{"id": 3}'), 'and it is named in note');
	DELETE FROM virtually WHERE id = 1;
	SELECT is((SELECT old_data ->> 'w' FROM virtually_audit WHERE op = 'D'), 'é5', 'virtual columns in a delete');
	SELECT plinth_audit.alter('virtually', mode => 'delta') IS NULL AS ignored \gset
	DELETE FROM virtually_audit;
	UPDATE virtually SET a = 7 WHERE id = 2;
	SELECT is((SELECT new_data FROM virtually_audit), '{"a": 7, "v": 14, "w": "é7", "q": 14}', 'virtual columns in a delta');
	DELETE FROM virtually WHERE id = 3;
	DELETE FROM virtually_audit;
	TRUNCATE virtually;
	SELECT is((SELECT old_data -> 'v' FROM virtually_audit), '14', 'virtual columns in a truncate');
\else
	SELECT skip('virtual generated columns begin with PostgreSQL 18', 9);
\endif

SELECT * FROM finish();
