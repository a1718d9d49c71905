-- A materialised path of type ltree beside the parent, kept by row triggers.
-- Loaded after recursion.sql; node may have rows.
CREATE EXTENSION ltree;
ALTER TABLE node ADD path ltree;
UPDATE node SET path = p.path
	FROM (SELECT descendant, string_agg(ancestor::text, '.' ORDER BY depth DESC)::ltree AS path
		FROM recursion GROUP BY descendant) p
	WHERE p.descendant = node.id;
CREATE INDEX node_path_gist_idx ON node USING gist (path);
CREATE INDEX node_path_idx ON node (path);

CREATE FUNCTION node_path_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.parent IS NULL THEN
		NEW.path := NEW.id::text::ltree;
	ELSE
		NEW.path := (SELECT path FROM node WHERE id = NEW.parent) || NEW.id::text;
	END IF;
	RETURN NEW;
END $$;

CREATE FUNCTION node_path_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	above ltree := '';
BEGIN
	IF NEW.parent IS NOT DISTINCT FROM OLD.parent THEN
		RETURN NULL;
	END IF;
	IF NEW.parent IS NOT NULL THEN
		above := (SELECT path FROM node WHERE id = NEW.parent);
		IF above <@ OLD.path THEN
			RAISE EXCEPTION 'node % would be its own ancestor', NEW.id USING ERRCODE = 'check_violation';
		END IF;
	END IF;
	UPDATE node SET path = above || subpath(path, nlevel(OLD.path) - 1) WHERE path <@ OLD.path;
	RETURN NULL;
END $$;

CREATE TRIGGER path_insert BEFORE INSERT ON node
	FOR EACH ROW EXECUTE FUNCTION node_path_insert();
CREATE TRIGGER path_move AFTER UPDATE OF parent ON node
	FOR EACH ROW EXECUTE FUNCTION node_path_move();

-- The closure that the paths stand for.
CREATE VIEW path_pairs AS
	SELECT p.label::int AS ancestor, n.id AS descendant, (nlevel(n.path) - p.place)::int AS depth
	FROM node n, string_to_table(n.path::text, '.') WITH ORDINALITY p (label, place);
