-- Roles are shared by all databases: a test starts and ends without those whose names begin with its own.
CREATE FUNCTION drop_roles(prefix text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r name;
BEGIN
	FOR r IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, prefix) LOOP
		EXECUTE format('DROP OWNED BY %I CASCADE', r);
		EXECUTE format('DROP ROLE %I', r);
	END LOOP;
END $$;
