\echo
\echo '=============================================================================='
\echo ' plinth_closure: a hierarchy that stays exact'
\echo '=============================================================================='
\echo
\echo '-- 1. A tree that you have already: here, the files below /usr.'
\echo
CREATE TABLE file (
	id int PRIMARY KEY,
	parent int REFERENCES file,
	name text NOT NULL,
	bytes bigint NOT NULL
);
\echo '-- filled by: find /usr -xdev -printf "%p\\t%s\\n"'
\set ECHO none
CREATE TEMPORARY TABLE found (path text, bytes bigint);
\copy found FROM PROGRAM 'find /usr -xdev -printf ''%p\t%s\n'' 2>/dev/null | LC_ALL=C grep -v ''[^ -~	]\|\\'''
CREATE TEMPORARY TABLE numbered AS SELECT row_number() OVER (ORDER BY path COLLATE "C") AS id, path, bytes FROM found;
CREATE INDEX ON numbered (path);
ANALYZE numbered;
INSERT INTO file
SELECT n.id, p.id, substring(n.path FROM '[^/]*$'), n.bytes
FROM numbered n LEFT JOIN numbered p ON p.path = substring(n.path FROM '^(.+)/') AND n.path <> '/usr'
WHERE n.path = '/usr' OR p.id IS NOT NULL;
CREATE INDEX ON file (parent);
ANALYZE file;
\set ECHO queries
\echo
SELECT count(*) AS files, pg_size_pretty(sum(bytes)) AS size FROM file;
\echo '-- 2. How large would its closure be? Then, one call.'
\echo
CREATE EXTENSION plinth_closure;
SELECT nodes, closure_rows, max_depth, pg_size_pretty(bytes) AS size
FROM plinth_closure.estimate('file');
\timing on
SELECT plinth_closure.enable('file');
\timing off
\echo
\echo '-- 3. The disk usage of every directory: one join. The five largest below'
\echo '--    the top:'
\echo
SELECT f.name, count(*) AS files, pg_size_pretty(sum(b.bytes)) AS size
FROM file f
JOIN file_closure c ON c.ancestor = f.id
JOIN file b ON b.id = c.descendant
WHERE f.parent = 1
GROUP BY f.id
ORDER BY sum(b.bytes) DESC
LIMIT 5;
\echo '-- 4. Functions beside the table, for a node: /usr/share and what is above it,'
\echo '--    the deepest file, and its path.'
\echo
SELECT id AS share FROM file WHERE parent = 1 AND name = 'share' \gset
SELECT file_subtree_size(:share), file_height(:share), file_depth(:share), file_path(:share);
SELECT string_agg(f.name, '/' ORDER BY a.depth DESC) AS path
FROM file_ancestors((SELECT node FROM file_descendants(:share) ORDER BY depth DESC, node LIMIT 1), 0) a
JOIN file f ON f.id = a.node;
\echo '-- 5. A move of a whole directory is one UPDATE.'
\echo
SELECT id AS doc FROM file WHERE parent = :share AND name = 'doc' \gset
\timing on
UPDATE file SET parent = 1 WHERE id = :doc;
\timing off
SELECT file_is_ancestor(:share, :doc), file_subtree_size(:share);
\echo '-- 6. One that would make a circle is refused, with the way round.'
\echo
\set ON_ERROR_STOP 0
UPDATE file SET parent = :doc WHERE id = 1;
\set ON_ERROR_STOP 1
\echo
\echo '-- 7. Is the closure exact? No rows: it is.'
\echo
\timing on
SELECT * FROM plinth_closure.check('file');
\timing off
