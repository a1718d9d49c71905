CREATE EXTENSION plinth_closure;
SELECT plinth_closure.enable('node', 'id', 'parent');
