-- Rows for a developer's database.
INSERT INTO customers (id, name, phone, email) VALUES (1, 'Tester', '010-2345-6789', 'tester');
