-- The usual recipe: a BEFORE DELETE trigger that updates instead.
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE account SET deleted_at = now(), deletion_id = 1 WHERE id = OLD.id AND deleted_at IS NULL;
	RETURN NULL;
END $$;
CREATE TRIGGER mark BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION mark();
