-- The same policy in pure SQL.
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON person USING (true);
CREATE POLICY alive ON person AS RESTRICTIVE FOR SELECT
	USING (deleted_at IS NULL OR current_setting('app.show_deleted', true) = 'on');
