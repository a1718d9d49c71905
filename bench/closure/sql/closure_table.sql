-- A closure table with the indexes that plinth gives its own, and no triggers.
CREATE TABLE node_closure (
	ancestor int NOT NULL,
	descendant int NOT NULL,
	depth int NOT NULL,
	PRIMARY KEY (ancestor, descendant) INCLUDE (depth));
CREATE INDEX node_closure_descendant_idx ON node_closure (descendant);
