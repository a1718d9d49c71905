-- The other recipe: a rule.
CREATE RULE mark AS ON DELETE TO account DO INSTEAD
	UPDATE account SET deleted_at = now(), deletion_id = 1 WHERE id = OLD.id AND deleted_at IS NULL;
