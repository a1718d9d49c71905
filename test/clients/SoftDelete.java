import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;

/** What JDBC makes of DELETE on the tables of one schema, line by line: SoftDelete URL SCHEMA USER MODE. */
public class SoftDelete {
	static Connection db;

	static void say(String title, Object... values) {
		System.out.println(title + ": " + Arrays.toString(values));
	}

	/** Columns with their types, and rows. */
	static String rows(ResultSet r) throws SQLException {
		StringBuilder s = new StringBuilder();
		ResultSetMetaData m = r.getMetaData();
		for (int i = 1; i <= m.getColumnCount(); i++)
			s.append(m.getColumnLabel(i)).append(' ').append(m.getColumnTypeName(i)).append(' ');
		while (r.next()) {
			s.append('|');
			for (int i = 1; i <= m.getColumnCount(); i++)
				s.append(r.getObject(i)).append(' ');
		}
		r.close();
		return s.toString();
	}

	/** Everything that a statement has to tell, of all its results. */
	static void all(String title, Statement s, boolean isRows) throws SQLException {
		for (;;) {
			if (isRows)
				say(title, "rows", rows(s.getResultSet()));
			else if (s.getUpdateCount() == -1)
				break;
			else
				say(title, "count", s.getUpdateCount(), s.getLargeUpdateCount());
			isRows = s.getMoreResults();
		}
		for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning())
			say(title, "warning", w.getSQLState(), w.getMessage());
	}

	static void left(String title, String table) throws SQLException {
		try (Statement s = db.createStatement()) {
			say(title + ", left", rows(s.executeQuery("SELECT * FROM " + table + " ORDER BY id")));
		}
	}

	static void statements() throws SQLException {
		try (Statement s = db.createStatement()) {
			say("executeUpdate", s.executeUpdate("DELETE FROM users WHERE id = 1"));
			say("executeUpdate again", s.executeUpdate("DELETE FROM users WHERE id = 1"));
			say("executeLargeUpdate", s.executeLargeUpdate("DELETE FROM users WHERE id IN (2, 3)"));
			say("executeQuery", rows(s.executeQuery("DELETE FROM users WHERE id IN (3, 4, 5) RETURNING *")));
			all("execute", s, s.execute("DELETE FROM users WHERE id = 6"));
			all("execute RETURNING", s, s.execute("DELETE FROM users WHERE id = 7 RETURNING name, deleted_at"));
			all("several", s, s.execute("DELETE FROM users WHERE id = 8; DELETE FROM users WHERE id = 8; DELETE FROM users WHERE id = 9 RETURNING id; SELECT count(*) FROM users"));
			all("MERGE", s, s.execute("MERGE INTO users USING (VALUES (10), (99)) v (i) ON id = i WHEN MATCHED THEN DELETE"));
			all("WITH", s, s.execute("WITH d AS (DELETE FROM users WHERE id = 11 RETURNING id) SELECT * FROM d"));
			all("USING", s, s.execute("DELETE FROM users USING orders WHERE orders.user_id = users.id"));
			all("a view", s, s.execute("DELETE FROM user_list WHERE id = 12"));
			all("partitions", s, s.execute("DELETE FROM parts WHERE id > 1"));
			all("partitions RETURNING", s, s.execute("DELETE FROM parts RETURNING tableoid::regclass::text, *"));
		}
		left("statements", "users");
		left("statements", "parts");
	}

	/** With prepareThreshold=1 the server keeps the plan from the first time on. */
	static void prepared() throws SQLException {
		try (PreparedStatement p = db.prepareStatement("DELETE FROM users WHERE id = ?")) {
			for (int i : new int[] {13, 13, 14, 99, 15, 16, 17, 14}) {
				p.setInt(1, i);
				say("prepared " + i, p.executeUpdate());
			}
			p.setNull(1, java.sql.Types.INTEGER);
			say("prepared NULL", p.executeUpdate());
		}
		try (PreparedStatement p = db.prepareStatement("DELETE FROM users WHERE id = ANY (?) RETURNING id, name, age")) {
			for (int n = 0; n < 7; n++) {
				p.setArray(1, db.createArrayOf("int4", new Object[] {17 + n, 18 + n}));
				say("prepared RETURNING " + n, rows(p.executeQuery()));
			}
			ResultSetMetaData m = p.getMetaData();
			say("metadata", m.getColumnCount(), m.getColumnName(1), m.getColumnTypeName(2));
		}
		try (PreparedStatement p = db.prepareStatement("DELETE FROM parts_more WHERE id = ? RETURNING *")) {
			for (int i : new int[] {1, 11, 11, 77, 2, 12, 1}) {
				p.setInt(1, i);
				say("prepared, partitions " + i, rows(p.executeQuery()));
			}
		}
		try (PreparedStatement p = db.prepareStatement("DELETE FROM users WHERE id = ?", Statement.RETURN_GENERATED_KEYS)) {
			p.setInt(1, 25);
			say("generated keys", p.executeUpdate(), rows(p.getGeneratedKeys()));
		}
		try (PreparedStatement p = db.prepareStatement("DELETE FROM users WHERE id = ?", new String[] {"id", "name"})) {
			p.setInt(1, 26);
			say("generated columns", p.executeUpdate(), rows(p.getGeneratedKeys()));
		}
		left("prepared", "users");
	}

	static void batches() throws SQLException {
		try (PreparedStatement p = db.prepareStatement("DELETE FROM users WHERE id = ?")) {
			for (int i : new int[] {27, 28, 28, 99, 29}) {
				p.setInt(1, i);
				p.addBatch();
			}
			say("batch", Arrays.toString(p.executeBatch()));
			for (int i : new int[] {29, 30}) {
				p.setInt(1, i);
				p.addBatch();
			}
			say("large batch", Arrays.toString(p.executeLargeBatch()));
		}
		try (Statement s = db.createStatement()) {
			s.addBatch("DELETE FROM users WHERE id IN (30, 31, 32)");
			s.addBatch("UPDATE orders SET user_id = 0 WHERE id = 1");
			s.addBatch("DELETE FROM users WHERE id IN (31, 32)");
			s.addBatch("DELETE FROM users WHERE id = 33");
			say("batch of statements", Arrays.toString(s.executeBatch()));
			s.addBatch("DELETE FROM users WHERE id = 34");
			s.addBatch("DELETE FROM users WHERE 1 / (id - id) = 1");
			s.addBatch("DELETE FROM users WHERE id = 35");
			s.executeBatch();
		} catch (BatchUpdateException e) {
			say("a batch that fails", e.getSQLState(), Arrays.toString(e.getUpdateCounts()));
		}
		left("batches", "users");
	}

	static void transactions() throws SQLException {
		db.setAutoCommit(false);
		try (Statement s = db.createStatement()) {
			say("to be undone", s.executeUpdate("DELETE FROM users WHERE id > 35"));
			db.rollback();
			java.sql.Savepoint sp = db.setSavepoint();
			say("in a savepoint", s.executeUpdate("DELETE FROM users WHERE id = 36"));
			db.rollback(sp);
			say("after it", s.executeUpdate("DELETE FROM users WHERE id IN (36, 37)"));
			db.commit();
			// rows come in portions, through a portal of the server
			s.setFetchSize(1);
			ResultSet r = s.executeQuery("DELETE FROM users WHERE id IN (38, 39, 40) RETURNING id");
			int n = 0;
			while (r.next())
				n += r.getInt(1);
			say("in portions", n);
			db.commit();
		}
		db.setAutoCommit(true);
		for (String sql : new String[] {"DELETE FROM users WHERE nothing = 1", "DELETE FROM forbidden", "DELETE FROM users RETURNING 1 / (id - id)"})
			try (Statement s = db.createStatement()) {
				s.executeUpdate(sql);
			} catch (SQLException e) {
				say("error", e.getSQLState());
			}
		db.setReadOnly(true);
		db.setAutoCommit(false);
		try (Statement s = db.createStatement()) {
			s.executeUpdate("DELETE FROM users");
		} catch (SQLException e) {
			say("read-only", e.getSQLState(), e.getMessage());
		}
		db.rollback();
		db.setAutoCommit(true);
		db.setReadOnly(false);
		// an updatable result set deletes the row on which it stands
		try (Statement s = db.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
			ResultSet r = s.executeQuery("SELECT id, name FROM users WHERE id > 40 ORDER BY id");
			r.next();
			r.next();
			r.deleteRow();
			say("deleteRow", r.getRow());
		}
		left("transactions", "users");
	}

	public static void main(String[] args) throws SQLException {
		Properties p = new Properties();
		p.setProperty("user", args[2]);
		p.setProperty("currentSchema", args[1]);
		p.setProperty("prepareThreshold", "1");
		p.setProperty("preferQueryMode", args[3]);
		db = DriverManager.getConnection(args[0], p);
		statements();
		prepared();
		batches();
		transactions();
		db.close();
	}
}
