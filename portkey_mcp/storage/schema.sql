BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME, 
	last_used DATETIME, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_workspace UNIQUE (workspace, name), 
	CONSTRAINT uq_api_keys_digest UNIQUE (digest), 
	CONSTRAINT fk_api_keys_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE bundles (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	include JSON NOT NULL, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_bundles PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_bundles_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE hosts (
	host VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_hosts PRIMARY KEY (host)
);
CREATE TABLE revision (
	id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_revision PRIMARY KEY (id)
);
INSERT INTO "revision" VALUES(1,0);
CREATE TABLE secrets (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_secrets_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE servers (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	transport VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	command JSON NOT NULL, 
	env JSON NOT NULL, 
	cwd VARCHAR NOT NULL, 
	headers JSON NOT NULL, 
	protocol VARCHAR NOT NULL, 
	process VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_servers PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_servers_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE workspaces (
	slug VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	policy JSON, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_workspaces PRIMARY KEY (slug)
);
COMMIT;
