-- plinth, its library loaded by every session of the database.
CREATE EXTENSION plinth_soft_delete;
SELECT format('ALTER DATABASE %I SET session_preload_libraries = plinth_soft_delete', current_database()) \gexec
SELECT plinth_soft_delete.enable(:'target');
