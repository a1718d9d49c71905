-- The adjacency list: what every contestant starts from.
CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node, name text);
CREATE INDEX node_parent_idx ON node (parent);
