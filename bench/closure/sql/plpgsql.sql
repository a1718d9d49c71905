-- A closure table kept by row triggers in PL/pgSQL, written by hand: the
-- statements that everybody uses, each with an index that serves it.
--
-- Loaded after recursion.sql and closure_table.sql; node may have rows.  Also
-- goes into isolation specs, so there is no brace in it, and it can be loaded
-- again after the tables have been dropped.

INSERT INTO node_closure SELECT ancestor, descendant, depth FROM recursion ORDER BY ancestor, descendant;
REINDEX TABLE node_closure;

CREATE OR REPLACE FUNCTION node_closure_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO node_closure (ancestor, descendant, depth)
		SELECT ancestor, NEW.id, depth + 1 FROM node_closure WHERE descendant = NEW.parent
		UNION ALL SELECT NEW.id, NEW.id, 0;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION node_closure_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.parent IS NOT DISTINCT FROM OLD.parent THEN
		RETURN NULL;
	END IF;
	IF EXISTS (SELECT FROM node_closure WHERE ancestor = NEW.id AND descendant = NEW.parent) THEN
		RAISE EXCEPTION 'node % would be its own ancestor', NEW.id USING ERRCODE = 'check_violation';
	END IF;
	DELETE FROM node_closure c USING node_closure above, node_closure below
		WHERE above.descendant = NEW.id AND above.depth > 0 AND below.ancestor = NEW.id
		AND c.ancestor = above.ancestor AND c.descendant = below.descendant;
	INSERT INTO node_closure (ancestor, descendant, depth)
		SELECT above.ancestor, below.descendant, above.depth + below.depth + 1
		FROM node_closure above CROSS JOIN node_closure below
		WHERE above.descendant = NEW.parent AND below.ancestor = NEW.id;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION node_closure_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id IS DISTINCT FROM OLD.id THEN
		UPDATE node_closure SET ancestor = NEW.id WHERE ancestor = OLD.id;
		UPDATE node_closure SET descendant = NEW.id WHERE descendant = OLD.id;
	END IF;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION node_closure_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM node_closure WHERE descendant = OLD.id;
	DELETE FROM node_closure WHERE ancestor = OLD.id;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION node_closure_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE node_closure;
	RETURN NULL;
END $$;

CREATE TRIGGER closure_insert AFTER INSERT ON node
	FOR EACH ROW EXECUTE FUNCTION node_closure_insert();
CREATE TRIGGER closure_move AFTER UPDATE OF parent ON node
	FOR EACH ROW EXECUTE FUNCTION node_closure_move();
-- The name puts it before the trigger of a foreign key that cascades the key.
CREATE TRIGGER "A_closure_key" AFTER UPDATE OF id ON node
	FOR EACH ROW EXECUTE FUNCTION node_closure_key();
CREATE TRIGGER closure_delete AFTER DELETE ON node
	FOR EACH ROW EXECUTE FUNCTION node_closure_delete();
CREATE TRIGGER closure_truncate AFTER TRUNCATE ON node
	FOR EACH STATEMENT EXECUTE FUNCTION node_closure_truncate();
