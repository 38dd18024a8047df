-- Runs once, when the volume is empty. Each service has a role and a schema of its own.
CREATE ROLE catalog LOGIN;
CREATE ROLE orders LOGIN;
CREATE ROLE payments LOGIN;

CREATE SCHEMA catalog AUTHORIZATION catalog;
CREATE SCHEMA orders AUTHORIZATION orders;
CREATE SCHEMA payments AUTHORIZATION payments;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
